/* SPDX-License-Identifier: Apache-2.0 */
/* Sources put together: which chip a draft is of, whose word prevails, and what follows of it all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/parts.h"

bool maker_has(const struct maker *m, const struct probe_chip *chip)
{
    unsigned long vendor = strtoul(chip->id, NULL, 16);
    return strcmp(chip->vendor, m->name) == 0 &&
           (!chip->id[0] || vendor == m->vendor_id[0] || (m->vendor_id[1] && vendor == m->vendor_id[1]));
}

bool maker_is_here(const struct maker *m, const struct probe_scan *scan)
{
    for (uint32_t i = 0; i < scan->n; i++) {
        if (maker_has(m, &scan->chip[i]))
            return true;
    }
    return false;
}

/* ---- fields ---- */

static void fold_text(char *dst, const char *src, size_t cap)
{
    if (!dst[0])
        memcpy(dst, src, cap);
}

static void fold_number(int64_t *dst, int64_t src)
{
    if (*dst == PROBE_UNKNOWN)
        *dst = src;
}

void chip_fold(struct probe_chip *c, const struct probe_chip *from)
{
    fold_text(c->vendor, from->vendor, sizeof c->vendor);
    fold_text(c->pci, from->pci, sizeof c->pci);
    if (!c->id[0] && from->id[0] != ':')
        memcpy(c->id, from->id, sizeof c->id);
    fold_text(c->model, from->model, sizeof c->model);
    fold_text(c->serial, from->serial, sizeof c->serial);
    fold_text(c->uuid, from->uuid, sizeof c->uuid);
    fold_text(c->node, from->node, sizeof c->node);
    fold_text(c->card, from->card, sizeof c->card);
    fold_text(c->driver, from->driver, sizeof c->driver);
    fold_number(&c->index, from->index);
    fold_number(&c->die, from->die);
    fold_number(&c->numa, from->numa);
    if (c->memory_mib == PROBE_UNKNOWN) { /* what is used is of the same word as the whole */
        c->memory_mib = from->memory_mib;
        c->memory_used_mib = from->memory_used_mib;
    }
    if (c->memory_used_mib == PROBE_UNKNOWN && from->memory_used_mib <= c->memory_mib)
        c->memory_used_mib = from->memory_used_mib;
    fold_number(&c->power_mw, from->power_mw);
    fold_number(&c->power_limit_mw, from->power_limit_mw);
    fold_number(&c->temperature_c, from->temperature_c);
    fold_number(&c->utilisation_pct, from->utilisation_pct);
    if (from->health > c->health) {
        c->health = from->health;
        memcpy(c->health_text, from->health_text, sizeof c->health_text);
    }
    for (; c->links == 0 && c->links < from->links;) {
        memcpy(c->link, from->link, sizeof c->link);
        c->links = from->links;
    }
}

/* ---- which chip ---- */

static bool same_number(int64_t a, int64_t b)
{
    return a != PROBE_UNKNOWN && a == b;
}

/* By address, in either way of reading it; else by card and die; else by number. */
static bool is_of(const struct probe_chip *c, const struct draft *d)
{
    const struct probe_chip *t = &d->chip;
    if (t->pci[0] && c->pci[0])
        return strcmp(t->pci, c->pci) == 0;
    if (t->card[0] && c->card[0])
        return strcmp(t->card, c->card) == 0 && (t->die == PROBE_UNKNOWN || same_number(t->die, c->die));
    return same_number(t->index, c->index);
}

static uint32_t count_of(const struct probe_scan *scan, const struct maker *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < scan->n; i++)
        n += maker_has(m, &scan->chip[i]);
    return n;
}

static struct probe_chip *nth_of(struct probe_scan *scan, const struct maker *m, uint32_t nth)
{
    for (uint32_t i = 0; i < scan->n; i++) {
        if (maker_has(m, &scan->chip[i]) && nth-- == 0)
            return &scan->chip[i];
    }
    return NULL;
}

static bool has_address(const struct drafts *drafts)
{
    for (uint32_t i = 0; i < drafts->n; i++) {
        if (drafts->d[i].chip.pci[0])
            return true;
    }
    return false;
}

static void take(struct probe_chip *c, const struct maker *m, const struct draft *d, unsigned source)
{
    char node[PROBE_TEXT_CAP];
    if (m->node == NODE_PHYSICAL && d->physical != PROBE_UNKNOWN && !c->node[0]) {
        (void)snprintf(node, sizeof node, "%.*s%lld", (int)strcspn(m->node_pattern, "{"), m->node_pattern,
                       (long long)d->physical);
        memcpy(c->node, node, sizeof c->node);
    }
    chip_fold(c, &d->chip);
    if (c->health == PROBE_HEALTH_UNKNOWN)
        c->health = PROBE_OK; /* it is read, and nothing is said against it */
    c->sources |= source;
}

/* Decimal parts of an address count where the hexadecimal ones are of no chip that is here. */
static void settle_address(struct draft *d, const struct probe_scan *scan, const struct maker *m)
{
    bool hex = false, decimal = false;
    for (uint32_t i = 0; i < scan->n && d->pci_decimal[0]; i++) {
        const struct probe_chip *c = &scan->chip[i];
        hex |= maker_has(m, c) && strcmp(c->pci, d->chip.pci) == 0;
        decimal |= maker_has(m, c) && strcmp(c->pci, d->pci_decimal) == 0;
    }
    if (decimal && !hex)
        memcpy(d->chip.pci, d->pci_decimal, sizeof d->chip.pci);
}

static void add(struct probe_scan *scan, const struct maker *m, const struct draft *d, unsigned source)
{
    struct probe_chip *c = scan_add(scan);
    if (!c)
        return;
    text_take(c->vendor, sizeof c->vendor, m->name, strlen(m->name));
    if (d->chip.id[0] == ':')
        (void)snprintf(c->id, sizeof c->id, "%04x%.5s", m->vendor_id[0], d->chip.id);
    take(c, m, d, source);
}

void merge_drafts(struct probe_scan *scan, const struct maker *m, const struct drafts *drafts,
                  unsigned source, enum step_role role, const char *tool)
{
    const uint32_t here = count_of(scan, m), before = scan->n;
    const bool in_order = role == STEP_LIST && here == drafts->n && !has_address(drafts);
    scan->dropped += drafts->dropped;
    for (uint32_t i = 0; i < drafts->n; i++) {
        struct draft d = drafts->d[i];
        bool found = false;
        settle_address(&d, scan, m);
        for (uint32_t k = 0; k < before && !in_order; k++) {
            if (!maker_has(m, &scan->chip[k]) || !is_of(&scan->chip[k], &d))
                continue;
            take(&scan->chip[k], m, &d, source);
            found = true;
        }
        if (in_order && here > 0)
            take(nth_of(scan, m, i), m, &d, source);
        else if (here == 0 && role == STEP_LIST)
            add(scan, m, &d, source);
        else if (!found && role == STEP_LIST)
            scan_note(scan, "%s tells of a chip (%s) that is not on the bus", tool,
                      d.chip.pci[0] ? d.chip.pci : d.chip.model);
    }
}

/* ---- the end ---- */

static const char *tool_of(const struct maker *m)
{
    return m->steps && m->steps[0].program ? m->steps[0].program : m->name;
}

/* A chip that others of its maker are told beside has fallen off, unless it was given away. */
static void judge_unlisted(struct probe_scan *scan, const struct maker *m)
{
    bool listed = false;
    for (uint32_t i = 0; i < scan->n; i++)
        listed |= maker_has(m, &scan->chip[i]) && (scan->chip[i].sources & (PROBE_LIBRARY | PROBE_COMMAND));
    for (uint32_t i = 0; i < scan->n; i++) {
        struct probe_chip *c = &scan->chip[i];
        if (!maker_has(m, c) || (c->sources & (PROBE_LIBRARY | PROBE_COMMAND)) ||
            c->health != PROBE_HEALTH_UNKNOWN)
            continue;
        if (strcmp(c->module, "vfio-pci") == 0) {
            (void)snprintf(c->health_text, sizeof c->health_text, "vfio-pci has it, for a virtual machine");
        } else if (!c->module[0]) {
            (void)snprintf(c->health_text, sizeof c->health_text, "no driver has it");
        } else if (listed) {
            c->health = PROBE_FAILED;
            (void)snprintf(c->health_text, sizeof c->health_text, "%.*s does not list it",
                           (int)strcspn(tool_of(m), " "), tool_of(m));
        }
    }
}

/* Chips with one serial are on one card: it is the card's. */
static void join_cards(struct probe_scan *scan)
{
    for (uint32_t i = 0; i < scan->n; i++) {
        struct probe_chip *a = &scan->chip[i];
        int64_t die = 0;
        for (uint32_t k = i + 1; k < scan->n && a->serial[0] && !a->card[0]; k++) {
            struct probe_chip *b = &scan->chip[k];
            if (b->card[0] || strcmp(a->vendor, b->vendor) != 0 || strcmp(a->serial, b->serial) != 0)
                continue;
            memcpy(b->card, b->serial, sizeof b->card);
            b->die = ++die;
        }
        if (die > 0) {
            memcpy(a->card, a->serial, sizeof a->card);
            a->die = 0;
        }
    }
}

static void set_node(struct probe_chip *c, const struct maker *m)
{
    const char *p = m->node_pattern;
    if (m->node == NODE_INDEX && !c->node[0] && c->index != PROBE_UNKNOWN)
        (void)snprintf(c->node, sizeof c->node, "%.*s%lld", (int)strcspn(p, "{"), p, (long long)c->index);
}

void scan_finish(struct probe_scan *scan, const struct kinds *kinds)
{
    for (uint32_t i = 0; i < makers_n; i++)
        judge_unlisted(scan, &makers[i]);
    scan_sort(scan);
    join_cards(scan);
    for (uint32_t i = 0; i < scan->n; i++) {
        struct probe_chip *c = &scan->chip[i];
        const char *kind = kinds ? kinds_find(kinds, c) : "";
        text_take(c->kind, sizeof c->kind, kind, strlen(kind));
        for (uint32_t k = 0; k < makers_n; k++) {
            if (maker_has(&makers[k], c))
                set_node(c, &makers[k]);
        }
    }
}
