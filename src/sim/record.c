/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct record *record_new(int64_t start_ms)
{
    struct record *rec = calloc(1, sizeof *rec);
    if (!rec)
        return NULL;
    rec->start_ms = start_ms;
    rec->step_ms = RECORD_STEP_MS;
    rec->next_ms = start_ms + rec->step_ms;
    return rec;
}

void record_free(struct record *rec)
{
    if (!rec)
        return;
    for (uint32_t i = 0; i < rec->nseries; i++)
        free(rec->series[i].value);
    free(rec->series);
    free(rec);
}

static uint32_t find(const struct record *rec, const char *group, const char *name)
{
    for (uint32_t i = 0; i < rec->nseries; i++) {
        if (strcmp(rec->series[i].group, group) == 0 && strcmp(rec->series[i].name, name) == 0)
            return i;
    }
    return RECORD_NONE;
}

const struct record_series *record_find(const struct record *rec, const char *group, const char *name)
{
    uint32_t i = find(rec, group, name);
    return i == RECORD_NONE ? NULL : &rec->series[i];
}

static bool grow(struct record *rec)
{
    if (rec->nseries < rec->series_cap)
        return true;
    uint32_t cap = rec->series_cap ? 2 * rec->series_cap : 64;
    struct record_series *list = cap <= RECORD_SERIES_MAX ? realloc(rec->series, cap * sizeof *list) : NULL;
    if (!list)
        return false;
    rec->series = list;
    rec->series_cap = cap;
    return true;
}

uint32_t record_series(struct record *rec, const char *group, const char *name, const char *unit,
                       enum record_kind kind)
{
    if (!rec)
        return RECORD_NONE;
    uint32_t i = find(rec, group, name);
    if (i != RECORD_NONE)
        return i;
    double *value = calloc(RECORD_SAMPLES_MAX, sizeof *value);
    if (!value || !grow(rec)) {
        free(value);
        rec->failed = true;
        return RECORD_NONE;
    }
    struct record_series *s = &rec->series[rec->nseries];
    *s = (struct record_series){.kind = kind, .value = value};
    (void)snprintf(s->group, sizeof s->group, "%s", group);
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    (void)snprintf(s->unit, sizeof s->unit, "%s", unit);
    return rec->nseries++;
}

void record_set(struct record *rec, uint32_t id, double value)
{
    if (!rec || id == RECORD_NONE)
        return;
    struct record_series *s = &rec->series[id];
    if (s->kind != RECORD_LEAST || !s->told || value < s->now)
        s->now = value;
    s->told = true;
}

void record_add(struct record *rec, uint32_t id, double value)
{
    if (rec && id != RECORD_NONE)
        rec->series[id].now += value;
}

static double joined(enum record_kind kind, double a, double b)
{
    return kind == RECORD_COUNT ? a + b : kind == RECORD_LEAST ? (a < b ? a : b) : (a + b) / 2;
}

/* Two samples become one. */
static void halve(struct record *rec)
{
    for (uint32_t i = 0; i < rec->nseries; i++) {
        struct record_series *s = &rec->series[i];
        for (uint32_t k = 0; k < rec->n / 2; k++)
            s->value[k] = joined(s->kind, s->value[2 * k], s->value[2 * k + 1]);
    }
    rec->n /= 2;
    rec->step_ms *= 2;
}

void record_sample(struct record *rec)
{
    for (uint32_t i = 0; i < rec->nseries; i++) {
        struct record_series *s = &rec->series[i];
        s->value[rec->n] = s->now;
        if (s->kind == RECORD_COUNT)
            s->now = 0;
        s->told = false; /* a least that is not set again still holds */
    }
    if (++rec->n == RECORD_SAMPLES_MAX)
        halve(rec);
    rec->next_ms = rec->start_ms + (rec->n + 1) * rec->step_ms;
}

uint32_t record_mark(struct record *rec, int64_t at_ms, bool drill, const char *text)
{
    if (!rec)
        return RECORD_NONE;
    if (rec->nmarks == RECORD_MARKS_MAX) {
        rec->marks_more++;
        return RECORD_NONE;
    }
    struct record_mark *m = &rec->mark[rec->nmarks];
    *m = (struct record_mark){.at_ms = at_ms, .drill = drill};
    (void)snprintf(m->text, sizeof m->text, "%s", text);
    return rec->nmarks++;
}
