/* SPDX-License-Identifier: Apache-2.0 */
/* The table of awaited replies against a plain array: every reply finds its ask once, whatever was forgotten before. */
#include "support.h"

#include "runtime/asks.h"

#define ASKS 3000u

static uint32_t calls[ASKS];

static void on_reply(void *ctx, const struct effect *reply)
{
    uint32_t *mine = ctx;
    assert_int_equal(mine - calls, reply->token % ASKS);
    ++*mine;
}

static void test_against_array(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct asks asks;
    uint64_t token[ASKS] = {0};
    uint32_t awaited = 0, want[ASKS] = {0};
    asks_init(&asks);
    memset(calls, 0, sizeof calls);
    for (uint64_t op = 0; op < test_count(200000, 5000000); op++) {
        uint32_t i = (uint32_t)test_below(&seed, ASKS);
        uint64_t what = test_below(&seed, 4);
        if (!token[i] && (what > 0 || awaited < 100)) {
            token[i] = i + ASKS * (1 + test_below(&seed, 1000)) + (UINT64_C(3) << 48) / ASKS * ASKS;
            asks_add(&asks, token[i], on_reply, &calls[i]);
            awaited++;
        } else if (token[i] && what == 0) {
            assert_true(asks_forget(&asks, token[i]));
            assert_false(asks_forget(&asks, token[i]));
            token[i] = 0;
            awaited--;
        } else if (token[i]) {
            assert_ptr_equal(asks_ctx(&asks, token[i]), &calls[i]);
            struct effect reply = {.kind = EFFECT_REPLY, .token = token[i]};
            asks_reply(&asks, &reply);
            asks_reply(&asks, &reply); /* nobody awaits a second one */
            want[i]++;
            token[i] = 0;
            awaited--;
        }
        assert_int_equal(asks.n, awaited);
    }
    for (uint32_t i = 0; i < ASKS; i++) {
        assert_int_equal(calls[i], want[i]);
        assert_ptr_equal(asks_ctx(&asks, token[i] ? token[i] : 1), token[i] ? &calls[i] : NULL);
    }
    asks_fini(&asks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_array)};
    return cmocka_run_group_tests_name("asks", tests, NULL, NULL);
}
