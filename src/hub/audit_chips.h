/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single chips in the overseers' report (core/registry.h): by site and kind how many there are, and under how many licences; and which
 * are seen at two places. It is as of now, whatever span the report is of, but for alarms: those of the span, and those that nobody
 * has resolved. Chips are no tenant's, so nothing of it is withheld.
 */
#ifndef BUSBAR_HUB_AUDIT_CHIPS_H
#define BUSBAR_HUB_AUDIT_CHIPS_H

#include "hub/chips.h"

/* Each begins with a comma. */
void chips_json(struct buf *out, const struct core *core, int64_t from_ms, int64_t to_ms);
/* Lines of the report's form. */
void chips_csv(struct buf *out, const struct core *core);

#endif
