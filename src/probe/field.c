/* SPDX-License-Identifier: Apache-2.0 */
/* From what tools write to fields: units, addresses, words of health, and the many ways of saying nothing. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "probe/parts.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Past these a number is not believed. */
#define MEMORY_MIB_MAX ((int64_t)16 << 20)
#define POWER_MW_MAX INT64_C(100000000)
#define TEMPERATURE_C_MAX 250
#define NUMBER_MAX 65535 /* an index, a card, a NUMA node */

/* ---- text ---- */

void text_trim(const char **text, size_t *len)
{
    while (*len > 0 && ((unsigned char)**text <= ' ')) {
        ++*text;
        --*len;
    }
    while (*len > 0 && (unsigned char)(*text)[*len - 1] <= ' ')
        --*len;
}

void text_take(char *dst, size_t cap, const char *text, size_t len)
{
    size_t n = 0;
    text_trim(&text, &len);
    memset(dst, 0, cap);
    for (size_t i = 0; i < len && n < cap - 1; i++)
        dst[n++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    while (n > 0 && dst[n - 1] == ' ') /* the cut was after a blank */
        dst[--n] = 0;
}

bool line_next(const char **at, const char *end, const char **line, size_t *len)
{
    if (*at >= end)
        return false;
    const char *eol = memchr(*at, '\n', (size_t)(end - *at));
    *line = *at;
    *len = (size_t)((eol ? eol : end) - *at);
    *at = eol ? eol + 1 : end;
    if (*len > 0 && (*line)[*len - 1] == '\r')
        --*len;
    return true;
}

static bool same(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* Whether the word is in the text, upper or lower case. */
static bool has(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= len; i++) {
        if (strncasecmp(text + i, word, n) == 0)
            return true;
    }
    return false;
}

bool text_is_nothing(const char *text, size_t len)
{
    static const char *const nothing[] = {"",
                                          "-",
                                          "--",
                                          "n/a",
                                          "na",
                                          "none",
                                          "null",
                                          "unknown",
                                          "void",
                                          "nil",
                                          "not available",
                                          "not found",
                                          "not supported",
                                          "not set",
                                          "unavailable",
                                          "invalid",
                                          "unknown error",
                                          "err!",
                                          "error",
                                          "insufficient permissions",
                                          "default string",
                                          "to be filled by o.e.m."};
    text_trim(&text, &len);
    if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
        text_trim(&text, &len);
    }
    for (size_t i = 0; i < COUNT(nothing); i++) {
        if (same(text, len, nothing[i]))
            return true;
    }
    return false;
}

/* Zeros alone, with what is between them: the serial of a chip that has none, which a thousand chips have. */
static bool is_zeros(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!memchr("0xX-:. ", text[i], 7))
            return false;
    }
    return true;
}

/* ---- numbers ---- */

bool number_read(const char *text, size_t len, int64_t *milli, size_t *end)
{
    size_t i = 0, digits = 0;
    int64_t v = 0;
    bool minus = len > 0 && text[0] == '-';
    for (i = minus; i < len && text[i] >= '0' && text[i] <= '9'; i++, digits++) {
        if (v > INT64_C(9000000000000000) / 10)
            return false;
        v = v * 10 + (text[i] - '0');
    }
    if (digits == 0 || v > INT64_MAX / 1000)
        return false;
    v *= 1000;
    if (i < len && text[i] == '.') {
        int64_t part = 100;
        for (i++; i < len && text[i] >= '0' && text[i] <= '9'; i++, part /= 10)
            v += (text[i] - '0') * part;
    }
    *milli = minus ? -v : v;
    *end = i;
    return true;
}

static enum probe_unit unit_of(const char *text, size_t len, enum probe_unit otherwise)
{
    static const struct {
        const char *text;
        enum probe_unit unit;
    } units[] = {{"B", UNIT_B},     {"KiB", UNIT_KIB}, {"KB", UNIT_KIB},
                 {"MiB", UNIT_MIB}, {"MB", UNIT_MIB},  {"W", UNIT_W}};
    if (len == 2 && memcmp(text, "mW", 2) == 0)
        return UNIT_MW;
    if (len == 2 && memcmp(text, "uW", 2) == 0)
        return UNIT_UW;
    for (size_t i = 0; i < COUNT(units); i++) {
        if (same(text, len, units[i].text))
            return units[i].unit;
    }
    return otherwise;
}

/* As thousandths, with the unit that it names or else `unit`; what it means is the caller's. */
static bool quantity(const char *text, size_t len, int64_t *milli, enum probe_unit *unit)
{
    size_t end = 0;
    text_trim(&text, &len);
    if (!number_read(text, len, milli, &end))
        return false;
    text += end;
    len -= end;
    text_trim(&text, &len);
    if ((same(text, len, "GiB") || same(text, len, "GB")) && *milli <= INT64_MAX / 1024) {
        *milli *= 1024;
        *unit = UNIT_MIB;
        return true;
    }
    *unit = unit_of(text, len, *unit);
    return true;
}

static void set_memory(int64_t *dst, enum probe_unit unit, const char *text, size_t len, bool zero)
{
    int64_t milli;
    if (unit == UNIT_NONE)
        unit = UNIT_MIB;
    if (!quantity(text, len, &milli, &unit) || milli < 0)
        return;
    int64_t v = unit == UNIT_B     ? milli / 1000 / 1048576
                : unit == UNIT_KIB ? milli / 1000 / 1024
                                   : milli / 1000;
    if ((v > 0 || zero) && v <= MEMORY_MIB_MAX)
        *dst = v;
}

static void set_power(int64_t *dst, enum probe_unit unit, const char *text, size_t len, bool zero)
{
    int64_t milli;
    if (unit == UNIT_NONE)
        unit = UNIT_W;
    if (!quantity(text, len, &milli, &unit) || milli < 0)
        return;
    int64_t v = unit == UNIT_MW ? milli / 1000 : unit == UNIT_UW ? milli / 1000000 : milli;
    if ((v > 0 || zero) && v <= POWER_MW_MAX)
        *dst = v;
}

/* Rounded to the nearest whole. */
static void set_whole(int64_t *dst, enum probe_unit unit, const char *text, size_t len, int64_t min,
                      int64_t max)
{
    int64_t milli;
    enum probe_unit none = unit;
    if (!quantity(text, len, &milli, &none))
        return;
    if (unit == UNIT_MC)
        milli /= 1000;
    int64_t v = (milli + (milli < 0 ? -500 : 500)) / 1000;
    if (v >= min && v <= max)
        *dst = v;
}

static bool hex_read(const char *text, size_t len, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;
    if (len > 2 && text[0] == '0' && (text[1] | 32) == 'x') {
        text += 2;
        len -= 2;
    }
    for (; n < len; n++) {
        char c = text[n] | 32;
        bool digit = text[n] >= '0' && text[n] <= '9', letter = c >= 'a' && c <= 'f';
        if ((!digit && !letter) || v > max >> 4)
            break;
        v = v << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    *out = v;
    return n > 0 && n == len && v <= max;
}

/* ---- addresses ---- */

static void pci_write(char dst[PROBE_PCI_CAP], uint64_t domain, uint64_t bus, uint64_t device,
                      uint64_t function)
{
    (void)snprintf(dst, PROBE_PCI_CAP, "%04x:%02x:%02x.%x", (unsigned)domain & 0xfffffu,
                   (unsigned)bus & 0xffu, (unsigned)device & 0x1fu, (unsigned)function & 7u);
}

static size_t hex_run(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len &&
           ((text[n] >= '0' && text[n] <= '9') || ((text[n] | 32) >= 'a' && (text[n] | 32) <= 'f')))
        n++;
    return n;
}

/* Length of the address that a text begins with, bus:device.function with or without a domain of four digits at least; 0: it begins
 * with none. */
static size_t pci_prefix(char dst[PROBE_PCI_CAP], const char *text, size_t len)
{
    static const uint64_t most[4] = {0xfffff, 0xff, 0x1f, 7};
    uint64_t run[4], part[4] = {0};
    size_t at = 0, n = 0, first = 0;
    char after[4] = {0};
    memset(dst, 0, PROBE_PCI_CAP);
    while (n < 4) {
        size_t digits = hex_run(text + at, len - at);
        if (digits == 0 || digits > 8 || !hex_read(text + at, digits, UINT32_MAX, &run[n]))
            return 0;
        first = n == 0 ? digits : first;
        at += digits;
        after[n++] = at < len ? text[at] : 0;
        if (n == 4 || (after[n - 1] != ':' && after[n - 1] != '.'))
            break;
        at++;
    }
    bool full = n == 4 && first >= 4 && after[0] == ':' && after[1] == ':' && after[2] == '.';
    bool shorter = n == 3 && after[0] == ':' && after[1] == '.';
    if (!full && !shorter)
        return 0;
    for (size_t i = 0; i < n; i++)
        part[i + 4 - n] = run[i];
    for (size_t i = 0; i < 4; i++) {
        if (part[i] > most[i])
            return 0;
    }
    pci_write(dst, part[0], part[1], part[2], part[3]);
    return at;
}

bool pci_parse(char dst[PROBE_PCI_CAP], const char *text, size_t len)
{
    text_trim(&text, &len);
    size_t n = pci_prefix(dst, text, len);
    if (n > 0 && (n == len || text[n] == ' '))
        return true;
    memset(dst, 0, PROBE_PCI_CAP);
    return false;
}

bool pci_find(char dst[PROBE_PCI_CAP], const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (pci_prefix(dst, line + i, len - i) > 0)
            return true;
    }
    memset(dst, 0, PROBE_PCI_CAP);
    return false;
}

/* ---- health ---- */

static void set_health(struct probe_chip *chip, enum probe_health health, const char *text, size_t len)
{
    if (health > chip->health)
        chip->health = health;
    if (health >= PROBE_WARNING && health == chip->health)
        text_take(chip->health_text, sizeof chip->health_text, text, len);
}

static void take_health(struct probe_chip *chip, const char *text, size_t len)
{
    static const struct {
        const char *word;
        enum probe_health health;
    } words[] = {{"ok", PROBE_OK},           {"true", PROBE_OK},       {"healthy", PROBE_OK},
                 {"good", PROBE_OK},         {"normal", PROBE_OK},     {"available", PROBE_OK},
                 {"pass", PROBE_OK},         {"passed", PROBE_OK},     {"0", PROBE_OK},
                 {"warning", PROBE_WARNING}, {"alarm", PROBE_WARNING}, {"degraded", PROBE_WARNING},
                 {"minor", PROBE_WARNING}};
    if (len == 0 || same(text, len, "unknown") || same(text, len, "n/a") || same(text, len, "na") ||
        same(text, len, "-"))
        return;
    for (size_t i = 0; i < COUNT(words); i++) {
        if (same(text, len, words[i].word)) {
            set_health(chip, words[i].health, text, len);
            return;
        }
    }
    set_health(chip, PROBE_FAILED, text, len); /* Alarm codes, "Critical", "Not Available(...)", "False" */
}

/* What a value says of the chip, whatever the value is of. */
static void take_alarm(struct probe_chip *chip, const char *text, size_t len)
{
    static const char *const alarms[] = {"ERR!", "Unknown Error", "requires reset", "is lost"};
    for (size_t i = 0; i < COUNT(alarms); i++) {
        if (has(text, len, alarms[i])) {
            char words[PROBE_WORDS_CAP];
            int n = snprintf(words, sizeof words, "its tool says %.*s", (int)(len < 64 ? len : 64), text);
            set_health(chip, PROBE_FAILED, words, (size_t)n);
        }
    }
}

static void take_errors(struct probe_chip *chip, const char *text, size_t len)
{
    uint64_t v;
    char words[PROBE_WORDS_CAP];
    if (!u64_parse(text, len, INT64_MAX, &v) || v == 0)
        return;
    int n =
        snprintf(words, sizeof words, "%llu memory errors that were not corrected", (unsigned long long)v);
    set_health(chip, PROBE_WARNING, words, (size_t)n);
}

/* ---- fields ---- */

enum probe_field field_named(const char *name, size_t len)
{
    static const char *const names[] = {
#define F(field, text) text,
        PROBE_FIELDS(F)
#undef F
    };
    for (int i = FIELD_ANY; i < FIELDS_N; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return (enum probe_field)i;
    }
    return FIELD_NONE;
}

/* "0x0400" after the maker's own id, where that is told: "10de:0400". The PCI scan knows better, as a rule. */
static void set_id(struct probe_chip *chip, const char *text, size_t len)
{
    uint64_t v;
    if (hex_read(text, len, UINT16_MAX, &v) && !chip->id[0])
        (void)snprintf(chip->id, sizeof chip->id, ":%04x", (unsigned)v);
}

static void set_part(struct draft *draft, enum probe_field field, const char *text, size_t len)
{
    static const uint64_t most[4] = {0xfffff, 0xff, 0x1f, 7};
    int i = (int)field - FIELD_PCI_DOMAIN;
    uint64_t v;
    if (hex_read(text, len, most[i], &v))
        draft->pci_part[i] = (int64_t)v;
    if (u64_parse(text, len, most[i], &v))
        draft->pci_decimal_part[i] = (int64_t)v;
}

static void set_name(char *dst, size_t cap, const char *text, size_t len)
{
    if (!is_zeros(text, len) && len < cap)
        text_take(dst, cap, text, len);
}

/* "SN/5112...": what it is called is no part of it, and a name with '/' is none (core/registry.h). */
static void set_serial(char *dst, size_t cap, const char *text, size_t len)
{
    size_t skip = len > 3 && strncasecmp(text, "SN/", 3) == 0 ? 3 : 0;
    set_name(dst, cap, text + skip, len - skip);
}

static void set_text(struct draft *draft, enum probe_field field, const char *text, size_t len)
{
    struct probe_chip *c = &draft->chip;
    char pci[PROBE_PCI_CAP];
    if (field == FIELD_PCI && pci_parse(pci, text, len))
        memcpy(c->pci, pci, sizeof pci);
    else if (field == FIELD_MODEL)
        text_take(c->model, sizeof c->model, text, len);
    else if (field == FIELD_SERIAL)
        set_serial(c->serial, sizeof c->serial, text, len);
    else if (field == FIELD_UUID)
        set_name(c->uuid, sizeof c->uuid, text, len);
    else if (field == FIELD_CARD)
        text_take(c->card, sizeof c->card, text, len);
    else if (field == FIELD_NODE)
        text_take(c->node, sizeof c->node, text, len);
    else if (field == FIELD_DRIVER)
        text_take(c->driver, sizeof c->driver, text, len);
    else if (field == FIELD_ID)
        set_id(c, text, len);
    else if (field == FIELD_FUNCTION_TYPE)
        draft->skip = has(text, len, "virtual") || same(text, len, "mcu");
    else if (field >= FIELD_PCI_DOMAIN && field <= FIELD_PCI_FUNCTION)
        set_part(draft, field, text, len);
}

void draft_set(struct draft *draft, enum probe_field field, enum probe_unit unit, const char *text,
               size_t len)
{
    struct probe_chip *c = &draft->chip;
    text_trim(&text, &len);
    if (field == FIELD_HEALTH) {
        take_health(c, text, len);
        return;
    }
    take_alarm(c, text, len);
    if (text_is_nothing(text, len))
        return;
    switch (field) {
    case FIELD_INDEX:
        set_whole(&c->index, UNIT_NONE, text, len, 0, NUMBER_MAX);
        break;
    case FIELD_PHYSICAL:
        set_whole(&draft->physical, UNIT_NONE, text, len, 0, NUMBER_MAX);
        break;
    case FIELD_DIE:
        set_whole(&c->die, UNIT_NONE, text, len, 0, NUMBER_MAX);
        break;
    case FIELD_NUMA:
        set_whole(&c->numa, UNIT_NONE, text, len, 0, NUMBER_MAX);
        break;
    case FIELD_MEMORY:
        set_memory(&c->memory_mib, unit, text, len, false);
        break;
    case FIELD_MEMORY_USED:
        set_memory(&c->memory_used_mib, unit, text, len, true);
        break;
    case FIELD_DDR:
        set_memory(&draft->ddr_mib, unit, text, len, false);
        break;
    case FIELD_DDR_USED:
        set_memory(&draft->ddr_used_mib, unit, text, len, true);
        break;
    case FIELD_POWER:
        set_power(&c->power_mw, unit, text, len, true);
        break;
    case FIELD_LIMIT:
        set_power(&c->power_limit_mw, unit, text, len, false);
        break;
    case FIELD_TEMPERATURE:
        set_whole(&c->temperature_c, unit, text, len, -50, TEMPERATURE_C_MAX);
        break;
    case FIELD_USE:
        set_whole(&c->utilisation_pct, unit, text, len, 0, 100);
        break;
    case FIELD_ERRORS:
        take_errors(c, text, len);
        break;
    default:
        set_text(draft, field, text, len);
    }
}

/* ---- drafts ---- */

struct draft *drafts_add(struct drafts *drafts)
{
    if (drafts->n == PROBE_CHIPS_MAX) {
        drafts->dropped++;
        return NULL;
    }
    struct draft *draft = &drafts->d[drafts->n++];
    memset(draft, 0, sizeof *draft);
    probe_chip_init(&draft->chip);
    draft->physical = draft->ddr_mib = draft->ddr_used_mib = PROBE_UNKNOWN;
    for (int i = 0; i < 4; i++)
        draft->pci_part[i] = draft->pci_decimal_part[i] = PROBE_UNKNOWN;
    return draft;
}

/* The domain may be missing, and the function: 0. */
static void join_parts(char dst[PROBE_PCI_CAP], const int64_t part[4])
{
    if (part[1] != PROBE_UNKNOWN && part[2] != PROBE_UNKNOWN)
        pci_write(dst, part[0] > 0 ? (uint64_t)part[0] : 0, (uint64_t)part[1], (uint64_t)part[2],
                  part[3] > 0 ? (uint64_t)part[3] : 0);
}

void draft_finish(struct draft *d, const char *driver)
{
    struct probe_chip *c = &d->chip;
    if (!c->pci[0]) {
        join_parts(c->pci, d->pci_part);
        join_parts(d->pci_decimal, d->pci_decimal_part);
    }
    if (c->memory_mib == PROBE_UNKNOWN) {
        c->memory_mib = d->ddr_mib;
        c->memory_used_mib = d->ddr_used_mib;
    }
    if (c->memory_mib == PROBE_UNKNOWN || c->memory_used_mib > c->memory_mib)
        c->memory_used_mib = PROBE_UNKNOWN;
    if (!c->driver[0])
        text_take(c->driver, sizeof c->driver, driver, strlen(driver));
}

void drafts_finish(struct drafts *drafts)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < drafts->n; i++) {
        draft_finish(&drafts->d[i], drafts->driver);
        if (drafts->d[i].skip)
            continue;
        if (n != i)
            drafts->d[n] = drafts->d[i];
        n++;
    }
    drafts->n = n;
}
