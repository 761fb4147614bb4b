/* SPDX-License-Identifier: Apache-2.0 */
/* An invoice with all that is on it, and the forms in which it is given out. */
#ifndef BUSBAR_HUB_INVOICES_H
#define BUSBAR_HUB_INVOICES_H

#include "hub/billing.h"
#include "hub/bills.h"

#define INVOICE_NUMBER_CAP 32

struct invoice_page {
    struct row_invoice row;
    struct bill_lines lines;
    struct row_price
        *price; /* of models, that lines name and the store still has; those that show it read them */
    uint32_t nprices;
    struct row_billed seller, buyer; /* as of when it was closed */
    struct row_payment *note;        /* credit notes of it, by their id */
    uint32_t nnotes;
    int64_t given; /* by all notes of the tenant */
};

struct invoice_totals {
    uint64_t requests, tokens, chip_ms, energy_mj, carbon_ng;
    int64_t cost, tax, granted, credited;
};
struct invoice_totals invoice_totals(const struct invoice_page *page);
/* "INV-000001" */
void invoice_number(char dst[INVOICE_NUMBER_CAP], const struct row_invoice *row);
const char *invoice_currency(const struct row_invoice *row);

void invoice_json(struct buf *out, const struct core *core, const struct invoice_page *page);
/* One line of it a row, with a heading; then one for each credit note. */
void invoice_csv(struct buf *out, const struct core *core, const struct invoice_page *page);
/* One file without anything from elsewhere, made to be printed. */
void invoice_html(struct buf *out, const struct core *core, const struct invoice_page *page);
/* Without its lines, as lists have it. */
void invoice_head_json(struct buf *out, const struct core *core, const struct row_invoice *row);

#endif
