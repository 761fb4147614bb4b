/* SPDX-License-Identifier: Apache-2.0 */
/* busbar chips: the chips of this machine, or of a captured one. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "net/json.h"
#include "probe/probe.h"

#define EVERY_S_DEFAULT 5
#define COLUMNS 10
#define CELL_CAP 64

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

/* ---- for people ---- */

struct row {
    char cell[COLUMNS][CELL_CAP];
};

static const char *const titles[COLUMNS] = {"ADDRESS", "CHIP",   "MODEL", "NODE",    "MEMORY MIB",
                                            "POWER W", "TEMP C", "USE %", "SOURCES", "HEALTH"};

/* "12/350", "-/350", "-". */
static void pair(char dst[CELL_CAP], int64_t a, int64_t b, int64_t unit)
{
    char x[24] = "-", y[24] = "";
    if (a != PROBE_UNKNOWN)
        (void)snprintf(x, sizeof x, "%lld", (long long)((a + unit / 2) / unit));
    if (b != PROBE_UNKNOWN)
        (void)snprintf(y, sizeof y, "/%lld", (long long)((b + unit / 2) / unit));
    (void)snprintf(dst, CELL_CAP, "%s%s", x, y);
}

static void text(char dst[CELL_CAP], const char *src)
{
    (void)snprintf(dst, CELL_CAP, "%s", src[0] ? src : "-");
}

static void fill(struct row *row, const struct probe_chip *c)
{
    char name[CELL_CAP];
    text(row->cell[0], c->pci);
    (void)snprintf(name, sizeof name, "%s %s", c->vendor, c->id);
    text(row->cell[1], c->kind[0] ? c->kind : c->vendor[0] ? name : c->id);
    text(row->cell[2], c->model);
    text(row->cell[3], c->node);
    pair(row->cell[4], c->memory_used_mib, c->memory_mib, 1);
    pair(row->cell[5], c->power_mw, c->power_limit_mw, 1000);
    pair(row->cell[6], c->temperature_c, PROBE_UNKNOWN, 1);
    pair(row->cell[7], c->utilisation_pct, PROBE_UNKNOWN, 1);
    (void)snprintf(row->cell[8], CELL_CAP, "%s%s%s", c->sources & PROBE_PCI ? "p" : "",
                   c->sources & PROBE_LIBRARY ? "l" : "", c->sources & PROBE_COMMAND ? "c" : "");
    text(row->cell[9], probe_health_text(c->health));
}

static void print_table_of(const struct probe_scan *scan, struct row *rows)
{
    size_t width[COLUMNS];
    for (int k = 0; k < COLUMNS; k++) {
        width[k] = strlen(titles[k]);
        for (uint32_t i = 0; i < scan->n; i++)
            width[k] = strlen(rows[i].cell[k]) > width[k] ? strlen(rows[i].cell[k]) : width[k];
        printf("%-*s  ", (int)width[k], titles[k]);
    }
    printf("WHY\n");
    for (uint32_t i = 0; i < scan->n; i++) {
        for (int k = 0; k < COLUMNS; k++)
            printf("%-*s  ", (int)width[k], rows[i].cell[k]);
        printf("%s\n", scan->chip[i].health_text[0] ? scan->chip[i].health_text : "-");
    }
}

static void print_count(const char *title, int64_t n)
{
    if (n != PROBE_UNKNOWN)
        printf(", %lld %s%s", (long long)n, title, n == 1 ? "" : "s");
}

static int print_people(const struct probe_scan *scan)
{
    const struct probe_cpu *cpu = &scan->cpu;
    printf("CPU: %s", cpu->model[0] ? cpu->model : "of a model that is not told");
    print_count("socket", cpu->sockets);
    print_count("core", cpu->cores);
    print_count("thread", cpu->threads);
    print_count("NUMA node", cpu->numa_nodes);
    if (cpu->memory_mib != PROBE_UNKNOWN)
        printf(", %lld MiB", (long long)cpu->memory_mib);
    printf("%s%s\n", cpu->isa[0] ? "; " : "", cpu->isa);
    struct row *rows = calloc(scan->n ? scan->n : 1, sizeof *rows);
    for (uint32_t i = 0; rows && i < scan->n; i++)
        fill(&rows[i], &scan->chip[i]);
    if (rows && scan->n > 0)
        print_table_of(scan, rows);
    else if (rows)
        printf("No accelerator is on the PCI bus.\n");
    for (uint32_t i = 0; i < scan->notes; i++)
        printf("note: %s\n", scan->note[i]);
    free(rows);
    return rows ? CLI_OK : CLI_FAILED;
}

/* Not pretty: of a line each, as one watches. */
static int print_json(const struct probe_scan *scan, bool pretty)
{
    struct buf out;
    buf_init(&out, PROBE_JSON_MAX);
    probe_json(&out, scan);
    if (pretty)
        return print_json_buf(&out);
    buf_add_char(&out, '\n');
    bool whole = !out.failed && fwrite(out.data, 1, out.len, stdout) == out.len;
    if (!whole)
        fprintf(stderr, "busbar: cannot print\n");
    buf_fini(&out);
    return whole ? CLI_OK : CLI_FAILED;
}

/* ---- what changes ---- */

static void print_fields(unsigned fields, const struct probe_chip *after)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{PROBE_DIFF_HEALTH, "health"},
                 {PROBE_DIFF_PLACE, "place"},
                 {PROBE_DIFF_NAME, "name"},
                 {PROBE_DIFF_KIND, "kind"},
                 {PROBE_DIFF_DRIVER, "driver"}};
    const char *between = ": ";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(fields & names[i].bit))
            continue;
        printf("%s%s", between, names[i].name);
        between = ", ";
    }
    if (fields & PROBE_DIFF_HEALTH)
        printf(" (%s%s%s)", probe_health_text(after->health), after->health_text[0] ? ", " : "",
               after->health_text);
}

static void print_changes(const struct probe_scan *before, const struct probe_scan *after)
{
    static const char *const words[] = {"came", "went", "changed"};
    static struct probe_change changes[2 * PROBE_CHIPS_MAX];
    uint32_t n = probe_compare(before, after, changes);
    for (uint32_t i = 0; i < n; i++) {
        const struct probe_chip *c = changes[i].after ? changes[i].after : changes[i].before;
        printf("%s: %s %s %s", words[changes[i].kind], c->pci[0] ? c->pci : "-", c->kind[0] ? c->kind : c->id,
               c->serial);
        print_fields(changes[i].fields, c);
        printf("\n");
    }
    (void)fflush(stdout);
}

/* Scans again and again, until it is told to stop: what came, went and changed; with --json each scan, a line each. */
static int watch(const struct cli *cli, const struct probe_options *options, struct probe_scan *scan,
                 uint32_t every_s)
{
    const struct timespec wait = {.tv_sec = every_s};
    struct probe_scan *before = calloc(1, sizeof *before);
    struct sigaction action = {.sa_handler = on_signal};
    struct err err = {0};
    int rc = before ? CLI_OK : CLI_FAILED;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    while (rc == CLI_OK && !stopped && !ferror(stdout)) {
        *before = *scan;
        (void)nanosleep(&wait, NULL);
        if (stopped)
            break;
        if (probe_run(scan, options, &err) != 0) {
            fprintf(stderr, "busbar: %s\n", err.msg);
            rc = CLI_FAILED;
        } else if (cli->json) {
            rc = print_json(scan, false);
            (void)fflush(stdout);
        } else {
            print_changes(before, scan);
        }
    }
    free(before);
    return rc;
}

int cli_chips(const struct cli *cli)
{
    struct probe_options options = {.from = cli_option(cli, "from")};
    struct err err = {0};
    uint32_t every_s = EVERY_S_DEFAULT;
    const bool watched = cli_option(cli, "watch") != NULL || cli_option(cli, "every") != NULL;
    if (cli_count(cli, "every", &every_s) != 0)
        return CLI_USAGE;
    if (every_s == 0) {
        fprintf(stderr, "busbar: --every: at least 1 second\n");
        return CLI_USAGE;
    }
    struct probe_scan *scan = calloc(1, sizeof *scan);
    if (!scan) {
        fprintf(stderr, "busbar: out of memory\n");
        return CLI_FAILED;
    }
    int rc = probe_run(scan, &options, &err);
    if (rc != 0)
        fprintf(stderr, "busbar: %s\n", err.msg);
    rc = rc == ERR_INVALID ? CLI_NOT_FOUND : rc ? CLI_FAILED : CLI_OK;
    if (rc == CLI_OK)
        rc = cli->json ? print_json(scan, !watched) : print_people(scan);
    if (rc == CLI_OK && watched) {
        (void)fflush(stdout);
        rc = watch(cli, &options, scan, every_s);
    }
    free(scan);
    return rc;
}
