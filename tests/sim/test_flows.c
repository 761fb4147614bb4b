/* SPDX-License-Identifier: Apache-2.0 */
/* What corridors carry: whole, in part, cut short; money, power and carbon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim/flows.h"

#define GB UINT64_C(1000000000)

static struct uuid id(uint8_t kind, uint8_t n)
{
    return (struct uuid){{kind, n}};
}

static void add_site(struct stock *stock, uint8_t n, const char *name, int64_t price, uint64_t carbon)
{
    struct event e = {.kind = EVENT_KIND_site_add, .u.site_add = {.site = id(1, n)}};
    memcpy(e.u.site_add.name, name, strlen(name));
    stock_event(stock, &e);
    e = (struct event){.kind = EVENT_KIND_site_signal,
                       .u.site_signal = {.site = id(1, n), .price = price, .carbon = carbon}};
    stock_event(stock, &e);
}

static void add_corridor(struct flows *f, uint8_t n, uint8_t a, uint8_t b)
{
    /* 7 nano-units and 1 kWh a GB. */
    struct event e = {
        .kind = EVENT_KIND_corridor_add,
        .u.corridor_add = {
            .corridor = id(2, n), .a = id(1, a), .b = id(1, b), .bits_s = 1, .price = 7, .energy = 3600000}};
    flows_event(f, &e);
}

static void begin(struct flows *f, uint8_t job, uint8_t corridor, int64_t now_ms)
{
    struct effect e = {
        .kind = EFFECT_TRANSIT, .job = id(3, job), .corridor = id(2, corridor), .bytes = 10 * GB, .ms = 1000};
    assert_true(flows_begin(f, &e, now_ms));
}

static void test_flows(void **state)
{
    (void)state;
    struct stock stock;
    assert_true(stock_init(&stock, &(struct limits){.sites = 3}));
    struct flows *f = flows_new(&stock, 2);
    assert_non_null(f);
    add_site(&stock, 1, "here", 100, 10);
    add_site(&stock, 2, "there", 300, 30);
    add_site(&stock, 3, "beyond", 500, 50);
    add_corridor(f, 1, 1, 2);
    add_corridor(f, 2, 2, 3);
    assert_int_equal(flows_count(f), 2);
    begin(f, 1, 1, 5000);
    begin(f, 1, 2, 5000);
    begin(f, 2, 1, 5500);
    /* Under way: bytes only. */
    struct flow flow = flows_at(f, 0, 5700);
    assert_string_equal(flow.a, "here");
    assert_string_equal(flow.b, "there");
    assert_true(flow.transfers == 2 && flow.bytes == 9 * GB && flow.joules == 0 && flow.nano == 0);
    /* The first has come whole, of the second half when it is stopped: 10 and 5 GB. */
    struct uuid job = id(3, 2);
    flows_end(f, &job, 6000);
    flow = flows_at(f, 0, 9000);
    assert_true(flow.bytes == 15 * GB && flow.joules == UINT64_C(15) * 3600000 && flow.nano == 15 * 7);
    assert_true(flow.power_nano == 15 * 200 && flow.mg == 15 * 20);
    flow = flows_at(f, 1, 9000);
    assert_true(flow.bytes == 10 * GB && flow.power_nano == 10 * 400 && flow.mg == 10 * 40);
    flows_end(f, &job, 9500); /* nothing comes for it any more */
    assert_true(flows_at(f, 0, 9500).bytes == 15 * GB);
    flows_free(f);
    stock_fini(&stock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flows)};
    return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
