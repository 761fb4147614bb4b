/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Key : value" lines in blocks. What is indented more belongs to the line before that has no value: its section. A chip begins at a
 * line of `list` with a number or an address after it ("DEV ID 0", "XPU 00000000:01:00.0"), or, with ':' at its end, at the pair of
 * that key. A column's key is Key or Section/Key.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "probe/parts.h"

#define DEPTH_MAX 8
#define NAME_LEN_MAX 64

struct section {
    size_t indent;
    char name[NAME_LEN_MAX];
};

struct block {
    struct section section[DEPTH_MAX];
    uint32_t depth;
    struct draft *chip;
    bool full; /* past the last chip that there is room for: what follows is of none */
};

static bool is_key(const char *key, const char *text, size_t len)
{
    return strlen(key) == len && strncasecmp(key, text, len) == 0;
}

/* A ':' with a blank on one side of it; 0 length after it is no value. */
static bool pair_split(const char *line, size_t len, size_t *colon)
{
    for (size_t i = 1; i < len; i++) {
        bool before = line[i - 1] == ' ' || line[i - 1] == '\t';
        bool after = i + 1 == len || line[i + 1] == ' ' || line[i + 1] == '\t';
        if (line[i] == ':' && (before || after)) {
            *colon = i;
            return true;
        }
    }
    return false;
}

/* What follows `list` at the begin of a chip's line. */
static bool begins(const char *list, const char **line, size_t *len)
{
    size_t n = strlen(list);
    if (list[n - 1] == ':' || *len <= n || strncasecmp(*line, list, n) != 0 ||
        (!isdigit((unsigned char)(*line)[n]) && (*line)[n] != ' ' && (*line)[n] != '#'))
        return false;
    const char *rest = *line + n;
    size_t rest_len = *len - n;
    while (rest_len > 0 && (*rest == ' ' || *rest == '#')) {
        rest++;
        rest_len--;
    }
    if (rest_len == 0 || !isxdigit((unsigned char)*rest))
        return false;
    *line = rest;
    *len = rest_len;
    return true;
}

static void chip_new(struct block *b, struct drafts *out)
{
    b->chip = drafts_add(out);
    b->full = !b->chip;
    b->depth = 0;
}

/* "0", "00000000:01:00.0" or "0 00000000:01:00.0" */
static void take_begin(struct draft *chip, const char *text, size_t len)
{
    char pci[PROBE_PCI_CAP];
    size_t word = 0;
    while (word < len && isdigit((unsigned char)text[word]))
        word++;
    if (word == len || text[word] == ' ')
        draft_set(chip, FIELD_INDEX, UNIT_NONE, text, word);
    if (pci_find(pci, text, len))
        draft_set(chip, FIELD_PCI, UNIT_NONE, pci, strlen(pci));
}

static void take_pair(struct block *b, struct drafts *out, const struct tool_step *step, const char *key,
                      size_t key_len, const char *value, size_t len)
{
    const char *section = b->depth > 0 ? b->section[b->depth - 1].name : "";
    for (const struct tool_column *c = step->columns; c->key; c++) {
        const char *slash = strchr(c->key, '/');
        size_t n = slash ? (size_t)(slash - c->key) : 0;
        if (slash && (strlen(section) != n || strncasecmp(section, c->key, n) != 0))
            continue;
        if (!is_key(slash ? slash + 1 : c->key, key, key_len))
            continue;
        if (b->chip)
            draft_set(b->chip, c->field, c->unit, value, len);
        else if (c->field == FIELD_DRIVER && !b->full && !text_is_nothing(value, len))
            text_take(out->driver, sizeof out->driver, value, len);
    }
}

static void open_section(struct block *b, size_t indent, const char *name, size_t len)
{
    if (b->depth == DEPTH_MAX)
        return;
    struct section *s = &b->section[b->depth++];
    s->indent = indent;
    text_take(s->name, sizeof s->name, name, len);
}

static void take_line(struct block *b, struct drafts *out, const struct tool_step *step, const char *line,
                      size_t len)
{
    size_t indent = 0, colon = 0, n = strlen(step->list);
    while (indent < len && (line[indent] == ' ' || line[indent] == '\t'))
        indent++;
    line += indent;
    len -= indent;
    text_trim(&line, &len);
    if (len == 0)
        return;
    bool pair = pair_split(line, len, &colon);
    const char *rest = line;
    size_t rest_len = len;
    if (!pair && begins(step->list, &rest, &rest_len)) {
        chip_new(b, out);
        if (b->chip)
            take_begin(b->chip, rest, rest_len);
        return;
    }
    while (b->depth > 0 && b->section[b->depth - 1].indent >= indent)
        b->depth--;
    size_t key_len = pair ? colon : len;
    const char *key = line, *value = pair ? line + colon + 1 : line;
    size_t value_len = pair ? len - colon - 1 : 0;
    text_trim(&key, &key_len);
    text_trim(&value, &value_len);
    if (pair && step->list[n - 1] == ':' && key_len == n - 1 && strncasecmp(key, step->list, n - 1) == 0)
        chip_new(b, out);
    if (value_len > 0)
        take_pair(b, out, step, key, key_len, value, value_len);
    else
        open_section(b, indent, key, key_len);
}

void read_pairs(struct drafts *out, const struct tool_step *step, const char *text, size_t len)
{
    struct block b = {0};
    const char *at = text, *line;
    size_t n;
    while (line_next(&at, text + len, &line, &n))
        take_line(&b, out, step, line, n);
}
