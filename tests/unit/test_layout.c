/* SPDX-License-Identifier: Apache-2.0 */
/* The codec over every layout: round trips, cuts, bad lengths, the bound on encoded length. */
#include "support.h"

static uint64_t seed;

/* Random content that the codec must carry; `full` takes every field to its longest. */
static void fill(const struct layout *layout, char *row, bool full)
{
    memset(row, 0, layout->size);
    for (uint16_t i = 0; i < layout->nfields; i++) {
        const struct field *f = &layout->fields[i];
        char *at = row + f->offset;
        if (f->type == FIELD_text) {
            size_t len = full ? f->size - 1u : test_below(&seed, f->size);
            for (size_t k = 0; k < len; k++)
                at[k] = (char)(1 + test_below(&seed, 255));
        } else if (f->type == FIELD_uuids) {
            struct uuid_list list = {.n = full ? KEY_MODELS_MAX
                                               : (uint32_t)test_below(&seed, KEY_MODELS_MAX + 1)};
            for (size_t k = 0; k < list.n * sizeof(struct uuid); k++)
                list.v[k / sizeof list.v[0]].b[k % sizeof list.v[0]] = (uint8_t)test_random(&seed);
            memcpy(at, &list, sizeof list);
        } else {
            for (size_t k = 0; k < f->size; k++)
                at[k] = (char)test_random(&seed);
        }
    }
}

static const struct layout *layout_at(uint32_t i)
{
    uint32_t events = 0;
    while (layout_event_at(events))
        events++;
    return i < events ? layout_event_at(i) : layout_row_at(i - events);
}

static void round_trip(const struct layout *layout, bool full)
{
    _Alignas(8) char row[4096], back[4096];
    uint8_t bytes[LAYOUT_ENCODED_MAX], again[LAYOUT_ENCODED_MAX];
    assert_true(layout->size <= sizeof row);
    fill(layout, row, full);
    size_t len = layout_encode(layout, row, bytes, sizeof bytes);
    if (len == 0)
        fail_msg("%s is longer than LAYOUT_ENCODED_MAX", layout->name);
    memset(back, 0xaa, sizeof back);
    assert_int_equal(layout_decode(layout, back, bytes, len), 0);
    assert_int_equal(layout_encode(layout, back, again, sizeof again), len);
    assert_memory_equal(bytes, again, len);
    for (uint16_t i = 0; i < layout->nfields; i++) {
        const struct field *f = &layout->fields[i];
        assert_memory_equal(row + f->offset, back + f->offset, f->size);
    }
    /* Neither reads nor writes past what it is given: sanitizers watch an exact heap block. */
    for (size_t cap = 0; cap < len; cap++) {
        uint8_t *exact = malloc(cap ? cap : 1);
        assert_int_equal(layout_encode(layout, row, exact, cap), 0);
        free(exact);
    }
}

static void test_round_trips(void **state)
{
    (void)state;
    const struct layout *layout;
    for (uint32_t i = 0; (layout = layout_at(i)) != NULL; i++) {
        round_trip(layout, true);
        for (int k = 0; k < 50; k++)
            round_trip(layout, false);
    }
}

/* Ends of the encoded fields, the start included: a payload may end at these only. */
static size_t boundaries(const struct layout *layout, const char *row, bool *at)
{
    size_t used = 0;
    at[0] = true;
    for (uint16_t i = 0; i < layout->nfields; i++) {
        struct layout one = *layout;
        uint8_t bytes[LAYOUT_ENCODED_MAX];
        one.fields = &layout->fields[i];
        one.nfields = 1;
        used += layout_encode(&one, row, bytes, sizeof bytes);
        at[used] = true;
    }
    return used;
}

static bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i])
            return false;
    }
    return true;
}

static void check_cuts(const struct layout *layout)
{
    _Alignas(8) char row[4096], back[4096];
    uint8_t bytes[LAYOUT_ENCODED_MAX];
    bool end_of_field[LAYOUT_ENCODED_MAX + 1] = {false};
    fill(layout, row, false);
    size_t len = layout_encode(layout, row, bytes, sizeof bytes);
    assert_int_equal(boundaries(layout, row, end_of_field), len);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, bytes, cut);
        memset(back, 0xaa, sizeof back);
        int rc = layout_decode(layout, back, exact, cut);
        free(exact);
        assert_int_equal(rc, end_of_field[cut] ? 0 : ERR_CORRUPT);
        if (rc != 0)
            assert_true(all_zero(back, layout->size));
    }
}

static void test_cuts(void **state)
{
    (void)state;
    const struct layout *layout;
    for (uint32_t i = 0; (layout = layout_at(i)) != NULL; i++) {
        for (int k = 0; k < 5; k++)
            check_cuts(layout);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    const struct layout *layout;
    for (uint32_t i = 0; (layout = layout_at(i)) != NULL; i++) {
        _Alignas(8) char row[4096], back[4096];
        uint8_t bytes[LAYOUT_ENCODED_MAX + 1];
        fill(layout, row, false);
        size_t len = layout_encode(layout, row, bytes, LAYOUT_ENCODED_MAX);
        bytes[len] = 0;
        memset(back, 0xaa, sizeof back);
        assert_int_equal(layout_decode(layout, back, bytes, len + 1), ERR_CORRUPT);
        assert_true(all_zero(back, layout->size)); /* no half-read value */
    }
}

static void test_bad_lengths(void **state)
{
    (void)state;
    const struct layout *site = layout_event(EVENT_KIND_site_add);
    struct event_site_add e;
    uint8_t bytes[100] = {0};
    bytes[16] = NAME_CAP; /* as long as the field: no room for its NUL */
    assert_int_equal(layout_decode(site, &e, bytes, 18 + NAME_CAP), ERR_CORRUPT);
    bytes[16] = NAME_CAP - 1;
    memset(bytes + 18, 'a', NAME_CAP - 1);
    assert_int_equal(layout_decode(site, &e, bytes, 18 + NAME_CAP - 1), 0);
    bytes[20] = 0; /* a NUL inside a text */
    assert_int_equal(layout_decode(site, &e, bytes, 18 + NAME_CAP - 1), ERR_CORRUPT);
    bytes[16] = bytes[17] = 0xff;
    assert_int_equal(layout_decode(site, &e, bytes, sizeof bytes), ERR_CORRUPT);
    const struct layout key = {.name = "uuids",
                               .fields = &(struct field){"v", FIELD_uuids, 0, sizeof(struct uuid_list)},
                               .nfields = 1,
                               .size = sizeof(struct uuid_list)};
    uint8_t list[1 + 17 * 16] = {17};
    struct uuid_list out;
    assert_int_equal(layout_decode(&key, &out, list, sizeof list), ERR_CORRUPT);
    list[0] = 16;
    assert_int_equal(layout_decode(&key, &out, list, 1 + 16 * 16), 0);
    assert_int_equal(layout_decode(&key, &out, list, 16 * 16), ERR_CORRUPT);
}

static void test_events(void **state)
{
    (void)state;
    const struct layout *layout;
    for (uint32_t i = 0; (layout = layout_event_at(i)) != NULL; i++) {
        struct event e = {.kind = layout->kind, .at_ms = -5 + (int64_t)test_below(&seed, 10)};
        struct event back;
        uint8_t bytes[EVENT_HEAD_LEN + LAYOUT_ENCODED_MAX];
        e.token = test_random(&seed);
        fill(layout, (char *)&e.u, true);
        size_t len = event_encode(&e, bytes, sizeof bytes);
        assert_true(len > EVENT_HEAD_LEN);
        assert_int_equal(event_decode(&back, bytes, len), 0);
        assert_int_equal(back.kind, e.kind);
        assert_true(back.at_ms == e.at_ms && back.token == e.token);
        assert_memory_equal(&back.u, &e.u, layout->size);
        assert_true(event_size(layout->kind) <= sizeof e);
        for (size_t cut = 0; cut < EVENT_HEAD_LEN; cut++)
            assert_int_equal(event_decode(&back, bytes, cut), ERR_CORRUPT);
        for (size_t cap = 0; cap < len; cap++)
            assert_int_equal(event_encode(&e, bytes, cap), 0);
        len = event_encode(&e, bytes, sizeof bytes);
        assert_int_equal(event_decode(&back, bytes, len - 1), ERR_CORRUPT);
        assert_true(all_zero((const char *)&back, sizeof back));
        bytes[0] = 2; /* version */
        assert_int_equal(event_decode(&back, bytes, len), ERR_CORRUPT);
        bytes[0] = 1;
        bytes[2] = 0xfe; /* kind */
        assert_int_equal(event_decode(&back, bytes, len), ERR_CORRUPT);
        assert_true(all_zero((const char *)&back, sizeof back));
    }
}

/* The first event ever written must be readable for ever: version 1, byte for byte. */
static void test_golden_event(void **state)
{
    (void)state;
    const char hex[] = "01002900"         /* version 1, kind 41 lease_ask */
                       "00c817f8a0010000" /* at_ms */
                       "0700000000000100" /* token */
                       "57000000000000000000000000000001"
                       "4c000000000000000000000000000002"
                       "6c000000000000000000000000000002"
                       "54000000000000000000000000000003"
                       "4b000000000000000000000000000004"
                       "00ca9a3b00000000";
    uint8_t bytes[200];
    size_t len = (sizeof hex - 1) / 2;
    assert_true(hex_decode(bytes, len, hex, sizeof hex - 1));
    struct event e;
    assert_int_equal(event_decode(&e, bytes, len), 0);
    assert_int_equal(e.kind, EVENT_KIND_lease_ask);
    assert_true(e.at_ms == INT64_C(0x01a0f817c800) && e.token == UINT64_C(0x0001000000000007));
    struct uuid worker = uid('W', 1);
    struct uuid key = uid('K', 4);
    assert_true(uuid_eq(&e.u.lease_ask.worker, &worker) && uuid_eq(&e.u.lease_ask.key, &key));
    assert_true(e.u.lease_ask.want == UNIT);
    uint8_t again[200];
    /* Written now it has a field more, which was not there then: zero. */
    static const uint8_t purse[4];
    assert_int_equal(event_encode(&e, again, sizeof again), len + sizeof purse);
    assert_memory_equal(again, bytes, len);
    assert_memory_equal(again + len, purse, sizeof purse);
}

static void test_tables(void **state)
{
    (void)state;
    const struct layout *layout;
    uint32_t last = 0;
    for (uint32_t i = 0; (layout = layout_event_at(i)) != NULL; i++) {
        assert_true(layout->kind > last);
        last = layout->kind;
        assert_ptr_equal(layout_event(layout->kind), layout);
    }
    last = 0;
    for (uint32_t i = 0; (layout = layout_row_at(i)) != NULL; i++) {
        assert_true(layout->kind > last && layout->nkeys > 0);
        last = layout->kind;
        assert_ptr_equal(layout_row(layout->kind), layout);
    }
    assert_null(layout_event(0));
    assert_null(layout_event(9999));
    assert_null(layout_row(0));
}

static int start(void **state)
{
    (void)state;
    seed = test_seed();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_too_long),    cmocka_unit_test(test_bad_lengths),
        cmocka_unit_test(test_events),      cmocka_unit_test(test_golden_event),
        cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests_name("layout", tests, start, NULL);
}
