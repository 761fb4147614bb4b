/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "core/layout.h"
#include "store/store.h"

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

void store_row_add(struct buf *rows, enum row_kind kind, enum row_op op, const void *row)
{
    static const char zeros[8];
    const struct layout *layout = layout_row(kind);
    assert(layout);
    struct store_row head = {.kind = (uint16_t)kind, .op = (uint16_t)op, .size = (uint32_t)layout->size};
    buf_add(rows, &head, sizeof head);
    buf_add(rows, row, layout->size);
    buf_add(rows, zeros, padded(layout->size) - layout->size);
}

const struct store_row *store_row_next(const struct buf *rows, size_t *offset, const void **row)
{
    if (*offset >= rows->len)
        return NULL;
    const char *p = rows->data + *offset;
    const struct store_row *head = (const struct store_row *)(const void *)p;
    *row = p + sizeof *head;
    *offset += sizeof *head + padded(head->size);
    assert(*offset <= rows->len);
    return head;
}

void store_receipt_add(struct buf *receipts, const struct store_receipt *receipt, const void *facts)
{
    static const char zeros[8];
    buf_add(receipts, receipt, sizeof *receipt);
    buf_add(receipts, facts, receipt->facts_len);
    buf_add(receipts, zeros, (8 - receipt->facts_len % 8) % 8);
}

const struct store_receipt *store_receipt_next(const struct buf *receipts, size_t *offset, const char **facts)
{
    if (*offset == receipts->len)
        return NULL;
    const struct store_receipt *r = (const struct store_receipt *)(const void *)(receipts->data + *offset);
    *facts = (const char *)(r + 1);
    *offset += sizeof *r + ((r->facts_len + 7) & ~(size_t)7);
    return r;
}
