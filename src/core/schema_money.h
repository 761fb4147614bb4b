/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the schema (core/schema.h) that tariffs, payments and bills are made of: the events that bring them, and what is kept.
 *
 * The lists are as those of core/schema.h, which includes this file.
 */
#ifndef BUSBAR_CORE_SCHEMA_MONEY_H
#define BUSBAR_CORE_SCHEMA_MONEY_H

/* clang-format off */

/* ---- events ---- */

/* Terms beside prices (core/terms.h). flags: enum terms_flag; hour: nano-units for a chip-hour; discounts and factors in
 * thousandths; hours: bit h, the hour of the day that begins at h:00 UTC; signal: bounds of the factor, 0: there is none; minimum:
 * nano-units a month; free: tokens, or chip-ms, a month. */
#define TERMS(F, S) \
    F(S, u32, flags, 0) F(S, i64, hour, 0) F(S, u32, deferrable, 0) F(S, u32, interruptible, 0) \
    F(S, u32, hours0, 0) F(S, u32, factor0, 0) F(S, u32, hours1, 0) F(S, u32, factor1, 0) \
    F(S, u32, hours2, 0) F(S, u32, factor2, 0) F(S, u32, hours3, 0) F(S, u32, factor3, 0) \
    F(S, u32, signal_min, 0) F(S, u32, signal_max, 0) F(S, i64, minimum, 0) F(S, u64, free, 0)
/* One price of a tariff. what: enum tariff_what; item: the model, pool or corridor; price: a new id, of a model's; the first of the
 * four is what a chip-hour or a GB costs. */
#define TARIFF_ENTRY(F, S) \
    F(S, u32, what, 0) F(S, uuid, tenant, 0) F(S, uuid, item, 0) F(S, text, chip, CHIP_CAP) F(S, uuid, price, 0) \
    F(S, i64, prompt, 0) F(S, i64, cached, 0) F(S, i64, completion, 0) F(S, i64, reasoning, 0) \
    F(S, u32, price_flags, 0) TERMS(F, S)
/* Prices of a tariff come in order from 0; part 0 begins anew whatever was begun before. Nothing is in force by it. */
#define EVENT_TARIFF_PUT(F, S) F(S, uuid, tariff, 0) F(S, u32, part, 0) TARIFF_ENTRY(F, S)
/* Puts the so many prices of the tariff in force from then on, all of them or, if one cannot be, none. */
#define EVENT_TARIFF_SET(F, S) F(S, uuid, tariff, 0) F(S, u32, parts, 0) F(S, i64, from_ms, 0)
/* A tenant paid money in: its budget is more by so much. The id is the sender's, and counts once. */
#define EVENT_WALLET_TOPUP(F, S) F(S, uuid, payment, 0) F(S, uuid, tenant, 0) F(S, i64, amount, 0)
/* A tenant's bill for all that is not on one yet, to the end of that month, is closed (core/books.c). Months count from January
 * 1970; first_month: from which on its lines were summed; total: what they come to, nano-units; minimum: what is missing to the
 * least that its months cost; late: as the tenant's row told it when they were summed, so that no late record is left out. */
#define EVENT_INVOICE_CLOSE(F, S) \
    F(S, uuid, invoice, 0) F(S, uuid, tenant, 0) F(S, u32, month, 0) F(S, i64, total, 0) F(S, u32, first_month, 0) \
    F(S, i64, minimum, 0) F(S, u64, late, 0)
/* The tenant gets back so much of what the bill that ends with that month asked for. The id counts once. before: what it had been given
 * back in all when what is left of the bill was summed. */
#define EVENT_CREDIT_NOTE(F, S) \
    F(S, uuid, payment, 0) F(S, uuid, tenant, 0) F(S, u32, month, 0) F(S, i64, amount, 0) F(S, text, reason, TEXT_CAP) \
    F(S, i64, before, 0)

/* What invoices that are closed from now on say of whoever bills (tenant zero), or of a tenant: the name in law, the address, its
 * lines apart by a line feed, and the number under which it is taxed. Empty: it is not told. */
#define BILLED(F, S) F(S, text, name, TEXT_CAP) F(S, text, address, PATH_CAP) F(S, text, tax_number, NAME_CAP)
#define EVENT_BILLED_SET(F, S) F(S, uuid, tenant, 0) BILLED(F, S)

/* The weights with this digest stop everywhere, and no model that has them is served until that is lifted. The id is the sender's. */
#define EVENT_MODEL_RECALL(F, S) F(S, uuid, recall, 0) F(S, digest, digest, 0) F(S, text, reason, TEXT_CAP)
#define EVENT_MODEL_RECALL_LIFT(F, S) F(S, digest, digest, 0)

/* ---- rows ---- */

/* From then on, until others of the same tenant (zero: of all), model and kind of chips are in force. */
#define ROW_TERMS(F, S) \
    F(S, uuid, tenant, 0) F(S, uuid, model, 0) F(S, text, chip, CHIP_CAP) F(S, i64, from_ms, 0) TERMS(F, S)
/* What of a tenant's free tokens of a model, or chip-ms of a kind, is used up in a month. */
#define ROW_ALLOWANCE(F, S) \
    F(S, uuid, tenant, 0) F(S, uuid, model, 0) F(S, text, chip, CHIP_CAP) F(S, u32, month, 0) F(S, u64, used, 0)
/* The draft of a tariff. */
#define ROW_TARIFF_PART(F, S) F(S, u32, part, 0) F(S, uuid, tariff, 0) TARIFF_ENTRY(F, S)
/* What power has cost at a site on the average, nano-units a kWh; over so long; the signal that holds since then is not in it. */
#define ROW_SITE_MEAN(F, S) F(S, uuid, site, 0) F(S, i64, price, 0) F(S, i64, weight_ms, 0) F(S, i64, since_ms, 0)
/* Added to, not replaced: what a tenant is billed, for the day of its use (since 1970), a model, pool or corridor, a site and a version of the
 * price: of a model's tokens the id of its price; of a chip-hour, a GB or a kWh how much it was, in `rate`, and in `price` how that
 * came to be (core/terms.h), zero: it is the price as it was set. billed: the month on whose bill it is, where the one of its day was
 * closed (core/event_time.c), else 0. tax: how much of the cost is; granted: how much of it grants paid. */
#define ROW_BILL(F, S) \
    F(S, uuid, tenant, 0) F(S, u64, day, 0) F(S, uuid, item, 0) F(S, uuid, variant, 0) F(S, uuid, site, 0) \
    F(S, uuid, price, 0) F(S, i64, rate, 0) F(S, u64, billed, 0) F(S, u64, requests, 0) F(S, u64, prompt, 0) F(S, u64, cached, 0) \
    F(S, u64, completion, 0) F(S, u64, reasoning, 0) F(S, u64, chip_ms, 0) F(S, u64, energy_mj, 0) \
    F(S, u64, carbon_ng, 0) F(S, i64, cost, 0) F(S, u64, bytes, 0) F(S, i64, tax, 0) \
    F(S, i64, granted, 0)
/* What a tenant paid in, or with a month and a reason got back of the bill that ends with it. */
#define ROW_PAYMENT(F, S) \
    F(S, uuid, id, 0) F(S, uuid, tenant, 0) F(S, i64, amount, 0) F(S, i64, at_ms, 0) F(S, u32, month, 0) \
    F(S, text, reason, TEXT_CAP)
/* A closed bill, of all whole months from first_month to month. `number` counts those of all tenants, from 1. */
#define ROW_INVOICE(F, S) \
    F(S, uuid, id, 0) F(S, uuid, tenant, 0) F(S, u64, number, 0) F(S, u32, first_month, 0) F(S, u32, month, 0) \
    F(S, u32, ledger, 0) F(S, i64, total, 0) F(S, i64, closed_ms, 0)
/* Kept for ever, so that an invoice says later what it said first. owner: a tenant; zero: whoever bills. */
#define ROW_BILLED(F, S) F(S, uuid, owner, 0) F(S, i64, from_ms, 0) BILLED(F, S)
/* What a chip-hour of a pool, or a GB over the corridor that has this id, will cost from then on. */
#define ROW_POOL_PRICE(F, S) F(S, uuid, pool, 0) F(S, i64, from_ms, 0) F(S, i64, price, 0)

/* clang-format on */

#endif
