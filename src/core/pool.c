/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pool.h"

#include <assert.h>
#include <string.h>

#include "core/kinds.h"
#include "core/table.h"

/* ---- sets of nodes ---- */

void node_set_add(struct node_set *set, uint32_t node)
{
    set->words[node / 64] |= UINT64_C(1) << node % 64;
    set->summary |= UINT64_C(1) << node / 64;
}

static void node_set_drop(struct node_set *set, uint32_t node)
{
    uint64_t *word = &set->words[node / 64];
    *word &= ~(UINT64_C(1) << node % 64);
    if (*word == 0)
        set->summary &= ~(UINT64_C(1) << node / 64);
}

void node_set_clear(struct node_set *set, uint32_t nwords)
{
    if (set->summary)
        memset(set->words, 0, nwords * sizeof *set->words);
    set->summary = 0;
}

/* A walk over the nodes of a set, lowest first; with `filter` only over those whose being in it is `want`. */
struct walk {
    const struct node_set *set;
    const struct node_set *filter; /* NULL: all */
    bool want;
    uint64_t left; /* words not looked at */
    uint64_t word;
    uint32_t at;
};

static struct walk walk_of(const struct node_set *set, const struct node_set *filter, bool want)
{
    return (struct walk){.set = set, .filter = filter, .want = want, .left = set->summary};
}

static uint32_t walk_next(struct walk *w)
{
    while (w->word == 0) {
        if (w->left == 0)
            return INDEX_NONE;
        w->at = (uint32_t)__builtin_ctzll(w->left);
        w->left &= w->left - 1;
        w->word = w->set->words[w->at];
        if (w->filter)
            w->word &= w->want ? w->filter->words[w->at] : ~w->filter->words[w->at];
    }
    uint32_t bit = (uint32_t)__builtin_ctzll(w->word);
    w->word &= w->word - 1;
    return w->at * 64 + bit;
}

/* ---- pools ---- */

static uint32_t words_of(uint32_t nodes)
{
    return (nodes + 63) / 64;
}

uint32_t pool_words(uint32_t nodes, uint32_t node_chips)
{
    return words_of(nodes) * (node_chips + 2); /* levels 0 to node_chips, and what is held */
}

static void could_add(struct pool *pool, const struct node *node)
{
    pool->could[node->free + node->soft]++;
    pool->room += node->free + node->soft;
}

static void could_drop(struct pool *pool, const struct node *node)
{
    pool->could[node->free + node->soft]--;
    pool->room -= node->free + node->soft;
}

static void level_add(struct pool *pool, uint32_t node)
{
    could_add(pool, &pool->node[node]);
    uint32_t f = pool->node[node].free;
    node_set_add(&pool->level[f], node);
    pool->mask |= 1u << f;
}

static void level_drop(struct pool *pool, uint32_t node)
{
    could_drop(pool, &pool->node[node]);
    uint32_t f = pool->node[node].free;
    node_set_drop(&pool->level[f], node);
    if (pool->level[f].summary == 0)
        pool->mask &= ~(1u << f);
}

void pool_init(struct pool *pool, struct node *node, int64_t *until, uint64_t *words)
{
    assert(pool->row.nodes <= POOL_NODES_MAX && pool->row.node_chips <= NODE_CHIPS_MAX);
    pool->node = node;
    pool->until = until;
    pool->nwords = words_of(pool->row.nodes);
    pool->mask = pool->free = pool->busy = pool->soft = pool->room = 0;
    memset(pool->could, 0, sizeof pool->could);
    pool->nodes_up = pool->row.nodes;
    pool->reserved_for = INDEX_NONE;
    for (uint32_t f = 0; f <= pool->row.node_chips; f++)
        pool->level[f] = (struct node_set){.words = words + (size_t)f * pool->nwords};
    pool->held = (struct node_set){.words = words + (size_t)(pool->row.node_chips + 1) * pool->nwords};
    for (uint32_t i = 0; i < pool->row.nodes; i++) {
        node[i] =
            (struct node){.free = (uint8_t)pool->row.node_chips, .state = PLACE_UP, .shares = INDEX_NONE};
        until[i] = 0;
        level_add(pool, i);
        pool->free += pool->row.node_chips;
    }
}

uint32_t pool_nodes_for(const struct pool *pool, uint32_t chips)
{
    return (chips + pool->row.node_chips - 1) / pool->row.node_chips;
}

/* Which nodes a search may see: those of `filter` whose being in it is `want`; all, if there is no filter. Of nodes
 * that are wholly free the first `skip` are spoken for. */
struct sight {
    const struct node_set *filter;
    bool want;
    uint32_t skip;
};

/* The first node with at least `least` free chips: of the fullest such, or of the emptiest. */
static uint32_t find_node(const struct pool *pool, uint32_t least, bool emptiest, struct sight sight)
{
    uint32_t top = pool->row.node_chips;
    for (uint32_t k = 0; k <= top - least; k++) {
        uint32_t f = emptiest ? top - k : least + k;
        if (!(pool->mask & 1u << f))
            continue;
        struct walk w = walk_of(&pool->level[f], sight.filter, sight.want);
        uint32_t node = walk_next(&w);
        for (uint32_t skip = f == top ? sight.skip : 0; skip > 0 && node != INDEX_NONE; skip--)
            node = walk_next(&w);
        if (node != INDEX_NONE)
            return node;
    }
    return INDEX_NONE;
}

/* Appends up to `want` nodes that are wholly free. */
static uint32_t find_whole(const struct pool *pool, uint32_t want, struct sight sight, struct place *out)
{
    uint32_t n = 0;
    uint32_t node;
    struct walk w = walk_of(&pool->level[pool->row.node_chips], sight.filter, sight.want);
    while (n < want && (node = walk_next(&w)) != INDEX_NONE)
        out[n++] = (struct place){.node = node, .chips = pool->row.node_chips};
    return n;
}

static uint32_t find_anywhere(const struct pool *pool, uint32_t chips, uint32_t pack, enum held_use use,
                              struct place *out)
{
    const struct node_set *filter = use == HELD_OWN || pool->held.summary == 0 ? NULL : &pool->held;
    struct sight held = {filter, true, 0}, others = {filter, false, 0};
    bool held_first = filter && use == HELD_FIRST;
    uint32_t whole = chips > pool->row.node_chips ? chips / pool->row.node_chips : 0;
    uint32_t rest = chips - whole * pool->row.node_chips;
    if (chips == 0 || chips > pool->free)
        return 0;
    if (whole > 0 && held_first)
        held.skip = find_whole(pool, whole, held, out);
    others.skip = find_whole(pool, whole - held.skip, others, out + held.skip);
    uint32_t n = held.skip + others.skip;
    if (n < whole)
        return 0;
    if (rest == 0)
        return n;
    bool emptiest = pack == PACK_EMPTIEST && whole > 0;
    uint32_t node = held_first ? find_node(pool, rest, emptiest, held) : INDEX_NONE;
    if (node == INDEX_NONE)
        node = find_node(pool, rest, emptiest, others);
    if (node == INDEX_NONE)
        return 0;
    out[n] = (struct place){.node = node, .chips = rest};
    return n + 1;
}

/* Bits that are set; added up in parallel (Warren, Hacker's Delight, section 5-1), so that no library is called. */
static uint32_t bits_set(uint64_t v)
{
    v -= v >> 1 & UINT64_C(0x5555555555555555);
    v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
    v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(v * UINT64_C(0x0101010101010101) >> 56);
}

/* How many nodes of a set are not held. */
static uint32_t count_unheld(const struct pool *pool, const struct node_set *set, uint32_t enough)
{
    uint32_t n = 0;
    for (uint64_t left = set->summary; left && n < enough; left &= left - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(left);
        n += bits_set(set->words[at] & ~pool->held.words[at]);
    }
    return n;
}

static uint32_t count_nodes(const struct node_set *set, uint32_t enough)
{
    uint32_t n = 0;
    for (uint64_t left = set->summary; left && n < enough; left &= left - 1)
        n += bits_set(set->words[__builtin_ctzll(left)]);
    return n;
}

static bool fits_anywhere(const struct pool *pool, uint32_t chips, enum held_use use)
{
    uint32_t top = pool->row.node_chips;
    bool all = use != HELD_AVOID || pool->held.summary == 0;
    if (chips > pool->free)
        return false;
    if (chips <= top) {
        if (all)
            return pool->mask >> chips != 0;
        for (uint32_t f = chips; f <= top; f++) {
            if ((pool->mask & 1u << f) && count_unheld(pool, &pool->level[f], 1) > 0)
                return true;
        }
        return false;
    }
    uint32_t whole = chips / top, rest = chips % top;
    const struct node_set *set = &pool->level[top];
    uint32_t n = all ? count_nodes(set, whole + 1) : count_unheld(pool, set, whole + 1);
    if (n < whole || rest == 0 || n > whole)
        return n >= whole;
    for (uint32_t f = rest; f < top; f++) {
        if ((pool->mask & 1u << f) && (all || count_unheld(pool, &pool->level[f], 1) > 0))
            return true;
    }
    return false;
}

bool pool_could_fit(const struct pool *pool, uint32_t chips)
{
    uint32_t top = pool->row.node_chips, whole = chips > top ? chips / top : 0;
    if (chips > pool->room || pool->could[top] < whole)
        return false;
    uint32_t rest = chips - whole * top;
    bool found = rest == 0 || pool->could[top] > whole;
    for (uint32_t f = rest; f < top && !found; f++)
        found = pool->could[f] > 0;
    return found;
}

/* ---- gangs inside one domain ---- */

bool pool_is_held(const struct pool *pool, uint32_t node)
{
    return pool->held.summary && (pool->held.words[node / 64] >> node % 64 & 1);
}

/* Chips of a node that may be used; 0 where it may not. */
static uint32_t usable(const struct pool *pool, uint32_t node, enum held_use use)
{
    const struct node *n = &pool->node[node];
    return n->state == PLACE_UP && (use != HELD_AVOID || !pool_is_held(pool, node)) ? n->free : 0;
}

/* Places a gang on the nodes [first, end): whole ones, then the rest on the fullest that is enough. */
static uint32_t find_between(const struct pool *pool, uint32_t chips, enum held_use use, uint32_t first,
                             uint32_t end, struct place *out)
{
    uint32_t top = pool->row.node_chips, want = chips / top, rest = chips % top, n = 0;
    uint32_t best = INDEX_NONE;
    for (uint32_t i = first; i < end; i++) {
        uint32_t free = usable(pool, i, use);
        if (n < want && free == top)
            out[n++] = (struct place){.node = i, .chips = top};
        else if (rest > 0 && free >= rest && (best == INDEX_NONE || free < pool->node[best].free))
            best = i;
    }
    if (n < want || (rest > 0 && best == INDEX_NONE))
        return 0;
    if (rest > 0)
        out[n++] = (struct place){.node = best, .chips = rest};
    return n;
}

uint32_t pool_span(const struct pool *pool, struct ask ask)
{
    bool inside = ask.one_domain && ask.chips > pool->row.node_chips && pool->row.domain < pool->row.nodes;
    return inside ? pool->row.domain : pool->row.nodes;
}

/* The end of a domain that begins at `first`; the last one may be short. */
static uint32_t domain_end(const struct pool *pool, uint32_t first)
{
    return pool->row.nodes - first < pool->row.domain ? pool->row.nodes : first + pool->row.domain;
}

/* The domain with the least free chips among those that hold the gang; pool->row.nodes: none does. */
static uint32_t find_domain(const struct pool *pool, uint32_t chips, enum held_use use)
{
    uint32_t top = pool->row.node_chips, want = chips / top, rest = chips % top;
    uint32_t best = pool->row.nodes, least = UINT32_MAX;
    for (uint32_t first = 0; first < pool->row.nodes; first += pool->row.domain) {
        uint32_t end = domain_end(pool, first);
        uint32_t whole = 0, room = 0, part = 0;
        for (uint32_t i = first; i < end; i++) {
            uint32_t free = usable(pool, i, use);
            whole += free == top;
            part += free < top && free >= rest;
            room += free;
        }
        bool fits = whole > want || (whole == want && (rest == 0 || part > 0));
        if (fits && room < least) {
            least = room;
            best = first;
        }
    }
    return best;
}

uint32_t pool_find(const struct pool *pool, struct ask ask, uint32_t pack, enum held_use use,
                   struct place *out)
{
    if (pool_span(pool, ask) == pool->row.nodes)
        return find_anywhere(pool, ask.chips, pack, use, out);
    uint32_t first = find_domain(pool, ask.chips, use);
    if (first == pool->row.nodes)
        return 0;
    return find_between(pool, ask.chips, use, first, domain_end(pool, first), out);
}

bool pool_fits(const struct pool *pool, struct ask ask, enum held_use use)
{
    if (pool_span(pool, ask) == pool->row.nodes)
        return fits_anywhere(pool, ask.chips, use);
    return ask.chips <= pool->free && find_domain(pool, ask.chips, use) < pool->row.nodes;
}

bool pool_could(const struct pool *pool, struct ask ask)
{
    return ask.chips <= (uint64_t)pool_span(pool, ask) * pool->row.node_chips;
}

/* ---- changes ---- */

void pool_take(struct pool *pool, uint32_t node, uint32_t chips)
{
    struct node *n = &pool->node[node];
    assert(n->free >= chips && chips > 0);
    if (n->state == PLACE_UP)
        level_drop(pool, node);
    n->free = (uint8_t)(n->free - chips);
    pool->busy += chips;
    if (n->state != PLACE_UP)
        return; /* at a load: what runs on a node that was cordoned since */
    level_add(pool, node);
    pool->free -= chips;
}

void pool_give(struct pool *pool, uint32_t node, uint32_t chips)
{
    struct node *n = &pool->node[node];
    assert(n->free + chips <= pool->row.node_chips && pool->busy >= chips);
    if (n->state == PLACE_UP)
        level_drop(pool, node);
    n->free = (uint8_t)(n->free + chips);
    pool->busy -= chips;
    if (n->state != PLACE_UP)
        return;
    level_add(pool, node);
    pool->free += chips;
}

/* ---- when nodes are free ---- */

int64_t node_until(const struct node *node)
{
    return node->state == PLACE_UP ? node->end_ms : INT64_MAX;
}

/* The first of the times that is not below `ms`. */
static uint32_t until_at(const struct pool *pool, int64_t ms)
{
    uint32_t low = 0, high = pool->row.nodes;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (pool->until[middle] < ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A node that had the one time has the other. */
static void until_move(struct pool *pool, int64_t from_ms, int64_t to_ms)
{
    int64_t *until = pool->until;
    if (from_ms == to_ms)
        return;
    uint32_t from = until_at(pool, from_ms), to = until_at(pool, to_ms);
    assert(from < pool->row.nodes && until[from] == from_ms);
    if (to > from) { /* the place that it leaves is before the one that it takes */
        to--;
        memmove(until + from, until + from + 1, (to - from) * sizeof *until);
    } else {
        memmove(until + to + 1, until + to, (from - to) * sizeof *until);
    }
    until[to] = to_ms;
}

void pool_set_shares(struct pool *pool, uint32_t node, uint32_t shares, int64_t end_ms)
{
    struct node *n = &pool->node[node];
    int64_t was = node_until(n);
    n->shares = shares;
    n->end_ms = end_ms;
    until_move(pool, was, node_until(n));
}

void pool_set_node(struct pool *pool, uint32_t node, uint32_t state)
{
    struct node *n = &pool->node[node];
    int64_t until = node_until(n);
    bool was = n->state == PLACE_UP, is = state == PLACE_UP;
    if (was && !is) {
        level_drop(pool, node);
        pool->free -= n->free;
        pool->nodes_up--;
    }
    n->state = (uint8_t)state;
    until_move(pool, until, node_until(n));
    if (is && !was) {
        level_add(pool, node);
        pool->free += n->free;
        pool->nodes_up++;
    }
}

static void set_soft(struct pool *pool, uint32_t node, uint32_t soft)
{
    struct node *n = &pool->node[node];
    if (n->state == PLACE_UP)
        could_drop(pool, n);
    pool->soft = pool->soft - n->soft + soft;
    n->soft = (uint8_t)soft;
    if (n->state == PLACE_UP)
        could_add(pool, n);
}

void pool_soften(struct pool *pool, uint32_t node, uint32_t chips)
{
    const struct node *n = &pool->node[node];
    assert(n->free + n->soft + chips <= pool->row.node_chips);
    set_soft(pool, node, n->soft + chips);
}

void pool_harden(struct pool *pool, uint32_t node, uint32_t chips)
{
    assert(pool->node[node].soft >= chips);
    set_soft(pool, node, pool->node[node].soft - chips);
}
