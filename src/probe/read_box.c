/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that are drawn: lines of cells with '|' between, two or three lines a chip; and, with fewer strokes, columns under names.
 *
 * A shape says how such a line looks: "{card} {model} | {health} | {power} ...": {field} is one word (a number, an address, a whole
 * number where the field is one), {field...} one or more, "..." any number of words of that cell, anything else itself. '/', '(' and
 * ')' are blanks around words, '/' is a word too; "N/A" is one word. FIELD_BEGINS: a chip begins with such a line, FIELD_MORE: it
 * tells more of the chip before. FIELD_DRIVER: the word after that text, in any line before the first chip.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "probe/parts.h"

#define WORDS_MAX 48
#define PIECES_MAX 24
#define STEPS_MAX 4096 /* of one match: nothing that is drawn needs more than a few dozen */

struct word {
    const char *text;
    size_t len;
};

struct words {
    struct word word[WORDS_MAX];
    uint32_t n;
};

static bool is_word(const struct word *w, const char *text)
{
    return strlen(text) == w->len && memcmp(w->text, text, w->len) == 0;
}

static bool is_not_known(const char *at, const char *end)
{
    return end - at >= 3 && (strncmp(at, "N/A", 3) == 0 || strncmp(at, "n/a", 3) == 0);
}

/* False: there are more than fit, and so it is no line of ours. */
static bool split(struct words *w, const char *line, size_t len)
{
    const char *at = line, *end = line + len;
    w->n = 0;
    while (at < end && w->n < WORDS_MAX) {
        if ((unsigned char)*at <= ' ' || *at == '(' || *at == ')') {
            at++;
            continue;
        }
        const char *from = at;
        if (*at == '|' || *at == '/')
            at++;
        else if (is_not_known(at, end))
            at += 3;
        else
            while (at < end && (unsigned char)*at > ' ' && !memchr("|/()", *at, 4))
                at++;
        w->word[w->n++] = (struct word){from, (size_t)(at - from)};
    }
    bool whole = at == end;
    /* The frame. */
    if (w->n > 0 && is_word(&w->word[0], "|"))
        memmove(&w->word[0], &w->word[1], --w->n * sizeof w->word[0]);
    if (w->n > 0 && is_word(&w->word[w->n - 1], "|"))
        w->n--;
    return whole;
}

struct match {
    const struct words *line;
    const struct words *shape;
    struct {
        enum probe_field field;
        struct word word;
    } value[PIECES_MAX];
    uint32_t n;
    uint32_t steps;
};

/* Whether a word can be what the field is. */
static bool fits(enum probe_field field, const struct word *w)
{
    char pci[PROBE_PCI_CAP];
    int64_t milli;
    size_t end;
    switch (field) {
    case FIELD_PCI:
        return pci_parse(pci, w->text, w->len);
    case FIELD_INDEX:
    case FIELD_CARD:
    case FIELD_DIE:
    case FIELD_PHYSICAL:
        return number_read(w->text, w->len, &milli, &end) && end == w->len && milli >= 0;
    case FIELD_POWER:
    case FIELD_LIMIT:
    case FIELD_TEMPERATURE:
    case FIELD_USE:
    case FIELD_MEMORY:
    case FIELD_MEMORY_USED:
    case FIELD_DDR:
    case FIELD_DDR_USED:
        return number_read(w->text, w->len, &milli, &end) || text_is_nothing(w->text, w->len);
    default:
        return true;
    }
}

static bool match_from(struct match *m, uint32_t at, uint32_t piece);

/* `words` at `at` are a field's. */
static bool take_words(struct match *m, enum probe_field field, struct word word, uint32_t at, uint32_t words,
                       uint32_t piece)
{
    if (m->n == PIECES_MAX || (words == 1 && !fits(field, &word)))
        return false;
    uint32_t before = m->n;
    m->value[m->n].field = field;
    m->value[m->n++].word = word;
    if (match_from(m, at + words, piece + 1))
        return true;
    m->n = before;
    return false;
}

/* "{field}", "{field...}" or either after a text that begins the word: "GPU#{index}". */
static bool match_field(struct match *m, const struct word *p, const char *open, uint32_t at, uint32_t piece)
{
    size_t before = (size_t)(open - p->text), name_len = p->len - before - 2;
    bool many = name_len > 3 && memcmp(open + 1 + name_len - 3, "...", 3) == 0;
    enum probe_field field = field_named(open + 1, many ? name_len - 3 : name_len);
    const struct words *line = m->line;
    if (at >= line->n || line->word[at].len <= before || memcmp(line->word[at].text, p->text, before) != 0 ||
        is_word(&line->word[at], "|"))
        return false;
    struct word word = {line->word[at].text + before, line->word[at].len - before};
    for (uint32_t n = 1; at + n <= line->n; n++) {
        const struct word *last = &line->word[at + n - 1];
        if (is_word(last, "|"))
            return false;
        word.len = (size_t)(last->text + last->len - word.text);
        if (take_words(m, field, word, at, n, piece))
            return true;
        if (!many)
            return false;
    }
    return false;
}

static bool match_from(struct match *m, uint32_t at, uint32_t piece)
{
    if (m->steps++ > STEPS_MAX)
        return false;
    if (piece == m->shape->n)
        return at == m->line->n;
    const struct word *p = &m->shape->word[piece];
    const char *open = memchr(p->text, '{', p->len);
    if (is_word(p, "...")) {
        for (;; at++) {
            if (match_from(m, at, piece + 1))
                return true;
            if (at >= m->line->n || is_word(&m->line->word[at], "|"))
                return false;
        }
    }
    if (open)
        return match_field(m, p, open, at, piece);
    return at < m->line->n && p->len == m->line->word[at].len &&
           memcmp(p->text, m->line->word[at].text, p->len) == 0 && match_from(m, at + 1, piece + 1);
}

/* The word after that text. */
static void take_driver(struct drafts *out, const char *key, const char *line, size_t len)
{
    size_t n = strlen(key);
    for (size_t i = 0; i + n < len; i++) {
        if (memcmp(line + i, key, n) != 0)
            continue;
        const char *at = line + i + n;
        size_t rest = len - i - n;
        text_trim(&at, &rest);
        size_t word = 0;
        while (word < rest && (unsigned char)at[word] > ' ' && at[word] != '|')
            word++;
        if (!text_is_nothing(at, word))
            text_take(out->driver, sizeof out->driver, at, word);
        return;
    }
}

static struct draft *take_row(struct drafts *out, struct draft *chip, const struct tool_column *c,
                              const struct words *line)
{
    struct words shape;
    struct match m = {.line = line, .shape = &shape};
    if (!split(&shape, c->key, strlen(c->key)) || !match_from(&m, 0, 0))
        return NULL;
    if (c->field == FIELD_BEGINS)
        chip = drafts_add(out);
    for (uint32_t i = 0; chip && i < m.n; i++)
        draft_set(chip, m.value[i].field, c->unit, m.value[i].word.text, m.value[i].word.len);
    return chip;
}

void read_box(struct drafts *out, const struct tool_step *step, const char *text, size_t len)
{
    struct draft *chip = NULL;
    struct words words;
    const char *at = text, *line;
    size_t n;
    while (line_next(&at, text + len, &line, &n)) {
        for (const struct tool_column *c = step->columns; c->key && out->n == 0; c++) {
            if (c->field == FIELD_DRIVER)
                take_driver(out, c->key, line, n);
        }
        struct draft *found = NULL;
        bool whole = split(&words, line, n) && words.n > 0;
        for (const struct tool_column *c = step->columns; whole && c->key && !found; c++) {
            if (c->field == FIELD_BEGINS || (c->field == FIELD_MORE && chip))
                found = take_row(out, chip, c, &words);
        }
        chip = found ? found : chip;
    }
}

/* ---- columns under names ---- */

/* A name ends at two blanks: "Chip Logic ID". */
static bool name_next(const char **at, const char *end, struct word *name)
{
    while (*at < end && (unsigned char)**at <= ' ')
        ++*at;
    const char *from = *at, *to = from;
    while (*at < end && !(*at + 1 < end && (*at)[0] == ' ' && (*at)[1] == ' ') && **at != '\t') {
        to = *at + 1;
        ++*at;
    }
    *name = (struct word){from, (size_t)(to - from)};
    text_trim(&name->text, &name->len);
    return name->len > 0;
}

static uint32_t read_names(const struct tool_step *step, const struct tool_column *order[PIECES_MAX],
                           const char *line, size_t len)
{
    uint32_t n = 0, known = 0;
    struct word name;
    for (const char *at = line; n < PIECES_MAX && name_next(&at, line + len, &name); n++) {
        order[n] = NULL;
        for (const struct tool_column *c = step->columns; c->key; c++) {
            if (strlen(c->key) == name.len && strncasecmp(c->key, name.text, name.len) == 0)
                order[n] = c;
        }
        known += order[n] != NULL;
    }
    return known >= 2 ? n : 0;
}

/* One word a column, the last has the rest. */
static void take_columns(struct draft *d, const struct tool_column *const order[PIECES_MAX], uint32_t n,
                         const struct words *words)
{
    const char *end = words->word[words->n - 1].text + words->word[words->n - 1].len;
    for (uint32_t i = 0; i < n; i++) {
        const struct word *w = &words->word[i];
        size_t len = i + 1 == n ? (size_t)(end - w->text) : w->len;
        if (order[i])
            draft_set(d, order[i]->field, order[i]->unit, w->text, len);
    }
}

void read_columns(struct drafts *out, const struct tool_step *step, const char *text, size_t len)
{
    const struct tool_column *order[PIECES_MAX], *found[PIECES_MAX];
    uint32_t n = 0;
    struct words words;
    const char *at = text, *line;
    size_t line_len;
    while (line_next(&at, text + len, &line, &line_len)) {
        uint32_t names = read_names(step, found, line, line_len);
        if (names > 0) {
            n = names;
            memcpy(order, found, n * sizeof(const struct tool_column *));
        }
        struct draft *d = NULL;
        if (names == 0 && n > 0 && split(&words, line, line_len) && words.n >= n)
            d = drafts_add(out);
        if (d)
            take_columns(d, order, n, &words);
    }
}
