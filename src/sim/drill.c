/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/drill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "network/decimal.h"
#include "sim/duration.h"
#include "sim/option.h"

#define FACTOR_MAX 1000000 /* thousandths */
#define PRICE_TOP INT64_C(1000000000000)
#define CARBON_TOP UINT64_C(10000000)
/* Medians over the life cycle, mg CO2e a kWh: IPCC AR5, WG III, annex III, table A.III.2. */
#define CARBON_COAL 820000
#define CARBON_GAS 490000

#define OF(target) (1u << DRILL_##target)

/* How each kind is written: WORD, WORD*FACTOR or WORD:source=FACTOR; then what it is of; then, for WATTS, how much. */
enum form { FORM_PLAIN, FORM_TIMES, FORM_SOURCE, FORM_WATTS };
static const struct {
    const char *word;
    enum drill_kind kind;
    enum form form;
    uint32_t targets; /* that it may name; 0 bit ANY missing: it must name one */
    bool ends;        /* it needs a DURATION */
    const char *usage;
} kinds[] = {
    {"lose", DRILL_LOSE, FORM_PLAIN, OF(SITE) | OF(VENDOR) | OF(CORRIDOR), false,
     "lose:site=NAME@TIME, lose:vendor=NAME@TIME or lose:corridor=A-B@TIME"},
    {"price", DRILL_PRICE, FORM_TIMES, OF(ANY) | OF(SITE), false, "price*2@TIME or price*2:site=NAME@TIME"},
    {"drought", DRILL_DROUGHT, FORM_SOURCE, OF(ANY) | OF(SITE), true,
     "drought:wind=0.3@TIME+DURATION or drought:wind=0.3:site=NAME@TIME+DURATION (wind, solar, hydro or "
     "all)"},
    {"shed", DRILL_SHED, FORM_WATTS, OF(SITE), true, "shed:site=NAME:20MW@TIME+DURATION"},
};

static const struct {
    const char *word;
    enum drill_target target;
} targets[] = {{"site", DRILL_SITE}, {"vendor", DRILL_VENDOR}, {"corridor", DRILL_CORRIDOR}};

static const char *const sources[] = {"all", "wind", "solar", "hydro"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- reading ---- */

/* "a.b" as thousandths, no sign. */
static bool read_factor(const char *text, size_t len, int64_t max, int64_t *milli)
{
    return decimal_parse(text, len, 3, milli) == DECIMAL_OK && *milli >= 0 && *milli <= max;
}

/* TIME or TIME+DURATION. */
static bool read_times(const char *text, bool ends, int64_t start_ms, struct drill *d)
{
    const char *plus = strchr(text, '+');
    int64_t lasts_ms = 0;
    if (ends && !plus)
        return false;
    if (!duration_read(text, strcspn(text, "+"), &d->at_ms) ||
        (plus && (!duration_read(plus + 1, strlen(plus + 1), &lasts_ms) || lasts_ms == 0)))
        return false;
    d->at_ms += start_ms;
    d->until_ms = plus ? d->at_ms + lasts_ms : INT64_MAX;
    return true;
}

/* "TARGET=NAME", whole. */
static bool read_target(const char *text, size_t len, uint32_t allowed, struct drill *d)
{
    for (size_t i = 0; i < COUNT(targets); i++) {
        size_t n = strlen(targets[i].word);
        if (len < n + 2 || memcmp(text, targets[i].word, n) != 0 || text[n] != '=')
            continue;
        if (!(allowed >> targets[i].target & 1) || len - n - 1 >= sizeof d->name)
            return false;
        d->target = targets[i].target;
        memcpy(d->name, text + n + 1, len - n - 1);
        return true;
    }
    return false;
}

/* "SOURCE=FACTOR" */
static bool read_source(const char *text, size_t len, struct drill *d)
{
    for (uint32_t i = 0; i < COUNT(sources); i++) {
        size_t n = strlen(sources[i]);
        if (len < n + 2 || memcmp(text, sources[i], n) != 0 || text[n] != '=')
            continue;
        d->sources = i;
        return read_factor(text + n + 1, len - n - 1, 1000, &d->milli);
    }
    return false;
}

/* "20MW" */
static bool read_watts(const char *text, struct drill *d)
{
    static const struct {
        const char *word;
        uint64_t watts;
    } units[] = {{"W", 1}, {"kW", 1000}, {"MW", 1000000}};
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    for (size_t i = 0; i < COUNT(units); i++) {
        if (*text < '0' || *text > '9' || n == 0 || n > 1000000 || strcmp(end, units[i].word) != 0)
            continue;
        d->watts = n * units[i].watts;
        return true;
    }
    return false;
}

/* What stands before '@', after the word of kind k. */
static bool read_what(size_t k, const char *text, struct drill *d)
{
    size_t part = strcspn(text, ":");
    if (kinds[k].form == FORM_TIMES) {
        if (*text != '*' || !read_factor(text + 1, part - 1, FACTOR_MAX, &d->milli))
            return false;
        text += part;
    } else if (*text != ':') {
        return false;
    }
    if (kinds[k].form == FORM_SOURCE) {
        part = strcspn(text + 1, ":");
        if (!read_source(text + 1, part, d))
            return false;
        text += 1 + part;
    }
    if (*text == 0)
        return kinds[k].targets & OF(ANY);
    const char *last = text + strlen(text);
    if (kinds[k].form == FORM_WATTS) {
        last = strrchr(text, ':');
        if (last == text || !read_watts(last + 1, d))
            return false;
    }
    return read_target(text + 1, (size_t)(last - text - 1), kinds[k].targets, d);
}

static int read_drill(char *text, int64_t start_ms, struct drill *d, struct err *err)
{
    char *at = strchr(text, '@');
    size_t word = strcspn(text, ":*@");
    *d = (struct drill){0};
    for (size_t k = 0; k < COUNT(kinds); k++) {
        if (word != strlen(kinds[k].word) || memcmp(text, kinds[k].word, word) != 0)
            continue;
        d->kind = kinds[k].kind;
        if (at && read_times(at + 1, kinds[k].ends, start_ms, d)) {
            *at = 0;
            memcpy(d->what, text, strnlen(text, sizeof d->what - 1));
            if (read_what(k, text + word, d))
                return 0;
            *at = '@';
        }
        return err_set(err, ERR_INVALID, "--drill %s: expected %s, TIME and DURATION as 36h%s", text,
                       kinds[k].usage, kinds[k].ends ? "" : "; with +DURATION it ends");
    }
    return err_set(err, ERR_INVALID, "--drill %s: there is lose, price, drought and shed", text);
}

int drills_read(struct drills *drills, const char *text, int64_t start_ms, struct err *err)
{
    struct option_list list = option_list("--drill", text);
    *drills = (struct drills){0};
    while (option_next(&list, err)) {
        if (drills->n == DRILLS_MAX)
            return err_set(err, ERR_LIMIT, "--drill: more than %d", DRILLS_MAX);
        int rc = read_drill(list.item, start_ms, &drills->list[drills->n], err);
        if (rc != 0)
            return rc;
        drills->n++;
    }
    return list.rc;
}

/* ---- what it is of ---- */

bool drill_of_site(const struct drill *d, const struct netfile *net, uint32_t site)
{
    return d->target == DRILL_ANY ||
           (d->target == DRILL_SITE && strcmp(netfile_site(net, site)->name, d->name) == 0);
}

bool drill_of_pool(const struct drill *d, const struct netfile *net, uint32_t pool)
{
    return d->target == DRILL_VENDOR && strcasecmp(netfile_chip(net, netfile_pool(net, pool)->chip)->vendor,
                                                   d->name) == 0; /* NVIDIA, nvidia */
}

bool drill_of_corridor(const struct drill *d, const struct netfile *net, uint32_t corridor)
{
    if (d->target != DRILL_CORRIDOR)
        return false;
    const struct net_corridor *c = netfile_corridor(net, corridor);
    const char *a = netfile_site(net, c->a)->name, *b = netfile_site(net, c->b)->name;
    char there[DRILL_NAME_CAP], back[DRILL_NAME_CAP];
    (void)snprintf(there, sizeof there, "%s-%s", a, b);
    (void)snprintf(back, sizeof back, "%s-%s", b, a);
    return strcmp(there, d->name) == 0 || strcmp(back, d->name) == 0;
}

static bool names_something(const struct drill *d, const struct netfile *net)
{
    bool found = d->target == DRILL_ANY;
    for (uint32_t i = 0; i < netfile_sites(net) && !found; i++)
        found = drill_of_site(d, net, i);
    for (uint32_t i = 0; i < netfile_pools(net) && !found; i++)
        found = drill_of_pool(d, net, i);
    for (uint32_t i = 0; i < netfile_corridors(net) && !found; i++)
        found = drill_of_corridor(d, net, i);
    return found;
}

int drills_check(const struct drills *drills, const struct netfile *net, struct err *err)
{
    for (uint32_t i = 0; i < drills->n; i++) {
        const struct drill *d = &drills->list[i];
        for (size_t t = 0; t < COUNT(targets) && !names_something(d, net); t++) {
            if (targets[t].target == d->target)
                return err_set(err, ERR_NOT_FOUND, "--drill: the network has no %s %s", targets[t].word,
                               d->name);
        }
    }
    return 0;
}

/* ---- signals ---- */

/* The source's part of a site's renewables, thousandths. */
static int64_t part_of(const struct net_site *site, uint32_t source)
{
    int64_t all = site->solar.v + site->wind.v + site->hydro.v;
    const int64_t parts[] = {all, site->wind.v, site->solar.v, site->hydro.v};
    return all > 0 ? parts[source] * 1000 / all : source == 0 ? 1000 : 0;
}

/* What the rest of the site's grid emits, mg a kWh. */
static int64_t carbon_of_rest(const struct net_site *site)
{
    int64_t rest = 1000 - site->renewable.v;
    if (rest <= 0 || site->carbon_g_kwh.v == 0)
        return CARBON_GAS;
    int64_t carbon = site->carbon_g_kwh.v * 1000 / rest;
    return carbon < CARBON_COAL ? carbon : CARBON_COAL;
}

void drill_signal(const struct drill *d, const struct net_site *site, struct event_site_signal *s)
{
    if (d->kind == DRILL_PRICE) {
        int64_t price = s->price / 1000 * d->milli + s->price % 1000 * d->milli / 1000;
        s->price = price > PRICE_TOP ? PRICE_TOP : price < -PRICE_TOP ? -PRICE_TOP : price;
    } else if (d->kind == DRILL_DROUGHT) {
        int64_t gone = s->renewable * part_of(site, d->sources) * (1000 - d->milli) / 1000000;
        uint64_t carbon = s->carbon + (uint64_t)(carbon_of_rest(site) * gone / 1000);
        int64_t price = s->price + site->price_usd_mwh.v * 12 / 10 * gone / 1000;
        s->renewable -= (uint32_t)gone;
        s->carbon = carbon > CARBON_TOP ? CARBON_TOP : carbon;
        s->price = price > PRICE_TOP ? PRICE_TOP : price;
    }
}
