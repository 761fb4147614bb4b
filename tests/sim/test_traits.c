/* SPDX-License-Identifier: Apache-2.0 */
/* What a simulation assumes of jobs: how it is written, and that it falls on the share that it names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/kinds.h"
#include "sim/duration.h"
#include "sim/option.h"
#include "sim/traits.h"

static void test_duration(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_true(duration_read("90s", 3, &ms));
    assert_int_equal(ms, 90000);
    assert_true(duration_read("8w", 2, &ms));
    assert_int_equal(ms, 56 * DAY_MS);
    assert_true(duration_read("2y+1h", 2, &ms));
    assert_int_equal(ms, 730 * DAY_MS);
    static const char *const bad[] = {
        "", "s", "-1s", " 1s", "1", "1q", "1sx", "100001d", "99999999999999999999s"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(duration_read(bad[i], strlen(bad[i]), &ms));
    assert_int_equal(ms, 730 * DAY_MS);
}

static void test_list(void **state)
{
    (void)state;
    struct err err = {0};
    struct option_list list = option_list("--x", "a=1,b,c=d=e");
    assert_true(option_next(&list, &err));
    assert_string_equal(option_value(&list), "1");
    assert_string_equal(list.item, "a");
    assert_true(option_next(&list, &err));
    assert_null(option_value(&list));
    assert_true(option_next(&list, &err));
    assert_string_equal(option_value(&list), "d=e");
    assert_true(list.len == 5 && strncmp(list.written, "c=d=e", 5) == 0); /* as it was, cut or not */
    assert_true(!option_next(&list, &err) && list.rc == 0);
    list = option_list("--x", NULL);
    assert_true(!option_next(&list, &err) && list.rc == 0);
}

/* What is missing or too long is told, and nothing behind it is read. */
static void test_list_mistakes(void **state)
{
    (void)state;
    static char longest[OPTION_ITEM_CAP], longer[OPTION_ITEM_CAP + 1];
    memset(longest, 'x', sizeof longest - 1);
    memset(longer, 'x', sizeof longer - 1);
    const struct {
        const char *text;
        int items;
    } bad[] = {{"", 0}, {",", 0}, {"a,", 1}, {"a,,b", 1}, {",a", 0}, {longer, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        struct option_list list = option_list("--x", bad[i].text);
        int n = 0;
        while (option_next(&list, &err))
            n++;
        assert_int_equal(n, bad[i].items);
        assert_int_equal(list.rc, ERR_INVALID);
        assert_non_null(strstr(err.msg, "--x"));
    }
    struct err err = {0};
    struct option_list list = option_list("--x", longest);
    assert_true(option_next(&list, &err) && strcmp(list.item, longest) == 0);
    assert_int_equal(traits_read(&(struct traits){0}, "interruptible=50,", 7, &err), ERR_INVALID);
}

static void test_word(void **state)
{
    (void)state;
    static const char *const words[] = {"off", "tell", "keep", NULL};
    struct err err = {0};
    uint32_t i = 7;
    assert_int_equal(option_word("--x", NULL, words, &i, &err), 0);
    assert_int_equal(i, 7);
    assert_int_equal(option_word("--x", "keep", words, &i, &err), 0);
    assert_int_equal(i, 2);
    assert_int_equal(option_word("--x", "kee", words, &i, &err), ERR_INVALID);
    assert_string_equal(err.msg, "--x kee: expected off, tell or keep");
    assert_int_equal(i, 2);
}

static void test_share(void **state)
{
    (void)state;
    struct traits traits;
    struct err err = {0};
    uint32_t interruptible = 0, deferrable = 0;
    assert_int_equal(traits_read(&traits, "interruptible=50,checkpoint=5m,deferrable=30:24h", 7, &err), 0);
    for (uint32_t i = 0; i < 10000; i++) {
        struct event_job_submit request = {0}, again = {0};
        traits_apply(&traits, i, 1000, &request);
        traits_apply(&traits, i, 1000, &again);
        assert_memory_equal(&request, &again, sizeof request);
        interruptible += request.flags == JOB_INTERRUPTIBLE && request.checkpoint_ms == 300000;
        deferrable += request.start_by_ms == 86401000;
    }
    assert_in_range(interruptible, 4800, 5200);
    assert_in_range(deferrable, 2800, 3200);
}

static void test_tied(void **state)
{
    (void)state;
    struct traits none, firm, all;
    struct err err = {0};
    assert_int_equal(traits_read(&none, "deferrable=30:24h", 7, &err), 0);
    assert_int_equal(traits_read(&firm, "deferrable=30:24h,tied=firm", 7, &err), 0);
    assert_int_equal(traits_read(&all, "deferrable=30:24h,tied=all", 7, &err), 0);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_false(traits_ties(&none, i));
        assert_true(traits_ties(&all, i));
        assert_true(traits_ties(&firm, i) != traits_defers(&firm, i));
    }
}

/* What a checkpoint costs, and how long what it saved still runs. */
static void test_checkpoint(void **state)
{
    (void)state;
    struct traits traits;
    struct err err = {0};
    struct event_job_submit request = {0};
    assert_int_equal(traits_read(&traits, "interruptible=100,checkpoint=5m:1h", 7, &err), 0);
    traits_apply(&traits, 0, 1000, &request);
    assert_true(request.checkpoint_ms == 300000 && request.checkpoint_every_ms == 3600000);
    assert_int_equal(traits_run_ms(&traits, 0, 1000000, 0), 1000000);
    assert_int_equal(traits_run_ms(&traits, 0, 1000000, 400000), 900000);
    assert_int_equal(traits_run_ms(&traits, 0, 1000000, 1000500), 300001); /* over before it was stopped */
    assert_int_equal(traits_read(&traits, "interruptible=100,checkpoint=0s", 7, &err), 0);
    assert_int_equal(traits.checkpoint_ms, 1); /* 0 would say that it writes none */
    assert_int_equal(traits_read(&traits, "interruptible=100", 7, &err), 0);
    assert_int_equal(traits.checkpoint_ms, 0);
    assert_int_equal(traits_read(&traits, "checkpoint=5m:", 7, &err), ERR_INVALID);
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"x",
                                      "interruptible",
                                      "interruptible=101",
                                      "interruptible=5x",
                                      "checkpoint=",
                                      "deferrable=30",
                                      "deferrable=30:",
                                      "green=1",
                                      "data=40",
                                      "data=40:",
                                      "data=101:1GB",
                                      "data=40:0GB",
                                      "data=40:1001GB",
                                      "data=40:20",
                                      "data=40:20kB",
                                      "data=40:20GBs",
                                      "data=40:20GB@",
                                      "tied=none",
                                      "tied=firmly",
                                      "interruptible=1,,"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct traits traits;
        struct err err = {0};
        assert_int_equal(traits_read(&traits, bad[i], 1, &err), ERR_INVALID);
        assert_non_null(strstr(err.msg, "--traits"));
    }
}

static uint32_t at[3]; /* jobs whose data lies at each site */

/* Draws 10000 jobs; returns how many have data. */
static uint32_t draw(const struct traits *traits, const struct netfile *net)
{
    uint32_t n = 0;
    memset(at, 0, sizeof at);
    for (uint32_t i = 0; i < 10000; i++) {
        struct event_job_submit request = {0}, again = {0};
        traits_apply(traits, i, 1000, &request);
        traits_apply(traits, i, 1000, &again);
        assert_memory_equal(&request, &again, sizeof request);
        for (uint32_t s = 0; s < netfile_sites(net); s++)
            at[s] += uuid_eq(&request.data_site, &netfile_site(net, s)->uuid);
        assert_true(request.data_bytes == (uuid_zero(&request.data_site) ? 0 : traits->data_bytes));
        n += request.data_bytes > 0;
    }
    return n;
}

static int read_text(void *ctx, const char *path, struct buf *out, struct err *err)
{
    static const char net[] =
        "chips: chips.yaml\nprices:\n  - {chip: c, usd_chip_hour: 1}\nsites:\n"
        "  - {name: a, jurisdiction: DE, lat: 1, lon: 1, price_usd_mwh: 1, carbon_g_kwh: 1, "
        "pools: [{chip: c, chips: 24}]}\n"
        "  - {name: b, jurisdiction: DE, lat: 1, lon: 1, price_usd_mwh: 1, carbon_g_kwh: 1, "
        "pools: [{chip: c, chips: 8}]}\n"
        "  - {name: c, jurisdiction: DE, lat: 1, lon: 1, price_usd_mwh: 1, carbon_g_kwh: 1}\n";
    static const char chips[] = "server_share: 1.6 assumed, test\nidle_share: 0.3 assumed, test\nchips:\n  - "
                                "{name: c, vendor: v, origin: DE, fp16_tflops: \"1 assumed, test\", "
                                "memory_gib: \"1 assumed, test\", tdp_w: \"100 assumed, test\"}\n";
    (void)ctx;
    (void)err;
    buf_addf(out, "%s", strstr(path, "chips") ? chips : net);
    return 0;
}

static void test_data(void **state)
{
    (void)state;
    struct problems problems;
    struct netfile *net = NULL;
    struct traits traits;
    struct err err = {0};
    problems_init(&problems);
    if (netfile_load_with(&net, "net.yaml", read_text, NULL, &problems) != 0)
        fail_msg("%s", problems.n ? problems.list[0].text : "it cannot be read");
    assert_int_equal(traits_read(&traits, "data=40:20GB", 7, &err), 0);
    assert_int_equal(traits_place(&traits, NULL, &err), ERR_INVALID);
    assert_int_equal(traits_place(&traits, net, &err), 0);
    assert_true(traits.data_bytes == UINT64_C(20000000000));
    assert_in_range(draw(&traits, net), 3800, 4200);
    assert_in_range(at[0], 2800, 3200); /* three quarters of the chips */
    assert_in_range(at[1], 850, 1150);
    assert_int_equal(at[2], 0);
    traits_free(&traits);
    assert_int_equal(traits_read(&traits, "data=100:500MB@c+a", 7, &err), 0);
    assert_int_equal(traits_place(&traits, net, &err), 0);
    assert_int_equal(draw(&traits, net), 10000);
    assert_in_range(at[0], 4700, 5300);
    assert_in_range(at[2], 4700, 5300);
    traits_free(&traits);
    static const char *const bad[] = {"data=1:1TB@a+d", "data=1:1TB@a+a", "data=1:1TB@a+", "data=1:1TB@+a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(traits_read(&traits, bad[i], 7, &err), 0);
        assert_int_equal(traits_place(&traits, net, &err), ERR_NOT_FOUND);
        traits_free(&traits);
    }
    netfile_free(net);
    problems_fini(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data),          cmocka_unit_test(test_duration),   cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_mistakes), cmocka_unit_test(test_word),       cmocka_unit_test(test_share),
        cmocka_unit_test(test_tied),          cmocka_unit_test(test_checkpoint), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests_name("traits", tests, NULL, NULL);
}
