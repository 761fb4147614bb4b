/* SPDX-License-Identifier: Apache-2.0 */
/* Doors of their own: what they say again happens once, their leases outlive the hub's process but not their own. */
#include "support.h"

#define MINUTE INT64_C(60000)

static struct world *world;

static int add(uint64_t gateway, const char *name)
{
    struct event e = {.kind = EVENT_KIND_gateway_add, .u.gateway_add.gateway = uid('G', gateway)};
    text_set(e.u.gateway_add.name, NAME_CAP, name, strlen(name));
    return world_step(world, &e);
}

static int begin(uint64_t gateway, uint64_t session)
{
    struct event e = {.kind = EVENT_KIND_gateway_session, .u.gateway_session.gateway = uid('G', gateway)};
    if (session)
        e.u.gateway_session.session = uid('s', session);
    return world_step(world, &e);
}

static int join(uint64_t worker, uint64_t gateway)
{
    struct event e = {.kind = EVENT_KIND_worker_join,
                      .u.worker_join = {.worker = uid('W', worker), .gateway = uid('G', gateway)}};
    return world_step(world, &e);
}

static int give_back(uint64_t worker, uint64_t lease, int64_t amount, uint64_t sequence)
{
    struct event e = {
        .kind = EVENT_KIND_lease_return,
        .u.lease_return = {
            .worker = uid('W', worker), .lease = uid('L', lease), .amount = amount, .sequence = sequence}};
    return world_step(world, &e);
}

static void answered(uint64_t token, int code, int64_t amount)
{
    const struct effect *reply = world_reply(world, token);
    assert_non_null(reply);
    assert_int_equal(reply->code, code);
    assert_true(reply->amount == amount);
}

/* A tenant with 1000 nano-units, two workers of the hub's, and worker 5 of gateway 1. */
static int setup(void **state)
{
    world = world_usual(NULL, 1000);
    assert_int_equal(add(1, "near"), 0);
    assert_int_equal(begin(1, 1), 0);
    assert_int_equal(join(5, 1), 0);
    *state = &world;
    return 0;
}

static void test_names(void **state)
{
    (void)state;
    struct uuid id = uid('G', 1), none = uid('G', 9);
    assert_int_equal(add(1, "other"), ERR_EXISTS);
    assert_int_equal(add(2, "near"), ERR_EXISTS);
    assert_int_equal(add(2, "Not a name"), ERR_INVALID);
    assert_int_equal(add(2, ""), ERR_INVALID);
    assert_int_equal(begin(9, 1), ERR_NOT_FOUND);
    assert_int_equal(join(6, 9), ERR_NOT_FOUND);
    assert_int_equal(join(5, 1), ERR_EXISTS);
    assert_int_equal(world_reload(world), 0);
    assert_string_equal(view_gateway(world->core, &id)->name, "near");
    assert_null(view_gateway(world->core, &none));
    for (uint64_t i = 2; i <= GATEWAYS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "g%u", (unsigned)i);
        assert_int_equal(add(i, name), 0);
    }
    assert_int_equal(add(GATEWAYS_MAX + 1, "more"), ERR_LIMIT);
}

/* The grant was not heard: the same again, without another hold. */
static void test_ask_again(void **state)
{
    (void)state;
    assert_int_equal(do_ask(world, 5, 1, 1, 1, 900), 0);
    answered(world->token, 0, 900);
    int64_t held = balance_of(world, 1).held;
    assert_int_equal(do_ask(world, 5, 1, 1, 1, 900), 0);
    answered(world->token, 0, 900);
    assert_true(balance_of(world, 1).held == held);
    /* Of the hub's own process nothing is said again: there it is a mistake. */
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 50), ERR_EXISTS);
    /* One that waits waits on, under the new token; the old one is let go. */
    assert_int_equal(do_ask(world, 5, 2, 1, 1, 500), 0);
    uint64_t first = world->token;
    assert_null(world_reply(world, first));
    assert_int_equal(do_ask(world, 5, 2, 1, 1, 500), 0);
    uint64_t second = world->token;
    answered(first, ERR_CANCELLED, 0);
    assert_null(world_reply(world, second));
    assert_int_equal(view_counts(world->core).waiters, 1);
    assert_int_equal(do_return(world, 5, 1, 0, true), 0);
    answered(second, 0, 500);
    assert_true(balance_of(world, 1).held == 500);
}

/* What is numbered happens once: records, and leases that are given back in part. */
static void test_again(void **state)
{
    (void)state;
    assert_int_equal(do_ask(world, 5, 1, 1, 1, 900), 0);
    assert_int_equal(do_meter(world, 5, 1, 1, 1, 1, 100), 0);
    assert_int_equal(do_meter(world, 5, 1, 1, 1, 1, 100), ERR_DUPLICATE);
    assert_true(balance_of(world, 1).spent == 100 && balance_of(world, 1).held == 800);
    assert_int_equal(give_back(5, 1, 300, 2), 0);
    assert_int_equal(give_back(5, 1, 300, 2), ERR_DUPLICATE);
    assert_int_equal(do_meter(world, 5, 2, 1, 1, 1, 100), ERR_DUPLICATE); /* one row of numbers */
    assert_true(balance_of(world, 1).held == 500);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(give_back(5, 1, 300, 2), ERR_DUPLICATE);
    assert_int_equal(give_back(5, 1, 600, 3), ERR_OVERFLOW);
    assert_int_equal(give_back(5, 1, 100, 3), 0); /* what was refused has used up no number */
    assert_true(balance_of(world, 1).held == 400);
}

/* A boot of the hub voids what its own process held, and nothing of a gateway's. */
static void test_boot(void **state)
{
    (void)state;
    assert_int_equal(do_ask(world, 1, 1, 1, 1, 300), 0);
    assert_int_equal(do_ask(world, 5, 2, 1, 1, 400), 0);
    assert_int_equal(do_meter(world, 5, 7, 2, 1, 1, 100), 0);
    assert_int_equal(do_boot(world, 2), 0);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(view_counts(world->core).workers, 1);
    assert_true(balance_of(world, 1).held == 300);
    assert_int_equal(do_meter(world, 5, 7, 2, 1, 1, 100), ERR_DUPLICATE);
    assert_int_equal(do_meter(world, 5, 8, 2, 1, 1, 100), 0);
    assert_true(balance_of(world, 1).spent == 200 && balance_of(world, 1).held == 200);
    assert_int_equal(do_ask(world, 1, 3, 1, 1, 10), ERR_NOT_FOUND);
}

/* Another process, or none: what the one before held is free, and goes to who waits for it. */
static void test_session(void **state)
{
    (void)state;
    assert_int_equal(do_ask(world, 5, 1, 1, 1, 900), 0);
    assert_int_equal(begin(1, 1), 0); /* the same one calls again */
    assert_true(balance_of(world, 1).held == 900);
    assert_int_equal(do_ask(world, 1, 2, 1, 1, 400), 0);
    uint64_t waits = world->token;
    assert_null(world_reply(world, waits));
    assert_int_equal(do_ask(world, 5, 3, 1, 1, 50), 0);
    uint64_t gone = world->token;
    assert_int_equal(begin(1, 2), 0);
    answered(waits, 0, 400);
    answered(gone, ERR_UNAVAILABLE, 0);
    assert_true(balance_of(world, 1).held == 400);
    assert_int_equal(do_meter(world, 5, 1, 1, 1, 1, 10), ERR_NOT_FOUND);
    assert_int_equal(join(6, 1), 0);
    assert_int_equal(do_ask(world, 6, 4, 1, 1, 600), 0);
    assert_int_equal(begin(1, 0), 0);
    assert_true(balance_of(world, 1).held == 400);
    assert_int_equal(view_counts(world->core).workers, 2);
    assert_int_equal(world_reload(world), 0);
}

static int token(char kind, uint64_t id, uint8_t hash)
{
    struct event e = {.kind = EVENT_KIND_site_token,
                      .u.site_token = {.site = uid(kind, id), .expires_ms = world->now + MINUTE}};
    memset(e.u.site_token.token, hash, DIGEST_BYTES);
    return world_step(world, &e);
}

static int enter(uint8_t hash, bool gateway)
{
    struct event e = {.kind = EVENT_KIND_site_join, .u.site_join.gateway = gateway};
    memset(e.u.site_join.token, hash, DIGEST_BYTES);
    memset(e.u.site_join.key, 7, DIGEST_BYTES);
    return world_step(world, &e);
}

static bool is_member(char kind, uint64_t id)
{
    uint8_t key[DIGEST_BYTES];
    struct uuid who = uid(kind, id);
    memset(key, 7, sizeof key);
    return view_is_member(world->core, &who, key);
}

/* A token is for one kind of member; who is removed is out, and what it held is free. */
static void test_member(void **state)
{
    (void)state;
    struct event remove = {.kind = EVENT_KIND_gateway_remove, .u.gateway_remove.gateway = uid('G', 1)};
    struct event no_site = {.kind = EVENT_KIND_site_remove, .u.site_remove.site = uid('G', 1)};
    assert_int_equal(token('G', 9, 1), ERR_NOT_FOUND);
    assert_int_equal(token('G', 1, 1), 0);
    assert_int_equal(token('S', 1, 2), 0);
    assert_int_equal(enter(1, false), ERR_WRONG_STATE);
    assert_int_equal(enter(2, true), ERR_WRONG_STATE);
    assert_int_equal(enter(1, true), 0);
    assert_int_equal(enter(2, false), 0);
    assert_true(is_member('G', 1) && is_member('S', 1));
    assert_int_equal(world_reload(world), 0);
    assert_true(is_member('G', 1));
    assert_int_equal(world_step(world, &no_site), ERR_NOT_FOUND);
    assert_int_equal(do_ask(world, 5, 1, 1, 1, 900), 0);
    assert_int_equal(world_step(world, &remove), 0);
    assert_false(is_member('G', 1));
    assert_true(balance_of(world, 1).held == 0);
    assert_int_equal(world_step(world, &remove), ERR_NOT_FOUND);
    assert_int_equal(world_reload(world), 0);
    assert_true(is_member('S', 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_ask_again, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_boot, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_session, setup, world_teardown),
        cmocka_unit_test_setup_teardown(test_member, setup, world_teardown),
    };
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
