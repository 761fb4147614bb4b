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

static const struct engine_chips *counted_on(const struct engine_config *config,
                                             const struct probe_chip *chip)
{
    bool ours = chip->kind[0] && config->engine == ENGINE_KIND_LOCAL;
    return ours ? engine_config_chips(config, chip->kind) : NULL;
}

/* One that works has this number; where a number is not known, it may be this one. */
static bool has_number(const struct probe_scan *scan, const char *kind, int64_t index, bool surely)
{
    for (uint32_t i = 0; i < scan->n; i++) {
        const struct probe_chip *c = &scan->chip[i];
        if (works(c) && strcmp(c->kind, kind) == 0 &&
            (c->index == index || (!surely && c->index == PROBE_UNKNOWN)))
            return true;
    }
    return false;
}

/* The engine gives out fewer working chips than it counts on, or a number that none of them has: drivers number what is left anew. */
static bool is_short(const struct probe_scan *scan, const struct engine_chips *c, const char *kind)
{
    uint32_t working = 0;
    for (uint32_t i = 0; i < scan->n; i++)
        working += works(&scan->chip[i]) && strcmp(scan->chip[i].kind, kind) == 0;
    for (uint32_t i = 0; i < c->indices_count; i++) {
        if (!has_number(scan, kind, c->indices[i], false))
            return true;
    }
    return working < count_of(c);
}

static bool is_replaced(const struct probe_scan *scan, const struct probe_chip *chip)
{
    return chip->index >= 0 && has_number(scan, chip->kind, chip->index, true);
}

static bool is_fault(const struct probe_scan *scan, const struct probe_chip *chip,
                     const struct engine_config *config)
{
    const struct engine_chips *c = counted_on(config, chip);
    if (!c || works(chip))
        return false;
    if (chip->index >= 0 && has_index(c, chip->index) && !is_replaced(scan, chip))
        return true;
    if (chip->index >= 0 && !has_index(c, chip->index) && c->indices_count == 0)
        return false;
    return is_short(scan, c, chip->kind);
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
        *fault = (struct engine_fault){.index = -1};
        if (chip->index >= 0 && !is_replaced(known, chip)) /* another one's work goes on */
            fault->index = (int32_t)chip->index;
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

/* By what both are told by, which holds wherever it is put; else by the address that it is at. A serial is a card's: of two dies the one
 * that is left is told by its address, since nothing says which it is. */
static bool is_same(const struct probe_chip *a, const struct probe_chip *b)
{
    const bool serials = a->serial[0] && b->serial[0];
    if (strcmp(a->vendor, b->vendor) != 0)
        return false;
    if (a->uuid[0] && b->uuid[0])
        return strcmp(a->uuid, b->uuid) == 0;
    if (serials && (strcmp(a->serial, b->serial) != 0 || a->die == b->die))
        return strcmp(a->serial, b->serial) == 0;
    if (serials && a->die != PROBE_UNKNOWN && b->die != PROBE_UNKNOWN)
        return false;
    return same_text(a->pci, b->pci) && strcmp(a->id, b->id) == 0;
}

static void keep_text(char *dst, const char *src, size_t cap)
{
    if (dst[0] == 0)
        memcpy(dst, src, cap);
}

/* Its tool says nothing, which is no word that it works again. */
static void keep_failed(struct probe_chip *now, const struct probe_chip *was)
{
    if (was->health != PROBE_FAILED || roster_is_missing(was) || now->health != PROBE_HEALTH_UNKNOWN ||
        (now->sources & (PROBE_LIBRARY | PROBE_COMMAND)))
        return;
    now->health = PROBE_FAILED;
    memcpy(now->health_text, was->health_text, sizeof now->health_text);
}

static void keep_names(struct probe_chip *now, const struct probe_chip *was)
{
    if (now->die == PROBE_UNKNOWN && (!now->serial[0] || strcmp(now->serial, was->serial) == 0))
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
            keep_failed(&now->chip[i], was);
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
