/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outputs of makers' tools, lists of the bus and scans as JSON from any bytes: no read outside them; what is taken lies in its bounds,
 * is text that ends, is written as JSON that is read back the same; two scans of which one is the other differ in nothing.
 *
 * The first byte chooses what the rest is: a step of the tables of tools.c, a list, or JSON.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "probe/parts.h"
#include "tests/fuzz/split.h"

static const char bus[] = "0000:19:00.0 %04x:0001 class=120000 driver=x node=/dev/dri/renderD128\n"
                          "0000:3b:00.0 %04x:0001 class=120000 driver=vfio-pci\n"
                          "0000:4c:00.0 10de:2330 class=030200 minor=3\n";

static struct probe_scan scan, again;
static struct drafts drafts;

static void check_text(const char *text, size_t cap)
{
    const char *end = memchr(text, 0, cap);
    assert(end);
    for (const char *p = text; p < end; p++)
        assert(*p >= ' ' && *p <= '~');
}

static void check_number(int64_t v, int64_t min, int64_t max)
{
    assert(v == PROBE_UNKNOWN || (v >= min && v <= max));
}

static void check_chip(const struct probe_chip *c)
{
    char pci[PROBE_PCI_CAP], key[PROBE_KEY_CAP];
    check_text(c->vendor, sizeof c->vendor);
    check_text(c->model, sizeof c->model);
    check_text(c->serial, sizeof c->serial);
    check_text(c->uuid, sizeof c->uuid);
    check_text(c->node, sizeof c->node);
    check_text(c->card, sizeof c->card);
    check_text(c->driver, sizeof c->driver);
    check_text(c->health_text, sizeof c->health_text);
    check_text(c->id, sizeof c->id);
    assert(!c->pci[0] || (pci_parse(pci, c->pci, strlen(c->pci)) && strcmp(pci, c->pci) == 0));
    check_number(c->index, 0, 65535);
    check_number(c->memory_mib, 1, (int64_t)16 << 20);
    check_number(c->memory_used_mib, 0, c->memory_mib == PROBE_UNKNOWN ? 0 : c->memory_mib);
    check_number(c->power_mw, 0, 100000000);
    check_number(c->power_limit_mw, 1, 100000000);
    check_number(c->temperature_c, -50, 250);
    check_number(c->utilisation_pct, 0, 100);
    assert(c->health >= PROBE_HEALTH_UNKNOWN && c->health <= PROBE_FAILED && c->links <= PROBE_LINKS_MAX);
    (void)probe_key(c, key);
    assert(memchr(key, 0, sizeof key));
}

static void check_json(void)
{
    static struct probe_change changes[2 * PROBE_CHIPS_MAX];
    struct buf first, second;
    buf_init(&first, PROBE_JSON_MAX);
    buf_init(&second, PROBE_JSON_MAX);
    probe_json(&first, &scan);
    assert(!first.failed && probe_read(&again, first.data, first.len, NULL) == 0);
    probe_json(&second, &again);
    assert(!second.failed && first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    if (scan.dropped == 0)
        assert(probe_compare(&scan, &again, changes) == 0);
    again.n = 0;
    assert(probe_compare(&scan, &again, changes) == scan.n);
    buf_fini(&first);
    buf_fini(&second);
}

static void check_tool(const struct maker *m, const struct tool_step *step, const uint8_t *data, size_t size)
{
    char text[sizeof bus + 32];
    int n = snprintf(text, sizeof text, bus, m->vendor_id[0], m->vendor_id[0]);
    memset(&scan, 0, sizeof scan);
    scan.cpu.sockets = scan.cpu.cores = scan.cpu.threads = PROBE_UNKNOWN;
    scan.cpu.numa_nodes = scan.cpu.memory_mib = PROBE_UNKNOWN;
    if (size % 4 != 0)
        pci_scan_list(&scan, text, (size_t)n);
    for (uint32_t i = 0; i < scan.n; i++)
        scan.chip[i].index = i;
    drafts.n = drafts.dropped = 0;
    memset(drafts.driver, 0, sizeof drafts.driver);
    if (step->format == TOOL_MATRIX) {
        read_matrix(&scan, m->name, step, (const char *)data, size);
    } else {
        tool_read(&drafts, step, (const char *)data, size);
        for (uint32_t i = 0; i < drafts.n; i++)
            check_chip(&drafts.d[i].chip);
        merge_drafts(&scan, m, &drafts, PROBE_COMMAND, step->role, step->program);
    }
    scan_finish(&scan, NULL);
}

/* Whether there is a step of that number. */
static bool check_step(unsigned which, const uint8_t *data, size_t size)
{
    for (uint32_t i = 0; i < makers_n; i++) {
        for (const struct tool_step *step = makers[i].steps; step->program; step++) {
            if (which-- == 0) {
                check_tool(&makers[i], step, data, size);
                return true;
            }
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned which = data[0];
    data++;
    size--;
    if (which == 255) {
        memset(&scan, 0, sizeof scan);
        scan.cpu.sockets = scan.cpu.cores = scan.cpu.threads = PROBE_UNKNOWN;
        scan.cpu.numa_nodes = scan.cpu.memory_mib = PROBE_UNKNOWN;
        pci_scan_list(&scan, (const char *)data, size);
        scan_finish(&scan, NULL);
    } else if (which == 254) {
        struct err err;
        if (probe_read(&scan, (const char *)data, size, &err) != 0) {
            assert(scan.n == 0 && err.msg[0]);
            return 0;
        }
        scan.dropped = 0;
        check_json();
        return 0;
    } else if (!check_step(which, data, size)) {
        return 0;
    }
    for (uint32_t i = 0; i < scan.n; i++)
        check_chip(&scan.chip[i]);
    check_json();
    return 0;
}
