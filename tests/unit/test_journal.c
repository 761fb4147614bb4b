/* SPDX-License-Identifier: Apache-2.0 */
/* Leaf hashes and journal entries: known answers, round trips, cuts, one changed bit. */
#include "support.h"

#include "base/digest.h"
#include "runtime/journal.h"
#include "tlog/merkle.h"

static void leaf_is(const void *data, size_t len, const char *want)
{
    uint8_t space[64], out[MERKLE_HASH_LEN];
    char text[65];
    if (len)
        memcpy(space + 1, data, len);
    merkle_leaf(digest_sha256, out, space + 1, len);
    hex_encode(text, out, sizeof out);
    assert_string_equal(text, want);
}

/* The vectors of RFC 6962's reference implementations. */
static void test_leaf(void **state)
{
    (void)state;
    leaf_is("", 0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    leaf_is("\0", 1, "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7");
    leaf_is("\x10", 1, "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7");
    leaf_is("\x20\x21", 2, "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7");
}

static void add_three(struct buf *events, struct buf *leaves)
{
    struct event e = {.kind = EVENT_KIND_tick, .at_ms = 5, .token = 77};
    journal_add(events, leaves, &e, 0, 0);
    e = meter_event(1, 2, 3, 4, 5, 6);
    journal_add(events, leaves, &e, ERR_OVERFLOW, -12345678901234);
    e = (struct event){.kind = EVENT_KIND_site_add, .u.site_add = {.site = uid('S', 1), .name = "x"}};
    journal_add(events, leaves, &e, ERR_EXISTS, INT64_MAX);
}

static int bufs(void **state)
{
    struct buf *b = calloc(2, sizeof *b);
    buf_init(&b[0], 100000);
    buf_init(&b[1], 100000);
    add_three(&b[0], &b[1]);
    *state = b;
    return 0;
}

static int bufs_fini(void **state)
{
    struct buf *b = *state;
    buf_fini(&b[0]);
    buf_fini(&b[1]);
    free(b);
    return 0;
}

static void test_round_trip(void **state)
{
    struct buf *b = *state;
    const uint8_t *events = (const uint8_t *)b[0].data;
    struct journal_entry e;
    size_t at = 0, before = 0;
    assert_int_equal(b[1].len, 3 * JOURNAL_LEAF_LEN);
    assert_int_equal(journal_next(events, b[0].len, &at, &e), 0);
    assert_true(e.event.kind == EVENT_KIND_tick && e.event.token == 77 && e.event.at_ms == 5 && e.code == 0);
    assert_memory_equal(e.leaf, b[1].data, JOURNAL_LEAF_LEN);
    assert_int_equal(journal_next(events, b[0].len, &at, &e), 0);
    assert_true(e.event.u.meter.sequence == 2 && e.code == ERR_OVERFLOW && e.amount == -12345678901234);
    assert_memory_equal(e.leaf, b[1].data + JOURNAL_LEAF_LEN, JOURNAL_LEAF_LEN);
    before = at;
    assert_int_equal(journal_next(events, b[0].len, &at, &e), 0);
    assert_true(e.code == ERR_EXISTS && e.amount == INT64_MAX);
    assert_memory_equal(e.leaf, b[1].data + 2 * JOURNAL_LEAF_LEN, JOURNAL_LEAF_LEN);
    /* The leaf is the hash of the very bytes. */
    char *bytes = malloc(1 + at - before);
    bytes[0] = 0;
    memcpy(bytes + 1, events + before, at - before);
    uint8_t leaf[DIGEST_LEN];
    digest_sha256(leaf, bytes, 1 + at - before);
    assert_memory_equal(leaf, e.leaf, sizeof leaf);
    free(bytes);
    assert_int_equal(at, b[0].len);
    assert_int_equal(journal_next(events, b[0].len, &at, &e), ERR_NOT_FOUND);
}

static void test_cuts(void **state)
{
    struct buf *b = *state;
    size_t ends[4] = {0};
    struct journal_entry e;
    for (int i = 1; i < 4; i++) {
        ends[i] = ends[i - 1];
        assert_int_equal(journal_next((const uint8_t *)b[0].data, b[0].len, &ends[i], &e), 0);
    }
    for (size_t cut = 0; cut < b[0].len; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, b[0].data, cut);
        size_t at = 0;
        int rc;
        while ((rc = journal_next(exact, cut, &at, &e)) == 0)
            ;
        bool whole = cut == ends[0] || cut == ends[1] || cut == ends[2];
        assert_int_equal(rc, whole ? ERR_NOT_FOUND : ERR_CORRUPT);
        free(exact);
    }
}

/* Invariant 7 for what there is of it: a changed bit changes the leaf, or the entry cannot be read. */
static void test_one_bit(void **state)
{
    struct buf *b = *state;
    for (size_t bit = 0; bit < 8 * b[0].len; bit++) {
        uint8_t *bytes = malloc(b[0].len);
        memcpy(bytes, b[0].data, b[0].len);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        size_t at = 0, n = 0;
        struct journal_entry e;
        bool found = false;
        int rc;
        while ((rc = journal_next(bytes, b[0].len, &at, &e)) == 0 && n < 3)
            found |= memcmp(e.leaf, b[1].data + JOURNAL_LEAF_LEN * n++, JOURNAL_LEAF_LEN) != 0;
        assert_true(found || rc == ERR_CORRUPT);
        free(bytes);
    }
}

static void test_full(void **state)
{
    (void)state;
    struct buf events, leaves;
    buf_init(&events, 100);
    buf_init(&leaves, 40);
    add_three(&events, &leaves);
    assert_true(events.failed && leaves.failed);
    assert_int_equal(leaves.len, JOURNAL_LEAF_LEN);
    buf_fini(&events);
    buf_fini(&leaves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf),
        cmocka_unit_test_setup_teardown(test_round_trip, bufs, bufs_fini),
        cmocka_unit_test_setup_teardown(test_cuts, bufs, bufs_fini),
        cmocka_unit_test_setup_teardown(test_one_bit, bufs, bufs_fini),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
