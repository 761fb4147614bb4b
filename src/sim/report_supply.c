/* SPDX-License-Identifier: Apache-2.0 */
/* Self-supply: the goals over time, what they mean in throughput, and every jurisdiction at the start and at the end. */
#include <stdio.h>

#include "sim/report_parts.h"

static const char *name_of(const char *jurisdiction)
{
    return jurisdiction[0] ? jurisdiction : "network";
}

static void tell_goal(const struct report *r, const struct supply_goal *goal)
{
    char by[AXIS_TEXT_CAP], met[AXIS_TEXT_CAP];
    const struct supply_group *g = supply_of(&r->result->supply, goal->jurisdiction);
    const struct supply_share *s = goal->met_ms ? &goal->met : &g->now;
    axis_date_text(by, goal->by_ms);
    axis_date_text(met, goal->met_ms);
    buf_addf(
        r->out,
        "<p class=\"lead\">%.1f %% of the %s in %s are to come from within by %s. At the start %.1f %% do. ",
        goal->target / 10.0, goal->by_gflops ? "throughput" : "chips",
        goal->jurisdiction[0] ? goal->jurisdiction : "the network", by,
        100 * (goal->by_gflops ? supply_by_gflops(&g->first) : supply_by_chips(&g->first)));
    if (goal->met_ms)
        buf_addf(r->out, "<b class=\"%s\">Met on %s</b>%s: then ",
                 goal->met_ms <= goal->by_ms ? "good" : "bad", met,
                 goal->met_ms <= goal->by_ms ? "" : ", late");
    else
        buf_add_text(r->out, "<b class=\"bad\">Not met</b>: in the end ");
    chart_count(r->out, s->own_chips);
    buf_add_text(r->out, " of ");
    chart_count(r->out, s->chips);
    buf_addf(r->out, " chips in service (%.1f %%) come from within, with ", 100 * supply_by_chips(s));
    chart_figure(r->out, (double)s->own_gflops / 1e6);
    buf_add_text(r->out, " of ");
    chart_figure(r->out, (double)s->gflops / 1e6);
    buf_addf(r->out, " PFLOPS (%.1f %%, dense FP16).</p>\n", 100 * supply_by_gflops(s));
}

static uint32_t bins_of(const struct report *r, const char *group, const char *jurisdiction, double *v)
{
    return report_bins(r, record_find(r->rec, group, name_of(jurisdiction)), v);
}

static void draw_notes(const struct report *r, struct chart *c)
{
    for (uint32_t i = 0; i < r->rec->nmarks; i++) {
        const struct record_mark *m = &r->rec->mark[i];
        if (!m->drill && m->at_ms >= r->from_ms && m->at_ms <= r->to_ms)
            chart_upright(c, "note", (double)m->at_ms, "", m->text);
    }
}

static void draw_shares(const struct report *r, const struct supply_goal *goal, const char *id)
{
    double own[REPORT_BINS], all[REPORT_BINS], own_gflops[REPORT_BINS], all_gflops[REPORT_BINS];
    char text[64];
    struct chart c;
    uint32_t n = bins_of(r, "own chips", goal->jurisdiction, own);
    (void)bins_of(r, "all chips", goal->jurisdiction, all);
    (void)bins_of(r, "own gflops", goal->jurisdiction, own_gflops);
    (void)bins_of(r, "all gflops", goal->jurisdiction, all_gflops);
    for (uint32_t i = 0; i < n; i++) {
        own[i] = all[i] > 0 ? 100 * own[i] / all[i] : 0;
        own_gflops[i] = all_gflops[i] > 0 ? 100 * own_gflops[i] / all_gflops[i] : 0;
    }
    (void)snprintf(text, sizeof text, "Share that comes from within, %s", name_of(goal->jurisdiction));
    chart_open(&c, r->out, id, text, "", "Upright dots: deliveries and losses that the network file dates.");
    chart_legend_open(&c);
    chart_legend_entry(&c, 0, "of the chips", "");
    chart_legend_entry(&c, 1, "of the throughput", "");
    chart_legend_close(&c);
    chart_frame(&c);
    chart_y_axis(&c, (struct axis){0, 100, 20}, " %");
    report_time_axis(r, &c);
    draw_notes(r, &c);
    chart_line(&c, 1, NULL, own_gflops, n, "share of the throughput (dense FP16)");
    chart_line(&c, 0, NULL, own, n, "share of the chips");
    (void)snprintf(text, sizeof text, "target %.1f %%", goal->target / 10.0);
    chart_level(&c, goal->target / 10.0, text);
    if (goal->met_ms && goal->met_ms >= r->from_ms && goal->met_ms <= r->to_ms)
        chart_upright(&c, "met", (double)goal->met_ms, "met", "the target is met");
    report_drills(r, &c);
    chart_close(&c);
}

static void draw_throughput(const struct report *r, const struct supply_goal *goal, const char *id)
{
    double own[REPORT_BINS], all[REPORT_BINS];
    char text[64];
    struct chart c;
    uint32_t n = bins_of(r, "own gflops", goal->jurisdiction, own);
    (void)bins_of(r, "all gflops", goal->jurisdiction, all);
    for (uint32_t i = 0; i < n; i++) {
        own[i] /= 1e6;
        all[i] /= 1e6;
    }
    (void)snprintf(text, sizeof text, "Throughput in service, %s", name_of(goal->jurisdiction));
    chart_open(&c, r->out, id, text, "PFLOPS, dense FP16", "");
    chart_legend_open(&c);
    chart_legend_entry(&c, 0, "from within", "");
    chart_legend_entry(&c, 9, "imported", "");
    chart_legend_close(&c);
    chart_frame(&c);
    chart_y_axis(&c, axis_round(0, report_most(all, n), 5), "");
    report_time_axis(r, &c);
    chart_area(&c, 0, NULL, own, n, "from within");
    chart_area(&c, 9, own, all, n, "imported");
    report_drills(r, &c);
    chart_close(&c);
}

static void add_share(const struct report *r, const struct supply_share *s)
{
    buf_add_text(r->out, "<td>");
    chart_count(r->out, s->chips);
    buf_addf(
        r->out,
        "</td><td>%.1f %%<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span></td><td>%.1f %%</td><td>",
        100 * supply_by_chips(s), 100 * supply_by_chips(s), 100 * supply_by_gflops(s));
    chart_figure(r->out, (double)s->gflops / 1e6);
    buf_add_text(r->out, "</td>");
}

static void add_table(const struct report *r)
{
    const struct supply *s = &r->result->supply;
    buf_add_text(
        r->out,
        "<div class=\"scroll\"><table><thead><tr><th>Jurisdiction</th><th>Chips<br>at the start</th><th>from "
        "within</th><th>by throughput</th><th>PFLOPS</th><th>Chips<br>at the end</th><th>from "
        "within</th><th>by "
        "throughput</th><th>PFLOPS</th></tr></thead><tbody>\n");
    for (uint32_t i = 1; i <= s->ngroups; i++) { /* the network is the last line */
        const struct supply_group *g = &s->group[i % s->ngroups];
        if (i == s->ngroups)
            buf_add_text(r->out, "</tbody><tfoot>");
        buf_add_text(r->out, "<tr><th scope=\"row\">");
        chart_text(r->out, i == s->ngroups ? "Network" : g->jurisdiction);
        buf_add_text(r->out, "</th>");
        add_share(r, &g->first);
        add_share(r, &g->now);
        buf_add_text(r->out, "</tr>\n");
    }
    buf_add_text(r->out, "</tfoot></table></div>\n");
}

void report_goals(const struct report *r)
{
    for (uint32_t i = 0; i < r->result->supply.ngoals; i++) {
        if (supply_of(&r->result->supply, r->result->supply.goal[i].jurisdiction))
            tell_goal(r, &r->result->supply.goal[i]);
    }
}

void report_supply(const struct report *r)
{
    const struct supply *s = &r->result->supply;
    if (s->ngroups < 2)
        return;
    report_section(r, "supply-section", "Self-supply",
                   "Chips in service whose maker is at home where they stand. A chip for a chip is not a "
                   "flop for a flop: "
                   "throughput is dense FP16 as the catalogue of chips has it.");
    for (uint32_t i = 0; i < s->ngoals; i++) {
        char id[32];
        if (!supply_of(s, s->goal[i].jurisdiction))
            continue;
        buf_add_text(r->out, "<div class=\"pair\" style=\"margin-bottom:14px\">\n");
        (void)snprintf(id, sizeof id, "supply-%u", i);
        draw_shares(r, &s->goal[i], id);
        (void)snprintf(id, sizeof id, "throughput-%u", i);
        draw_throughput(r, &s->goal[i], id);
        buf_add_text(r->out, "</div>\n");
    }
    add_table(r);
    report_section_end(r);
}
