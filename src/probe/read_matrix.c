/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is connected to whom: a square of marks under the names of chips ("GPU0 GPU1", "NPU0 NPU1"). Only links between chips count; what
 * goes over the PCI bus and between processors (PIX, SYS) has its marks too, and is left out. Columns: "MARK kind"; a number after the
 * mark is how many links there are ("NV18").
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "probe/parts.h"

#define CELLS_MAX (PROBE_CHIPS_MAX + 16)

struct row {
    struct {
        const char *text;
        size_t len;
    } cell[CELLS_MAX];
    uint32_t n;
};

/* Words, without what underlines them on a terminal. */
static void split(struct row *row, const char *line, size_t len)
{
    const char *at = line, *end = line + len;
    row->n = 0;
    while (at < end && row->n < CELLS_MAX) {
        if (*at == 0x1b) {
            while (at < end && *at != 'm')
                at++;
            at += at < end;
            continue;
        }
        if ((unsigned char)*at <= ' ') {
            at++;
            continue;
        }
        const char *from = at;
        while (at < end && (unsigned char)*at > ' ')
            at++;
        row->cell[row->n].text = from;
        row->cell[row->n++].len = (size_t)(at - from);
    }
}

/* The chip that a name means; NULL: it is none ("NIC0", "CPU"). */
static struct probe_chip *chip_of(struct probe_scan *scan, const char *vendor, const char *prefix,
                                  const char *text, size_t len)
{
    uint64_t index;
    size_t n = strlen(prefix);
    if (len <= n || strncasecmp(text, prefix, n) != 0 || !u64_parse(text + n, len - n, UINT16_MAX, &index))
        return NULL;
    for (uint32_t i = 0; i < scan->n; i++) {
        struct probe_chip *c = &scan->chip[i];
        if (strcmp(c->vendor, vendor) == 0 && c->index == (int64_t)index)
            return c;
    }
    return NULL;
}

static void add_link(struct probe_chip *chip, const struct probe_chip *peer, const char *kind, int64_t count)
{
    if (chip->links == PROBE_LINKS_MAX)
        return;
    struct probe_link *link = &chip->link[chip->links++];
    memset(link, 0, sizeof *link);
    memcpy(link->peer, peer->pci, sizeof link->peer);
    text_take(link->kind, sizeof link->kind, kind, strlen(kind));
    link->count = count;
}

static void take_mark(struct probe_chip *chip, const struct probe_chip *peer, const struct tool_step *step,
                      const char *text, size_t len)
{
    for (const struct tool_column *c = step->columns; c->key; c++) {
        size_t n = strcspn(c->key, " ");
        uint64_t count = 1;
        if (len < n || memcmp(text, c->key, n) != 0)
            continue;
        if (len > n && (!u64_parse(text + n, len - n, 1024, &count) || count == 0))
            continue;
        add_link(chip, peer, c->key + n + 1, (int64_t)count);
        return;
    }
}

void read_matrix(struct probe_scan *scan, const char *vendor, const struct tool_step *step, const char *text,
                 size_t len)
{
    static _Thread_local struct row row;
    struct probe_chip *column[CELLS_MAX];
    uint32_t n = 0;
    const char *at = text, *line;
    size_t line_len;
    while (line_next(&at, text + len, &line, &line_len)) {
        split(&row, line, line_len);
        struct probe_chip *first =
            row.n > 1 ? chip_of(scan, vendor, step->list, row.cell[0].text, row.cell[0].len) : NULL;
        struct probe_chip *second =
            row.n > 1 ? chip_of(scan, vendor, step->list, row.cell[1].text, row.cell[1].len) : NULL;
        if (n == 0 && first && second) { /* the names; of a chip alone there is nothing to tell */
            for (n = 0; n < row.n; n++)
                column[n] = chip_of(scan, vendor, step->list, row.cell[n].text, row.cell[n].len);
            continue;
        }
        bool fresh = first && first->links == 0; /* told twice is once */
        for (uint32_t i = 0; fresh && i < n && i + 1 < row.n; i++) {
            if (column[i] && column[i] != first)
                take_mark(first, column[i], step, row.cell[i + 1].text, row.cell[i + 1].len);
        }
    }
}
