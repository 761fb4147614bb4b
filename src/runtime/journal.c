/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/journal.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "core/layout.h"
#include "tlog/merkle.h"

#define TAIL_LEN 12 /* i32 code, i64 amount */
#define ENTRY_MAX (4 + EVENT_HEAD_LEN + LAYOUT_ENCODED_MAX + TAIL_LEN)

void journal_add(struct buf *events, struct buf *leaves, const struct event *event, int code, int64_t amount)
{
    uint8_t space[1 + ENTRY_MAX]; /* one spare byte before the entry, for the leaf hash */
    uint8_t *entry = space + 1;
    size_t frame = event_encode(event, entry + 4, EVENT_HEAD_LEN + LAYOUT_ENCODED_MAX);
    assert(frame > 0);
    uint32_t len32 = htole32((uint32_t)frame);
    uint32_t code32 = htole32((uint32_t)code);
    uint64_t amount64 = htole64((uint64_t)amount);
    memcpy(entry, &len32, 4);
    memcpy(entry + 4 + frame, &code32, 4);
    memcpy(entry + 8 + frame, &amount64, 8);
    size_t len = 4 + frame + TAIL_LEN;
    buf_add(events, entry, len);
    uint8_t leaf[JOURNAL_LEAF_LEN];
    merkle_leaf(digest_sha256, leaf, entry, len);
    buf_add(leaves, leaf, sizeof leaf);
}

int journal_next(const uint8_t *events, size_t len, size_t *offset, struct journal_entry *out)
{
    if (*offset == len)
        return ERR_NOT_FOUND;
    if (len - *offset < 4)
        return ERR_CORRUPT;
    uint32_t frame;
    memcpy(&frame, events + *offset, 4);
    frame = le32toh(frame);
    size_t entry_len = 4 + (size_t)frame + TAIL_LEN;
    if (entry_len > ENTRY_MAX || entry_len > len - *offset)
        return ERR_CORRUPT;
    uint8_t space[1 + ENTRY_MAX];
    uint8_t *entry = space + 1;
    memcpy(entry, events + *offset, entry_len);
    int rc = event_decode(&out->event, entry + 4, frame);
    if (rc != 0)
        return rc;
    uint32_t code;
    uint64_t amount;
    memcpy(&code, entry + 4 + frame, 4);
    memcpy(&amount, entry + 8 + frame, 8);
    out->code = (int)le32toh(code);
    out->amount = (int64_t)le64toh(amount);
    merkle_leaf(digest_sha256, out->leaf, entry, entry_len);
    *offset += entry_len;
    return 0;
}

static int take_last(void *ctx, const struct journal_row *row)
{
    struct journal_entry entry;
    int rc = 0;
    for (size_t at = 0; (rc = journal_next(row->events, row->events_len, &at, &entry)) == 0;)
        *(int64_t *)ctx = entry.event.at_ms;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int journal_last_ms(struct store *store, uint64_t count, int64_t *ms, struct err *err)
{
    *ms = 0;
    return count > 0 ? store->ops->journal(store, count - 1, take_last, ms, err) : 0;
}
