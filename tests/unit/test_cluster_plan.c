/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of clusters: who holds how many layers, what is lacking where that cannot be, and what a model's file says of itself. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "core/kinds.h"
#include "hub/cluster_plan.h"
#include "support.h"

#define MIB (UINT64_C(1) << 20)

/* 12 layers of 10 MiB, 1 MiB behind them; of a token's keys and values 1 KiB a layer. */
static struct shape shape(void)
{
    return (struct shape){.model = {.layers = 12,
                                    .hidden = 512,
                                    .kv_heads = 4,
                                    .activation_bytes = 4,
                                    .layer_bytes = 10 * MIB,
                                    .layer_flop = 40 * MIB,
                                    .kv_bytes = 1024,
                                    .head_bytes = MIB,
                                    .head_flop = MIB},
                          .ffn = 1536,
                          .vocab = 2048};
}

static struct cluster_worker worker(uint32_t ordinal, uint8_t site, uint64_t memory, uint64_t byte_s)
{
    return (struct cluster_worker){.ordinal = ordinal,
                                   .epoch = 7,
                                   .site = {{site}},
                                   .memory_bytes = memory,
                                   .byte_s = byte_s,
                                   .flop_s = UINT64_C(1000000000000),
                                   .local_ps = 300000000,
                                   .way_ps = INT64_C(40000000000)};
}

static int plan(const struct shape *s, const struct cluster_worker *w, uint32_t n,
                struct event_cluster_plan *out, uint64_t *lacks)
{
    *out = (struct event_cluster_plan){.parts = 0};
    return cluster_plan_make(s, w, n, 1024, out, lacks);
}

static void test_divides(void **state)
{
    (void)state;
    const struct shape s = shape();
    uint64_t scratch = cluster_scratch(&s, true), lacks;
    struct event_cluster_plan out;
    /* Eight and four: the eleven MiB of a layer with its keys and values. */
    const struct cluster_worker two[] = {worker(1, 1, scratch + 8 * 11 * MIB, 1000000000),
                                         worker(2, 1, scratch + 8 * 11 * MIB, 2000000000)};
    assert_int_equal(cluster_layers(&s, &two[0], 1024, true), 8);
    assert_int_equal(plan(&s, two, 2, &out, &lacks), 0);
    assert_int_equal(out.parts, 2);
    assert_int_equal(out.layers0 + out.layers1, 12);
    assert_int_equal(out.ordinal0 == 2 ? out.layers0 : out.layers1, 8); /* the faster has what it can hold */
    assert_int_equal(out.epoch0, 7);
    assert_true(out.token_s_e3 > 0);
    assert_int_equal(plan(&s, two, 1, &out, &lacks), ERR_NO_CAPACITY);
    assert_int_equal(lacks, 4 * 11 * MIB);
    assert_int_equal(plan(&s, two, 0, &out, &lacks), ERR_NO_CAPACITY);
    assert_true(lacks > 12 * 11 * MIB);
}

/* The first could be the head, at the price of a layer that it is needed for: the second is. */
static void test_head_where_it_fits(void **state)
{
    (void)state;
    struct shape s = shape();
    struct event_cluster_plan out;
    uint64_t lacks;
    s.model.layers = 4;
    const struct cluster_worker two[] = {worker(1, 1, cluster_scratch(&s, false) + 2 * 11 * MIB, 1000000000),
                                         worker(2, 1, cluster_scratch(&s, true) + 2 * 11 * MIB, 1000000000)};
    assert_int_equal(cluster_layers(&s, &two[0], 1024, true), 1);
    assert_int_equal(plan(&s, two, 2, &out, &lacks), 0);
    assert_int_equal(lacks, 0);
    assert_int_equal(out.parts, 2);
    assert_int_equal(out.ordinal1, 2); /* what comes last is there */
    s.model.layers = 5;
    assert_int_equal(plan(&s, two, 2, &out, &lacks), ERR_NO_CAPACITY);
    assert_int_equal(lacks, 11 * MIB);
}

/* A chip that would slow the whole is left out; where it is needed it is not. */
static void test_weak(void **state)
{
    (void)state;
    const struct shape s = shape();
    struct event_cluster_plan out;
    uint64_t lacks;
    struct cluster_worker three[] = {worker(1, 1, 1000 * MIB, 1000000), worker(2, 1, 1000 * MIB, 2000000000),
                                     worker(3, 1, 1000 * MIB, 2000000000)};
    assert_int_equal(plan(&s, three, 3, &out, &lacks), 0);
    for (uint32_t i = 0; i < out.parts; i++)
        assert_int_not_equal((&out.ordinal0)[0], 1);
    three[1].memory_bytes = three[2].memory_bytes = cluster_scratch(&s, true) + 5 * 11 * MIB;
    assert_int_equal(plan(&s, three, 3, &out, &lacks), 0);
    assert_int_equal(out.parts, 3);
}

/* The head is where most are: what is elsewhere is neither first, nor asked more often than must be. */
static void test_far(void **state)
{
    (void)state;
    const struct shape s = shape();
    struct event_cluster_plan out;
    uint64_t lacks, cap = cluster_scratch(&s, true) + 5 * 11 * MIB;
    const struct cluster_worker four[] = {worker(1, 9, cap, 1000000000), worker(2, 3, cap, 1000000000),
                                          worker(3, 3, cap, 1000000000), worker(4, 3, cap, 1000000000)};
    assert_int_equal(plan(&s, four, 4, &out, &lacks), 0);
    assert_int_equal(out.parts, 3); /* the far one is not needed */
    assert_int_equal(plan(&s, four, 3, &out, &lacks), 0);
    assert_int_equal(out.parts, 3);
    assert_int_not_equal(out.ordinal0, 1);
}

static void test_unknown(void **state)
{
    (void)state;
    const struct shape s = shape();
    struct event_cluster_plan out;
    uint64_t lacks;
    const struct cluster_worker two[] = {worker(1, 1, 1000 * MIB, 0), worker(2, 1, 100 * MIB, 0)};
    assert_int_equal(plan(&s, two, 2, &out, &lacks), 0);
    assert_int_equal(out.token_s_e3, 0); /* nothing is foretold */
    struct shape vast = s;
    vast.model.kv_bytes = UINT64_C(1) << 40;
    assert_int_equal(cluster_plan_make(&vast, two, 2, UINT64_C(1) << 40, &out, &lacks), ERR_NO_CAPACITY);
}

static void test_files(void **state)
{
    (void)state;
    static const char path[] = "test_cluster_plan.gguf";
    static const uint8_t cut[] = {'G', 'G', 'U', 'F', 3, 0, 0, 0, 1, 0, 0, 0,
                                  0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0};
    struct shape s;
    struct err err = {0};
    assert_int_equal(shape_of_file(&s, "no/such/file.gguf", &err), ERR_NOT_FOUND);
    for (size_t len = 0; len <= sizeof cut; len++) {
        int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, cut, len), len);
        assert_int_equal(close(fd), 0);
        err = (struct err){0};
        assert_int_equal(shape_of_file(&s, path, &err), ERR_INVALID);
        assert_true(err.msg[0] != 0);
    }
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_divides), cmocka_unit_test(test_head_where_it_fits),
        cmocka_unit_test(test_weak),    cmocka_unit_test(test_far),
        cmocka_unit_test(test_unknown), cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
