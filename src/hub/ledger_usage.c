/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts of what was used, as an operator sees them: SIDE/OWNER/UNIT, such as `used/default/prompt tokens`, with whole numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "hub/ledger.h"

struct usage_list {
    uint32_t skip, limit, n;
    bool more;
    struct row_used row[PAGE_MAX];
};

int usage_accounts_parse(struct api_call *call)
{
    char kind[KIND_TEXT_CAP];
    uint64_t from;
    struct usage_list *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NO_MEMORY;
    call->data = l;
    int rc = call_page_from(call, UINT32_MAX, &l->limit, &from);
    if (rc == 0 && call_query(call, "kind", kind, sizeof kind))
        rc = err_set(&call->err, ERR_INVALID, "kind: is of accounts of money");
    l->skip = (uint32_t)from;
    return rc;
}

static int take(void *ctx, enum row_kind kind, const void *row)
{
    struct usage_list *l = ctx;
    (void)kind;
    if (l->skip > 0) {
        l->skip--;
        return 0;
    }
    l->more = l->n == l->limit;
    if (!l->more)
        l->row[l->n++] = *(const struct row_used *)row;
    return l->more;
}

int usage_accounts_read(struct api_call *call)
{
    static const struct row_query all = {.kind = ROW_KIND_used};
    struct usage_list *l = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    uint32_t from = l->skip;
    int rc = store->ops->rows(store, &all, 1, take, l, &call->err);
    l->skip = from + l->n;
    return rc;
}

static const char *unit_text(uint32_t unit)
{
    switch (unit) {
#define U(name, number, field, text) \
    case (number): \
        return text;
        USAGE_UNITS(U)
#undef U
    default:
        return "?";
    }
}

static const char *side_text(uint32_t side)
{
    switch (side) {
#define U(name, number, text) \
    case (number): \
        return text;
        USAGE_SIDES(U)
#undef U
    default:
        return "?";
    }
}

void usage_account_name(char dst[ACCOUNT_NAME_CAP], const struct core *core, const struct uuid *owner,
                        uint32_t side, uint32_t unit)
{
    char name[ACCOUNT_NAME_CAP];
    struct buf out;
    owner_name(name, core, owner);
    buf_init(&out, ACCOUNT_NAME_CAP);
    buf_addf(&out, "%s/%s/%s", side_text(side), name, unit_text(unit));
    (void)text_set(dst, ACCOUNT_NAME_CAP, out.data ? out.data : "", out.len);
    buf_fini(&out);
}

int usage_accounts_render(struct api_call *call, const struct core *core)
{
    const struct usage_list *l = call->data;
    struct buf *out = &call->out;
    char name[ACCOUNT_NAME_CAP];
    buf_add_text(out, "{\"data\":[");
    for (uint32_t i = 0; i < l->n; i++) {
        const struct row_used *row = &l->row[i];
        bool credit = row->credits >= row->debits;
        usage_account_name(name, core, &row->owner, row->side, row->unit);
        buf_add_text(out, i ? ",{" : "{");
        add_text(out, "account", name, sizeof name);
        add_text(out, "kind", side_text(row->side), KIND_TEXT_CAP);
        add_text(out, "unit", unit_text(row->unit), KIND_TEXT_CAP);
        buf_addf(out, ",\"debits\":%llu,\"credits\":%llu,\"balance\":%llu", (unsigned long long)row->debits,
                 (unsigned long long)row->credits,
                 (unsigned long long)(credit ? row->credits - row->debits : row->debits - row->credits));
        add_text(out, "side", credit ? "credit" : "debit", KIND_TEXT_CAP);
        buf_add_char(out, '}');
    }
    page_end_at(out, l->more, l->skip);
    return 0;
}
