/* SPDX-License-Identifier: Apache-2.0 */
#include "site/roster.h"

#include <stdio.h>
#include <string.h>

#define MISSING "it was here, and is not any more"

bool roster_is_missing(const struct probe_chip *chip)
{
    return chip->sources == 0; /* nothing tells of it */
}

bool roster_name(const struct probe_chip *chip, char dst[UNIT_NAME_CAP])
{
    bool second = chip->die > 0 && chip->die < 10;
    return unit_name_make(dst, chip->vendor, chip->serial, second ? (uint32_t)chip->die : 0, chip->uuid);
}

/* ---- what the engine counts on ---- */

static bool works(const struct probe_chip *chip)
{
    return !roster_is_missing(chip) && chip->health != PROBE_FAILED;
}

static uint32_t count_of(const struct engine_chips *c)
{
    return c->indices_count ? c->indices_count : c->count;
}

static bool has_index(const struct engine_chips *c, int64_t index)
{
    for (uint32_t i = 0; i < c->indices_count; i++) {
        if (c->indices[i] == index)
            return true;
    }
    return c->indices_count == 0 && index < c->count;
}

static bool is_fault(const struct probe_scan *scan, const struct probe_chip *chip,
                     const struct engine_config *config)
{
    const struct engine_chips *c =
        chip->kind[0] && config->engine == ENGINE_KIND_LOCAL ? engine_config_chips(config, chip->kind) : NULL;
    uint32_t working = 0;
    bool replaced = false;
    if (!c || works(chip))
        return false;
    for (uint32_t i = 0; i < scan->n; i++) {
        const struct probe_chip *other = &scan->chip[i];
        if (!works(other) || strcmp(other->kind, chip->kind) != 0)
            continue;
        working++;
        replaced |= chip->index >= 0 && other->index == chip->index;
    }
    return chip->index >= 0 ? has_index(c, chip->index) && !replaced : working < count_of(c);
}

uint32_t roster_faults(const struct probe_scan *known, const struct engine_config *config,
                       struct engine_fault *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < known->n; i++) {
        const struct probe_chip *chip = &known->chip[i];
        char name[UNIT_NAME_CAP];
        if (!is_fault(known, chip, config))
            continue;
        struct engine_fault *fault = &out[n++];
        *fault = (struct engine_fault){.index = chip->index >= 0 ? (int32_t)chip->index : -1};
        (void)snprintf(fault->kind, sizeof fault->kind, "%.*s", CHIP_CAP - 1, chip->kind);
        (void)roster_name(chip, name);
        (void)snprintf(fault->why, sizeof fault->why, "%.48s: %.70s", name[0] ? name : chip->pci,
                       chip->health_text[0] ? chip->health_text : "it has failed");
    }
    return n;
}

/* ---- what is remembered ---- */

static bool same_text(const char *a, const char *b)
{
    return a[0] != 0 && strcmp(a, b) == 0;
}

/* By what both are told by, which holds wherever it is put; else by the address that it is at. */
static bool is_same(const struct probe_chip *a, const struct probe_chip *b)
{
    char x[UNIT_NAME_CAP], y[UNIT_NAME_CAP];
    if (strcmp(a->vendor, b->vendor) != 0)
        return false;
    if (a->serial[0] && b->serial[0])
        return roster_name(a, x) && roster_name(b, y) && strcmp(x, y) == 0;
    if (a->uuid[0] && b->uuid[0])
        return strcmp(a->uuid, b->uuid) == 0;
    return same_text(a->pci, b->pci) && strcmp(a->id, b->id) == 0;
}

static void keep_text(char *dst, const char *src, size_t cap)
{
    if (dst[0] == 0)
        memcpy(dst, src, cap);
}

static void keep_names(struct probe_chip *now, const struct probe_chip *was)
{
    if (!now->serial[0] && !now->uuid[0] && now->die == PROBE_UNKNOWN)
        now->die = was->die; /* it is a part of its name */
    keep_text(now->serial, was->serial, sizeof now->serial);
    keep_text(now->uuid, was->uuid, sizeof now->uuid);
    keep_text(now->kind, was->kind, sizeof now->kind);
    keep_text(now->model, was->model, sizeof now->model);
    if (now->index == PROBE_UNKNOWN)
        now->index = was->index;
}

uint32_t roster_take(const struct probe_scan *known, struct probe_scan *now,
                     const struct engine_config *config)
{
    uint32_t missing = 0, here = now->n;
    for (uint32_t k = 0; k < known->n; k++) {
        const struct probe_chip *was = &known->chip[k];
        uint32_t i = 0;
        while (i < here && !is_same(&now->chip[i], was))
            i++;
        if (i < here) {
            keep_names(&now->chip[i], was);
            continue;
        }
        missing += !roster_is_missing(was);
        struct probe_chip gone = *was;
        gone.sources = 0;
        gone.health = PROBE_FAILED;
        (void)snprintf(gone.health_text, sizeof gone.health_text, MISSING);
        if (now->n < PROBE_CHIPS_MAX && is_fault(now, &gone, config))
            now->chip[now->n++] = gone;
    }
    return missing;
}
