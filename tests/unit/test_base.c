/* SPDX-License-Identifier: Apache-2.0 */
/* The pure part of base: text, hexadecimal, numbers, UUIDs, CRC, map, arena, list, generator, error table. */
#include "support.h"

#include "base/arena.h"
#include "base/checked.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"

static void test_text(void **state)
{
    (void)state;
    char dst[8];
    memset(dst, 'x', sizeof dst);
    assert_true(text_set(dst, sizeof dst, "abc", 3));
    assert_memory_equal(dst, "abc\0\0\0\0\0", 8);
    assert_true(text_set(dst, sizeof dst, "1234567", 7));
    assert_int_equal(text_len(dst, sizeof dst), 7);
    memset(dst, 'x', sizeof dst);
    assert_false(text_set(dst, sizeof dst, "12345678", 8)); /* no room for the NUL */
    assert_memory_equal(dst, "\0\0\0\0\0\0\0\0", 8);
    assert_false(text_set(dst, sizeof dst, "a\0b", 3));
    assert_memory_equal(dst, "\0\0\0\0\0\0\0\0", 8);
    assert_true(text_set(dst, sizeof dst, NULL, 0));
    assert_int_equal(text_len("abcdefgh", 3), 3);
    assert_true(text_eq("ab", 2, "abc", 2));
    assert_false(text_eq("ab", 2, "abc", 3));
    assert_true(text_eq(NULL, 0, NULL, 0));
}

static void test_name(void **state)
{
    (void)state;
    char name[65];
    memset(name, 'a', sizeof name);
    assert_true(name_valid("a", 1));
    assert_true(name_valid("0-9", 3));
    assert_true(name_valid("a-", 2));
    assert_true(name_valid(name, 63));
    assert_false(name_valid(name, 64));
    assert_false(name_valid("", 0));
    assert_false(name_valid("-a", 2));
    const char *bad[] = {"A", "a b", "a_b", "a.b", "a/b", "\xc3\xa4", "a\n", "a\0b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(name_valid(bad[i], i == 7 ? 3 : strlen(bad[i])));
}

static void test_hex(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0xff, 0xa5};
    char text[11];
    uint8_t back[5];
    hex_encode(text, bytes, sizeof bytes);
    assert_string_equal(text, "007f80ffa5");
    assert_true(hex_decode(back, 5, text, 10));
    assert_memory_equal(back, bytes, 5);
    assert_true(hex_decode(back, 5, "007F80FFa5", 10));
    assert_memory_equal(back, bytes, 5);
    assert_false(hex_decode(back, 5, text, 9));
    assert_false(hex_decode(back, 4, text, 10));
    assert_false(hex_decode(back, 5, "007f80ffg5", 10));
    assert_false(hex_decode(back, 5, "007f80ff 5", 10));
    assert_true(hex_decode(back, 0, "", 0));
    hex_encode(text, bytes, 0);
    assert_string_equal(text, "");
}

static bool parse(const char *text, uint64_t max, uint64_t *out)
{
    return u64_parse(text, strlen(text), max, out);
}

static void test_u64(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(parse("0", 0, &v));
    assert_int_equal(v, 0);
    assert_true(parse("18446744073709551615", UINT64_MAX, &v));
    assert_true(v == UINT64_MAX);
    v = 7;
    const char *bad[] = {"",    "18446744073709551616", "99999999999999999999", "-1", "+1", " 1", "1 ", "0x1",
                         "1e3", "000000000000000000001"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(parse(bad[i], UINT64_MAX, &v));
    assert_false(parse("11", 10, &v));
    assert_int_equal(v, 7);
    assert_true(parse("10", 10, &v));
    assert_true(parse("00000000000000000010", 10, &v));
    assert_int_equal(v, 10);
    assert_true(u64_parse("123x", 3, 1000, &v));
    assert_int_equal(v, 123);
}

static void test_crc(void **state)
{
    (void)state;
    assert_int_equal(crc32_of("", 0), 0);
    assert_int_equal(crc32_of("123456789", 9), 0xcbf43926u);
    assert_int_equal(crc32_of("The quick brown fox jumps over the lazy dog", 43), 0x414fa339u);
}

static void test_uuid(void **state)
{
    (void)state;
    uint8_t random[10];
    memset(random, 0xff, sizeof random);
    struct uuid id = uuid_v7(INT64_C(0x017f22e279b0), random);
    char text[UUID_TEXT_LEN + 1];
    uuid_format(text, &id);
    assert_string_equal(text, "017f22e2-79b0-7fff-bfff-ffffffffffff");
    memset(random, 0, sizeof random);
    id = uuid_v7(0, random);
    uuid_format(text, &id);
    assert_string_equal(text, "00000000-0000-7000-8000-000000000000");
    struct uuid back;
    assert_true(uuid_parse(&back, "017F22e2-79b0-7fff-bfff-ffffffffffff", 36));
    assert_int_equal(back.b[1], 0x7f);
    assert_false(uuid_eq(&back, &id));
    assert_false(uuid_zero(&id));
    assert_true(uuid_zero(&(struct uuid){{0}}));
    const char *bad[] = {"",
                         "017f22e2-79b0-7fff-bfff-fffffffffff",
                         "017f22e2-79b0-7fff-bfff-fffffffffffff",
                         "017f22e2079b0-7fff-bfff-ffffffffffff",
                         "017f22e2-79b0-7fff-bfff-fffffffffffg",
                         "{17f22e2-79b0-7fff-bfff-ffffffffffff",
                         "017f22e279b07fffbfffffffffffffff----"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(uuid_parse(&back, bad[i], strlen(bad[i])));
}

#define MODEL_KEYS 384u

/* keys[i] is in the map, at index i, if there[i]. Few hash bits are left to chance: 512 slots at 3/4 load. */
static uint64_t keys[MODEL_KEYS];
static bool there[MODEL_KEYS];

static bool key_equal(const void *table, uint32_t i, const void *key, size_t len)
{
    return memcmp((const uint64_t *)table + i, key, len) == 0;
}

static void test_map(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint32_t n = map_slots(MODEL_KEYS);
    assert_int_equal(n, 512);
    struct map_slot *slots = calloc(n, sizeof *slots);
    struct map map;
    map_init(&map, slots, n, seed, key_equal, keys);
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        keys[i] = test_random(&seed);
    uint32_t live = 0;
    for (uint64_t op = 0; op < test_count(200000, 5000000); op++) {
        uint32_t i = (uint32_t)test_below(&seed, MODEL_KEYS);
        /* Mostly full: the last entries are the ones that meet long runs. */
        bool put = !there[i] && (live < MODEL_KEYS - 16 || test_below(&seed, 2));
        if (put)
            map_put(&map, &keys[i], 8, i);
        else
            assert_int_equal(map_remove(&map, &keys[i], 8), there[i]);
        live = live + put - (there[i] && !put);
        there[i] = put;
        assert_int_equal(map.count, live);
        uint32_t probe = (uint32_t)test_below(&seed, MODEL_KEYS);
        assert_int_equal(map_get(&map, &keys[probe], 8), there[probe] ? probe : MAP_NONE);
    }
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        assert_int_equal(map_get(&map, &keys[i], 8), there[i] ? i : MAP_NONE);
    free(slots);
}

static void test_map_slots(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 5000; n++) {
        uint32_t slots = map_slots(n);
        assert_true(slots >= 8 && (slots & (slots - 1)) == 0 && slots / 4 * 3 >= n);
    }
    assert_true(map_slots(1u << 29) == 1u << 30);
}

static void test_arena(void **state)
{
    (void)state;
    _Alignas(16) uint8_t block[256];
    memset(block, 0xee, sizeof block);
    struct arena arena;
    arena_init(&arena, block, 100);
    uint8_t *a = arena_alloc(&arena, 1);
    uint8_t *b = arena_alloc(&arena, 33);
    assert_non_null(a);
    assert_ptr_equal(b, a + 16);
    for (int i = 0; i < 33; i++)
        assert_int_equal(b[i], 0);
    assert_null(arena_alloc(&arena, 48)); /* 64 used, 36 left */
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 40));
    assert_non_null(arena_take(&arena, 32));
    assert_null(arena_alloc(&arena, 1));
    arena_reset(&arena);
    assert_ptr_equal(arena_take(&arena, 100 - 4), block);
    struct arena counting;
    arena_init(&counting, NULL, SIZE_MAX);
    assert_null(arena_take(&counting, 5));
    assert_null(arena_take(&counting, 17));
    assert_int_equal(counting.used, 48);
}

static void test_list(void **state)
{
    (void)state;
    struct item {
        int v;
        struct list at;
    } item[3] = {{.v = 1}, {.v = 2}, {.v = 3}};
    struct list head;
    list_init(&head);
    assert_null(list_first(&head));
    for (int i = 0; i < 3; i++) {
        assert_false(list_linked(&item[i].at));
        list_push(&head, &item[i].at);
    }
    list_remove(&item[1].at);
    list_remove(&item[1].at); /* twice is allowed */
    int sum = 0;
    list_for_each_safe (it, next, &head) {
        sum = sum * 10 + list_entry(it, struct item, at)->v;
        list_remove(it);
    }
    assert_int_equal(sum, 13);
    assert_true(list_empty(&head));
}

/* xoshiro256** from the state 1, 2, 3, 4: the sequence that its authors' code gives (and Rust's rand_xoshiro tests). */
static void test_rng_known(void **state)
{
    (void)state;
    struct rng rng = {{1, 2, 3, 4}};
    const uint64_t known[] = {11520u,
                              0u,
                              1509978240u,
                              1215971899390074240u,
                              1216172134540287360u,
                              607988272756665600u,
                              16172922978634559625u,
                              8476171486693032832u,
                              10595114339597558777u,
                              2904607092377533576u};
    for (int i = 0; i < 10; i++)
        assert_true(rng_next(&rng) == known[i]);
    /* splitmix64 of seed 0 fills the state. */
    rng_init(&rng, 0);
    assert_true(rng.s[0] == 0xe220a8397b1dcdafu && rng.s[1] == 0x6e789e6aa1b965f4u);
    assert_true(rng.s[2] == 0x06c45d188009454fu && rng.s[3] == 0xf88bb8a8724c81ecu);
}

/* At n = 3 * 2^62 a plain modulo gives the lower third twice as often. */
static void test_rng_unbiased(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 42);
    uint32_t low = 0;
    for (int i = 0; i < 100000; i++) {
        uint64_t x = rng_below(&rng, UINT64_C(3) << 62);
        assert_true(x < UINT64_C(3) << 62);
        low += x < UINT64_C(1) << 62;
    }
    assert_in_range(low, 32500, 34200); /* 33333 +- 5.8 sigma */
    uint32_t faces[6] = {0};
    for (int i = 0; i < 60000; i++)
        faces[rng_below(&rng, 6)]++;
    for (int i = 0; i < 6; i++)
        assert_in_range(faces[i], 9450, 10550);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rng_below(&rng, 1), 0);
}

static void test_checked(void **state)
{
    (void)state;
    size_t s;
    int64_t i;
    uint64_t u;
    assert_true(size_add(SIZE_MAX - 1, 1, &s));
    assert_false(size_add(SIZE_MAX, 1, &s));
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &s));
    assert_true(i64_add(INT64_MAX - 1, 1, &i));
    assert_false(i64_add(INT64_MAX, 1, &i));
    assert_false(i64_sub(INT64_MIN, 1, &i));
    assert_true(i64_sub(-1, INT64_MAX, &i));
    assert_false(u64_add(UINT64_MAX, 1, &u));
}

static void test_errors(void **state)
{
    (void)state;
    const int codes[] = {
#define ERR(name, code, http, retryable, text) (code),
#include "base/errors.def"
#undef ERR
    };
    const size_t n = sizeof codes / sizeof codes[0];
    for (size_t i = 0; i < n; i++) {
        assert_true(codes[i] < 0);
        for (size_t k = 0; k < i; k++) {
            assert_true(codes[i] != codes[k]);
            assert_string_not_equal(err_name(codes[i]), err_name(codes[k]));
        }
        assert_in_range(err_http_status(codes[i]), 400, 599);
        const char *text = err_text(codes[i]);
        assert_true(text[0] != 0 && text[strlen(text) - 1] != '.');
    }
    assert_string_equal(err_name(0), "OK");
    assert_int_equal(err_http_status(0), 200);
    assert_string_equal(err_name(ERR_BUDGET_HELD), "BUDGET_HELD");
    assert_true(err_retryable(ERR_BUDGET_HELD) && !err_retryable(ERR_BUDGET_SPENT));
    assert_string_equal(err_name(-9999), "UNKNOWN");
    assert_string_equal(err_name(1), "UNKNOWN");
    assert_int_equal(err_http_status(-9999), 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),    cmocka_unit_test(test_name),      cmocka_unit_test(test_hex),
        cmocka_unit_test(test_u64),     cmocka_unit_test(test_crc),       cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_map),     cmocka_unit_test(test_map_slots), cmocka_unit_test(test_arena),
        cmocka_unit_test(test_list),    cmocka_unit_test(test_rng_known), cmocka_unit_test(test_rng_unbiased),
        cmocka_unit_test(test_checked), cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
