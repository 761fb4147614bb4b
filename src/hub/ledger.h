/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of accounts, and payments that count once, for the files of this folder that show or move money.
 *
 * A payment's id is made of what its sender calls it, so whoever did not hear the answer may send it again. The core knows the
 * newest ids and refuses them (core/books.c); for the older ones the store is asked before.
 */
#ifndef BUSBAR_HUB_LEDGER_H
#define BUSBAR_HUB_LEDGER_H

#include "hub/api.h"

#define ACCOUNT_NAME_CAP 128
#define USAGE_UNIT_MAX 9 /* numbers of enum usage_unit are below */

/* The name of a tenant, site, key or party, "network", or the id of anything else. */
void owner_name(char dst[ACCOUNT_NAME_CAP], const struct core *core, const struct uuid *owner);
/* KIND/OWNER/CURRENCY, with the owner's id where it is gone. */
void account_name(char dst[ACCOUNT_NAME_CAP], const struct core *core, const struct uuid *owner,
                  uint32_t code, uint32_t ledger);

/* Owners, sponsors and other networks are told apart by name alone: their id follows from it. The event that adds one, if it is new. */
struct uuid party_id(const char *name);
struct event party_event(const char *name);

/* SIDE/OWNER/UNIT. */
void usage_account_name(char dst[ACCOUNT_NAME_CAP], const struct core *core, const struct uuid *owner,
                        uint32_t side, uint32_t unit);
/* What was used, as the API's list of accounts has it: the steps of that call, hub/ledger_usage.c. */
int usage_accounts_parse(struct api_call *call);
int usage_accounts_read(struct api_call *call);
int usage_accounts_render(struct api_call *call, const struct core *core);

/* The id of a payment that its sender calls `text`; a new one if that is empty. `what` keeps kinds of payments apart. */
struct uuid payment_id(const char *what, const struct uuid *tenant, const char *text);
/* In `work`: whether the payment was made already. ERR_EXISTS with words if its id was, for another tenant, amount or month. */
int payment_seen(struct api_call *call, const struct row_payment *order, bool *seen);
/* A handler's `refused`. */
bool payment_refused(struct api_call *call);

#endif
