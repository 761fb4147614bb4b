/* SPDX-License-Identifier: Apache-2.0 */
/* Who joins as a site: one token, one key, once; and who is out. */
#include "support.h"

#define MINUTE INT64_C(60000)

static struct world *world;

static void digest(uint8_t out[DIGEST_BYTES], uint8_t n)
{
    memset(out, n, DIGEST_BYTES);
}

static int token(uint64_t site, uint8_t hash, int64_t expires_ms)
{
    struct event e = {.kind = EVENT_KIND_site_token,
                      .u.site_token = {.site = uid('S', site), .expires_ms = expires_ms}};
    digest(e.u.site_token.token, hash);
    return world_step(world, &e);
}

static int join(uint8_t hash, uint8_t key)
{
    struct event e = {.kind = EVENT_KIND_site_join};
    digest(e.u.site_join.token, hash);
    digest(e.u.site_join.key, key);
    return world_step(world, &e);
}

static bool is_member(uint64_t site, uint8_t key)
{
    struct uuid id = uid('S', site);
    uint8_t its[DIGEST_BYTES];
    digest(its, key);
    bool now = view_is_member(world->core, &id, its);
    assert_int_equal(world_reload(world), 0);
    assert_int_equal(view_is_member(world->core, &id, its), now);
    return now;
}

static int setup(void **state)
{
    (void)state;
    struct limits limits = small_limits();
    world = world_new(&limits);
    assert_int_equal(do_boot(world, 1), 0);
    for (uint64_t i = 1; i <= 2; i++)
        assert_int_equal(do_site(world, i), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_free(world);
    return 0;
}

static void test_join(void **state)
{
    (void)state;
    assert_int_equal(token(9, 1, world->now + MINUTE), ERR_NOT_FOUND);
    assert_int_equal(token(1, 0, world->now + MINUTE), ERR_INVALID);
    assert_int_equal(token(1, 1, world->now), ERR_INVALID);
    assert_int_equal(token(1, 1, world->now + 25 * 60 * MINUTE), ERR_INVALID);
    assert_int_equal(join(1, 7), ERR_UNAUTHENTICATED);
    assert_int_equal(token(1, 1, world->now + MINUTE), 0);
    assert_int_equal(token(2, 1, world->now + MINUTE), ERR_EXISTS);
    assert_false(is_member(1, 7));
    assert_int_equal(join(2, 7), ERR_UNAUTHENTICATED);
    assert_int_equal(join(0, 7), ERR_UNAUTHENTICATED);
    assert_int_equal(join(1, 0), ERR_INVALID);
    assert_int_equal(join(1, 7), 0);
    assert_true(is_member(1, 7));
    assert_false(is_member(1, 8));
    assert_false(is_member(2, 7));
}

/* Who did not hear the answer asks again; nobody else does with the same token, and nobody at all when its time is over. */
static void test_once(void **state)
{
    (void)state;
    assert_int_equal(token(1, 1, world->now + MINUTE), 0);
    assert_int_equal(join(1, 7), 0);
    assert_int_equal(join(1, 7), 0);
    assert_int_equal(join(1, 8), ERR_UNAUTHENTICATED);
    assert_true(is_member(1, 7));
    world->now += MINUTE;
    assert_int_equal(join(1, 7), ERR_UNAUTHENTICATED);
    assert_true(is_member(1, 7));
    assert_int_equal(token(2, 3, world->now + MINUTE), 0);
    world->now += MINUTE;
    assert_int_equal(join(3, 9), ERR_UNAUTHENTICATED);
    assert_false(is_member(2, 9));
}

/* A new machine: the site's key before is good until the new one has joined. */
static void test_anew(void **state)
{
    (void)state;
    assert_int_equal(token(1, 1, world->now + MINUTE), 0);
    assert_int_equal(join(1, 7), 0);
    assert_int_equal(token(1, 2, world->now + MINUTE), 0);
    assert_int_equal(join(1, 8), ERR_UNAUTHENTICATED);
    assert_true(is_member(1, 7));
    assert_int_equal(join(2, 8), 0);
    assert_true(is_member(1, 8));
    assert_false(is_member(1, 7));
}

static void test_removed(void **state)
{
    (void)state;
    struct event remove = {.kind = EVENT_KIND_site_remove, .u.site_remove.site = uid('S', 1)};
    uint32_t pos = 0;
    assert_int_equal(world_step(world, &remove), ERR_NOT_FOUND);
    assert_int_equal(token(1, 1, world->now + MINUTE), 0);
    assert_int_equal(join(1, 7), 0);
    assert_int_equal(world_step(world, &remove), 0);
    assert_false(is_member(1, 7));
    assert_int_equal(join(1, 7), ERR_UNAUTHENTICATED);
    assert_int_equal(view_site_at(world->core, &pos)->state, PLACE_LOST);
    assert_int_equal(token(1, 4, world->now + MINUTE), 0);
    assert_int_equal(join(4, 9), 0);
    assert_true(is_member(1, 9));
}

static void test_damaged(void **state)
{
    (void)state;
    assert_int_equal(token(1, 1, world->now + MINUTE), 0);
    struct row_member row = {.site = uid('S', 9)};
    mirror_apply(&world->mirror, ROW_KIND_member, ROW_PUT, &row);
    assert_int_equal(world_reload(world), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_join, setup, teardown),
        cmocka_unit_test_setup_teardown(test_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
    };
    return cmocka_run_group_tests_name("member", tests, NULL, NULL);
}
