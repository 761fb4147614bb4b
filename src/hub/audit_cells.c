/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/audit_cells.h"

#include <stdlib.h>
#include <string.h>

void cell_count(struct uuid *set, uint32_t *n, const struct uuid *tenant)
{
    uint32_t i = 0;
    while (i < *n && !uuid_eq(&set[i], tenant))
        i++;
    if (i == *n && i < CELL_TENANTS_MIN)
        set[(*n)++] = *tenant;
}

void cell_sum(struct cell_sums *to, const struct cell_sums *from)
{
    to->requests += from->requests;
    to->prompt += from->prompt;
    to->cached += from->cached;
    to->completion += from->completion;
    to->reasoning += from->reasoning;
    to->chip_ms += from->chip_ms;
    to->energy_mj += from->energy_mj;
    to->carbon_ng += from->carbon_ng;
    to->bytes += from->bytes;
}

/* What the cell of a line is called. */
static void name_cell(struct cell *cell, const struct core *core, const struct row_bill *row)
{
    const struct row_site *site = view_site(core, &row->site);
    const struct row_pool *pool = view_pool(core, &row->item);
    const struct row_chip *chip = NULL;
    if (site)
        memcpy(cell->jurisdiction, site->jurisdiction, sizeof cell->jurisdiction);
    if (!pool)
        return;
    memcpy(cell->chip, pool->chip, sizeof cell->chip);
    for (uint32_t pos = 0; (chip = view_chip_at(core, &pos)) != NULL;) {
        if (memcmp(chip->id, pool->chip, CHIP_CAP) != 0)
            continue;
        memcpy(cell->vendor, chip->vendor, sizeof cell->vendor);
        memcpy(cell->origin, chip->origin, sizeof cell->origin);
    }
}

static int by_name(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;
    if (x->other != y->other)
        return x->other - y->other;
    int order = memcmp(x->chip, y->chip, sizeof x->chip);
    return order ? order : memcmp(x->jurisdiction, y->jurisdiction, sizeof x->jurisdiction);
}

bool cells_add(struct cells *cells, const struct core *core, const struct row_bill *row)
{
    struct cell made = {.ntenants = 0};
    const struct cell_sums sums = {row->requests,   row->prompt,    row->cached,
                                   row->completion, row->reasoning, row->chip_ms,
                                   row->energy_mj,  row->carbon_ng, row->bytes};
    name_cell(&made, core, row);
    uint32_t i = 0;
    while (i < cells->n && by_name(&cells->list[i], &made) != 0)
        i++;
    if (i == cells->n) {
        struct cell *more = i < CELLS_MAX ? realloc(cells->list, (i + 1) * sizeof *more) : NULL;
        if (!more)
            return false;
        cells->list = more;
        cells->list[cells->n++] = made;
    }
    cell_count(cells->list[i].tenant, &cells->list[i].ntenants, &row->tenant);
    cell_sum(&cells->list[i].sums, &sums);
    return true;
}

static void merge(struct cells *cells, struct cell *other, uint32_t i)
{
    const struct cell *c = &cells->list[i];
    for (uint32_t k = 0; k < c->ntenants; k++)
        cell_count(other->tenant, &other->ntenants, &c->tenant[k]);
    cell_sum(&other->sums, &c->sums);
    cells->list[i] = cells->list[--cells->n];
}

/* By what they have of chips and tokens; of equals the one whose name comes first. */
static uint32_t smallest(const struct cells *cells)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < cells->n; i++) {
        const struct cell_sums *a = &cells->list[i].sums, *b = &cells->list[best].sums;
        uint64_t x = a->chip_ms + a->completion, y = b->chip_ms + b->completion;
        if (x < y || (x == y && by_name(&cells->list[i], &cells->list[best]) < 0))
            best = i;
    }
    return best;
}

void cells_hide(struct cells *cells)
{
    struct cell other = {.other = true};
    bool any = false;
    for (uint32_t i = 0; i < cells->n;) {
        if (cells->list[i].ntenants >= CELL_TENANTS_MIN) {
            i++;
            continue;
        }
        merge(cells, &other, i);
        any = true;
    }
    while (any && other.ntenants < CELL_TENANTS_MIN && cells->n > 0)
        merge(cells, &other, smallest(cells));
    if (any)
        cells->list[cells->n++] = other; /* there was one more before */
    if (cells->n > 1)
        qsort(cells->list, cells->n, sizeof *cells->list, by_name);
}

void cells_free(struct cells *cells)
{
    free(cells->list);
    *cells = (struct cells){.n = 0};
}
