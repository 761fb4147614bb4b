/* SPDX-License-Identifier: Apache-2.0 */
/* Who bills, and who is billed: what invoices say of both (core/billed.c). */
#ifndef BUSBAR_HUB_BILLING_H
#define BUSBAR_HUB_BILLING_H

#include "hub/api.h"

/* Blocks. What held at that time, or what was said first afterwards; owner zero: of whoever bills. All empty where nothing was said. */
int billing_read(struct row_billed *out, struct store *store, const struct uuid *owner, int64_t at_ms,
                 struct err *err);
/* An object, or null where nothing was said. */
void billing_json(struct buf *out, const char *name, const struct row_billed *row);

#endif
