/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overseers' report (docs/log.md): what the network did in a span of days, without a word of any tenant. Volumes are the lines that
 * tenants are billed by, summed; evictions are counted by core on the day they were decided.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timetext.h"
#include "hub/audit_chips.h"
#include "hub/audit_denials.h"

#define MONTHS_KEPT 1200

/* What of a figure was at home, and who had it there and elsewhere. */
struct share {
    uint64_t home;
    struct uuid tenant[2][CELL_TENANTS_MIN]; /* [1]: at home */
    uint32_t ntenants[2];
};

/* What was used in a month, and what of it at home: at sites of that jurisdiction, on chips that are made there. */
struct month {
    uint32_t month;
    struct uuid tenant[CELL_TENANTS_MIN];
    uint32_t ntenants;
    uint64_t chip_ms, tokens;
    struct share site_chip_ms, chip_chip_ms, site_tokens;
};

struct report {
    int64_t from_ms, to_ms; /* whole days */
    char home[CODE_CAP];
    struct bill_lines lines;
    struct row_tally *tally;
    uint32_t ntallies;
    struct cells cells;
    struct denials_told denials;
    struct month month[MONTHS_KEPT];
    uint32_t nmonths;
    bool csv;
    const char *sep;
};

/* ---- reading ---- */

static int read_span(struct api_call *call, struct report *r)
{
    char month[32], since[32];
    uint32_t m;
    int64_t now_ms = runtime_now_ms(call->hub->runtime), begin;
    bool has_month = call_query(call, "month", month, sizeof month);
    bool has_since = call_query(call, "since", since, sizeof since);
    if (has_month && has_since)
        return err_set(&call->err, ERR_INVALID, "either month or since");
    if (has_month && !month_parse(&m, month, strlen(month)))
        return err_set(&call->err, ERR_INVALID, "month: must be a month such as 2026-11");
    m = has_month ? m : month_of(now_ms);
    r->from_ms = month_begin_ms(m);
    r->to_ms = month_begin_ms(m + 1);
    if (!has_since)
        return 0;
    char moment[sizeof since + 12];
    (void)snprintf(moment, sizeof moment, "%sT00:00:00Z", since);
    if (strlen(since) != DATE_CAP - 1 || !moment_parse(moment, strlen(moment), now_ms, &begin) || begin < 0 ||
        begin > now_ms)
        return err_set(&call->err, ERR_INVALID, "since: must be a day that has come, such as 2026-11-01");
    r->from_ms = begin;
    r->to_ms = (now_ms / DAY_MS + 1) * DAY_MS;
    return 0;
}

static int begin(struct api_call *call, bool csv)
{
    struct report *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NO_MEMORY;
    call->data = r;
    r->csv = csv;
    (void)call_query(call, "home", r->home, sizeof r->home);
    return read_span(call, r);
}

static int parse_json(struct api_call *call)
{
    return begin(call, false);
}

static int parse_csv(struct api_call *call)
{
    return begin(call, true);
}

static int take_tally(void *ctx, enum row_kind kind, const void *row)
{
    struct report *r = ctx;
    (void)kind;
    struct row_tally *more = realloc(r->tally, (r->ntallies + 1) * sizeof *more);
    if (!more)
        return r->lines.rc = ERR_NO_MEMORY;
    r->tally = more;
    r->tally[r->ntallies++] = *(const struct row_tally *)row;
    return 0;
}

static void report_free(struct report *r)
{
    bill_lines_free(&r->lines);
    cells_free(&r->cells);
    denials_free(&r->denials);
    free(r->tally);
    r->tally = NULL;
}

static int work(struct api_call *call)
{
    struct report *r = call->data;
    struct store *store = runtime_store(call->hub->runtime);
    int64_t from_day = r->from_ms / DAY_MS, to_day = r->to_ms / DAY_MS;
    const struct row_query tallies = {
        .kind = ROW_KIND_tally, .range_field = "day", .from = from_day, .to = to_day};
    int rc = bill_lines_read(&r->lines, store, NULL, (uint64_t)from_day, (uint64_t)to_day, &call->err);
    if (rc == 0)
        rc = store->ops->rows(store, &tallies, 1, take_tally, r, &call->err);
    rc = rc ? rc : r->lines.rc;
    if (rc == 0)
        rc = denials_read(&r->denials, store, r->from_ms, r->to_ms, &call->err);
    if (rc != 0)
        report_free(r);
    return rc;
}

/* ---- summing ---- */

static void add_share(struct share *s, bool home, uint64_t figure, const struct uuid *tenant)
{
    if (figure == 0)
        return;
    cell_count(s->tenant[home], &s->ntenants[home], tenant);
    s->home += home ? figure : 0;
}

static bool add_month(struct report *r, const struct core *core, const struct row_bill *row)
{
    const struct row_site *site = view_site(core, &row->site);
    const struct row_pool *pool = view_pool(core, &row->item);
    const struct row_chip *chip;
    bool site_home = site && strncmp(site->jurisdiction, r->home, CODE_CAP) == 0, chip_home = false;
    uint32_t month = month_of((int64_t)row->day * DAY_MS), i = 0;
    while (i < r->nmonths && r->month[i].month != month)
        i++;
    if (i == MONTHS_KEPT)
        return false;
    if (i == r->nmonths)
        r->month[r->nmonths++] = (struct month){.month = month};
    for (uint32_t pos = 0; pool && (chip = view_chip_at(core, &pos)) != NULL;)
        chip_home = chip_home || (memcmp(chip->id, pool->chip, CHIP_CAP) == 0 &&
                                  strncmp(chip->origin, r->home, CODE_CAP) == 0);
    struct month *m = &r->month[i];
    uint64_t tokens = row->prompt + row->cached + row->completion + row->reasoning;
    cell_count(m->tenant, &m->ntenants, &row->tenant);
    m->chip_ms += row->chip_ms;
    m->tokens += tokens;
    add_share(&m->site_chip_ms, site_home, row->chip_ms, &row->tenant);
    add_share(&m->site_tokens, site_home, tokens, &row->tenant);
    add_share(&m->chip_chip_ms, chip_home, row->chip_ms, &row->tenant);
    return true;
}

static int by_month(const void *a, const void *b)
{
    const struct month *x = a, *y = b;
    return (x->month > y->month) - (x->month < y->month);
}

static int sum(struct report *r, const struct core *core)
{
    const struct row_site *own = view_site_own(core);
    if (r->home[0] == 0 && own)
        memcpy(r->home, own->jurisdiction, sizeof r->home);
    for (uint32_t i = 0; i < r->lines.n; i++) {
        if (!cells_add(&r->cells, core, &r->lines.row[i]) || !add_month(r, core, &r->lines.row[i]))
            return ERR_TOO_LARGE;
    }
    cells_hide(&r->cells);
    if (r->nmonths > 1)
        qsort(r->month, r->nmonths, sizeof r->month[0], by_month);
    return 0;
}

/* ---- what is told ---- */

static void begin_item(struct buf *out, struct report *r)
{
    buf_add_text(out, r->sep);
    r->sep = ",";
}

static void add_hours(struct buf *out, const char *name, uint64_t ms)
{
    uint64_t e3 = ms / 3600; /* thousandths of an hour */
    buf_addf(out, ",\"%s\":\"%llu.%03llu\"", name, (unsigned long long)(e3 / 1000),
             (unsigned long long)(e3 % 1000));
}

static void add_sums(struct buf *out, const struct cell_sums *s)
{
    buf_addf(
        out,
        ",\"requests\":%llu,\"prompt_tokens\":%llu,\"cached_tokens\":%llu,\"completion_tokens\":%llu,"
        "\"reasoning_tokens\":%llu,\"chip_ms\":%llu,\"energy_mj\":%llu,\"carbon_ng\":%llu,\"bytes\":%llu",
        (unsigned long long)s->requests, (unsigned long long)s->prompt, (unsigned long long)s->cached,
        (unsigned long long)s->completion, (unsigned long long)s->reasoning, (unsigned long long)s->chip_ms,
        (unsigned long long)s->energy_mj, (unsigned long long)s->carbon_ng, (unsigned long long)s->bytes);
    add_hours(out, "chip_hours", s->chip_ms);
}

static void add_volumes(struct buf *out, struct report *r)
{
    struct cell_sums all = {0};
    buf_add_text(out, "\"volumes\":[");
    r->sep = "";
    for (uint32_t i = 0; i < r->cells.n; i++) {
        const struct cell *c = &r->cells.list[i];
        begin_item(out, r);
        buf_add_text(out, "{\"chip\":");
        buf_add_json(out, c->other ? "other" : c->chip, strlen(c->other ? "other" : c->chip));
        add_text(out, "vendor", c->vendor, sizeof c->vendor);
        add_text(out, "origin", c->origin, sizeof c->origin);
        add_text(out, "jurisdiction", c->other ? "other" : c->jurisdiction, CODE_CAP);
        add_sums(out, &c->sums);
        buf_add_char(out, '}');
        cell_sum(&all, &c->sums);
    }
    buf_addf(out, "],\"total\":{\"cells\":%u", r->cells.n);
    add_sums(out, &all);
    buf_add_char(out, '}');
}

/* Of which part of the report a tally is, and of what. */
struct tally_words {
    const char *part, *line, *what;
};

static struct tally_words tally_words(uint32_t what)
{
    static const struct tally_words words[] = {
        [TALLY_JOB_EVICTED] = {"evictions", "eviction", "job"},
        [TALLY_REPLICA_EVICTED] = {"evictions", "eviction", "replica"},
        [TALLY_METER_REFUSED] = {"refused_records", "refused", "request"},
        [TALLY_JOB_METER_REFUSED] = {"refused_records", "refused", "job"}};
    const bool known = what < sizeof words / sizeof words[0] && words[what].part;
    return known ? words[what] : words[TALLY_JOB_EVICTED];
}

static const char *tally_reason(uint32_t code)
{
    return code == 0 ? "LOST" : err_name(-(int)code);
}

/* Days of the same reason together. */
static void sum_tallies(struct report *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->ntallies; i++) {
        uint32_t k = 0;
        while (k < n && (r->tally[k].what != r->tally[i].what || r->tally[k].code != r->tally[i].code))
            k++;
        if (k < n)
            r->tally[k].count += r->tally[i].count;
        else
            r->tally[n++] = r->tally[i];
    }
    r->ntallies = n;
}

static void add_tallies(struct buf *out, struct report *r, const char *part)
{
    buf_addf(out, ",\"%s\":[", part);
    r->sep = "";
    for (uint32_t i = 0; i < r->ntallies; i++) {
        const struct tally_words words = tally_words(r->tally[i].what);
        if (strcmp(words.part, part) != 0)
            continue;
        begin_item(out, r);
        buf_addf(out, "{\"what\":\"%s\",\"reason\":\"%s\",\"count\":%llu}", words.what,
                 tally_reason(r->tally[i].code), (unsigned long long)r->tally[i].count);
    }
    buf_add_char(out, ']');
}

/* The caller says what is home, and has the total: neither what is there nor the rest may be of too few. What is nobody's is nobody's. */
static bool may_tell(const struct share *s)
{
    return (s->ntenants[0] == 0 || s->ntenants[0] >= CELL_TENANTS_MIN) &&
           (s->ntenants[1] == 0 || s->ntenants[1] >= CELL_TENANTS_MIN);
}

static void add_home(struct buf *out, const char *name, const struct share *s)
{
    if (may_tell(s))
        buf_addf(out, ",\"%s\":%llu", name, (unsigned long long)s->home);
    else
        buf_addf(out, ",\"%s\":null", name);
}

static void add_months(struct buf *out, struct report *r)
{
    buf_add_text(out, ",\"self_supply\":[");
    r->sep = "";
    for (uint32_t i = 0; i < r->nmonths; i++) {
        const struct month *m = &r->month[i];
        char text[MONTH_CAP];
        month_format(text, m->month);
        begin_item(out, r);
        buf_addf(out, "{\"month\":\"%s\"", text);
        if (m->ntenants < CELL_TENANTS_MIN) {
            buf_add_text(out, ",\"withheld\":true}");
            continue;
        }
        buf_addf(out, ",\"chip_ms\":%llu,\"tokens\":%llu", (unsigned long long)m->chip_ms,
                 (unsigned long long)m->tokens);
        add_home(out, "home_site_chip_ms", &m->site_chip_ms);
        add_home(out, "home_chip_chip_ms", &m->chip_chip_ms);
        add_home(out, "home_site_tokens", &m->site_tokens);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_recalls(struct buf *out, struct report *r, const struct core *core)
{
    const struct row_recall *row;
    char digest[2 * DIGEST_BYTES + 1];
    buf_add_text(out, ",\"recalls\":[");
    r->sep = "";
    for (uint32_t pos = 0; (row = view_recall_at(core, &pos)) != NULL;) {
        if (row->asked_ms >= r->to_ms || (row->lifted_ms != 0 && row->lifted_ms < r->from_ms))
            continue;
        begin_item(out, r);
        hex_encode(digest, row->digest, DIGEST_BYTES);
        buf_addf(out, "{\"digest\":\"%s\"", digest);
        add_text(out, "reason", row->reason, sizeof row->reason);
        add_time(out, "asked", row->asked_ms);
        add_time(out, "gone", row->gone_ms);
        add_time(out, "lifted", row->lifted_ms);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_json(struct buf *out, struct report *r, const struct core *core)
{
    char from[DATE_CAP], to[DATE_CAP];
    date_format(from, r->from_ms);
    date_format(to, r->to_ms);
    buf_addf(out, "{\"from\":\"%s\",\"to\":\"%s\",\"home\":", from, to);
    buf_add_json(out, r->home, strnlen(r->home, CODE_CAP));
    buf_addf(out, ",\"tenants_min\":%d,", CELL_TENANTS_MIN);
    add_volumes(out, r);
    add_tallies(out, r, "evictions");
    add_tallies(out, r, "refused_records");
    denials_json(out, core, &r->denials);
    add_months(out, r);
    add_recalls(out, r, core);
    chips_json(out, core, r->from_ms, r->to_ms);
    buf_add_char(out, '}');
}

static void csv_cell(struct buf *out, const struct cell *c)
{
    const struct cell_sums *s = &c->sums;
    buf_add_text(out, "volume,,");
    csv_field(out, c->other ? "other" : c->chip);
    buf_add_char(out, ',');
    csv_field(out, c->vendor);
    buf_addf(out, ",%s,", c->origin);
    csv_field(out, c->other ? "other" : c->jurisdiction);
    buf_addf(out, ",,%llu,%llu,%llu,%llu,%llu,%llu,%llu,%llu,%llu,\r\n", (unsigned long long)s->requests,
             (unsigned long long)s->prompt, (unsigned long long)s->cached, (unsigned long long)s->completion,
             (unsigned long long)s->reasoning, (unsigned long long)s->chip_ms,
             (unsigned long long)s->energy_mj, (unsigned long long)s->carbon_ng,
             (unsigned long long)s->bytes);
}

static void csv_home(struct buf *out, const char *month, const char *what, const struct share *s)
{
    if (may_tell(s))
        buf_addf(out, "self-supply,%s,,,,,%s,,,,,,%llu,,,,\r\n", month, what, (unsigned long long)s->home);
}

static void add_csv(struct buf *out, struct report *r, const struct core *core)
{
    buf_add_text(out,
                 "section,month,chip,vendor,origin,jurisdiction,what,requests,prompt_tokens,cached_tokens,"
                 "completion_tokens,reasoning_tokens,chip_ms,energy_mj,carbon_ng,bytes,count\r\n");
    for (uint32_t i = 0; i < r->cells.n; i++)
        csv_cell(out, &r->cells.list[i]);
    for (uint32_t i = 0; i < r->ntallies; i++) {
        const struct tally_words words = tally_words(r->tally[i].what);
        buf_addf(out, "%s,,,,,,%s %s,,,,,,,,,,%llu\r\n", words.line, words.what,
                 tally_reason(r->tally[i].code), (unsigned long long)r->tally[i].count);
    }
    denials_csv(out, core, &r->denials);
    for (uint32_t i = 0; i < r->nmonths; i++) {
        const struct month *m = &r->month[i];
        char text[MONTH_CAP];
        month_format(text, m->month);
        if (m->ntenants < CELL_TENANTS_MIN)
            continue;
        buf_addf(out, "self-supply,%s,,,,,all,,,,,,%llu,,,,\r\n", text, (unsigned long long)m->chip_ms);
        csv_home(out, text, "home sites", &m->site_chip_ms);
        csv_home(out, text, "home chips", &m->chip_chip_ms);
    }
    chips_csv(out, core);
}

static int finish(struct api_call *call, const struct core *core)
{
    struct report *r = call->data;
    int rc = sum(r, core);
    if (rc == 0) {
        sum_tallies(r);
        if (r->csv)
            add_csv(&call->out, r, core);
        else
            add_json(&call->out, r, core);
    }
    report_free(r);
    return rc;
}

const struct api_handler api_audit_report = {.parse = parse_json, .work = work, .finish = finish};
const struct api_handler api_audit_report_csv = {
    .parse = parse_csv, .work = work, .finish = finish, .type = "text/csv; charset=utf-8"};
