/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of the overseers' report: what rules denied, by rule, and drills. No tenant is in it.
 *
 * A denial's cell is a rule with its cite, whose work it denied, and how. One of fewer than CELL_TENANTS_MIN tenants is merged into
 * `other`, and while that is of fewer, so is the smallest that is left (hub/audit_cells.h); counts stay what they were in all. Of a drill
 * shares are told, not how much work there was: that may have been one tenant's.
 */
#ifndef BUSBAR_HUB_AUDIT_DENIALS_H
#define BUSBAR_HUB_AUDIT_DENIALS_H

#include "hub/audit_cells.h"

struct denial_cell {
    struct row_denial key; /* without day and tenant; count: the sum */
    bool other;
    struct uuid tenant[CELL_TENANTS_MIN];
    uint32_t ntenants;
};

struct denials_told {
    struct denial_cell *list;
    uint32_t n;
    struct row_drill *drill; /* in the order of their time */
    uint32_t ndrills;
    int rc;
};

/* Of the days from from_ms to to_ms, from the store. 0 or an error with words. */
int denials_read(struct denials_told *told, struct store *store, int64_t from_ms, int64_t to_ms,
                 struct err *err);
void denials_free(struct denials_told *told);
/* Members `denials` and `drills`, each after a comma. */
void denials_json(struct buf *out, const struct core *core, const struct denials_told *told);
/* Lines of the report's CSV: section, what, count. */
void denials_csv(struct buf *out, const struct core *core, const struct denials_told *told);

#endif
