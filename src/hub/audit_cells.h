/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells of the overseers' report: what was used, by kind of chip and jurisdiction, of all tenants together.
 *
 * A cell that is of fewer than CELL_TENANTS_MIN tenants would tell what one of them did, or let two tell each other, so it is merged
 * into one that is named `other`; and while that is of too few, so is the smallest cell that is left. Sums stay what they were.
 */
#ifndef BUSBAR_HUB_AUDIT_CELLS_H
#define BUSBAR_HUB_AUDIT_CELLS_H

#include "hub/bills.h"

#define CELL_TENANTS_MIN 3
#define CELLS_MAX 4096

struct cell_sums {
    uint64_t requests, prompt, cached, completion, reasoning, chip_ms, energy_mj, carbon_ng, bytes;
};

struct cell {
    /* Of a pool's chips; all empty: of models, whose chips a record does not name, or of data. Both: `other`. */
    char chip[CHIP_CAP], vendor[NAME_CAP], origin[CODE_CAP];
    char jurisdiction[CODE_CAP];
    bool other;
    struct uuid tenant[CELL_TENANTS_MIN]; /* so many different ones, and no more */
    uint32_t ntenants;
    struct cell_sums sums;
};

struct cells {
    struct cell *list;
    uint32_t n;
};

/* False: out of memory, or there are CELLS_MAX. */
bool cells_add(struct cells *cells, const struct core *core, const struct row_bill *row);
/* Merges what is of too few. Then cells are in the order of their names, `other` last. */
void cells_hide(struct cells *cells);
void cells_free(struct cells *cells);

/* Another tenant of a set of at most CELL_TENANTS_MIN. */
void cell_count(struct uuid *set, uint32_t *n, const struct uuid *tenant);
void cell_sum(struct cell_sums *to, const struct cell_sums *from);

#endif
