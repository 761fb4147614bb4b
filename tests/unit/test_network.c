/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as files: numbers and dates, every kind of mistake, what stands on what, hours of a year, events. */
#include "support.h"

#include "base/map.h"
#include "network/decimal.h"
#include "network/netfile.h"
#include "network/netmap.h"
#include "network/profile.h"
#include "network/summary.h"
#include "network/tree.h"

#define ILLUSTRATIVE NETWORK_DATA "/network/illustrative.yaml"
#define YEAR_2027 INT64_C(1798761600000)
#define DAY INT64_C(86400000)

static const char *const scenarios[] = {"xinjiang-40", "export-ban",  "spare-tire-2028", "gulf-cluster",
                                        "argentina",   "data-island", "weak-link"};

/* ---- files in memory ---- */

struct files {
    const char *path, *text;
};

#define CHIPS \
    "server_share: 1.5 assumed, test\nidle_share: 0.25 assumed, test\nchips:\n" \
    "  - {name: fast, vendor: far, origin: US, fp16_tflops: 100.5 vendor x, memory_gib: 80 vendor x, " \
    "tdp_w: 700 vendor x, " \
    "die_mm2: 800 vendor x, scale_up: 32 vendor x}\n" \
    "  - {name: slow, vendor: near, origin: CN, fp16_tflops: 10 vendor x, memory_gib: 16 vendor x, tdp_w: " \
    "100 vendor x}\n" \
    "  - {name: dark, vendor: near, origin: CN, fp16_tflops: 10 vendor x}\n"

#define SITE(name, more) \
    "  - {name: " name ", jurisdiction: CN, lat: 40, lon: 110, price_usd_mwh: 50, carbon_g_kwh: 500" more \
    "}\n"
#define BASE \
    "about: base\nchips: chips.yaml\nprices:\n  - {chip: fast, usd_chip_hour: 2}\n" \
    "  - {chip: slow, usd_chip_hour: 0.000000001}\nsites:\n" SITE( \
        "a", ", cap_mw: 1.5, pools: [{chip: fast, chips: 64}, {chip: slow, chips: 3}]") \
        SITE("b", ", pools: [{chip: slow, chips: 16}]") SITE( \
            "c", "") "corridors:\n  - {a: a, b: b, gbit_s: 100, rtt_ms: 2.5, usd_gb: 0.02, kwh_gb: 0.06}\n" \
                     "  - {a: b, b: c, gbit_s: 0.5, rtt_ms: 1}\n" \
                     "changes:\n  - {at: 2027-01-02, site: c, cap_mw: 3}\n" \
                     "  - {at: 2027-01-03, corridor: [c, b], state: lost}\n"

static int read_memory(void *ctx, const char *path, struct buf *out, struct err *err)
{
    for (const struct files *f = ctx; f->path; f++) {
        if (strcmp(f->path, path) == 0) {
            buf_add_text(out, f->text);
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "no file %s", path);
}

static struct netfile *load_text(const char *base, const char *text, struct problems *problems)
{
    struct files files[] = {
        {"d/net.yaml", text}, {"d/chips.yaml", CHIPS}, {"d/base.yaml", base}, {NULL, NULL}};
    struct netfile *nf;
    problems_init(problems);
    int rc = netfile_load_with(&nf, "d/net.yaml", read_memory, files, problems);
    assert_int_equal(rc == 0, nf != NULL);
    assert_int_equal(rc == 0, problems_none(problems));
    return nf;
}

static struct netfile *must_load(const char *base, const char *text)
{
    struct problems problems;
    struct netfile *nf = load_text(base, text, &problems);
    for (uint32_t i = 0; i < problems.n; i++)
        print_error("%s:%u: %s: %s\n", problems.list[i].file, problems.list[i].line, problems.list[i].path,
                    problems.list[i].text);
    assert_non_null(nf);
    problems_fini(&problems);
    return nf;
}

static struct netfile *load_disk(const char *path)
{
    struct problems problems;
    struct netfile *nf;
    problems_init(&problems);
    int rc = netfile_load(&nf, path, &problems);
    for (uint32_t i = 0; i < problems.n; i++)
        print_error("%s:%u: %s: %s\n", problems.list[i].file, problems.list[i].line, problems.list[i].path,
                    problems.list[i].text);
    assert_int_equal(rc, 0);
    problems_fini(&problems);
    return nf;
}

/* ---- numbers and dates ---- */

static void test_decimal(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned decimals;
        enum decimal_status status;
        int64_t v;
    } cases[] = {{"1", 0, DECIMAL_OK, 1},
                 {"1.5", 3, DECIMAL_OK, 1500},
                 {"-0.25", 2, DECIMAL_OK, -25},
                 {"+7", 1, DECIMAL_OK, 70},
                 {"0.10", 1, DECIMAL_OK, 1},
                 {"0.11", 1, DECIMAL_PRECISE, 0},
                 {"", 0, DECIMAL_NOT, 0},
                 {"-", 0, DECIMAL_NOT, 0},
                 {".5", 1, DECIMAL_NOT, 0},
                 {"5.", 1, DECIMAL_NOT, 0},
                 {"1e3", 3, DECIMAL_NOT, 0},
                 {"1.2.3", 3, DECIMAL_NOT, 0},
                 {"0x10", 0, DECIMAL_NOT, 0},
                 {"1,000", 0, DECIMAL_NOT, 0},
                 {"nan", 0, DECIMAL_NOT, 0},
                 {"9999999999999999999", 0, DECIMAL_LARGE, 0},
                 {"99999999999999", 9, DECIMAL_LARGE, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t v = 0;
        assert_int_equal(decimal_parse(cases[i].text, strlen(cases[i].text), cases[i].decimals, &v),
                         cases[i].status);
        if (cases[i].status == DECIMAL_OK)
            assert_int_equal(v, cases[i].v);
    }
    struct buf b;
    buf_init(&b, 200);
    decimal_add(&b, -1250, 3);
    buf_add_char(&b, ' ');
    decimal_add(&b, 1000, 3);
    buf_add_char(&b, ' ');
    decimal_add(&b, 5, 9);
    buf_add_char(&b, ' ');
    decimal_add(&b, INT64_MIN, 0);
    char *text = buf_take(&b);
    assert_string_equal(text, "-1.25 1 0.000000005 -9223372036854775808");
    free(text);
}

static void test_dates(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2027",
                                      "2027-13-01",
                                      "2027-02-29",
                                      "2027-00-01",
                                      "2027-01-01T00",
                                      "1969-12-31",
                                      "2027-01-01T24:00:00Z",
                                      "2027-1-1",
                                      "2027-01-01 ",
                                      "2200-01-01",
                                      "2027-01-01T00:00:00",
                                      "2027-01-01T00:00:00.5Z",
                                      "2027-01-01T00:00:00.Z",
                                      "2027-01-01T00:00:00.1234Z",
                                      "2027-01-01T00:00:00.123"};
    static const char *const good[] = {"1970-01-01T00:00:00Z", "2028-02-29T23:59:59Z", "2000-03-01T12:00:00Z",
                                       "2100-02-28T00:00:00Z", "2199-12-31T00:00:00Z"};
    int64_t ms;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(date_parse(bad[i], strlen(bad[i]), &ms));
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct buf b;
        assert_true(date_parse(good[i], strlen(good[i]), &ms));
        buf_init(&b, 100);
        date_add(&b, ms);
        char *text = buf_take(&b);
        assert_string_equal(text, good[i]);
        free(text);
    }
    assert_true(date_parse("2027-01-01T00:00:00.250Z", 24, &ms));
    assert_int_equal(ms, YEAR_2027 + 250);
    assert_true(date_parse("2027-01-01", 10, &ms));
    assert_int_equal(ms, YEAR_2027);
    assert_int_equal(hour_of_year(ms), 0);
    assert_int_equal(hour_of_year(ms + 25 * HOUR_MS + 5), 25);
    assert_int_equal(hour_of_year(ms - 1), 8759);
    assert_true(date_parse("2028-12-31T05:00:00Z", 20, &ms)); /* day 366 counts as 365 */
    assert_int_equal(hour_of_year(ms), 364 * 24 + 5);
    assert_int_equal(hour_of_year(-1), 0);
    (void)hour_of_year(INT64_MAX);
}

/* ---- mistakes ---- */

static const struct mistake {
    const char *text;   /* after "chips: chips.yaml\n", or the whole when it begins with '!' */
    const char *expect; /* line, path and part of the words */
} mistakes[] = {
    {"!", "0::it is empty"},
    {"!a: [", "2::this is not YAML"},
    {"!- a", "1::expected a mapping"},
    {"!chips: chips.yaml\n---\nb: 1\n", "2::a second document"},
    {"!chips: &x chips.yaml\nabout: *x\n", "1::aliases"},
    {"!chips: !!binary chips.yaml\nabout: !mine x\n", "2::tags"},
    {"!about: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", "1::nested more than"},
    {"!sites: []\n", "0:chips:is missing"},
    {"!chips: none.yaml\nsites: []\n", "1:chips:no file d/none.yaml"},
    {"sites: []\n", "0:sites:there are none"},
    {"nonsense: 1\n", "2:nonsense:no such key; there are about, base"},
    {"about: a\nabout: b\n", "3:about:is there twice"},
    {"about: {a: b}\n", "2:about:expected a single value"},
    {"about: \"a\\nb\"\n", "2:about:expected one line"},
    {"sites: 5\n", "2:sites:expected a list"},
    {"sites: [5]\n", "2:sites[0]:expected a mapping"},
    {"sites: [{}]\n", "2:sites[0].name:is missing"},
    {"sites: [{name: x}]\n", "2:sites[0].jurisdiction:is missing"},
    {"sites: [{name: x}]\n", "2:sites[0].lat:is missing"},
    {"sites: [{name: x}]\n", "2:sites[0].price_usd_mwh:is missing"},
    {"sites: [{name: X}]\n", "2:sites[0].name:not a name"},
    {"sites: [{name: x, jurisdiction: cn}]\n", "2:sites[0].jurisdiction:not a code"},
    {"sites: [{name: x, lat: 91}]\n", "2:sites[0].lat:must be from -90 to 90"},
    {"sites: [{name: x, lat: north}]\n", "2:sites[0].lat:expected a number, got north"},
    {"sites: [{name: x, lat: 1.1234567}]\n", "2:sites[0].lat:more than 6 decimals"},
    {"sites: [{name: x, lat: 1 guessed}]\n", "2:sites[0].lat:what follows the number"},
    {"sites: [{name: x, pue: 0.9}]\n", "2:sites[0].pue:must be from 1 to 5"},
    {"sites: [{name: x, pue: [1]}]\n", "2:sites[0].pue:expected a single value"},
    {"sites: [{name: x, [a]: 1}]\n", "2:sites[0]:expected a single value"},
    {"sites:\n" SITE("x", "") SITE("x", ""), "4:sites[1].name:is in this file already"},
    {"sites:\n" SITE("x", ", pools: {}"), "3:sites[0].pools:expected a list"},
    {"sites:\n" SITE("x", ", pools: [{chip: fast}]"), "3:sites[0].pools[0].chips:is missing"},
    {"sites:\n" SITE("x", ", pools: [{chip: fast, chips: 8}]"),
     "3:sites[0].pools[0].usd_chip_hour:is missing"},
    {"sites:\n" SITE("x", ", pools: [{chip: nothing, chips: 8, usd_chip_hour: 1}]"),
     "3:sites[0].pools[0].chip:no such chip: nothing"},
    {"sites:\n" SITE("x", ", pools: [{chip: dark, chips: 8, usd_chip_hour: 1}]"),
     "3:sites[0].pools[0].chip:dark has no tdp_w"},
    {"sites:\n" SITE("x", ", pools: [{chip: fast, chips: 12, usd_chip_hour: 1}]"),
     "3:sites[0].pools[0].chips:12 is not a multiple of node_chips, 8"},
    {"sites:\n" SITE("x", ", pools: [{chip: fast, chips: 65536, node_chips: 1, usd_chip_hour: 1}]"),
     "3:sites[0].pools[0].chips:more than 4096 nodes"},
    {"sites:\n" SITE("x", ", pools: [{chip: fast, chips: 17, node_chips: 17}]"),
     "3:sites[0].pools[0].node_chips:must be from 1 to 16"},
    {"sites:\n" SITE(
         "x",
         ", pools: [{chip: fast, chips: 8, usd_chip_hour: 1}, {chip: fast, chips: 8, usd_chip_hour: 1}]"),
     "3:sites[0].pools[1].name:x has a pool fast already"},
    {"sites:\n" SITE("x", "") "corridors: [{a: x, b: y, gbit_s: 1, rtt_ms: 1}]\n",
     "4:corridors[0].b:no such site: y"},
    {"sites:\n" SITE("x", "") "corridors: [{a: x, b: x, gbit_s: 1, rtt_ms: 1}]\n",
     "4:corridors[0]:both ends"},
    {"sites:\n" SITE("x", "") SITE("y", "") "corridors: [{a: x, b: y}]\n",
     "5:corridors[0].rtt_ms:is missing"},
    {"sites:\n" SITE("x", "") SITE("y", "") "corridors: [{a: x, b: y, gbit_s: 0, rtt_ms: 1}]\n",
     "5:corridors[0].gbit_s:must be from 0.001"},
    {"sites:\n" SITE("x", "")
         SITE("y", "") "corridors: [{a: x, b: y, gbit_s: 1, rtt_ms: 1, lawful: maybe}]\n",
     "5:corridors[0].lawful:must be one of allow, deny"},
    {"sites:\n" SITE("x", "") SITE(
         "y", "") "corridors: [{a: x, b: y, gbit_s: 1, rtt_ms: 1}, {a: y, b: x, gbit_s: 1, rtt_ms: 1}]\n",
     "5:corridors[1]:a corridor between these sites is in this file already"},
    {"prices: [{chip: nothing, usd_chip_hour: 1}]\nsites:\n" SITE("x", ""),
     "2:prices[0].chip:no such chip: nothing"},
    {"prices: [{chip: fast, usd_chip_hour: 1}, {chip: fast, usd_chip_hour: 2}]\n",
     "2:prices[1].chip:has a price in this file already"},
    {"drop_sites: [x]\n", "1::need a base"},
    {"base: none.yaml\n", "2:base:no file d/none.yaml"},
    {"base: net.yaml\n", "2:base:more than 4 files"},
    {"base: base.yaml\nkeep_sites: [a, z]\n", "3:keep_sites[1]:no such site: z"},
    {"base: base.yaml\ndrop_corridors: [[a, c]]\n", "3:drop_corridors[0]:no such corridor"},
    {"sites:\n" SITE("x", "") "changes: [{site: x, cap_mw: 1}]\n", "4:changes[0].at:is missing"},
    {"sites:\n" SITE("x", "") "changes: [{at: soon, site: x, cap_mw: 1}]\n",
     "4:changes[0].at:expected a date"},
    {"changes: [{at: 2027-01-01, cap_mw: 1}]\n", "2:changes[0]:expected one of site, corridor, chips_of"},
    {"sites:\n" SITE("x", "") "changes: [{at: 2027-01-01, site: x}]\n",
     "4:changes[0]:says nothing that happens"},
    {"sites:\n" SITE("x", "") "changes: [{at: 2027-01-01, site: y, cap_mw: 1}]\n",
     "4:changes[0].site:no such site: y"},
    {"sites:\n" SITE("x", "") "changes: [{at: 2027-01-01, site: x, cap_mw: 1, gbit_s: 1}]\n",
     "4:changes[0].gbit_s:does not go with site"},
    {"sites:\n" SITE("x", "") "changes: [{at: 2027-01-01, site: x, state: gone}]\n",
     "4:changes[0].state:must be one of up, cordoned, lost"},
    {"sites:\n" SITE("x", "") SITE("y", "") "changes: [{at: 2027-01-01, corridor: [x, y], state: up}]\n",
     "5:changes[0].corridor:no corridor between x and y"},
    {"sites:\n" SITE("x", "") "changes: [{at: 2027-01-01, corridor: x, state: up}]\n",
     "4:changes[0].corridor:expected a list"},
    {"sites:\n" SITE("x", "") "changes: [{at: 2027-01-01, chips_of: nobody, state: lost}]\n",
     "4:changes[0].chips_of:no chips of nobody are there"},
    {"sites:\n" SITE("x", "") "changes: [{at: 2027-01-01, site: x, add_pool: {chip: fast, chips: 8}}]\n",
     "4:changes[0].add_pool.usd_chip_hour:is missing"},
    {"sites:\n" SITE("x", ", signals: x.csv"), "3:sites[0].signals:no file d/x.csv"},
    {"base: base.yaml\nself_supply: {jurisdiction: CN}\n", "3:self_supply:expected a list"},
    {"base: base.yaml\nself_supply:\n  - {jurisdiction: CN, target: 0.7}\n",
     "4:self_supply[0].by:is missing"},
    {"base: base.yaml\nself_supply:\n  - {jurisdiction: CN, by: 2028-12-31}\n",
     "4:self_supply[0].target:is missing"},
    {"base: base.yaml\nself_supply:\n  - {jurisdiction: CN, target: 70, by: 2028-12-31}\n",
     "4:self_supply[0].target:must be from 0.001 to 1"},
    {"base: base.yaml\nself_supply:\n  - {jurisdiction: FR, target: 0.7, by: 2028-12-31}\n",
     "4:self_supply[0].jurisdiction:no site is in FR"},
    {"base: base.yaml\nself_supply:\n  - {jurisdiction: CN, target: 0.7, by: soon}\n",
     "4:self_supply[0].by:expected a date"},
    {"base: base.yaml\nself_supply:\n  - {target: 0.7, by: 2028-12-31, measure: kilos}\n",
     "4:self_supply[0].measure:must be one of chips, gflops"},
    {"base: base.yaml\nself_supply:\n  - {target: 0.7, by: 2028-12-31}\n  - {target: 0.8, by: 2029-12-31}\n",
     "5:self_supply[1].jurisdiction:has a target in this file already"},
    {"base: base.yaml\nsimulate: {from: 2027-01-01, until: 2027-01-01}\n",
     "3:simulate.until:must be after from"},
    {"base: base.yaml\nsimulate: {from: 2027-01-01}\n", "3:simulate.until:is missing"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        char text[2048], found[700];
        struct problems problems;
        bool whole = mistakes[i].text[0] == '!', told = false;
        (void)snprintf(text, sizeof text, "%s%s", whole ? "" : "chips: chips.yaml\n",
                       mistakes[i].text + whole);
        struct netfile *nf = load_text(BASE, text, &problems);
        assert_null(nf);
        const char *colon = strchr(strchr(mistakes[i].expect, ':') + 1, ':');
        size_t head = (size_t)(colon - mistakes[i].expect) + 1;
        for (uint32_t k = 0; k < problems.n; k++) {
            (void)snprintf(found, sizeof found, "%u:%s:%s", problems.list[k].line, problems.list[k].path,
                           problems.list[k].text);
            told = told || (strncmp(found, mistakes[i].expect, head) == 0 && strstr(found + head, colon + 1));
        }
        if (!told)
            fail_msg("%s: not told: %s; instead of it %s", text, mistakes[i].expect,
                     problems.n ? found : "nothing");
        problems_fini(&problems);
    }
}

/* Twelve mistakes in one file are twelve problems, in the order of the file where that is how they are read. */
static void test_all_at_once(void **state)
{
    (void)state;
    struct problems problems;
    char text[PROBLEM_TEXT_CAP];
    assert_null(
        load_text("",
                  "chips: chips.yaml\nwhat: 1\nsites:\n  - name: x\n    lat: 100\n    lon: x\n    pue: 0\n"
                  "    pools:\n      - {chip: no, chips: 8}\n      - {chips: -1}\n",
                  &problems));
    assert_in_range(problems.n, 9, 16);
    problem_format(text, &problems.list[0]);
    assert_non_null(strstr(text, "d/net.yaml:2: what: no such key"));
    for (uint32_t i = 1; i < problems.n; i++)
        assert_true(problems.list[i - 1].line <= problems.list[i].line);
    problems_fini(&problems);
    /* More than are kept are counted. */
    struct buf many;
    buf_init(&many, 100000);
    for (int i = 0; i < 500; i++)
        buf_addf(&many, "k%d: 1\n", i);
    char *list = buf_take(&many);
    assert_null(load_text("", list, &problems));
    assert_int_equal(problems.n, PROBLEMS_MAX);
    assert_in_range(problems.dropped, 400, 410);
    problems_fini(&problems);
    free(list);
}

static void test_limits(void **state)
{
    (void)state;
    struct problems problems;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_text(&b, "chips: chips.yaml\nsites:\n");
    for (unsigned i = 0; i <= NET_SITES_MAX; i++)
        buf_addf(&b, "  - {name: s%u}\n", i);
    char *text = buf_take(&b);
    assert_null(load_text("", text, &problems));
    assert_non_null(strstr(problems.list[0].text, "more than 256 entries"));
    problems_fini(&problems);
    free(text);
    size_t len = TREE_BYTES_MAX + 2;
    char *large = malloc(len);
    assert_non_null(large);
    memset(large, '#', len);
    large[len - 1] = 0;
    assert_null(load_text("", large, &problems));
    assert_false(problems_none(&problems));
    problems_fini(&problems);
    free(large);
    struct netfile *nf;
    problems_init(&problems);
    assert_int_equal(netfile_load(&nf, "/nothing/here.yaml", &problems), ERR_NOT_FOUND);
    assert_int_equal(problems.n, 1);
    problems_fini(&problems);
}

/* ---- files on files ---- */

static const struct net_site *site_named(const struct netfile *nf, const char *name)
{
    for (uint32_t i = 0; i < netfile_sites(nf); i++) {
        if (strcmp(netfile_site(nf, i)->name, name) == 0)
            return netfile_site(nf, i);
    }
    return NULL;
}

static void test_base(void **state)
{
    (void)state;
    struct netfile *nf = must_load("", BASE);
    const struct net_site *a = site_named(nf, "a");
    assert_int_equal(netfile_sites(nf), 3);
    assert_int_equal(a->chips, 67);
    assert_int_equal(a->it_watts, 64 * 1050 + 3 * 150);
    assert_int_equal(netfile_pool(nf, 0)->domain.v, 4);     /* 32 chips of a scale-up network in nodes of 8 */
    assert_int_equal(netfile_pool(nf, 1)->node_chips.v, 3); /* fewer than a node */
    netfile_free(nf);
    nf = must_load(
        BASE,
        "base: base.yaml\nabout: over\ndrop_sites: [c]\nprices: [{chip: slow, usd_chip_hour: 1}]\nsites:\n"
        "  - {name: a, price_usd_mwh: 70 assumed, add_pools: [{name: more, chip: slow, chips: 8}]}\n"
        "  - {name: b, pools: [{chip: fast, chips: 8, usd_chip_hour: 3}]}\n" SITE(
            "d", "") "corridors:\n  - {a: b, b: a, gbit_s: 7}\n  - {a: d, b: a, gbit_s: 1, rtt_ms: 9}\n");
    a = site_named(nf, "a");
    assert_string_equal(netfile_about(nf), "over");
    assert_int_equal(netfile_sites(nf), 3);
    assert_null(site_named(nf, "c"));
    assert_int_equal(a->pools, 3);
    assert_int_equal(a->price_usd_mwh.v, 70000000);
    assert_int_equal(a->price_usd_mwh.tier, TIER_ASSUMED);
    assert_int_equal(a->carbon_g_kwh.v, 500000); /* as in the base */
    assert_int_equal(netfile_pool(nf, a->pool + 1)->usd_chip_hour.v, 1000000000);
    assert_int_equal(site_named(nf, "b")->chips, 8);
    assert_int_equal(netfile_corridors(nf), 2);
    assert_int_equal(netfile_corridor(nf, 0)->gbit_s.v, 7000);
    assert_int_equal(netfile_corridor(nf, 0)->rtt_ms.v, 2500);
    uint32_t pos = 0;
    int64_t at;
    struct event e;
    assert_false(netfile_dated(nf, &pos, &at, &e)); /* both changes were of what is gone */
    netfile_free(nf);
    nf = must_load(BASE, "base: base.yaml\nkeep_sites: [b, c]\n");
    assert_int_equal(netfile_sites(nf), 2);
    assert_int_equal(netfile_corridors(nf), 1);
    assert_true(netfile_dated(nf, &pos, &at, &e));
    netfile_free(nf);
    nf = must_load(BASE, "base: base.yaml\ndrop_corridors: [[c, b]]\n");
    assert_int_equal(netfile_corridors(nf), 1);
    netfile_free(nf);
}

/* ---- dated changes ---- */

static void test_changes(void **state)
{
    (void)state;
    struct netfile *nf = must_load(
        BASE, "base: base.yaml\nchanges:\n"
              "  - {at: 2027-01-04, corridor: [b, c], gbit_s: 2}\n"
              "  - {at: 2027-01-01, site: a, cap_mw: 0, price_usd_mwh: 100, carbon_g_kwh: 250}\n"
              "  - {at: 2027-01-05, site: b, state: cordoned, add_pool: {chip: fast, chips: 16}}\n"
              "  - {at: 2027-02-01, chips_of: near, jurisdiction: CN, state: lost, over_days: 3}\n");
    static const uint32_t kinds[] = {
        EVENT_KIND_site_cap,       EVENT_KIND_site_signal, EVENT_KIND_site_cap,   EVENT_KIND_corridor_state,
        EVENT_KIND_corridor_state, EVENT_KIND_pool_add,    EVENT_KIND_site_state, EVENT_KIND_node_state,
        EVENT_KIND_node_state,     EVENT_KIND_node_state};
    uint32_t pos = 0, n = 0;
    int64_t at, before = 0;
    struct event e;
    while (netfile_dated(nf, &pos, &at, &e)) {
        assert_in_range(n, 0, 9);
        assert_int_equal(e.kind, kinds[n]);
        assert_int_equal(e.at_ms, at);
        assert_true(at >= before);
        before = at;
        if (n == 0)
            assert_int_equal(e.u.site_cap.watts, 0);
        if (n == 3) { /* lost, as wide as before */
            assert_int_equal(e.u.corridor_state.state, PLACE_LOST);
            assert_int_equal(e.u.corridor_state.bits_s, 500000000);
        }
        if (n == 4) { /* wider, still lost */
            assert_int_equal(e.u.corridor_state.state, PLACE_LOST);
            assert_int_equal(e.u.corridor_state.bits_s, 2000000000);
        }
        n++;
    }
    assert_int_equal(n, 10);
    assert_int_equal(at, YEAR_2027 + 31 * DAY + 2 * DAY); /* the third of three nodes, in equal steps */
    struct event_site_signal s0, s1;
    netfile_signal(nf, 0, YEAR_2027 - 365 * DAY, &s0);
    netfile_signal(nf, 0, YEAR_2027, &s1);
    assert_in_range(s1.price, 2 * s0.price * 999 / 1000,
                    2 * s0.price * 1001 / 1000); /* twice, the shape kept */
    assert_in_range(2 * s1.carbon, s0.carbon * 999 / 1000, s0.carbon * 1001 / 1000);
    assert_int_equal(site_named(nf, "b")->chips, 16); /* what is delivered later is not in it */
    netfile_free(nf);
}

/* ---- hours of a year ---- */

/* Within 1 %, and where that is less than a unit of what is kept, within one. */
static void assert_sums(const int64_t sum[4], const int64_t mean[4])
{
    for (int i = 0; i < 4; i++) {
        int64_t error = sum[i] - mean[i] * HOURS_OF_YEAR;
        int64_t allowed = mean[i] * HOURS_OF_YEAR / 100;
        if ((error < 0 ? -error : error) > (i == 3 && mean[i] < 10 ? (int64_t)HOURS_OF_YEAR : allowed))
            fail_msg("mean %d is %.3f, not %lld", i, (double)sum[i] / HOURS_OF_YEAR, (long long)mean[i]);
    }
}

static void assert_means(const struct profile *p, int64_t price, int64_t carbon, int64_t pue,
                         int64_t renewable)
{
    int64_t sum[4] = {0};
    for (uint32_t h = 0; h < HOURS_OF_YEAR; h++) {
        const struct profile_hour *v = &p->hour[h];
        assert_true(v->price >= 0 && v->pue >= 1000 && v->pue <= 5000 && v->renewable <= 1000);
        sum[0] += v->price;
        sum[1] += v->carbon;
        sum[2] += v->pue;
        sum[3] += v->renewable;
    }
    const int64_t mean[4] = {price, carbon, pue, renewable};
    assert_sums(sum, mean);
}

static void test_profile_means(void **state)
{
    (void)state;
    static const int32_t lats[] = {-90, -54, -38, -23, 0, 24, 40, 52, 68, 90};
    static const uint32_t shares[] = {0, 1, 70, 320, 600, 850, 990, 999, 1000};
    for (size_t i = 0; i < sizeof lats / sizeof lats[0]; i++) {
        for (size_t k = 0; k < sizeof shares / sizeof shares[0]; k++) {
            struct profile_mean m = {.lat = lats[i] * INT64_C(1000000),
                                     .lon = (lats[i] * 2 % 180) * INT64_C(1000000),
                                     .price = 63000000,
                                     .carbon = 400000,
                                     .pue = 1150,
                                     .renewable = shares[k],
                                     .solar = k % 3 == 0 ? 1000 : 0,
                                     .wind = k % 2 ? 300 : 0,
                                     .hydro = 100,
                                     .seed = i * 10 + k};
            struct profile *p = profile_new(&m);
            assert_non_null(p);
            assert_means(p, m.price, m.carbon, m.pue, m.renewable);
            free(p);
        }
    }
}

static int64_t mean_at(const struct profile *p, uint32_t from_day, uint32_t days, uint32_t hour,
                       bool renewable)
{
    int64_t sum = 0;
    for (uint32_t d = from_day; d < from_day + days; d++) {
        const struct profile_hour *h = &p->hour[d % 365 * 24 + hour];
        sum += renewable ? h->renewable : h->price;
    }
    return sum / days;
}

/* Sun at noon, more of it in summer, and summer in January in the south; dearer evenings; heat costs, cold does not. */
static void test_profile_shapes(void **state)
{
    (void)state;
    for (int south = 0; south < 2; south++) {
        struct profile_mean m = {.lat = south ? -40000000 : 40000000,
                                 .lon = 0,
                                 .price = 60000000,
                                 .carbon = 400000,
                                 .pue = 1200,
                                 .renewable = 300,
                                 .solar = 1};
        struct profile *p = profile_new(&m);
        assert_non_null(p);
        uint32_t summer = south ? 350 : 170, winter = south ? 170 : 350;
        assert_true(mean_at(p, 0, 365, 12, true) > 2 * mean_at(p, 0, 365, 4, true));
        assert_true(mean_at(p, summer, 30, 12, true) > mean_at(p, winter, 30, 12, true));
        assert_true(mean_at(p, 0, 365, 12, false) < mean_at(p, 0, 365, 19, false));
        assert_true(p->hour[summer * 24 + 15].pue > p->hour[winter * 24 + 3].pue);
        m.lat = south ? -68000000 : 68000000;
        m.pue = 0;
        struct profile *cold = profile_new(&m);
        m.lat = south ? -5000000 : 5000000;
        struct profile *hot = profile_new(&m);
        assert_non_null(cold);
        assert_non_null(hot);
        assert_true(hot->hour[4000].pue > cold->hour[4000].pue + 30);
        free(p);
        free(cold);
        free(hot);
    }
}

#define CSV_ROW "0,10,500\n1,-20.5,600\n"

static void test_signals(void **state)
{
    (void)state;
    char csv[4096] = "hour,price_usd_mwh,carbon_g_kwh\n";
    for (unsigned h = 0; h < 48; h++)
        (void)snprintf(csv + strlen(csv), sizeof csv - strlen(csv), "%u,%d.5,%u\r\n", h, (int)h - 10,
                       100 + h);
    struct files files[] = {{"net.yaml",
                             "chips: chips.yaml\nsites:\n  - {name: a, jurisdiction: CN, lat: 1, lon: 2, "
                             "signals: a.csv}\n"},
                            {"chips.yaml", CHIPS},
                            {"a.csv", csv},
                            {NULL, NULL}};
    struct problems problems;
    struct netfile *nf;
    struct event_site_signal s;
    problems_init(&problems);
    assert_int_equal(netfile_load_with(&nf, "net.yaml", read_memory, files, &problems), 0);
    netfile_signal(nf, 0, YEAR_2027 + HOUR_MS, &s);
    assert_int_equal(s.price, -9500000);
    assert_int_equal(s.carbon, 101000);
    netfile_signal(nf, 0, YEAR_2027 + 49 * HOUR_MS + 1, &s); /* two days, repeated */
    assert_int_equal(s.price, -9500000);
    netfile_free(nf);
    static const struct {
        const char *text, *words;
    } bad[] = {{"", "fewer than 24 hours"},
               {"hour\n", "the header must be"},
               {"price_usd_mwh,hour\n", "the header must be"},
               {"hour,price_usd_mwh,price_usd_mwh\n", "the header must be"},
               {"hour,carbon_g_kwh\n0\n", "expected 2 values"},
               {"hour,carbon_g_kwh\n0,1,2\n", "expected 2 values"},
               {"hour,carbon_g_kwh\n1,1\n", "expected 0"},
               {"hour,carbon_g_kwh\n0,\n", "not a number"},
               {"hour,carbon_g_kwh\n0,-1\n", "not a number"},
               {"hour,price_usd_mwh,carbon_g_kwh\n" CSV_ROW, "fewer than 24 hours"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bool told = false;
        files[2].text = bad[i].text;
        assert_int_equal(netfile_load_with(&nf, "net.yaml", read_memory, files, &problems), ERR_INVALID);
        for (uint32_t k = 0; k < problems.n; k++)
            told = told || strstr(problems.list[k].text, bad[i].words);
        if (!told)
            fail_msg("%s: not told: %s", bad[i].text, bad[i].words);
        problems_fini(&problems);
    }
    files[2].text = csv; /* a figure comes from one place only */
    files[0].text = "chips: chips.yaml\nsites:\n" SITE("a", ", signals: a.csv");
    assert_int_equal(netfile_load_with(&nf, "net.yaml", read_memory, files, &problems), ERR_INVALID);
    assert_int_equal(problems.n, 2);
    problems_fini(&problems);
}

/* ---- the files that come with busbar ---- */

static void test_illustrative(void **state)
{
    (void)state;
    struct netfile *nf = load_disk(ILLUSTRATIVE);
    struct net_summary *s = malloc(sizeof *s);
    assert_non_null(s);
    net_summary(nf, s);
    assert_int_equal(s->sites, 40);
    assert_int_equal(s->chips, 115000);
    assert_int_equal(s->corridors, 73);
    assert_int_equal(s->islands, 1);
    assert_int_equal(s->bridge, NET_NONE); /* every site has two corridors at least */
    assert_in_range(s->facility_watts, 127000000, 127400000);
    assert_string_equal(s->jurisdiction[0].name, "CN");
    assert_int_equal(s->jurisdiction[0].chips, 66000);
    assert_int_equal(s->jurisdiction[0].own_chips, 54400);
    assert_string_equal(netfile_site(nf, s->largest_site)->name, "us-abilene");
    assert_string_equal(s->vendor[s->largest_vendor].name, "nvidia");
    assert_int_equal(s->vendor[s->largest_vendor].chips, 48100);
    for (uint32_t i = 0; i < netfile_sites(nf); i++) {
        const struct net_site *site = netfile_site(nf, i);
        struct event_site_signal signal;
        int64_t sum[4] = {0};
        const int64_t mean[4] = {site->price_usd_mwh.v, site->carbon_g_kwh.v, site->pue.v, site->renewable.v};
        for (uint32_t h = 0; h < HOURS_OF_YEAR; h++) {
            netfile_signal(nf, i, YEAR_2027 + h * HOUR_MS, &signal);
            sum[0] += signal.price;
            sum[1] += (int64_t)signal.carbon;
            sum[2] += signal.pue;
            sum[3] += signal.renewable;
        }
        assert_sums(sum, mean);
    }
    free(s);
    netfile_free(nf);
}

static uint64_t digest_events(const struct netfile *nf, int64_t at_ms)
{
    uint64_t digest = 0;
    struct event e;
    for (uint32_t i = 0; i < netfile_events(nf, at_ms); i++) {
        netfile_event(nf, i, at_ms, &e);
        digest = map_hash(digest, &e, sizeof e);
    }
    uint32_t pos = 0;
    int64_t at;
    while (netfile_dated(nf, &pos, &at, &e))
        digest = map_hash(digest, &e, sizeof e);
    return digest;
}

/* Two loads give the same bytes; ids come from names alone. */
static void test_same_again(void **state)
{
    (void)state;
    struct netfile *one = load_disk(ILLUSTRATIVE), *two = load_disk(ILLUSTRATIVE);
    char id[UUID_TEXT_LEN + 1];
    assert_int_equal(digest_events(one, YEAR_2027), digest_events(two, YEAR_2027));
    assert_int_not_equal(digest_events(one, YEAR_2027), digest_events(one, YEAR_2027 + HOUR_MS));
    struct uuid known = net_uuid("site", "cn-guian");
    assert_true(uuid_eq(&site_named(one, "cn-guian")->uuid, &known));
    uuid_format(id, &known);
    assert_string_equal(id, "9ca85e9b-5e6c-81c4-8a42-0afcf5bd1498");
    netfile_free(one);
    netfile_free(two);
}

/* Every event of every file is one that core takes. */
static void feed(const char *path)
{
    struct netfile *nf = load_disk(path);
    struct limits limits = small_limits();
    limits.sites = 64;
    limits.chips = 64;
    limits.pools = 512;
    limits.nodes = 65536;
    limits.corridors = 256;
    struct world *w = world_new(&limits);
    struct event e;
    assert_int_equal(do_boot(w, 1), 0);
    w->now = YEAR_2027 - 365 * DAY;
    uint32_t n = netfile_events(nf, w->now), pos = 0;
    assert_true(n > 200);
    for (uint32_t i = 0; i < n; i++) {
        netfile_event(nf, i, w->now, &e);
        int rc = world_step(w, &e);
        if (rc != 0)
            fail_msg("%s: event %u of kind %u: %s", path, i, e.kind, err_text(rc));
    }
    int64_t at;
    while (netfile_dated(nf, &pos, &at, &e)) {
        w->now = at;
        int rc = world_step(w, &e);
        if (rc != 0)
            fail_msg("%s: dated event %u of kind %u: %s", path, pos, e.kind, err_text(rc));
    }
    world_free(w);
    netfile_free(nf);
}

static void test_core_takes_them(void **state)
{
    (void)state;
    feed(ILLUSTRATIVE);
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/scenarios/%s.yaml", NETWORK_DATA, scenarios[i]);
        feed(path);
    }
}

/* Targets of a base hold until a file on it says otherwise, or drops the sites that they are about. */
static void test_goals(void **state)
{
    (void)state;
    int64_t from, until;
    struct netfile *nf = must_load("", BASE);
    assert_int_equal(netfile_goals(nf), 0);
    assert_false(netfile_period(nf, &from, &until));
    netfile_free(nf);
    const char *base = BASE "self_supply:\n  - {jurisdiction: CN, target: 0.7, by: 2028-12-31}\n"
                            "  - {target: 0.255, by: 2027-01-01, measure: gflops}\n"
                            "simulate: {from: 2027-01-01, until: 2027-01-02}\n";
    nf = must_load(base,
                   "base: base.yaml\nself_supply:\n  - {jurisdiction: CN, target: 0.8, by: 2027-01-01}\n");
    assert_int_equal(netfile_goals(nf), 2);
    assert_string_equal(netfile_goal(nf, 0)->jurisdiction, "CN");
    assert_int_equal(netfile_goal(nf, 0)->target.v, 800);
    assert_false(netfile_goal(nf, 0)->by_gflops);
    assert_string_equal(netfile_goal(nf, 1)->jurisdiction, "");
    assert_int_equal(netfile_goal(nf, 1)->target.v, 255);
    assert_true(netfile_goal(nf, 1)->by_gflops);
    assert_true(netfile_goal(nf, 1)->by_ms == YEAR_2027);
    assert_null(netfile_goal(nf, 2));
    assert_true(netfile_period(nf, &from, &until));
    assert_true(from == YEAR_2027 && until == YEAR_2027 + DAY);
    netfile_free(nf);
    nf = must_load(
        base,
        "base: base.yaml\ndrop_sites: [a, b, c]\nsites:\n  - {name: f, jurisdiction: FR, lat: 48, lon: 2, "
        "price_usd_mwh: 50, carbon_g_kwh: 50}\n");
    assert_int_equal(netfile_goals(nf), 1);
    netfile_free(nf);
}

static uint32_t occurrences(const char *text, const char *part)
{
    uint32_t n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
        n++;
    return n;
}

static void test_map(void **state)
{
    (void)state;
    struct netfile *nf = load_disk(ILLUSTRATIVE);
    struct buf out;
    buf_init(&out, 1 << 22);
    netmap_draw(nf, "M0 0l10 10z", &out);
    assert_false(out.failed);
    char *svg = buf_take(&out);
    assert_true(occurrences(svg, "<circle class=\"site\"") >= 40);
    assert_true(occurrences(svg, "<path class=\"corridor") >= 73);
    assert_int_equal(occurrences(svg, "=\"nan") + occurrences(svg, "Lnan") + occurrences(svg, "inf"), 0);
    free(svg);
    netfile_free(nf);
    assert_true(netmap_land_valid("M1 2l3.5-1z"));
    assert_false(netmap_land_valid("M1 2\"/><script"));
    nf = must_load("", "chips: chips.yaml\nsites:\n" SITE("a", ", title: \"<a&b>\""));
    netmap_draw(nf, NULL, &out);
    svg = buf_take(&out);
    assert_non_null(strstr(svg, "&lt;a&amp;b&gt;"));
    assert_null(strstr(svg, "<a&b>"));
    free(svg);
    netfile_free(nf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal),         cmocka_unit_test(test_dates),
        cmocka_unit_test(test_mistakes),        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_base),
        cmocka_unit_test(test_changes),         cmocka_unit_test(test_profile_means),
        cmocka_unit_test(test_profile_shapes),  cmocka_unit_test(test_signals),
        cmocka_unit_test(test_illustrative),    cmocka_unit_test(test_same_again),
        cmocka_unit_test(test_core_takes_them), cmocka_unit_test(test_map),
        cmocka_unit_test(test_goals),
    };
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
