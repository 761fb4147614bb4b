/* SPDX-License-Identifier: Apache-2.0 */
/* Networks as files: checked and shown without a hub. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/client.h"
#include "network/decimal.h"
#include "network/netmap.h"
#include "network/summary.h"

#define JSON_MAX ((size_t)64 << 20)
#define MAP_MAX ((size_t)64 << 20)

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* ---- loading ---- */

static void add_problems(struct buf *out, const struct problems *problems)
{
    buf_addf(out, "{\"valid\":false,\"problems\":[");
    for (uint32_t i = 0; i < problems->n; i++) {
        const struct problem *p = &problems->list[i];
        buf_addf(out, "%s{\"file\":", i ? "," : "");
        buf_add_json(out, p->file, strlen(p->file));
        buf_addf(out, ",\"line\":%u,\"path\":", p->line);
        buf_add_json(out, p->path, strlen(p->path));
        buf_add_text(out, ",\"text\":");
        buf_add_json(out, p->text, strlen(p->text));
        buf_add_char(out, '}');
    }
    buf_addf(out, "],\"more\":%u}", problems->dropped);
}

static void tell_problems(const struct cli *cli, const struct problems *problems)
{
    print_problems(problems);
    if (cli->json) {
        struct buf json;
        buf_init(&json, JSON_MAX);
        add_problems(&json, problems);
        (void)print_json_buf(&json);
    }
}

static int load(const struct cli *cli, struct netfile **out, const char *path)
{
    struct problems problems;
    problems_init(&problems);
    int rc = netfile_load(out, path, &problems);
    if (rc != 0 && problems_none(&problems))
        fprintf(stderr, "busbar: %s: %s\n", path, err_text(rc));
    else if (rc != 0)
        tell_problems(cli, &problems);
    problems_fini(&problems);
    return rc == 0 ? CLI_OK : rc == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
}

/* ---- check ---- */

static void add_group(struct buf *out, const struct net_group *g, bool supply)
{
    buf_add_text(out, "{\"name\":");
    buf_add_json(out, g->name, strlen(g->name));
    buf_addf(out, ",\"chips\":%llu,\"gflops\":%llu", (unsigned long long)g->chips,
             (unsigned long long)g->gflops);
    if (supply)
        buf_addf(out, ",\"own_chips\":%llu,\"own_gflops\":%llu", (unsigned long long)g->own_chips,
                 (unsigned long long)g->own_gflops);
    buf_add_char(out, '}');
}

static void add_corridor_name(struct buf *out, const struct netfile *nf, uint32_t i)
{
    const struct net_corridor *c = netfile_corridor(nf, i);
    buf_addf(out, "[\"%s\",\"%s\"]", netfile_site(nf, c->a)->name, netfile_site(nf, c->b)->name);
}

static void add_losses(struct buf *out, const struct netfile *nf, const struct net_summary *s)
{
    const char *comma = "";
    buf_add_text(out, ",\"largest_losses\":{");
    if (s->largest_site != NET_NONE) {
        const struct net_site *site = netfile_site(nf, s->largest_site);
        const struct net_group *v = &s->vendor[s->largest_vendor];
        buf_addf(out,
                 "\"site\":{\"name\":\"%s\",\"chips\":%u,\"watts\":%llu},\"vendor\":{\"name\":\"%s\","
                 "\"chips\":%llu}",
                 site->name, site->chips, (unsigned long long)net_site_watts(site), v->name,
                 (unsigned long long)v->chips);
        comma = ",";
    }
    if (s->widest_corridor != NET_NONE) {
        buf_addf(out, "%s\"corridor\":{\"ends\":", comma);
        add_corridor_name(out, nf, s->widest_corridor);
        buf_add_text(out, ",\"gbit_s\":");
        decimal_add(out, netfile_corridor(nf, s->widest_corridor)->gbit_s.v, 3);
        buf_add_char(out, '}');
        comma = ",";
    }
    if (s->bridge != NET_NONE) {
        buf_addf(out, "%s\"bridge\":{\"ends\":", comma);
        add_corridor_name(out, nf, s->bridge);
        buf_addf(out, ",\"chips_cut_off\":%llu}", (unsigned long long)s->bridge_chips);
    }
    buf_add_char(out, '}');
}

static void add_goals(struct buf *out, const struct netfile *nf)
{
    buf_add_text(out, ",\"self_supply\":[");
    for (uint32_t i = 0; i < netfile_goals(nf); i++) {
        const struct net_goal *g = netfile_goal(nf, i);
        buf_add_text(out, i ? ",{\"jurisdiction\":" : "{\"jurisdiction\":");
        if (g->jurisdiction[0])
            buf_add_json(out, g->jurisdiction, strlen(g->jurisdiction));
        else
            buf_add_text(out, "null");
        buf_add_text(out, ",\"target\":");
        decimal_add(out, g->target.v, 3);
        buf_addf(out, ",\"measure\":\"%s\",\"by\":\"", g->by_gflops ? "gflops" : "chips");
        date_add(out, g->by_ms);
        buf_add_text(out, "\"}");
    }
    buf_add_char(out, ']');
}

static void add_summary(struct buf *out, const struct netfile *nf, const struct net_summary *s)
{
    buf_add_text(out, "{\"valid\":true,\"about\":");
    buf_add_json(out, netfile_about(nf), strlen(netfile_about(nf)));
    buf_addf(out, ",\"sites\":%u,\"pools\":%u,\"corridors\":%u,\"changes\":%u,\"islands\":%u", s->sites,
             s->pools, s->corridors, s->changes, s->islands);
    buf_addf(out,
             ",\"chips\":%llu,\"chips_later\":%llu,\"gflops\":%llu,\"it_watts\":%llu,\"facility_watts\":%llu",
             (unsigned long long)s->chips, (unsigned long long)s->chips_later, (unsigned long long)s->gflops,
             (unsigned long long)s->it_watts, (unsigned long long)s->facility_watts);
    buf_add_text(out, ",\"figures\":{");
    for (int i = TIER_GIVEN; i < TIER_END; i++)
        buf_addf(out, "%s\"%s\":%u", i > TIER_GIVEN ? "," : "", tier_text((enum tier)i), s->figures[i]);
    buf_add_text(out, "},\"vendors\":[");
    for (uint32_t i = 0; i < s->nvendors; i++) {
        buf_add_text(out, i ? "," : "");
        add_group(out, &s->vendor[i], false);
    }
    buf_add_text(out, "],\"jurisdictions\":[");
    for (uint32_t i = 0; i < s->njurisdictions; i++) {
        buf_add_text(out, i ? "," : "");
        add_group(out, &s->jurisdiction[i], true);
    }
    buf_add_char(out, ']');
    add_goals(out, nf);
    add_losses(out, nf, s);
    buf_add_char(out, '}');
}

static void print_figures(const struct net_summary *s)
{
    const char *comma = "";
    printf("figures     ");
    for (int i = TIER_GIVEN; i < TIER_END; i++) {
        if (s->figures[i]) {
            printf("%s %u %s", comma, s->figures[i], tier_text((enum tier)i));
            comma = ",";
        }
    }
    printf("\n");
}

static void print_losses(const struct netfile *nf, const struct net_summary *s)
{
    printf("\nLARGEST SINGLE LOSS\n");
    if (s->largest_site != NET_NONE) {
        const struct net_site *site = netfile_site(nf, s->largest_site);
        const struct net_group *v = &s->vendor[s->largest_vendor];
        printf("site      %s: %.1f MW, %.1f %%\n", site->name, (double)net_site_watts(site) / 1e6,
               percent(net_site_watts(site), s->facility_watts));
        printf("vendor    %s: %llu chips, %.1f %%\n", v->name, (unsigned long long)v->chips,
               percent(v->chips, s->chips));
    }
    if (s->widest_corridor != NET_NONE) {
        const struct net_corridor *c = netfile_corridor(nf, s->widest_corridor);
        printf("corridor  %s - %s: %.0f Gbit/s\n", netfile_site(nf, c->a)->name, netfile_site(nf, c->b)->name,
               (double)c->gbit_s.v / 1000);
    }
    if (s->bridge != NET_NONE) {
        const struct net_corridor *c = netfile_corridor(nf, s->bridge);
        printf("bridge    %s - %s: without it %llu chips are cut off\n", netfile_site(nf, c->a)->name,
               netfile_site(nf, c->b)->name, (unsigned long long)s->bridge_chips);
    } else if (s->islands == 1) {
        printf("bridge    none: no single corridor cuts a site with chips off\n");
    }
    if (s->islands > 1)
        printf("islands   %u parts of the network have no corridor between them\n", s->islands);
}

static void print_goals(const struct netfile *nf)
{
    for (uint32_t i = 0; i < netfile_goals(nf); i++) {
        const struct net_goal *g = netfile_goal(nf, i);
        struct buf date;
        buf_init(&date, 64);
        date_add(&date, g->by_ms);
        printf("%-16s target: %.1f %% %s by %.10s\n", g->jurisdiction[0] ? g->jurisdiction : "network",
               (double)g->target.v / 10, g->by_gflops ? "by gflops" : "by count", date.len ? date.data : "");
        buf_fini(&date);
    }
}

static void print_summary(const struct netfile *nf, const struct net_summary *s)
{
    printf("about        %s\n", netfile_about(nf)[0] ? netfile_about(nf) : "-");
    printf("sites        %u\npools        %u\ncorridors    %u\nchanges      %u\n", s->sites, s->pools,
           s->corridors, s->changes);
    printf("chips        %llu", (unsigned long long)s->chips);
    if (s->chips_later)
        printf(", and %llu that are delivered later", (unsigned long long)s->chips_later);
    printf("\nfull load    %.1f MW, %.1f MW before PUE\n", (double)s->facility_watts / 1e6,
           (double)s->it_watts / 1e6);
    print_figures(s);
    printf("\n%-16s %8s %7s %9s\n", "VENDOR", "CHIPS", "SHARE", "PFLOPS");
    for (uint32_t i = 0; i < s->nvendors; i++)
        printf("%-16s %8llu %5.1f %% %9.1f\n", s->vendor[i].name, (unsigned long long)s->vendor[i].chips,
               percent(s->vendor[i].chips, s->chips), (double)s->vendor[i].gflops / 1e6);
    printf("\n%-16s %8s %12s %12s\n", "SELF-SUPPLY", "CHIPS", "BY COUNT", "BY GFLOPS");
    for (uint32_t i = 0; i < s->njurisdictions; i++) {
        const struct net_group *g = &s->jurisdiction[i];
        printf("%-16s %8llu %10.1f %% %10.1f %%\n", g->name, (unsigned long long)g->chips,
               percent(g->own_chips, g->chips), percent(g->own_gflops, g->gflops));
    }
    print_goals(nf);
    print_losses(nf, s);
}

int cli_network_check(const struct cli *cli)
{
    struct netfile *nf;
    int rc = load(cli, &nf, cli->args[0]);
    if (rc != CLI_OK)
        return rc;
    struct net_summary *s = malloc(sizeof *s);
    struct buf json;
    buf_init(&json, JSON_MAX);
    if (s) {
        net_summary(nf, s);
        if (cli->json) {
            add_summary(&json, nf, s);
            rc = print_json_buf(&json);
        } else {
            print_summary(nf, s);
        }
    } else {
        fprintf(stderr, "busbar: out of memory\n");
        rc = CLI_FAILED;
    }
    buf_fini(&json);
    free(s);
    netfile_free(nf);
    return rc;
}

/* ---- show ---- */

static void add_figure(struct buf *out, const char *key, struct figure figure, unsigned decimals)
{
    buf_addf(out, ",\"%s\":", key);
    if (figure_given(figure))
        decimal_add(out, figure.v, decimals);
    else
        buf_add_text(out, "null");
}

static void add_site(struct buf *out, const struct netfile *nf, const struct net_site *s)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &s->uuid);
    buf_addf(out, "{\"name\":\"%s\",\"id\":\"%s\",\"title\":", s->name, id);
    buf_add_json(out, s->title, strlen(s->title));
    buf_addf(out, ",\"jurisdiction\":\"%s\",\"region\":\"%s\",\"owner\":\"%s\"", s->jurisdiction, s->region,
             s->owner);
    add_figure(out, "lat", s->lat, 6);
    add_figure(out, "lon", s->lon, 6);
    buf_addf(out, ",\"chips\":%u,\"mw\":%.3f", s->chips, (double)net_site_watts(s) / 1e6);
    add_figure(out, "pue", s->pue, 3);
    add_figure(out, "price_usd_mwh", s->price_usd_mwh, 6);
    add_figure(out, "carbon_g_kwh", s->carbon_g_kwh, 3);
    add_figure(out, "renewable", s->renewable, 3);
    add_figure(out, "cap_mw", s->cap_mw, 6);
    buf_add_text(out, ",\"pools\":[");
    for (uint32_t i = 0; i < s->pools; i++) {
        const struct net_pool *p = netfile_pool(nf, s->pool + i);
        uuid_format(id, &p->uuid);
        buf_addf(out, "%s{\"name\":\"%s\",\"id\":\"%s\",\"chip\":\"%s\",\"nodes\":%u", i ? "," : "", p->name,
                 id, p->chip_name, p->nodes);
        add_figure(out, "chips", p->chips, 0);
        add_figure(out, "node_chips", p->node_chips, 0);
        add_figure(out, "domain", p->domain, 0);
        add_figure(out, "usd_chip_hour", p->usd_chip_hour, 9);
        buf_add_char(out, '}');
    }
    buf_add_text(out, "]}");
}

static void add_corridor(struct buf *out, const struct netfile *nf, uint32_t i)
{
    const struct net_corridor *c = netfile_corridor(nf, i);
    char id[UUID_TEXT_LEN + 1];
    uuid_format(id, &c->uuid);
    buf_addf(out, "{\"id\":\"%s\",\"ends\":", id);
    add_corridor_name(out, nf, i);
    add_figure(out, "gbit_s", c->gbit_s, 3);
    add_figure(out, "rtt_ms", c->rtt_ms, 3);
    add_figure(out, "usd_gb", c->usd_gb, 9);
    add_figure(out, "kwh_gb", c->kwh_gb, 6);
    buf_addf(out, ",\"lawful\":\"%s\"}", c->lawful == LAWFUL_DENY ? "deny" : "allow");
}

static void add_network(struct buf *out, const struct netfile *nf)
{
    buf_add_text(out, "{\"about\":");
    buf_add_json(out, netfile_about(nf), strlen(netfile_about(nf)));
    buf_add_text(out, ",\"data\":[");
    for (uint32_t i = 0; i < netfile_sites(nf); i++) {
        buf_add_text(out, i ? "," : "");
        add_site(out, nf, netfile_site(nf, i));
    }
    buf_add_text(out, "],\"corridors\":[");
    for (uint32_t i = 0; i < netfile_corridors(nf); i++) {
        buf_add_text(out, i ? "," : "");
        add_corridor(out, nf, i);
    }
    buf_add_text(out, "]}");
}

static int show(const struct cli *cli, const struct netfile *nf)
{
    static const struct column columns[] = {{"SITE", "/name"},
                                            {"IN", "/jurisdiction"},
                                            {"CHIPS", "/chips"},
                                            {"MW", "/mw"},
                                            {"PUE", "/pue"},
                                            {"USD/MWH", "/price_usd_mwh"},
                                            {"G/KWH", "/carbon_g_kwh"},
                                            {"RENEWABLE", "/renewable"},
                                            {"CAP MW", "/cap_mw"},
                                            {"TITLE", "/title"}};
    struct buf json;
    buf_init(&json, JSON_MAX);
    add_network(&json, nf);
    char *text = buf_take(&json);
    yyjson_doc *doc = text ? yyjson_read(text, strlen(text), 0) : NULL;
    int rc = CLI_FAILED;
    if (doc)
        rc = print_table(cli, doc, columns, (int)(sizeof columns / sizeof columns[0]));
    else
        fprintf(stderr, "busbar: out of memory\n");
    yyjson_doc_free(doc);
    free(text);
    buf_fini(&json);
    return rc;
}

static int write_map(const struct netfile *nf, const char *share, const char *path)
{
    char land_path[FS_PATH_MAX];
    struct buf land, map;
    struct err err = {0};
    char *path_text = NULL;
    buf_init(&land, NETMAP_LAND_MAX);
    buf_init(&map, MAP_MAX);
    /* The land is an ornament: without it the map is drawn all the same. */
    if (fs_join(land_path, share, "network/land.txt") && fs_read(land_path, &land, NULL) == 0)
        path_text = buf_take(&land);
    netmap_draw(nf, path_text && netmap_land_valid(path_text) ? path_text : NULL, &map);
    int rc = map.failed ? err_set(&err, ERR_NO_MEMORY, "%s: out of memory", path)
                        : fs_write_atomic(path, map.data, map.len, 0644, &err);
    if (rc != 0)
        fprintf(stderr, "busbar: %s\n", err.msg);
    else
        fprintf(stderr, "map: %s\n", path);
    free(path_text);
    buf_fini(&land);
    buf_fini(&map);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

int cli_network_show(const struct cli *cli)
{
    struct netfile *nf;
    char share[FS_PATH_MAX], file[FS_PATH_MAX];
    const char *map = cli_option(cli, "map");
    if (!fs_share(share) || !fs_join(file, share, "network/illustrative.yaml")) {
        fprintf(stderr, "busbar: our own folder is not found\n");
        return CLI_FAILED;
    }
    int rc = load(cli, &nf, cli->nargs ? cli->args[0] : file);
    if (rc != CLI_OK)
        return rc;
    if (map)
        rc = write_map(nf, share, map);
    if (rc == CLI_OK)
        rc = show(cli, nf);
    netfile_free(nf);
    return rc;
}
