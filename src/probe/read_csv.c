/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comma-separated lines, a chip each, with a line of names or in the order that was asked for. A line that is none but has an address
 * tells what befell that chip ("Unable to determine the device handle for GPU 0000:19:00.0: GPU is lost").
 */
#include <string.h>
#include <strings.h>

#include "probe/parts.h"

#define CELLS_MAX 32

struct cells {
    struct {
        const char *text;
        size_t len;
    } cell[CELLS_MAX];
    uint32_t n;
};

static bool split(struct cells *cells, const char *line, size_t len)
{
    cells->n = 0;
    for (const char *end = line + len, *at = line; at <= end && cells->n < CELLS_MAX;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *to = comma ? comma : end;
        cells->cell[cells->n].text = at;
        cells->cell[cells->n].len = (size_t)(to - at);
        text_trim(&cells->cell[cells->n].text, &cells->cell[cells->n].len);
        cells->n++;
        if (!comma)
            return true;
        at = comma + 1;
    }
    return false;
}

static const struct tool_column *column_named(const struct tool_step *step, const char *name, size_t len)
{
    const char *unit = memchr(name, '[', len); /* "memory.total [MiB]" */
    len = unit ? (size_t)(unit - name) : len;
    text_trim(&name, &len);
    for (const struct tool_column *c = step->columns; c->key; c++) {
        if (strlen(c->key) == len && strncasecmp(c->key, name, len) == 0)
            return c;
    }
    return NULL;
}

/* Whether the line has the names of columns: then *order is theirs. */
static bool is_header(const struct tool_step *step, const struct cells *cells,
                      const struct tool_column *order[CELLS_MAX])
{
    uint32_t known = 0;
    const struct tool_column *found[CELLS_MAX];
    for (uint32_t i = 0; i < cells->n; i++) {
        found[i] = column_named(step, cells->cell[i].text, cells->cell[i].len);
        known += found[i] != NULL;
    }
    if (known < 2)
        return false;
    memcpy(order, found, cells->n * sizeof(const struct tool_column *));
    return true;
}

static void take_loss(struct drafts *out, const char *line, size_t len)
{
    char pci[PROBE_PCI_CAP];
    struct draft *d = pci_find(pci, line, len) ? drafts_add(out) : NULL;
    if (!d)
        return;
    memcpy(d->chip.pci, pci, sizeof pci);
    draft_set(d, FIELD_HEALTH, UNIT_NONE, line, len);
}

void read_csv(struct drafts *out, const struct tool_step *step, const char *text, size_t len)
{
    const struct tool_column *order[CELLS_MAX];
    uint32_t n = 0;
    const char *at = text, *line;
    size_t line_len;
    struct cells cells;
    for (; step->columns[n].key && n < CELLS_MAX; n++)
        order[n] = &step->columns[n];
    while (line_next(&at, text + len, &line, &line_len)) {
        bool whole = split(&cells, line, line_len);
        if (whole && is_header(step, &cells, order)) {
            n = cells.n;
            continue;
        }
        if (!whole || cells.n != n || n < 2) {
            take_loss(out, line, line_len);
            continue;
        }
        struct draft *d = drafts_add(out);
        for (uint32_t i = 0; d && i < n; i++) {
            if (order[i])
                draft_set(d, order[i]->field, order[i]->unit, cells.cell[i].text, cells.cell[i].len);
        }
    }
}
