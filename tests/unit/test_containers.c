/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of passes, the queue of a lane, and a pool's nodes: random operations against models that search from end to end. */
#include "support.h"

#include <stdlib.h>

#include "base/heap.h"
#include "base/rng.h"
#include "core/kinds.h"
#include "core/pool.h"
#include "core/queue.h"
#include "core/table.h"

#define ITEMS 200
#define NODES 150
#define TOP 8

static struct rng rng;

struct item {
    struct heap_node node;
    struct queue_node waiting;
    uint32_t key;
    bool in;
};

static bool item_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct item *x = heap_entry(a, struct item, node), *y = heap_entry(b, struct item, node);
    return x->key != y->key ? x->key < y->key : x < y;
}

static void test_heap(void **state)
{
    (void)state;
    static struct item items[ITEMS];
    struct heap heap;
    heap_init(&heap, item_before);
    for (int round = 0; round < 20000; round++) {
        struct item *it = &items[rng_below(&rng, ITEMS)];
        struct item *least = NULL;
        if (!it->in) {
            it->key = (uint32_t)rng_below(&rng, 50);
            heap_push(&heap, &it->node);
        } else {
            heap_remove(&heap, &it->node);
        }
        it->in = !it->in;
        for (int i = 0; i < ITEMS; i++) {
            if (items[i].in && (!least || item_before(&items[i].node, &least->node)))
                least = &items[i];
        }
        assert_ptr_equal(heap_first(&heap), least ? &least->node : NULL);
        if (least && rng_below(&rng, 4) == 0) {
            assert_ptr_equal(heap_pop(&heap), &least->node);
            least->in = false;
        }
    }
}

/* The first of the model's items that is no longer than the limit. */
static struct item *model_within(struct item *items, int64_t limit)
{
    struct item *first = NULL;
    for (int i = 0; i < ITEMS; i++) {
        if (items[i].in && items[i].waiting.length <= limit &&
            (!first || queue_before(&items[i].waiting, &first->waiting)))
            first = &items[i];
    }
    return first;
}

static void test_queue(void **state)
{
    (void)state;
    static struct item items[ITEMS];
    struct queue queue = {0};
    for (int round = 0; round < 20000; round++) {
        struct item *it = &items[rng_below(&rng, ITEMS)];
        if (it->in) {
            queue_remove(&queue, &it->waiting);
        } else {
            it->waiting.key = (int64_t)rng_below(&rng, 50);
            it->waiting.sequence = (uint64_t)round;
            it->waiting.length = (int64_t)rng_below(&rng, 1000);
            queue_add(&queue, &it->waiting);
        }
        it->in = !it->in;
        int64_t limit = (int64_t)rng_below(&rng, 1000);
        struct item *first = model_within(items, INT64_MAX), *within = model_within(items, limit);
        assert_ptr_equal(queue_first(&queue), first ? &first->waiting : NULL);
        assert_ptr_equal(queue_first_within(&queue, limit), within ? &within->waiting : NULL);
    }
}

/* ---- pools ---- */

struct fixture {
    struct pool pool;
    struct node node[NODES];
    int64_t until[NODES];
    uint64_t words[3 * (TOP + 2)];
};

static bool held(const struct pool *p, uint32_t n)
{
    return p->held.words[n / 64] >> n % 64 & 1;
}

/* Chips of a node that a placement may count on, in the model. */
static uint32_t model_free(const struct pool *p, uint32_t n, enum held_use use)
{
    bool may = p->node[n].state == PLACE_UP && (use != HELD_AVOID || !held(p, n));
    return may ? p->node[n].free : 0;
}

/* The node for the part of a gang that fills none: the fullest (or emptiest) that is enough, held ones first if so asked. */
static uint32_t model_rest(const struct pool *p, uint32_t chips, bool emptiest, enum held_use use,
                           const bool *taken)
{
    for (int pass = use == HELD_FIRST ? 0 : 1; pass < 2; pass++) {
        uint32_t best = INDEX_NONE;
        for (uint32_t n = 0; n < NODES; n++) {
            uint32_t f = model_free(p, n, use);
            bool eligible = use != HELD_FIRST || held(p, n) == (pass == 0);
            if (taken[n] || !eligible || f < chips)
                continue;
            if (best == INDEX_NONE || (emptiest ? f > p->node[best].free : f < p->node[best].free))
                best = n;
        }
        if (best != INDEX_NONE)
            return best;
    }
    return INDEX_NONE;
}

static uint32_t model_find(const struct pool *p, uint32_t chips, uint32_t pack, enum held_use use,
                           struct place *out)
{
    bool taken[NODES] = {false};
    uint32_t whole = chips > TOP ? chips / TOP : 0, rest = chips - whole * TOP, n = 0;
    for (int pass = use == HELD_FIRST ? 0 : 1; pass < 2; pass++) {
        for (uint32_t i = 0; i < NODES && n < whole; i++) {
            bool eligible = use != HELD_FIRST || held(p, i) == (pass == 0);
            if (eligible && !taken[i] && model_free(p, i, use) == TOP) {
                taken[i] = true;
                out[n++] = (struct place){i, TOP};
            }
        }
    }
    if (n < whole)
        return 0;
    if (rest == 0)
        return n;
    uint32_t node = model_rest(p, rest, pack == PACK_EMPTIEST && whole > 0, use, taken);
    if (node == INDEX_NONE)
        return 0;
    out[n] = (struct place){node, rest};
    return n + 1;
}

static void compare(const struct pool *p, uint32_t chips, uint32_t pack, enum held_use use)
{
    static struct place found[POOL_NODES_MAX], expected[POOL_NODES_MAX];
    struct ask ask = {.chips = chips};
    uint32_t want = model_find(p, chips, pack, use, expected);
    assert_int_equal(pool_find(p, ask, pack, use, found), want);
    assert_int_equal(pool_fits(p, ask, use), want > 0);
    for (uint32_t i = 0; i < want; i++) {
        assert_int_equal(found[i].node, expected[i].node);
        assert_int_equal(found[i].chips, expected[i].chips);
    }
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The nodes' times in order, anew. */
static void compare_until(const struct pool *p)
{
    int64_t expected[NODES];
    for (uint32_t i = 0; i < NODES; i++)
        expected[i] = p->node[i].state == PLACE_UP ? p->node[i].end_ms : INT64_MAX;
    qsort(expected, NODES, sizeof *expected, by_time);
    assert_memory_equal(p->until, expected, sizeof expected);
}

static void disturb(struct pool *p)
{
    uint32_t n = (uint32_t)rng_below(&rng, NODES);
    struct node *node = &p->node[n];
    switch (rng_below(&rng, 5)) {
    case 0:
        if (node->free > 0 && node->state == PLACE_UP)
            pool_take(p, n, 1 + (uint32_t)rng_below(&rng, node->free));
        break;
    case 1:
        if (node->free < TOP)
            pool_give(p, n, 1 + (uint32_t)rng_below(&rng, TOP - node->free));
        break;
    case 2:
        if (rng_below(&rng, 4) == 0)
            pool_set_node(p, n, rng_below(&rng, 3) ? PLACE_UP : PLACE_CORDONED);
        break;
    case 3:
        pool_set_shares(p, n, 0, (int64_t)rng_below(&rng, 20)); /* few times, so that many are equal */
        break;
    default:
        if (rng_below(&rng, 30) == 0)
            node_set_clear(&p->held, p->nwords);
        node_set_add(&p->held, n);
    }
}

static void test_pool(void **state)
{
    (void)state;
    static struct fixture f;
    f.pool.row.nodes = NODES;
    f.pool.row.node_chips = TOP;
    f.pool.row.domain = 10;
    assert_true(pool_words(NODES, TOP) <= sizeof f.words / sizeof f.words[0]);
    pool_init(&f.pool, f.node, f.until, f.words);
    for (int round = 0; round < 30000; round++) {
        disturb(&f.pool);
        uint32_t chips = 1 + (uint32_t)rng_below(&rng, rng_below(&rng, 2) ? TOP : 6 * TOP);
        uint32_t pack = rng_below(&rng, 2) ? PACK_BEST_FIT : PACK_EMPTIEST;
        compare(&f.pool, chips, pack, (enum held_use)rng_below(&rng, 3));
        compare_until(&f.pool);
    }
}

/* Whatever is found for a gang of one domain is whole, free and inside one; nothing is found only if no domain has room. */
static void test_domains(void **state)
{
    (void)state;
    static struct fixture f;
    static struct place found[POOL_NODES_MAX];
    f.pool.row.nodes = NODES;
    f.pool.row.node_chips = TOP;
    f.pool.row.domain = 10;
    pool_init(&f.pool, f.node, f.until, f.words);
    for (int round = 0; round < 20000; round++) {
        disturb(&f.pool);
        struct ask ask = {.chips = TOP + 1 + (uint32_t)rng_below(&rng, 5 * TOP), .one_domain = true};
        uint32_t n = pool_find(&f.pool, ask, PACK_BEST_FIT, HELD_OWN, found), chips = 0;
        assert_int_equal(pool_fits(&f.pool, ask, HELD_OWN), n > 0);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(found[i].node / 10, found[0].node / 10);
            assert_true(found[i].chips <= model_free(&f.pool, found[i].node, HELD_OWN));
            chips += found[i].chips;
        }
        assert_true(n == 0 || chips == ask.chips);
        for (uint32_t d = 0; n == 0 && d < NODES; d += 10) {
            uint32_t whole = 0, part = 0, rest = ask.chips % TOP;
            for (uint32_t i = d; i < d + 10; i++) {
                whole += f.node[i].state == PLACE_UP && f.node[i].free == TOP;
                part += f.node[i].state == PLACE_UP && f.node[i].free < TOP && f.node[i].free >= rest;
            }
            uint32_t want = ask.chips / TOP;
            assert_false(whole > want || (whole == want && (rest == 0 || part > 0)));
        }
    }
}

int main(void)
{
    const char *text = getenv("BUSBAR_SEED");
    rng_init(&rng, text ? strtoull(text, NULL, 10) : 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heap), cmocka_unit_test(test_queue),
                                       cmocka_unit_test(test_pool), cmocka_unit_test(test_domains)};
    return cmocka_run_group_tests_name("containers", tests, NULL, NULL);
}
