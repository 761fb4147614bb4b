/* SPDX-License-Identifier: Apache-2.0 */
/* What a report is drawn with: axes, text, the record, self-supply. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/kinds.h"
#include "sim/chart.h"
#include "sim/marks.h"
#include "sim/record.h"
#include "sim/report.h"
#include "sim/supply.h"
#include "sim/watch.h"

#define DAY INT64_C(86400000)
#define HOUR INT64_C(3600000)
#define Y2026 INT64_C(1767225600000)

static void assert_near(double found, double expected, double by)
{
    if (!(fabs(found - expected) <= by))
        fail_msg("%g, expected %g", found, expected);
}

static char *said(struct buf *out)
{
    char *text = buf_take(out);
    assert_non_null(text);
    return text;
}

/* `parts` ends with NULL: all of them are in the text, or none is. */
static void expect_parts(const char *text, bool in, const char *const *parts)
{
    for (; *parts; parts++) {
        if ((strstr(text, *parts) != NULL) != in)
            fail_msg("%s: %s", in ? "is not there" : "is there", *parts);
    }
}

#define HAS(text, ...) expect_parts(text, true, (const char *const[]){__VA_ARGS__, NULL})
#define LACKS(text, ...) expect_parts(text, false, (const char *const[]){__VA_ARGS__, NULL})

/* ---- axes ---- */

static void expect_axis(double lo, double hi, unsigned ticks, double from, double to, double step)
{
    struct axis a = axis_round(lo, hi, ticks);
    assert_near(a.lo, from, 1e-9 * fabs(step));
    assert_near(a.hi, to, 1e-9 * fabs(step));
    assert_near(a.step, step, 1e-9 * fabs(step));
}

static void test_axis_is_round(void **state)
{
    (void)state;
    expect_axis(0, 115000, 5, 0, 125000, 25000);
    expect_axis(0, 100, 5, 0, 100, 20);
    expect_axis(0, 101, 5, 0, 125, 25);
    expect_axis(0, 0.034, 5, 0, 0.04, 0.01);
    expect_axis(-3, 7, 5, -4, 8, 2);
    expect_axis(0, 0, 5, 0, 1, 0.5);
    expect_axis(NAN, 1, 5, 0, 1, 0.5);
    expect_axis(0, INFINITY, 5, 0, 1, 0.5);
    expect_axis(7, 7, 5, 0, 8, 2);
    for (double hi = 1e-6; hi < 1e15;
         hi *= 1.37) { /* holds its values, ends at a tick, and is not half empty */
        struct axis a = axis_round(0, hi, 5);
        assert_true(a.hi >= hi * (1 - 1e-9) && a.hi - a.step <= hi);
        assert_near(fmod(a.hi / a.step + 1e-6, 1), 0, 1e-5);
        assert_true(a.hi / a.step < 6.5 && a.hi / a.step > 1.5);
    }
}

static void expect_label(double hi, double v, const char *text)
{
    char label[AXIS_TEXT_CAP];
    struct axis a = axis_round(0, hi, 5);
    axis_label(label, &a, v);
    assert_string_equal(label, text);
}

static void test_axis_labels(void **state)
{
    (void)state;
    expect_label(115000, 25000, "25k");
    expect_label(115000, 0, "0");
    expect_label(5000, 4000, "4,000");
    expect_label(12000, 7500, "7.5k");
    expect_label(12000, 0, "0");
    expect_label(1.2, 0.5, "0.50");
    expect_label(2, 0.5, "0.5");
    expect_label(2.3e6, 1e6, "1.0M");
    expect_label(4e10, 1e10, "10G");
    expect_label(0.03, 0.02, "0.02");
}

static void expect_ticks(int64_t from, int64_t to, bool calendar, const char *first, const char *last,
                         uint32_t n)
{
    struct axis_tick tick[AXIS_TICKS_MAX];
    uint32_t found = axis_time(Y2026, from, to, calendar, 6, tick);
    assert_int_equal(found, n);
    assert_string_equal(tick[0].text, first);
    assert_string_equal(tick[n - 1].text, last);
    for (uint32_t i = 0; i < n; i++)
        assert_true(tick[i].at >= (double)from && tick[i].at <= (double)to);
}

static void test_time_axis(void **state)
{
    (void)state;
    expect_ticks(Y2026, Y2026 + 30 * DAY, false, "day 0", "day 30", 4);
    expect_ticks(Y2026, Y2026 + 10 * HOUR, false, "0 h", "10 h", 6);
    expect_ticks(Y2026 + 150 * DAY, Y2026 + 180 * DAY, false, "day 150", "day 180", 4);
    expect_ticks(Y2026, Y2026 + 30 * DAY, true, "1 Jan", "31 Jan", 4);
    expect_ticks(Y2026, Y2026 + 1155 * DAY, true, "2026", "2029", 4);
    expect_ticks(Y2026, Y2026 + 300 * DAY, true, "2026", "Sep", 5);
    char text[AXIS_TEXT_CAP];
    axis_date_text(text, Y2026 + 789 * DAY);
    assert_string_equal(text, "29 Feb 2028");
}

static void test_spans(void **state)
{
    (void)state;
    static const struct {
        double s;
        const char *text;
    } cases[] = {{0, "0 s"},           {59.6, "60 s"},        {3600, "60 min"},
                 {7200, "2 h"},        {12000, "3 h 20 min"}, {259200, "3 days"},
                 {302400, "3.5 days"}, {2592000, "30 days"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[AXIS_TEXT_CAP];
        axis_span_text(text, cases[i].s);
        assert_string_equal(text, cases[i].text);
    }
    struct axis_tick tick[AXIS_TICKS_MAX];
    uint32_t n = axis_spans(4000, tick);
    assert_string_equal(tick[n - 1].text, "6 h");
    n = axis_spans(1e12, tick);
    assert_true(n > 5 && n <= AXIS_TICKS_MAX);
}

/* ---- text ---- */

static void test_escaping(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    chart_text(&out, "<b a=\"x\" b='y'>&\n\x01\x7f\xc3\xa9</b>");
    char *text = said(&out);
    assert_string_equal(text, "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;   \xc3\xa9&lt;/b&gt;");
    free(text);
    struct chart c;
    chart_open(&c, &out, "id", "</figcaption><script>", "<u>", "\"&\"");
    chart_legend_open(&c);
    chart_legend_entry(&c, 3, "<i>", "<j>");
    chart_legend_close(&c);
    chart_frame(&c);
    const double y[] = {1, 2};
    chart_y_axis(&c, axis_round(0, 2, 5), " <%>");
    chart_line(&c, 1, NULL, y, 2, "</svg><x>");
    chart_upright(&c, "drill", 0.5, "<1>", "<t>");
    chart_level(&c, 1, "<l>");
    chart_close(&c);
    text = said(&out);
    LACKS(text, "<script", "<x>", "<t>", "<l>", "<1>", "<j>", "<i>", "<u>");
    free(text);
}

static void expect_figure(double v, const char *expected)
{
    struct buf out;
    buf_init(&out, 64);
    chart_figure(&out, v);
    char *text = said(&out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_figures(void **state)
{
    (void)state;
    expect_figure(0, "0");
    expect_figure(0.1234, "0.123");
    expect_figure(9.999, "10.0");
    expect_figure(99.97, "100");
    expect_figure(999.7, "1,000");
    expect_figure(1234567.4, "1,234,567");
    expect_figure(-12.34, "\xe2\x88\x92"
                          "12.3");
}

/* ---- the record ---- */

static void test_record_joins(void **state)
{
    (void)state;
    struct record *rec = record_new(1000);
    assert_non_null(rec);
    uint32_t level = record_series(rec, "g", "level", "u", RECORD_LEVEL);
    uint32_t count = record_series(rec, "g", "count", "u", RECORD_COUNT);
    uint32_t least = record_series(rec, "g", "least", "u", RECORD_LEAST);
    assert_int_equal(record_series(rec, "g", "count", "u", RECORD_COUNT), count);
    double all = 0;
    for (uint32_t i = 0; i < 3 * RECORD_SAMPLES_MAX; i++) {
        assert_true(rec->next_ms == 1000 + (rec->n + 1) * rec->step_ms);
        record_set(rec, level, 7);
        record_add(rec, count, i);
        record_set(rec, least, i == 5 ? 0.25 : 1);
        record_set(rec, least, 2); /* a better one between two samples hides nothing */
        all += i;
        record_sample(rec);
    }
    assert_true(rec->n < RECORD_SAMPLES_MAX && rec->n >= RECORD_SAMPLES_MAX / 2);
    assert_int_equal(rec->step_ms, 32 * RECORD_STEP_MS);
    const struct record_series *s = record_find(rec, "g", "count");
    double sum = 0, low = 9;
    for (uint32_t i = 0; i < rec->n; i++) {
        sum += s->value[i];
        low = fmin(low, rec->series[least].value[i]);
        assert_near(rec->series[level].value[i], 7, 1e-12);
    }
    assert_near(sum, all, 1e-6); /* nothing is lost, nothing twice */
    assert_near(low, 0.25, 1e-12);
    assert_null(record_find(rec, "g", "none"));
    record_free(rec);
    assert_int_equal(record_series(NULL, "g", "n", "u", RECORD_LEVEL), RECORD_NONE);
    record_set(NULL, 0, 1);
    record_add(NULL, 0, 1);
}

static void test_drills_are_marked(void **state)
{
    (void)state;
    struct record *rec = record_new(0);
    struct drills drills;
    struct err err = {0};
    assert_int_equal(
        drills_read(&drills, "lose:vendor=x@3d,price*2@36h+1h,lose:site=b@90s,lose:site=a@2y", 1000, &err),
        0);
    marks_drills(rec, &drills);
    assert_int_equal(rec->nmarks, 4);
    assert_string_equal(rec->mark[1].text, "price*2");
    assert_string_equal(rec->mark[3].text, "lose:site=a");
    assert_true(rec->mark[0].at_ms == 1000 + 3 * DAY && rec->mark[1].at_ms == 1000 + 36 * HOUR);
    assert_true(rec->mark[2].at_ms == 91000 && rec->mark[3].at_ms == 1000 + 730 * DAY);
    assert_int_equal(marks_drill_at(rec, 1000 + 3 * DAY), 0);
    assert_int_equal(marks_drill_at(rec, 1000 + 4 * DAY), 0);
    assert_int_equal(marks_drill_at(rec, 1000 + 730 * DAY), 3);
    assert_int_equal(marks_drill_at(rec, 5), RECORD_NONE);
    record_free(rec);
    marks_drills(NULL, &drills);
}

static void test_distribution(void **state)
{
    (void)state;
    int64_t ms[1000];
    struct watch_cdf cdf;
    for (int i = 0; i < 1000; i++)
        ms[i] = i < 400 ? 0 : i * INT64_C(1000);
    watch_distribute(&cdf, ms, 1000);
    assert_int_equal(cdf.p50_ms, 500000);
    assert_int_equal(cdf.max_ms, 999000);
    assert_near(cdf.share[0], 0.4, 1e-9);
    assert_near(cdf.share[cdf.n - 1], 1, 1e-9);
    for (uint32_t i = 1; i < cdf.n; i++)
        assert_true(cdf.share[i] >= cdf.share[i - 1] && cdf.seconds[i] > cdf.seconds[i - 1]);
    watch_distribute(&cdf, ms, 0);
    assert_int_equal(cdf.n, 0);
}

/* ---- self-supply ---- */

static void tell(struct stock *f, struct event e)
{
    stock_event(f, &e);
}

static struct uuid id(uint8_t n)
{
    return (struct uuid){{n}};
}

static void set_up(struct stock *f)
{
    struct limits limits = {.sites = 4, .chips = 4, .pools = 4};
    assert_true(stock_init(f, &limits));
    tell(f, (struct event){.kind = EVENT_KIND_chip_add,
                           .u.chip_add = {.chip = "own", .vendor = "near", .origin = "CN", .gflops = 100}});
    tell(f, (struct event){.kind = EVENT_KIND_chip_add,
                           .u.chip_add = {.chip = "far", .vendor = "far", .origin = "US", .gflops = 400}});
    tell(f, (struct event){.kind = EVENT_KIND_site_add,
                           .u.site_add = {.site = id(1), .name = "a", .jurisdiction = "CN"}});
    tell(f, (struct event){
                .kind = EVENT_KIND_pool_add,
                .u.pool_add = {.pool = id(2), .site = id(1), .chip = "far", .nodes = 10, .node_chips = 8}});
}

static void test_supply_follows_what_is_in_service(void **state)
{
    (void)state;
    struct stock f;
    struct supply *s = calloc(1, sizeof *s);
    set_up(&f);
    assert_non_null(s);
    s->goal[0] = (struct supply_goal){.jurisdiction = "CN", .target = 700, .by_ms = 100};
    s->goal[1] = (struct supply_goal){.jurisdiction = "CN", .target = 700, .by_gflops = true, .by_ms = 100};
    s->ngoals = 2;
    supply_look(s, &f, 1);
    assert_near(supply_by_chips(&supply_of(s, "CN")->first), 0, 1e-12);
    tell(&f, (struct event){
                 .kind = EVENT_KIND_pool_add,
                 .u.pool_add = {.pool = id(3), .site = id(1), .chip = "own", .nodes = 25, .node_chips = 8}});
    supply_look(s, &f, 2); /* 200 of 280 chips; 20,000 of 52,000 gflops */
    assert_int_equal(s->goal[0].met_ms, 2);
    assert_int_equal(s->goal[0].met.own_chips, 200);
    assert_int_equal(s->goal[1].met_ms, 0);
    for (uint32_t n = 0; n < 10; n++)
        tell(&f, (struct event){.kind = EVENT_KIND_node_state,
                                .u.node_state = {
                                    .pool = id(2), .node = n, .state = n % 2 ? PLACE_LOST : PLACE_CORDONED}});
    assert_int_equal(stock_up(&f, 0), 0);
    supply_look(s, &f, 101);
    assert_int_equal(s->goal[1].met_ms, 101);
    assert_int_equal(s->goal[0].met_ms, 2); /* the first time counts */
    assert_near(supply_by_gflops(&supply_of(s, "CN")->now), 1, 1e-12);
    struct buf out;
    buf_init(&out, 1 << 16);
    supply_json(s, &out);
    char *text = said(&out);
    HAS(text, "\"met\":\"1970-01\",\"met_at\":\"1970-01-01T00:00:00.002Z\",\"in_time\":true",
        "\"met_at\":\"1970-01-01T00:00:00.101Z\",\"in_time\":false");
    free(text);
    tell(&f,
         (struct event){.kind = EVENT_KIND_site_state, .u.site_state = {.site = id(1), .state = PLACE_LOST}});
    supply_look(s, &f, 102);
    assert_int_equal(supply_of(s, "")->now.chips, 0);
    stock_fini(&f);
    free(s);
}

/* ---- the page ---- */

#define START INT64_C(1577836800000)

/* A page of the illustrative network over ten days, idle, with what `more` records in each hour. */
static char *page_with(void (*more)(struct record *rec, uint32_t hour))
{
    struct world_options wo = {.network = NETWORK_DATA "/network/illustrative.yaml", .start_ms = START};
    struct limits limits = {.chips = 0};
    struct world *world;
    struct err err;
    struct stock stock;
    struct event e;
    struct supply *supply = calloc(1, sizeof *supply);
    assert_int_equal(world_open(&world, &wo, &err), 0);
    world_limits(world, &limits);
    struct power *power = power_new(limits.sites, limits.chips, limits.pools);
    assert_true(power && supply && stock_init(&stock, &limits));
    for (uint32_t i = 0; world_setup(world, i, &e); i++) {
        e.at_ms = START;
        power_event(power, &e);
        stock_event(&stock, &e);
    }
    supply_look(supply, &stock, START);
    struct watch *watch = watch_new(START, &stock, power, supply, 0);
    assert_non_null(watch);
    struct drills drills;
    assert_int_equal(drills_read(&drills, "lose:site=<a>@5d", START, &err), 0);
    marks_drills(watch->rec, &drills);
    for (uint32_t hour = 1; hour <= 240; hour++) {
        if (more)
            more(watch->rec, hour);
        watch_until(watch, START + hour * HOUR, &(struct watch_counts){.waiting = 0});
    }
    struct sim_options o = {.network = wo.network, .policy = "busbar"};
    struct sim_result *r = calloc(1, sizeof *r);
    struct buf out;
    assert_non_null(r);
    r->plan = "off";
    r->start_ms = START;
    r->end_ms = START + 240 * HOUR;
    r->supply = *supply;
    buf_init(&out, REPORT_BYTES_MAX);
    report_page(&o, r, watch, world, &out);
    watch_free(watch);
    stock_fini(&stock);
    power_free(power);
    world_free(world);
    free(supply);
    free(r);
    return said(&out);
}

static void record_all(struct record *rec, uint32_t hour)
{
    record_set(rec, record_series(rec, RECORD_RESERVE, "coverage", "", RECORD_LEAST),
               hour == 100 ? 0.42 : 0.97);
    record_set(rec, record_series(rec, RECORD_RESERVE, "alarm", "", RECORD_LEVEL), hour / 24 == 4);
    for (uint32_t i = 0; i < 9; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "<a%u> - b", i);
        record_add(rec, record_series(rec, RECORD_CORRIDOR, name, "B", RECORD_COUNT),
                   1e9 * (i + 1) * (1 + sin(hour / 4.0)));
    }
    record_set(rec, record_series(rec, "weather", "wind", "m/s", RECORD_LEVEL), hour % 7);
    record_set(rec, record_series(rec, RECORD_SERVING, "replicas", "", RECORD_LEVEL), 3 + hour % 24 / 6);
    record_add(rec, record_series(rec, RECORD_SERVING, "requests", "requests", RECORD_COUNT), 500 + hour);
}

static void test_sections_come_with_their_series(void **state)
{
    (void)state;
    char *page = page_with(NULL);
    LACKS(page, "id=\"reserve\"", "reserve-section", "corridor-section", "serving-section", "more-section");
    HAS(page, "id=\"power-section\"", "lose:site=&lt;a&gt;", "</html>");
    free(page);
    page = page_with(record_all);
    HAS(page, "At its lowest 42.0 %; the alarm was on for 10.0 % of the time.", "reserve-section",
        "corridor-section", "&lt;a8&gt; - b", "&lt;a0&gt; - b</th><td>0.2", /* TB, of those with least */
        "serving-section", "requests an hour", "more-section", "weather</b><span class=\"unit\">m/s</span>");
    LACKS(page, "<a8>");
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axis_is_round),
        cmocka_unit_test(test_axis_labels),
        cmocka_unit_test(test_time_axis),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_record_joins),
        cmocka_unit_test(test_drills_are_marked),
        cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_supply_follows_what_is_in_service),
        cmocka_unit_test(test_sections_come_with_their_series),
    };
    return cmocka_run_group_tests_name("sim_report", tests, NULL, NULL);
}
