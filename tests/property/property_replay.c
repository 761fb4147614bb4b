/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random events of every kind, many of them senseless. The same events give the same codes, effects and rows in a
 * second core, also after they went through the codec (invariant 5); a refused event changes no row (9); and a core
 * reloaded from rows goes on with the same codes, effects and rows, once all are told of it.
 */
#include "support.h"

struct trace {
    uint64_t sum;
};

static void mix(struct trace *t, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        t->sum = (t->sum ^ p[i]) * 0x100000001b3u;
    t->sum ^= t->sum >> 31;
}

static void mix_u64(struct trace *t, uint64_t v)
{
    mix(t, &v, sizeof v);
}

static void mix_effects(struct trace *t, const struct effects *effects)
{
    for (uint32_t i = 0; i < effects->n; i++) {
        const struct effect *e = &effects->list[i];
        mix_u64(t, e->kind);
        mix_u64(t, (uint64_t)e->code);
        mix_u64(t, e->token);
        mix_u64(t, (uint64_t)e->amount);
        mix(t, &e->worker, sizeof e->worker);
        mix(t, &e->lease, sizeof e->lease);
        mix(t, &e->deployment, sizeof e->deployment);
        mix_u64(t, e->ordinal);
        mix_u64(t, e->epoch);
    }
    mix_u64(t, effects->routes_changed);
}

struct side {
    struct world *w;
    struct trace rows; /* in the order in which they are handed out */
};

static void on_row(void *ctx, enum row_kind kind, enum row_op op, const void *row)
{
    struct side *s = ctx;
    uint8_t bytes[LAYOUT_ENCODED_MAX];
    const struct layout *layout = layout_row(kind);
    s->w->ops[kind][op]++;
    mirror_apply(&s->w->mirror, kind, op, row);
    mix_u64(&s->rows, kind);
    mix_u64(&s->rows, op);
    mix(&s->rows, bytes, layout_encode(layout, row, bytes, sizeof bytes));
}

static void collect(struct side *s)
{
    memset(s->w->ops, 0, sizeof s->w->ops);
    core_collect(s->w->core, on_row, s);
}

/* ---- events ---- */

static struct uuid some_id(uint64_t *seed)
{
    static const char spaces[] = "TKMVPDWLlSF";
    if (test_below(seed, 40) == 0)
        return (struct uuid){{0}};
    return uid(spaces[test_below(seed, sizeof spaces - 1)], 1 + test_below(seed, 8));
}

/* The id that a field of this name should hold, most of the time. */
static struct uuid id_for(const char *field, uint64_t *seed)
{
    static const struct {
        const char *name;
        char space;
    } spaces[] = {{"tenant", 'T'}, {"key", 'K'},        {"model", 'M'},  {"variant", 'V'},
                  {"price", 'P'},  {"deployment", 'D'}, {"worker", 'W'}, {"lease", 'L'},
                  {"site", 'S'},   {"key_lease", 'l'},  {"boot", 'B'},   {"set", 'R'}};
    if (test_below(seed, 30) == 0)
        return some_id(seed);
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        if (strcmp(field, spaces[i].name) == 0)
            return uid(spaces[i].space, 1 + test_below(seed, 5));
    }
    return uid('F', test_random(seed));
}

static uint64_t number_for(const char *field, uint64_t *seed)
{
    if (test_below(seed, 60) == 0)
        return test_random(seed);
    if (strcmp(field, "ledger") == 0)
        return EUR + test_below(seed, 2);
    if (strcmp(field, "sequence") == 0)
        return 1 + test_below(seed, 100000);
    if (strcmp(field, "budget") == 0)
        return test_below(seed, 4) ? test_below(seed, 2000000) : (uint64_t)-1;
    if (strcmp(field, "want") == 0 || strcmp(field, "amount") == 0)
        return test_below(seed, test_below(seed, 2) ? 1000 : 1000000);
    if (strcmp(field, "part") == 0 || strcmp(field, "parts") == 0)
        return test_below(seed, 3);
    if (strcmp(field, "close") == 0 || strcmp(field, "ordinal") == 0)
        return test_below(seed, 2);
    if (strcmp(field, "cached") == 0 || strcmp(field, "reasoning") == 0)
        return test_below(seed, 3);
    return 1 + test_below(seed, 6);
}

static struct event random_event(uint64_t *seed)
{
    static const uint32_t often[] = {EVENT_KIND_lease_ask, EVENT_KIND_lease_return, EVENT_KIND_meter,
                                     EVENT_KIND_replica_state, EVENT_KIND_key_add};
    uint32_t n = 0;
    while (layout_event_at(n))
        n++;
    const struct layout *layout = test_below(seed, 2) ? layout_event_at((uint32_t)test_below(seed, n))
                                                      : layout_event(often[test_below(seed, 5)]);
    if (layout->kind == EVENT_KIND_hub_boot && test_below(seed, 20))
        layout = layout_event(EVENT_KIND_worker_join);
    struct event e = {.kind = layout->kind};
    for (uint16_t i = 0; i < layout->nfields; i++) {
        const struct field *f = &layout->fields[i];
        char *at = (char *)&e.u + f->offset;
        uint64_t number = number_for(f->name, seed);
        if (f->type == FIELD_uuid) {
            struct uuid id = id_for(f->name, seed);
            memcpy(at, &id, sizeof id);
        } else if (f->type == FIELD_text) {
            at[0] = (char)('a' + test_below(seed, 5));
            at[1] = test_below(seed, 50) ? 0 : '!';
        } else if (f->type == FIELD_uuids) {
            struct uuid_list list = {.n = (uint32_t)test_below(seed, 2), .v = {id_for("model", seed)}};
            memcpy(at, &list, sizeof list);
        } else if (f->type != FIELD_digest) {
            memcpy(at, &number, f->size); /* little-endian, as all that busbar runs on */
        }
    }
    return e;
}

/* ---- the property ---- */

static void reload(struct world *w)
{
    uint64_t views = world_views(w);
    bool waits = view_counts(w->core).waiters > 0; /* who waits for money is in no row */
    assert_int_equal(world_reload(w), 0);
    assert_true(waits || world_views(w) == views);
}

static void same_rows(const struct mirror *a, const struct mirror *b)
{
    for (int k = ROW_KIND_core + 1; k < ROW_KIND_END; k++) {
        if (a->digest[k] != b->digest[k])
            print_message("# rows differ: %s\n", layout_row((enum row_kind)k)->name);
    }
    assert_true(mirror_digest(a) == mirror_digest(b));
}

/* Three cores: a sees the event, b what the codec makes of it, c is loaded from rows now and then. */
static void play(uint64_t *seed, uint64_t events, uint64_t *accepted)
{
    struct side side[3];
    for (int k = 0; k < 3; k++) {
        side[k] = (struct side){.w = world_new(NULL)};
        side[k].w->batching = true;
        side[k].w->mirror.forget_transfers = true;
    }
    for (uint64_t i = 0; i < events; i++) {
        struct event e = random_event(seed);
        uint8_t bytes[EVENT_HEAD_LEN + LAYOUT_ENCODED_MAX];
        struct event decoded;
        struct trace effects[3] = {{0}};
        int rc[3];
        e.token = i + 1;
        e.at_ms = side[0].w->now += (int64_t)test_below(seed, 100);
        size_t len = event_encode(&e, bytes, sizeof bytes);
        assert_int_equal(event_decode(&decoded, bytes, len), 0);
        for (int k = 0; k < 3; k++) {
            struct event copy = k == 1 ? decoded : e;
            rc[k] = world_step(side[k].w, &copy);
            mix_effects(&effects[k], &side[k].w->effects);
        }
        assert_true(rc[0] == rc[1] && effects[0].sum == effects[1].sum);
        assert_int_equal(rc[0], rc[2]);
        assert_true(effects[0].sum == effects[2].sum);
        *accepted += rc[0] == 0;
        if (rc[0] != 0 || test_below(seed, 8) == 0 || i + 1 == events) {
            for (int k = 0; k < 3; k++)
                collect(&side[k]);
            assert_true(side[0].rows.sum == side[1].rows.sum);
            same_rows(&side[0].w->mirror, &side[2].w->mirror);
            assert_int_equal(core_check(side[0].w->core), 0);
            if (test_below(seed, 4))
                continue;
            reload(side[2].w);
            for (int k = 0; k < 3; k++) {
                struct event told = {.kind = EVENT_KIND_tick, .at_ms = side[0].w->now, .u.tick.reloaded = 1};
                assert_int_equal(world_step(side[k].w, &told), 0);
            }
        }
    }
    for (int k = 0; k < 3; k++)
        world_free(side[k].w);
}

static void test_replay(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint64_t events = test_count(30000, 1000000);
    uint64_t accepted = 0;
    for (uint64_t done = 0; done < events; done += 1000)
        play(&seed, 1000, &accepted);
    printf("# events %llu, accepted %llu\n", (unsigned long long)events, (unsigned long long)accepted);
    assert_true(accepted > events / 20);
}

/* Rows before and after each refused event, one by one. */
static void test_refused_changes_nothing(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint64_t events = test_count(60000, 1000000);
    uint64_t refused = 0;
    struct world *w = NULL;
    for (uint64_t i = 0; i < events; i++) {
        if (i % 2000 == 0) {
            if (w)
                world_free(w);
            w = world_new(NULL);
            w->mirror.forget_transfers = true;
        }
        struct event e = random_event(&seed);
        w->now += (int64_t)test_below(&seed, 100);
        int rc = world_step(w, &e);
        const struct effect *reply = world_reply(w, e.token);
        if (rc == 0)
            continue;
        refused++;
        assert_true(reply && reply->code == rc);
        assert_false(w->effects.routes_changed);
        world_assert_untouched(w);
    }
    world_free(w);
    printf("# events %llu, refused %llu\n", (unsigned long long)events, (unsigned long long)refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_replay),
                                       cmocka_unit_test(test_refused_changes_nothing)};
    return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
