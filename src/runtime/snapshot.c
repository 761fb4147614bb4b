/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/snapshot.h"

#include <endian.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/osrandom.h"
#include "core/layout.h"

#define COPY_MAX ((size_t)2 << 30)
#define ROW_MAX ((size_t)16384)
#define DAY_MS INT64_C(86400000)

/* Before the bytes of each row; little-endian where they are hashed. */
struct head {
    uint32_t kind, len;
};

void state_copy_init(struct state_copy *copy)
{
    buf_init(&copy->bytes, COPY_MAX);
}

void state_copy_fini(struct state_copy *copy)
{
    buf_fini(&copy->bytes);
}

/* As it is: to encode it takes far longer, and can wait. */
static void copy_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct state_copy *copy = ctx;
    const struct head head = {(uint32_t)kind, (uint32_t)layout_row(kind)->size};
    (void)op;
    buf_add(&copy->bytes, &head, sizeof head);
    buf_add(&copy->bytes, row, head.len);
}

bool state_copy_take(struct state_copy *copy, const struct core *core)
{
    buf_clear(&copy->bytes);
    copy->bytes.failed = false;
    core_dump(core, copy_row, copy);
    return !copy->bytes.failed;
}

static struct head head_at(const char *row)
{
    struct head head;
    memcpy(&head, row, sizeof head);
    return (struct head){le32toh(head.kind), le32toh(head.len)};
}

/* Of two rows of a kind that begin alike the shorter one comes first; no two are equal, since they have keys. */
static int order(const void *x, const void *y)
{
    const char *const *a = x, *const *b = y;
    struct head p = head_at(*a), q = head_at(*b);
    if (p.kind != q.kind)
        return (p.kind > q.kind) - (p.kind < q.kind);
    int by = memcmp(*a + sizeof p, *b + sizeof q, p.len < q.len ? p.len : q.len);
    return by ? by : (p.len > q.len) - (p.len < q.len);
}

#define ROW_FITS(n, k, L, keys) \
    _Static_assert(sizeof(struct row_##n) <= ROW_MAX, "a row is larger than there is room for");
ROWS(ROW_FITS)

/* The rows of the copy, encoded one after the other; how many. */
static size_t encode(const struct state_copy *copy, struct buf *out)
{
    union { /* aligned as any row must be */
        uint8_t bytes[ROW_MAX];
        max_align_t align;
    } row;
    uint8_t bytes[LAYOUT_ENCODED_MAX];
    size_t n = 0;
    for (size_t at = 0; at < copy->bytes.len; n++) {
        struct head head;
        memcpy(&head, copy->bytes.data + at, sizeof head);
        memcpy(row.bytes, copy->bytes.data + at + sizeof head, head.len);
        size_t len = layout_encode(layout_row(head.kind), row.bytes, bytes, sizeof bytes);
        const struct head encoded = {htole32(head.kind), htole32((uint32_t)len)};
        buf_add(out, &encoded, sizeof encoded);
        buf_add(out, bytes, len);
        at += sizeof head + head.len;
    }
    return n;
}

bool state_copy_digest(const struct state_copy *copy, uint8_t out[DIGEST_BYTES])
{
    struct buf encoded;
    buf_init(&encoded, COPY_MAX);
    size_t n = encode(copy, &encoded), at = 0;
    const char **rows = calloc(n + 1, sizeof *rows);
    struct digest_stream *stream = digest_stream_new();
    bool good = rows && stream && !encoded.failed;
    for (size_t i = 0; good && i < n; i++) {
        rows[i] = encoded.data + at;
        at += sizeof(struct head) + head_at(rows[i]).len;
    }
    if (good)
        qsort(rows, n, sizeof *rows, order);
    for (size_t i = 0; good && i < n; i++)
        digest_stream_add(stream, rows[i], sizeof(struct head) + head_at(rows[i]).len);
    if (good)
        digest_stream_get(stream, out);
    digest_stream_free(stream);
    free(rows);
    buf_fini(&encoded);
    return good;
}

/* ---- now and then ---- */

void snapshots_init(struct snapshots *s, uint64_t every, void (*post)(void *ctx, const struct event *event),
                    void *ctx)
{
    *s = (struct snapshots){.every = every ? every : SNAPSHOT_EVENTS, .post = post, .ctx = ctx};
    state_copy_init(&s->copy);
}

void snapshots_start(struct snapshots *s, uint64_t event, int64_t now_ms)
{
    s->last = event;
    s->next_day = (now_ms / DAY_MS + 1) * DAY_MS;
}

static void join(struct snapshots *s)
{
    if (s->begun)
        pthread_join(s->thread, NULL);
    s->begun = false;
}

void snapshots_fini(struct snapshots *s)
{
    join(s);
    state_copy_fini(&s->copy);
}

bool snapshots_due(const struct snapshots *s, uint64_t event, int64_t now_ms)
{
    return !s->busy && (event - s->last >= s->every || now_ms >= s->next_day);
}

static void *digest_main(void *arg)
{
    struct snapshots *s = arg;
    uint64_t start = clock_mono_ns();
    if (state_copy_digest(&s->copy, s->event.u.state_digest.state)) {
        log_info("snapshot", "event=%llu bytes=%zu digest_us=%llu",
                 (unsigned long long)s->event.u.state_digest.event, s->copy.bytes.len,
                 (unsigned long long)(clock_mono_ns() - start) / 1000);
        s->post(s->ctx, &s->event);
    } else {
        log_error("snapshot", "error=\"no memory for the digest of the state\"");
    }
    buf_fini(&s->copy.bytes); /* until the next one it is in nobody's way */
    state_copy_init(&s->copy);
    s->busy = false;
    return NULL;
}

void snapshots_take(struct snapshots *s, const struct core *core, uint64_t event, int64_t now_ms)
{
    uint64_t start = clock_mono_ns();
    join(s);
    snapshots_start(s, event, now_ms);
    s->event = (struct event){.kind = EVENT_KIND_state_digest,
                              .u.state_digest = {.snapshot = uuid_new(), .event = event}};
    if (!state_copy_take(&s->copy, core)) {
        log_error("snapshot", "error=\"no memory for a copy of the state\"");
        return;
    }
    log_info("snapshot_copied", "event=%llu copy_us=%llu", (unsigned long long)event,
             (unsigned long long)(clock_mono_ns() - start) / 1000);
    s->busy = true;
    s->begun = pthread_create(&s->thread, NULL, digest_main, s) == 0;
    if (!s->begun)
        s->busy = false;
}
