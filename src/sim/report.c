/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/report.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/str.h"
#include "network/netfile.h"
#include "sim/report_parts.h"

/* ---- pieces that all files of the report use ---- */

unsigned report_colour(const struct report *r, const char *vendor)
{
    for (uint32_t i = 0; i < r->nvendors; i++) {
        if (strcmp(r->vendor[i], vendor) == 0)
            return i;
    }
    return REPORT_OTHERS;
}

struct named {
    const char *name;
    double most;
};

static int by_most(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    if (x->most > y->most || x->most < y->most)
        return x->most > y->most ? -1 : 1;
    return strcmp(x->name, y->name);
}

uint32_t report_names(const struct report *r, const char *group, const char *name[REPORT_COLOURS],
                      uint32_t *n)
{
    struct named *list = calloc(r->rec->nseries + 1u, sizeof *list);
    uint32_t all = 0;
    for (uint32_t i = 0; list && i < r->rec->nseries; i++) {
        const struct record_series *s = &r->rec->series[i];
        if (strcmp(s->group, group) == 0)
            list[all++] = (struct named){s->name, report_most(s->value, r->rec->n)};
    }
    if (all > 0)
        qsort(list, all, sizeof *list, by_most);
    for (*n = 0; *n < all && *n < REPORT_COLOURS; (*n)++)
        name[*n] = list[*n].name;
    free(list);
    return all;
}

/* "day 20" or "20 Jan 2026". */
static void report_moment(const struct report *r, int64_t ms, char dst[AXIS_TEXT_CAP])
{
    int64_t since = ms - r->result->start_ms;
    if (r->calendar)
        axis_date_text(dst, ms);
    else if (since % 86400000 == 0)
        (void)snprintf(dst, AXIS_TEXT_CAP, "day %lld", (long long)(since / 86400000));
    else
        (void)snprintf(dst, AXIS_TEXT_CAP, "day %.1f", (double)since / 86400e3);
}

void report_section(const struct report *r, const char *id, const char *title, const char *words)
{
    buf_addf(r->out, "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">", id, id);
    chart_text(r->out, title);
    buf_add_text(r->out, "</h2>\n");
    if (!words[0])
        return;
    buf_add_text(r->out, "<p class=\"about\">");
    chart_text(r->out, words);
    buf_add_text(r->out, "</p>\n");
}

void report_section_end(const struct report *r)
{
    buf_add_text(r->out, "</section>\n");
}

/* ---- the head ---- */

static void add_title(const struct report *r)
{
    const struct netfile *nf = world_network(r->world);
    const char *name = nf ? netfile_about(nf) : "";
    const char *path = nf ? r->options->network : r->options->pools;
    const char *slash = strrchr(path, '/');
    chart_text(r->out, name[0] ? name : slash ? slash + 1 : path);
}

static void add_period(const struct report *r)
{
    char from[AXIS_TEXT_CAP], to[AXIS_TEXT_CAP], span[AXIS_TEXT_CAP];
    double days = (double)(r->result->end_ms - r->result->start_ms) / 86400e3;
    axis_date_text(from, r->result->start_ms);
    axis_date_text(to, r->result->end_ms);
    axis_span_text(span, days * 86400);
    buf_add_text(r->out, "<p class=\"kind\">Simulation of ");
    if (days > 730)
        buf_addf(r->out, "%.1f years", days / 365.25);
    else
        buf_add_text(r->out, span);
    if (r->calendar)
        buf_addf(r->out, ", %s to %s", from, to);
    buf_add_text(r->out, ", policy ");
    chart_text(r->out, r->options->policy);
    buf_add_text(r->out, "</p>\n");
}

static void tell_jobs(const struct report *r)
{
    const struct sim_result *s = r->result;
    char median[AXIS_TEXT_CAP], late[AXIS_TEXT_CAP], most[AXIS_TEXT_CAP];
    buf_add_text(r->out, "<p class=\"lead\">");
    if (s->jobs == 0) {
        buf_add_text(r->out, r->options->trace ? "No job ended. "
                                               : "No jobs were given: this is the network itself. ");
    } else {
        chart_count(r->out, s->jobs);
        buf_add_text(r->out, " jobs ran to their end on ");
    }
    if (s->jobs == 0)
        buf_add_text(r->out, "It has up to ");
    chart_count(r->out, r->chips);
    buf_addf(r->out, " chips of %u maker%s at %u site%s. ", r->nmakers, r->nmakers == 1 ? "" : "s",
             r->watch->stock->nsites, r->watch->stock->nsites == 1 ? "" : "s");
    if (s->jobs > 0) {
        axis_span_text(median, (double)s->wait_ms_p50 / 1e3);
        axis_span_text(late, (double)s->wait_ms_p99 / 1e3);
        axis_span_text(most, (double)s->wait_ms_max / 1e3);
        if (s->wait_ms_max < 1000)
            buf_add_text(r->out, "Every one of them started at once. ");
        else if (s->wait_ms_p99 < 1000)
            buf_addf(r->out, "At least 99 in a hundred of them started at once; the longest wait was %s. ",
                     most);
        else if (s->wait_ms_p50 < 1000)
            buf_addf(
                r->out,
                "At least half of them started at once; one in a hundred waited %s or longer, the last %s. ",
                late, most);
        else
            buf_addf(r->out, "Half of them waited %s or longer, one in a hundred %s, the last %s. ", median,
                     late, most);
    }
    if (s->unfinished > 0) {
        buf_add_text(r->out, "<b>");
        chart_count(r->out, s->unfinished);
        buf_add_text(r->out, "</b> jobs had not ended when the simulation did. ");
    }
    if (world_network(r->world)) {
        buf_add_text(r->out, "The power cost ");
        chart_figure(r->out, (double)s->nano / 1e9 / (s->nano > 1000000000000000 ? 1e6 : 1));
        buf_addf(r->out, "%s USD and emitted ", s->nano > 1000000000000000 ? " million" : "");
        chart_figure(r->out, (double)s->mg / 1e9);
        buf_add_text(r->out, " t CO2e.");
    }
    buf_add_text(r->out, "</p>\n");
}

static void tell_drills(const struct report *r)
{
    uint32_t number = 0;
    for (uint32_t i = 0; i < r->rec->nmarks; i++) {
        const struct record_mark *m = &r->rec->mark[i];
        char when[AXIS_TEXT_CAP], span[AXIS_TEXT_CAP];
        if (!m->drill)
            continue;
        report_moment(r, m->at_ms, when);
        axis_span_text(span, (double)m->placed_ms / 1e3);
        buf_addf(r->out, "<p class=\"lead\"><span class=\"no\">%u</span>Drill on %s, <code>", ++number, when);
        chart_text(r->out, m->text);
        buf_add_text(r->out, "</code>: ");
        chart_count(r->out, m->stopped);
        buf_addf(r->out, " running job%s %s stopped", m->stopped == 1 ? "" : "s",
                 m->stopped == 1 ? "was" : "were");
        if (m->stopped > 0) {
            buf_add_text(r->out, ", ");
            chart_count(r->out, m->placed);
            buf_addf(r->out, " of them (%.1f %%) placed again",
                     100.0 * (double)m->placed / (double)m->stopped);
            if (m->placed > 0)
                buf_addf(r->out, m->placed_ms < 1000 ? ", all at once" : ", the last after %s", span);
        }
        buf_add_text(r->out, ".</p>\n");
    }
}

/* ---- the figures ---- */

/* A card, called by a title and a name; what follows is its value, then card_end. */
static void card_of(const struct report *r, const char *title, const char *name)
{
    buf_addf(r->out, "<div><dt>%s", title);
    chart_text(r->out, name);
    buf_add_text(r->out, "</dt><dd>");
}

static void card(const struct report *r, const char *title)
{
    card_of(r, title, "");
}

static void card_end(const struct report *r, const char *more)
{
    buf_add_text(r->out, "</dd>");
    if (more[0]) {
        buf_add_text(r->out, "<dd>");
        chart_text(r->out, more);
        buf_add_text(r->out, "</dd>");
    }
    buf_add_text(r->out, "</div>\n");
}

static void job_cards(const struct report *r)
{
    const struct sim_result *s = r->result;
    char text[AXIS_TEXT_CAP], more[96], late[AXIS_TEXT_CAP];
    uint64_t whole = s->capacity * (uint64_t)(s->span_ms > 0 ? s->span_ms : 1);
    double used = whole ? (double)s->chip_ms / (double)whole : 0;
    if (s->jobs == 0)
        return;
    card(r, "Jobs that ended");
    buf_addf(r->out, "<data id=\"jobs\" value=\"%u\">", s->jobs);
    chart_count(r->out, s->jobs);
    buf_add_text(r->out, "</data>");
    (void)snprintf(more, sizeof more, "%u not finished", s->unfinished);
    card_end(r, more);
    card(r, "Chips' time in use");
    buf_addf(r->out, "<data id=\"utilisation\" value=\"%.4f\">%.1f</data> <small>%%</small>", used,
             100 * used);
    card_end(r, "from the first submission to the last end");
    card(r, "Median wait");
    axis_span_text(text, (double)s->wait_ms_p50 / 1e3);
    axis_span_text(late, (double)s->wait_ms_p99 / 1e3);
    buf_addf(r->out, "<data id=\"queue_p50_s\" value=\"%.3f\">%s</data>", (double)s->wait_ms_p50 / 1e3, text);
    (void)snprintf(more, sizeof more, "99 %% of the jobs: at most %s", late);
    card_end(r, more);
    card(r, "Mean time to completion");
    int64_t us = (s->jct_ms_sum * 1000 + s->jobs / 2) / s->jobs;
    axis_span_text(text, (double)us / 1e6);
    buf_addf(r->out, "<data id=\"avg_jct_s\" value=\"%lld.%06lld\">%s</data>", (long long)(us / 1000000),
             (long long)(us % 1000000), text);
    axis_span_text(late, (double)s->wait_ms_sum / 1e3 / s->jobs);
    (void)snprintf(more, sizeof more, "of it waiting: %s", late);
    card_end(r, more);
}

static void power_cards(const struct report *r)
{
    const struct sim_result *s = r->result;
    double hours = (double)(s->end_ms - s->start_ms) / 3.6e6, kwh = (double)s->joules / 3.6e6;
    char more[96];
    card(r, "Energy");
    buf_addf(r->out, "<data id=\"energy_kwh\" value=\"%llu\">", (unsigned long long)(s->joules / 3600000));
    chart_figure(r->out, kwh / (kwh < 1e7 ? 1e3 : 1e6));
    buf_addf(r->out, "</data> <small>%s</small>", kwh < 1e7 ? "MWh" : "GWh");
    (void)snprintf(more, sizeof more, "%.1f MW on average", hours > 0 ? kwh / hours / 1e3 : 0);
    card_end(r, more);
    card(r, "Cost of power");
    double usd = (double)s->nano / 1e9;
    buf_addf(r->out, "<data id=\"energy_cost\" value=\"%.2f\">", usd);
    chart_figure(r->out, fabs(usd) < 1e6 ? usd : usd / 1e6);
    buf_addf(r->out, "</data> <small>%s</small>", fabs(usd) < 1e6 ? "USD" : "M USD");
    (void)snprintf(more, sizeof more, "%.0f USD/MWh", kwh > 0 ? usd / kwh * 1e3 : 0);
    card_end(r, more);
    card(r, "Emissions");
    buf_addf(r->out, "<data id=\"carbon_kg\" value=\"%llu\">", (unsigned long long)(s->mg / 1000000));
    chart_figure(r->out, (double)s->mg / 1e9);
    buf_add_text(r->out, "</data> <small>t CO2e</small>");
    (void)snprintf(more, sizeof more, "%.0f g/kWh", kwh > 0 ? (double)s->mg / 1e3 / kwh : 0);
    card_end(r, more);
}

static void other_cards(const struct report *r)
{
    const struct sim_result *s = r->result;
    for (uint32_t i = 0; i < s->supply.ngoals; i++) {
        const struct supply_goal *goal = &s->supply.goal[i];
        char more[96], by[AXIS_TEXT_CAP], met[AXIS_TEXT_CAP];
        axis_date_text(by, goal->by_ms);
        axis_date_text(met, goal->met_ms);
        (void)snprintf(more, sizeof more, "target: %.1f %% by %s", goal->target / 10.0, by);
        card_of(r, "Self-supply of ", goal->jurisdiction[0] ? goal->jurisdiction : "the network");
        const char *space = strchr(met, ' ');
        buf_addf(r->out, "<data class=\"%s\" id=\"met-%u\" value=\"%s\">%s</data>",
                 goal->met_ms && goal->met_ms <= goal->by_ms ? "good" : "bad", i,
                 goal->met_ms ? met : "never", goal->met_ms && space ? space + 1 : "not met");
        card_end(r, more);
    }
    card(r, "Violations of rules");
    buf_addf(r->out, "<data class=\"%s\" id=\"violations\" value=\"%llu\">", s->violations ? "bad" : "good",
             (unsigned long long)s->violations);
    chart_count(r->out, s->violations);
    buf_add_text(r->out, "</data>");
    card_end(r, s->violations ? s->violation : "a checker judged each decision anew");
}

/* ---- what happened ---- */

static int by_time(const void *a, const void *b)
{
    const struct record_mark *x = *(const struct record_mark *const *)a,
                             *y = *(const struct record_mark *const *)b;
    return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms ? 1 : x < y ? -1 : x > y;
}

static void add_drill(const struct report *r, const struct record_mark *m, uint32_t number)
{
    char span[AXIS_TEXT_CAP];
    axis_span_text(span, (double)m->placed_ms / 1e3);
    buf_addf(r->out, "<span class=\"no\">%u</span>Drill ", number);
    chart_text(r->out, m->text);
    buf_add_text(r->out, "</td><td>");
    chart_count(r->out, m->stopped);
    buf_add_text(r->out, "</td><td>");
    chart_count(r->out, m->placed);
    buf_addf(r->out, "</td><td>%s</td></tr>\n", m->placed ? span : "");
}

/* One drill, or all that the network file dates for a moment. Returns how many marks that are. */
static uint32_t add_moment(const struct report *r, const struct record_mark *const *list, uint32_t n,
                           bool drills, uint32_t *number)
{
    char when[AXIS_TEXT_CAP];
    uint32_t k = 0;
    report_moment(r, list[0]->at_ms, when);
    buf_addf(r->out, "<tr><th scope=\"row\">%s</th><td class=\"t w\">", when);
    if (list[0]->drill) {
        add_drill(r, list[0], ++*number);
        return 1;
    }
    for (; k < n && !list[k]->drill && list[k]->at_ms == list[0]->at_ms; k++) {
        buf_add_text(r->out, k ? "; " : "");
        chart_text(r->out, list[k]->text);
    }
    buf_add_text(r->out, drills ? "</td><td></td><td></td><td></td></tr>\n" : "</td></tr>\n");
    return k;
}

void report_events(const struct report *r)
{
    const struct record_mark *list[RECORD_MARKS_MAX];
    uint32_t n = 0, number = 0;
    bool drills = false;
    for (uint32_t i = 0; i < r->rec->nmarks; i++) {
        if (r->rec->mark[i].at_ms > r->result->end_ms)
            continue;
        list[n++] = &r->rec->mark[i];
        drills = drills || r->rec->mark[i].drill;
    }
    if (n == 0)
        return;
    qsort(list, n, sizeof list[0], by_time);
    report_section(r, "events-section", "What happened", "Drills, and what the network file dates.");
    buf_add_text(r->out, "<div class=\"scroll\"><table><thead><tr><th>When</th><th class=\"t\">What</th>");
    if (drills)
        buf_add_text(r->out, "<th>Jobs stopped</th><th>placed again</th><th>the last after</th>");
    buf_add_text(r->out, "</tr></thead><tbody>\n");
    for (uint32_t i = 0; i < n;)
        i += add_moment(r, list + i, n - i, drills, &number);
    buf_add_text(r->out, "</tbody></table></div>\n");
    if (r->rec->marks_more)
        buf_addf(r->out, "<p class=\"about\">And %u more.</p>\n", r->rec->marks_more);
    report_section_end(r);
}

/* ---- the page ---- */

static void find_vendors(struct report *r)
{
    double sum[RECORD_SAMPLES_MAX] = {0};
    for (uint32_t i = 0; i < r->rec->nseries; i++) {
        const struct record_series *s = &r->rec->series[i];
        for (uint32_t k = 0; strcmp(s->group, "vendor up") == 0 && k < r->rec->n; k++)
            sum[k] += s->value[k];
    }
    r->nmakers = report_names(r, "vendor up", r->vendor, &r->nvendors);
    r->chips = (uint64_t)llround(report_most(sum, r->rec->n));
}

static void add_sections(const struct report *r)
{
    report_map(r);
    report_time(r);
    report_jobs(r);
    report_more(r);
    report_merit(r);
    report_supply(r);
    report_events(r);
    if (world_network(r->world))
        report_sites(r);
}

void report_page(const struct sim_options *options, const struct sim_result *result, struct watch *watch,
                 const struct world *world, struct buf *out)
{
    const struct record *rec = watch->rec;
    struct report r = {.options = options,
                       .result = result,
                       .watch = watch,
                       .rec = rec,
                       .world = world,
                       .out = out,
                       .calendar = options->start_ms || result->start_ms != SIM_EPOCH_MS,
                       .from_ms = rec->start_ms,
                       .to_ms = rec->start_ms + (rec->n ? rec->n : 1) * rec->step_ms};
    find_vendors(&r);
    buf_add_text(
        out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
             "content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" "
             "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n<meta "
             "name=\"color-scheme\" content=\"light "
             "dark\">\n"
             "<title>");
    add_title(&r);
    buf_add_text(out, "</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n");
    for (uint32_t i = 0; report_style[i]; i++)
        buf_add_text(out, report_style[i]);
    buf_add_text(out, "</style>\n</head>\n<body>\n<main>\n<header>\n<h1>");
    add_title(&r);
    buf_add_text(out, "</h1>\n");
    add_period(&r);
    tell_jobs(&r);
    tell_drills(&r);
    report_goals(&r);
    bool four = result->jobs > 0 && world_network(world) && result->supply.ngoals == 0; /* in two rows */
    buf_addf(out, "<dl class=\"cards%s\">\n", four ? " four" : "");
    job_cards(&r);
    if (world_network(world))
        power_cards(&r);
    other_cards(&r);
    buf_add_text(out, "</dl>\n</header>\n");
    if (rec->n < 2)
        buf_add_text(out,
                     "<p class=\"about\">The simulation was too short to draw anything over time.</p>\n");
    else
        add_sections(&r);
    report_foot(&r);
    buf_add_text(out, "</main>\n</body>\n</html>\n");
}

/* ---- the file ---- */

int report_check(const char *path, struct err *err)
{
    char temp[FS_PATH_MAX];
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(err, ERR_INVALID, "--report %s: is a folder", path);
    int n = snprintf(temp, sizeof temp, "%s.%ld.try", path, (long)getpid());
    if (n < 0 || n >= (int)sizeof temp)
        return err_set(err, ERR_INVALID, "--report: the path is too long");
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set(err, ERR_IO, "--report %s: cannot be written: %s", path, strerror(errno));
    (void)close(fd);
    (void)unlink(temp);
    return 0;
}

int report_write(const struct sim_options *options, const struct sim_result *result, struct watch *watch,
                 const struct world *world, struct err *err)
{
    struct buf page;
    buf_init(&page, REPORT_BYTES_MAX);
    report_page(options, result, watch, world, &page);
    int rc = page.failed ? err_set(err, ERR_NO_MEMORY, "%s: out of memory", options->report)
                         : fs_write_atomic(options->report, page.data, page.len, 0644, err);
    buf_fini(&page);
    return rc;
}
