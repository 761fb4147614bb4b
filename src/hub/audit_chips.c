/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/audit_chips.h"

#include <string.h>

#include "hub/audit_cells.h"

#define GROUPS_MAX 64 /* of one site; the last one takes what comes then */

/* Chips alike at a site. */
struct group {
    const struct row_unit *first;
    uint32_t state[UNIT_STATES_END], licensed;
};

struct groups {
    struct group list[GROUPS_MAX];
    uint32_t n;
};

static bool is_alike(const struct row_unit *a, const struct row_unit *b)
{
    return strcmp(a->vendor, b->vendor) == 0 && strcmp(a->kind, b->kind) == 0 &&
           strcmp(chip_origin(a), chip_origin(b)) == 0 && (a->kind[0] || strcmp(a->device, b->device) == 0);
}

static bool comes_before(const struct row_unit *a, const struct row_unit *b)
{
    int order = strcmp(a->vendor, b->vendor);
    order = order ? order : strcmp(a->kind, b->kind);
    order = order ? order : strcmp(chip_origin(a), chip_origin(b));
    return (order ? order : strcmp(a->device, b->device)) < 0;
}

static void find_groups(struct groups *g, const struct core *core, const struct uuid *site)
{
    const struct row_unit *row;
    g->n = 0;
    for (uint32_t pos = 0; (row = view_site_unit_at(core, site, &pos)) != NULL;) {
        uint32_t i = 0;
        while (i < g->n && !is_alike(g->list[i].first, row))
            i++;
        i = i < GROUPS_MAX ? i : GROUPS_MAX - 1;
        if (i == g->n)
            g->list[g->n++] = (struct group){.first = row};
        g->list[i].state[row->state]++;
        g->list[i].licensed += row->licence[0] != 0 && row->state != UNIT_ABSENT;
    }
    for (uint32_t i = 1; i < g->n; i++) {
        const struct group one = g->list[i];
        uint32_t k = i;
        for (; k > 0 && comes_before(one.first, g->list[k - 1].first); k--)
            g->list[k] = g->list[k - 1];
        g->list[k] = one;
    }
}

static void add_group(struct buf *out, const struct row_site *site, const struct group *g)
{
    buf_add_text(out, "{\"site\":");
    buf_add_json(out, site->name, text_len(site->name, sizeof site->name));
    add_text(out, "jurisdiction", site->jurisdiction, sizeof site->jurisdiction);
    add_text(out, "vendor", g->first->vendor, sizeof g->first->vendor);
    add_text(out, "chip", g->first->kind[0] ? g->first->kind : g->first->device, CHIP_CAP);
    add_text(out, "origin", chip_origin(g->first), CODE_CAP);
    buf_addf(out, ",\"present\":%u,\"failed\":%u,\"absent\":%u,\"licensed\":%u}", g->state[UNIT_PRESENT],
             g->state[UNIT_FAILED], g->state[UNIT_ABSENT], g->licensed);
}

static void add_alarms(struct buf *out, const struct core *core, int64_t from_ms, int64_t to_ms)
{
    const struct row_unit_alarm *row;
    const char *sep = "";
    buf_add_text(out, ",\"chip_alarms\":[");
    for (uint32_t pos = 0; (row = view_unit_alarm_at(core, &pos)) != NULL;) {
        if (row->since_ms >= to_ms || (row->resolved_ms != 0 && row->resolved_ms < from_ms))
            continue;
        buf_add_text(out, sep);
        sep = ",";
        render_chip_alarm(out, core, row);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

void chips_json(struct buf *out, const struct core *core, int64_t from_ms, int64_t to_ms)
{
    const struct row_site *site;
    struct groups g;
    const char *sep = "";
    buf_add_text(out, ",\"chips\":[");
    for (uint32_t pos = 0; (site = view_site_at(core, &pos)) != NULL;) {
        find_groups(&g, core, &site->id);
        for (uint32_t i = 0; i < g.n; i++) {
            buf_add_text(out, sep);
            sep = ",";
            add_group(out, site, &g.list[i]);
        }
    }
    buf_add_text(out, "],\"chips_nameless\":[");
    sep = "";
    for (uint32_t pos = 0; (site = view_site_at(core, &pos)) != NULL;) {
        const struct row_unit_census *census = view_unit_census(core, &site->id);
        if (!census || census->nameless == 0)
            continue;
        buf_addf(out, "%s{\"site\":", sep);
        sep = ",";
        buf_add_json(out, site->name, text_len(site->name, sizeof site->name));
        buf_addf(out, ",\"count\":%u}", census->nameless);
    }
    buf_add_char(out, ']');
    add_alarms(out, core, from_ms, to_ms);
}

void chips_csv(struct buf *out, const struct core *core)
{
    const struct row_site *site;
    struct groups g;
    for (uint32_t pos = 0; (site = view_site_at(core, &pos)) != NULL;) {
        find_groups(&g, core, &site->id);
        for (uint32_t i = 0; i < g.n; i++) {
            const struct row_unit *row = g.list[i].first;
            const struct {
                const char *what;
                uint32_t n;
            } lines[] = {{"present", g.list[i].state[UNIT_PRESENT]},
                         {"failed", g.list[i].state[UNIT_FAILED]},
                         {"absent", g.list[i].state[UNIT_ABSENT]},
                         {"licensed", g.list[i].licensed}};
            for (uint32_t k = 0; k < sizeof lines / sizeof lines[0]; k++) {
                buf_add_text(out, "chips,,");
                csv_field(out, row->kind[0] ? row->kind : row->device);
                buf_addf(out, ",%s,", row->vendor);
                csv_field(out, chip_origin(row)); /* declared by an earlier version, whatever it was */
                buf_add_char(out, ',');
                csv_field(out, site->jurisdiction);
                buf_addf(out, ",%s %s,,,,,,,,,,%u\r\n", lines[k].what, site->name, lines[k].n);
            }
        }
    }
}
