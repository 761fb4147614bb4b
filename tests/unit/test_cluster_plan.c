/* SPDX-License-Identifier: Apache-2.0 */
/* Plans of clusters: who holds how many layers, what is lacking where that cannot be, and what a model's file says of itself. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "core/kinds.h"
#include "hub/cluster_memory.h"
#include "hub/cluster_speed.h"
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

/* ---- what was measured ---- */

#define A_BYTE_S UINT64_C(2000000000)
#define B_BYTE_S UINT64_C(1000000000)

static const uint8_t MODEL[DIGEST_BYTES] = {1}, OTHER[DIGEST_BYTES] = {2};

static bool believed(const void *ctx, const char *chip, uint64_t *byte_s, uint64_t *flop_s)
{
    (void)ctx;
    if (strcmp(chip, "a") != 0 && strcmp(chip, "b") != 0)
        return false;
    *byte_s = chip[0] == 'a' ? A_BYTE_S : B_BYTE_S;
    *flop_s = UINT64_C(1000000000000);
    return true;
}

static struct cluster_part part(const char *chip, uint32_t layers, uint32_t slowness)
{
    struct cluster_part out = {.worker = worker(1, 1, 1000 * MIB, 0), .layers = layers};
    (void)snprintf(out.chip, sizeof out.chip, "%s", chip);
    out.worker.way_ps = 0;
    (void)believed(NULL, chip, &out.worker.byte_s, &out.worker.flop_s);
    out.worker.byte_s /= slowness;
    out.worker.flop_s /= slowness;
    return out;
}

/* Two parts, where the first kind is so many times slower than was believed, and the second is as it should be. */
static struct cluster_sample sample(const struct shape *s, uint32_t generation, uint32_t a_layers,
                                    uint32_t a_slowness)
{
    struct cluster_sample out = {
        .deployment = {{1}}, .generation = generation, .parts = 2, .at_ms = generation, .digest = {1}};
    out.part[0] = part("a", a_layers, a_slowness);
    out.part[1] = part("b", 12 - a_layers, 1);
    out.token_s_e3 = cluster_forecast(s, out.part, 2);
    return out;
}

/* Of twelve layers how many a worker of kind a gets, where it and one of kind b have room for eight. */
static uint32_t layers_of_a(const struct shape *s, const struct cluster_samples *samples,
                            struct cluster_factors *f, uint64_t *token_s_e3)
{
    struct event_cluster_plan out;
    uint64_t lacks, room = cluster_scratch(s, true) + 8 * 11 * MIB;
    struct cluster_worker two[] = {worker(1, 1, room, A_BYTE_S), worker(2, 1, room, B_BYTE_S)};
    assert_int_equal(cluster_learn(f, samples, MODEL, s, believed, NULL), 0);
    cluster_correct(f, "a", &two[0]);
    cluster_correct(f, "b", &two[1]);
    assert_int_equal(plan(s, two, 2, &out, &lacks), 0);
    assert_int_equal(out.parts, 2);
    *token_s_e3 = out.token_s_e3;
    return out.ordinal0 == 1 ? out.layers0 : out.layers1;
}

static void test_learns(void **state)
{
    (void)state;
    static struct cluster_samples samples;
    const struct shape s = shape();
    struct cluster_factors f;
    uint64_t before, same, after;
    samples.n = 0;
    assert_int_equal(layers_of_a(&s, &samples, &f, &before), 8); /* it is believed to be twice as fast as b */
    assert_int_equal(f.samples, 0);
    struct cluster_sample first = sample(&s, 1, 8, 1);
    cluster_samples_add(&samples, &first);
    assert_int_equal(layers_of_a(&s, &samples, &f, &same), 8);
    assert_in_range(same, before - before / 1000, before + before / 1000);
    /* It is four times as slow: so it is slower than b. */
    samples.n = 0;
    for (uint32_t i = 1; i <= 2; i++) {
        struct cluster_sample slow = sample(&s, i, 4 * i, 4);
        cluster_samples_add(&samples, &slow);
    }
    assert_int_equal(layers_of_a(&s, &samples, &f, &after), 4);
    assert_int_equal(f.samples, 2);
    assert_true(after < before);
    uint64_t as_was =
        samples.sample[0].token_s_e3; /* the same split was measured: that is what is foretold */
    assert_in_range(after, as_was - as_was / 50, as_was + as_was / 50);
    /* One of another model says nothing. */
    for (uint32_t i = 0; i < samples.n; i++)
        memcpy(samples.sample[i].digest, OTHER, DIGEST_BYTES);
    assert_int_equal(layers_of_a(&s, &samples, &f, &after), 8);
    assert_int_equal(after, before);
}

/* One split of two kinds cannot tell which of them is slow: both are, alike, however much. */
static void test_learns_all(void **state)
{
    (void)state;
    static struct cluster_samples samples;
    const struct shape s = shape();
    struct cluster_factors f;
    struct cluster_sample slow = sample(&s, 1, 8, 1);
    uint64_t foretold;
    slow.part[0] = part("a", 8, 1000);
    slow.part[1] = part("b", 4, 1000);
    slow.token_s_e3 = cluster_forecast(&s, slow.part, 2);
    cluster_samples_add(&samples, &slow);
    assert_int_equal(layers_of_a(&s, &samples, &f, &foretold), 8);
    assert_in_range(foretold, slow.token_s_e3 - slow.token_s_e3 / 100 - 1,
                    slow.token_s_e3 + slow.token_s_e3 / 100 + 1);
}

/* A kind that the catalogue does not have is known once it was measured. */
static void test_learns_unknown(void **state)
{
    (void)state;
    static struct cluster_samples samples;
    const struct shape s = shape();
    struct cluster_sample one = {.deployment = {{1}}, .generation = 1, .parts = 1, .digest = {1}};
    struct cluster_factors f;
    struct cluster_worker w = worker(1, 1, 1000 * MIB, 0);
    one.part[0] = part("c", 12, 1);
    one.part[0].worker.byte_s = B_BYTE_S;
    one.part[0].worker.flop_s = UINT64_C(1000000000000);
    one.token_s_e3 = cluster_forecast(&s, one.part, 1);
    cluster_samples_add(&samples, &one);
    assert_int_equal(cluster_learn(&f, &samples, MODEL, &s, believed, NULL), 0);
    cluster_correct(&f, "a", &w);
    assert_int_equal(w.byte_s, 0);
    cluster_correct(&f, "c", &w);
    assert_in_range(w.byte_s, B_BYTE_S - B_BYTE_S / 50, B_BYTE_S + B_BYTE_S / 50);
}

static void test_learns_absurd(void **state)
{
    (void)state;
    static struct cluster_samples samples;
    static const uint64_t figures[] = {0, 1, UINT64_C(1000000000000000), UINT64_MAX};
    const struct shape s = shape();
    struct cluster_factors f;
    uint64_t token_s_e3;
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        struct cluster_sample absurd = sample(&s, 1, 8, 1);
        absurd.token_s_e3 = figures[i];
        cluster_samples_add(&samples, &absurd);
        assert_int_equal(samples.n, 1); /* of a plan the newest is kept */
        (void)layers_of_a(&s, &samples, &f, &token_s_e3);
        assert_int_equal(f.samples, 1);
        for (uint32_t k = 0; k < f.kinds; k++)
            assert_in_range(f.factor[k], CLUSTER_FACTOR_LEAST, CLUSTER_FACTOR_MOST);
        assert_true(token_s_e3 > 0);
    }
    for (uint32_t i = 0; i < 2 * CLUSTER_SAMPLES_MAX; i++) {
        struct cluster_sample next = sample(&s, 2 + i, 8, 1);
        cluster_samples_add(&samples, &next);
    }
    assert_int_equal(samples.n, CLUSTER_SAMPLES_MAX);
    for (uint32_t i = 0; i < samples.n; i++)
        assert_true(samples.sample[i].generation >= 2 + CLUSTER_SAMPLES_MAX); /* the oldest are gone */
    uint64_t changes = samples.changes;
    struct cluster_sample again = samples.sample[3];
    cluster_samples_add(&samples, &again);
    assert_int_equal(samples.changes, changes); /* nothing new */
}

/* Where a way is a guess chips learn nothing; at one site no way is taken. */
static void test_guess(void **state)
{
    (void)state;
    static struct cluster_samples samples;
    const struct shape s = shape();
    struct cluster_factors f;
    struct cluster_sample far = sample(&s, 1, 8, 4);
    far.part[1].worker.guessed = true;
    assert_false(cluster_guesses(far.part, 2));
    far.part[1].worker.site = (struct uuid){{2}};
    far.part[1].worker.way_ps = CLUSTER_GUESS_PS;
    assert_true(cluster_guesses(far.part, 2));
    cluster_samples_add(&samples, &far);
    assert_int_equal(cluster_learn(&f, &samples, MODEL, &s, believed, NULL), 0);
    assert_int_equal(f.samples, 0);
    uint64_t guessed = cluster_forecast(&s, far.part, 2);
    far.part[1].worker.way_ps = 200000000; /* it was measured since */
    far.part[1].worker.guessed = false;
    assert_true(cluster_forecast(&s, far.part, 2) > guessed);
    cluster_samples_add(&samples, &far);
    assert_int_equal(samples.n, 1);
    assert_int_equal(cluster_learn(&f, &samples, MODEL, &s, believed, NULL), 0);
    assert_int_equal(f.samples, 1);
    /* Through the hub: both ways, and none between two at the same site. */
    struct cluster_worker own = worker(1, 1, MIB, 1), near = worker(2, 2, MIB, 1),
                          other = worker(3, 3, MIB, 1);
    own.way_ps = 0, near.way_ps = 5000, other.way_ps = 7000;
    assert_int_equal(cluster_hop_ps(&near, &own), near.local_ps + 5000);
    assert_int_equal(cluster_hop_ps(&own, &near), near.local_ps + 5000);
    assert_int_equal(cluster_hop_ps(&other, &near), other.local_ps + 12000);
    assert_int_equal(cluster_hop_ps(&near, &near), near.local_ps);
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

/* What is asked for is held by the kernel, what a chip has is not to be had twice. */
static void test_room(void **state)
{
    (void)state;
    assert_int_equal(cluster_room(0, 1000 * MIB), 1000 * MIB / 10 * 9);
    assert_int_equal(cluster_room(500 * MIB, 1000 * MIB), 500 * MIB);
    assert_int_equal(cluster_room(2000 * MIB, 1000 * MIB), 1000 * MIB / 10 * 9);
    assert_int_equal(cluster_room(2000 * MIB, 0), 2000 * MIB);
}

/* Clusters come and go without end: there is always a place, and those of the last look have kept theirs. */
static void test_memories(void **state)
{
    (void)state;
    static struct cluster_memories all;
    for (uint64_t i = 1; i <= 10 * CLUSTER_MEMORIES; i++) {
        const struct uuid id = uid('D', i);
        cluster_memory_of(&all, &id)->could_ms = i;
        for (uint64_t k = i > CLUSTER_MEMORIES / 2 ? i - CLUSTER_MEMORIES / 2 : 1; k <= i; k++) {
            const struct uuid earlier = uid('D', k);
            assert_int_equal(cluster_memory_of(&all, &earlier)->could_ms, k);
        }
    }
    const struct uuid first = uid('D', 1);
    assert_int_equal(cluster_memory_of(&all, &first)->could_ms, 0); /* it is new */
}

static void test_words(void **state)
{
    (void)state;
    char longer[TEXT_CAP * 2], once[TEXT_CAP], twice[TEXT_CAP];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    cluster_words(once, longer);
    assert_int_equal(strlen(once), TEXT_CAP - 1);
    cluster_words(twice, once);
    assert_memory_equal(once, twice, TEXT_CAP);
    cluster_words(once, "a");
    assert_int_equal(once[TEXT_CAP / 2], 0);
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
        cmocka_unit_test(test_divides),    cmocka_unit_test(test_head_where_it_fits),
        cmocka_unit_test(test_weak),       cmocka_unit_test(test_far),
        cmocka_unit_test(test_unknown),    cmocka_unit_test(test_files),
        cmocka_unit_test(test_learns),     cmocka_unit_test(test_learns_unknown),
        cmocka_unit_test(test_learns_all), cmocka_unit_test(test_learns_absurd),
        cmocka_unit_test(test_guess),      cmocka_unit_test(test_room),
        cmocka_unit_test(test_memories),   cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
