/* SPDX-License-Identifier: Apache-2.0 */
/* The rules in force: how they arrive, when they change, and what they say of shapes and pools. */
#include "core/rulebook.h"

#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"

void rulebook_carve(struct core *core, struct arena *arena)
{
    struct rulebook *book = &core->book;
    for (int slot = 0; slot < 2; slot++) {
        book->text[slot].text = arena_take(arena, RULES_TEXT_MAX);
        (void)rules_init(&book->rules[slot], arena); /* the block is as large as core_size says */
    }
}

void rulebook_init(struct core *core)
{
    core->book.row.id = 1;
    core->book.version = 1;
    core->book.next_ms = INT64_MAX;
}

const struct rules *rulebook_rules(const struct core *core)
{
    return &core->book.rules[core->book.row.slot];
}

/* ---- what is in force ---- */

static bool asks_name(const struct rule_condition *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].attr == RULE_TENANT_NAME || list[i].other == RULE_TENANT_NAME)
            return true;
    }
    return false;
}

static bool asks_names(const struct rules *rules)
{
    for (uint32_t i = 0; i < rules->nrules; i++) {
        const struct rule *rule = &rules->rule[i];
        if (asks_name(rule->when, rule->nwhen) || asks_name(rule->that, rule->nthat))
            return true;
    }
    return false;
}

/* The rules are to be judged anew, as of `at_ms`. */
static void judge_from(struct core *core, int64_t at_ms)
{
    struct rulebook *book = &core->book;
    book->row.judged_ms = at_ms;
    book->row_touched = true;
    book->version++;
    book->next_ms = rules_next_change_ms(rulebook_rules(core), at_ms);
    book->changed = true;
    network_changed(core);
}

/* The slot's rules are in force. */
static void enforce(struct core *core, uint32_t slot, int64_t at_ms)
{
    struct rulebook *book = &core->book;
    bool named = book->names_tenants;
    book->row.slot = slot;
    book->names_tenants = asks_names(&book->rules[slot]);
    book->asks_corridors = false;
    for (uint32_t i = 0; i < book->rules[slot].nrules; i++)
        book->asks_corridors |= rule_asks_corridor(&book->rules[slot].rule[i]);
    judge_from(core, at_ms);
    if (named != book->names_tenants)
        lanes_rekey(core);
}

void rulebook_turn(struct core *core)
{
    if (core->now_ms >= core->book.next_ms)
        judge_from(core, core->now_ms);
}

/* ---- steps ---- */

int step_rules_put(struct core *core, const struct event *event)
{
    const struct event_rules_put *e = &event->u.rules_put;
    struct rulebook *book = &core->book;
    struct rules_text *draft = &book->text[1 - book->row.slot];
    uint32_t len = (uint32_t)text_len(e->text, sizeof e->text);
    if (uuid_zero(&e->set) || len == 0)
        return ERR_INVALID;
    if (e->part > 0 && (!uuid_eq(&e->set, &book->row.draft) || e->part != book->row.draft_parts))
        return ERR_WRONG_STATE;
    uint32_t at = e->part > 0 ? draft->at[e->part] : 0;
    if (e->part >= RULES_PARTS_MAX || len > RULES_TEXT_MAX - at)
        return ERR_LIMIT;
    memcpy(draft->text + at, e->text, len);
    draft->at[e->part] = at;
    draft->at[e->part + 1] = at + len;
    draft->touched[e->part] = true;
    draft->parts = e->part + 1;
    book->row.draft = e->set;
    book->row.draft_parts = draft->parts;
    book->row_touched = true;
    return 0;
}

int step_rules_set(struct core *core, const struct event *event)
{
    const struct event_rules_set *e = &event->u.rules_set;
    struct rulebook *book = &core->book;
    uint32_t slot = 1 - book->row.slot;
    struct rules_text *draft = &book->text[slot];
    if (uuid_zero(&e->set))
        return ERR_INVALID;
    if (e->parts > 0 && (!uuid_eq(&e->set, &book->row.draft) || e->parts != book->row.draft_parts))
        return ERR_WRONG_STATE;
    if (rules_parse(&book->rules[slot], draft->text, e->parts > 0 ? draft->at[e->parts] : 0, &book->errors) !=
        0)
        return ERR_INVALID;
    /* Tenants told apart by their names have no shape in common. */
    if (asks_names(&book->rules[slot]) && core->work.lanes.live > core->work.shapes.cap)
        return ERR_LIMIT;
    draft->parts = e->parts;
    book->row.set = e->set;
    book->row.parts = e->parts;
    book->row.since_ms = event->at_ms;
    book->row.draft = (struct uuid){{0}};
    book->row.draft_parts = 0;
    enforce(core, slot, event->at_ms);
    return 0;
}

/* ---- rows ---- */

static void parts_rows(const struct rules_text *t, uint32_t slot, bool all, row_fn *fn, void *ctx)
{
    for (uint32_t part = 0; part < t->parts; part++) {
        struct row_rules_part row = {.slot = slot, .part = part, .at = t->at[part]};
        memcpy(row.text, t->text + t->at[part], t->at[part + 1] - t->at[part]);
        if (all || t->touched[part])
            fn(ctx, ROW_KIND_rules_part, ROW_PUT, &row);
    }
}

void rulebook_collect(struct core *core, row_fn *fn, void *ctx)
{
    struct rulebook *book = &core->book;
    if (!book->row_touched)
        return;
    book->row_touched = false;
    fn(ctx, ROW_KIND_rules, ROW_PUT, &book->row);
    for (uint32_t slot = 0; slot < 2; slot++) {
        parts_rows(&book->text[slot], slot, false, fn, ctx);
        memset(book->text[slot].touched, 0, sizeof book->text[slot].touched);
    }
}

uint32_t rules_cut(const char *text, size_t len)
{
    size_t n = len < RULES_PART_CAP ? len : RULES_PART_CAP - 1;
    while (n > 0 && n < len &&
           ((unsigned char)text[n] & 0xc0) == 0x80) /* not before the rest of a character */
        n--;
    return (uint32_t)n;
}

void rulebook_dump(const struct core *core, row_fn *fn, void *ctx)
{
    fn(ctx, ROW_KIND_rules, ROW_PUT, &core->book.row);
    for (uint32_t slot = 0; slot < 2; slot++)
        parts_rows(&core->book.text[slot], slot, true, fn, ctx);
}

int load_rules(struct core *core, const struct row_rules *row)
{
    if (row->slot > 1 || row->parts > RULES_PARTS_MAX || row->draft_parts > RULES_PARTS_MAX)
        return ERR_CORRUPT;
    core->book.row = *row;
    core->book.text[row->slot].parts = row->parts;
    core->book.text[1 - row->slot].parts = row->draft_parts;
    return 0;
}

int load_rules_part(struct core *core, const struct row_rules_part *row)
{
    uint32_t len = (uint32_t)text_len(row->text, sizeof row->text);
    if (row->slot > 1)
        return ERR_CORRUPT;
    struct rules_text *t = &core->book.text[row->slot];
    if (row->part >= t->parts)
        return 0; /* of an older text */
    if (len == 0 || row->at > RULES_TEXT_MAX || len > RULES_TEXT_MAX - row->at)
        return ERR_CORRUPT;
    memcpy(t->text + row->at, row->text, len);
    t->at[row->part] = row->at;
    if (row->part + 1 == t->parts)
        t->at[t->parts] = row->at + len;
    t->touched[row->part] = true; /* it is there: see load_rules_done */
    return 0;
}

/* Every part of the slot came, each where the one before it ends as far as can be seen. */
static bool whole(struct rules_text *t)
{
    for (uint32_t i = 0; i < t->parts; i++) {
        if (!t->touched[i] || t->at[i + 1] <= t->at[i] || t->at[i + 1] - t->at[i] >= RULES_PART_CAP)
            return false;
        t->touched[i] = false;
    }
    return t->at[0] == 0;
}

int load_rules_done(struct core *core)
{
    struct rulebook *book = &core->book;
    uint32_t slot = book->row.slot;
    const struct rules_text *t = &book->text[slot];
    if (!whole(&book->text[0]) || !whole(&book->text[1]) ||
        rules_parse(&book->rules[slot], t->text, t->at[t->parts], &book->errors) != 0)
        return ERR_CORRUPT;
    if (book->rules[slot].nrules == 0)
        return 0;
    if (asks_names(&book->rules[slot]) && core->work.lanes.live > core->work.shapes.cap)
        return ERR_LIMIT;
    enforce(core, slot, book->row.judged_ms);
    return 0;
}

/* ---- facts ---- */

static void set_number(struct rule_facts *facts, enum rule_attr attr, uint64_t number)
{
    if (number > 0)
        rule_facts_number(facts, attr, (int64_t)number);
}

void rule_facts_of_work(const struct core *core, const struct shape_key *key, uint32_t tenant,
                        uint32_t alternative, struct rule_facts *facts)
{
    const struct row_tenant *row = &core->tenant[tenant].row;
    rule_facts_clear(facts);
    rule_facts_text(facts, RULE_TENANT_NAME, row->name, sizeof row->name);
    rule_facts_text(facts, RULE_TENANT_JURISDICTION, row->jurisdiction, sizeof row->jurisdiction);
    rule_facts_text(facts, RULE_TENANT_LICENCE, row->licence, sizeof row->licence);
    rule_facts_text(facts, RULE_DATA_CLASS, key->data_class, sizeof key->data_class);
    if (key->home != INDEX_NONE)
        rule_facts_text(facts, RULE_DATA_HOME, core->net.site[key->home].row.jurisdiction, CODE_CAP);
    rule_facts_text(facts, RULE_JOB_KIND, job_kind_text(key->kind), KIND_TEXT_CAP);
    rule_facts_number(facts, RULE_JOB_CHIPS, key->alternative[alternative].count);
}

void rule_facts_of_pool(const struct core *core, uint32_t i, struct rule_facts *facts)
{
    const struct pool *pool = &core->net.pool[i];
    const struct row_chip *chip = &core->net.chip[pool->chip.v].row;
    const struct row_site *site = &core->net.site[pool->site.v].row;
    facts->about = RULE_ABOUT_POOL;
    rule_facts_text(facts, RULE_CHIP_NAME, chip->id, sizeof chip->id);
    rule_facts_text(facts, RULE_CHIP_VENDOR, chip->vendor, sizeof chip->vendor);
    rule_facts_text(facts, RULE_CHIP_ORIGIN, chip->origin, sizeof chip->origin);
    set_number(facts, RULE_CHIP_TPP, chip->tpp);
    set_number(facts, RULE_CHIP_DENSITY, chip->density);
    set_number(facts, RULE_CHIP_MEMORY_GIB, chip->memory_mib / 1024);
    rule_facts_text(facts, RULE_SITE_NAME, site->name, sizeof site->name);
    rule_facts_text(facts, RULE_SITE_JURISDICTION, site->jurisdiction, sizeof site->jurisdiction);
    rule_facts_text(facts, RULE_SITE_REGION, site->region, sizeof site->region);
    rule_facts_text(facts, RULE_SITE_OWNER, site->owner, sizeof site->owner);
}

/* A corridor that crosses no border is judged as a place there. */
void rule_facts_of_corridor(const struct core *core, uint32_t i, struct rule_facts *facts)
{
    const struct corridor *c = &core->net.corridor[i];
    const struct row_site *a = &core->net.site[c->a.v].row, *b = &core->net.site[c->b.v].row;
    facts->about = RULE_ABOUT_CORRIDOR;
    rule_facts_text(facts, RULE_CORRIDOR_A, a->name, sizeof a->name);
    rule_facts_text(facts, RULE_CORRIDOR_B, b->name, sizeof b->name);
    if (a->jurisdiction[0] == 0 || b->jurisdiction[0] == 0)
        return;
    bool crosses = memcmp(a->jurisdiction, b->jurisdiction, sizeof a->jurisdiction) != 0;
    rule_facts_number(facts, RULE_CORRIDOR_CROSSES_BORDER, crosses);
    if (!crosses)
        rule_facts_text(facts, RULE_SITE_JURISDICTION, a->jurisdiction, sizeof a->jurisdiction);
}

/* ---- the masks ---- */

static void way(void *ctx, uint32_t i, struct rule_facts *facts)
{
    rule_facts_of_corridor(ctx, i, facts);
}

const uint64_t *shape_closed(const struct core *core, struct shape *shape)
{
    uint32_t n = core->net.corridors.used;
    if (!core->book.asks_corridors || shape->key.source == INDEX_NONE)
        return NULL;
    if (shape->barred == core->book.version)
        return shape->closes ? shape->closed : NULL;
    struct rule_facts work;
    rule_facts_of_work(core, &shape->key, shape->key.tenant, 0, &work);
    rules_mask(rulebook_rules(core), &work, core->book.row.judged_ms, way, (void *)core, n, shape->closed);
    shape->closes = false;
    for (uint32_t i = 0; i < n; i++) {
        shape->closed[i / 64] ^= UINT64_C(1) << i % 64; /* those that are not allowed */
        shape->closes |= bit_of(shape->closed, i);
    }
    shape->barred = core->book.version;
    return shape->closes ? shape->closed : NULL;
}

static void place(void *ctx, uint32_t i, struct rule_facts *facts)
{
    rule_facts_of_pool(ctx, i, facts);
}

/* Pools differ in who is taken to ask there, so each is judged by itself. A replica has one alternative. */
static void judge_replicas(const struct core *core, struct shape *shape)
{
    const struct deployment *d = &core->deployment[shape->key.deployment];
    struct rule_facts facts;
    struct verdict ignored;
    for (uint32_t i = 0; i < core->net.pools.used; i++) {
        rule_facts_of_deployment(core, i, &core->model[d->model.v].row, d->row.chips, &facts);
        if (rules_judge(rulebook_rules(core), &facts, core->book.row.judged_ms, &ignored) == 0)
            shape->lawful[i / 64] |= UINT64_C(1) << i % 64;
    }
}

const uint64_t *shape_lawful(struct core *core, struct shape *shape)
{
    const struct rules *rules = rulebook_rules(core);
    uint32_t words = core->work.pool_words;
    if (rules->nrules == 0)
        return NULL;
    if (shape->judged == core->book.version)
        return shape->lawful;
    shape->judged = core->book.version;
    memset(shape->lawful, 0, (size_t)ALTERNATIVES * words * sizeof *shape->lawful);
    if (shape->key.deployment != INDEX_NONE) {
        judge_replicas(core, shape);
        return shape->lawful;
    }
    for (uint32_t a = 0; a < shape->nalternatives; a++) {
        struct rule_facts work;
        rule_facts_of_work(core, &shape->key, shape->key.tenant, a, &work);
        rules_mask(rules, &work, core->book.row.judged_ms, place, core, core->net.pools.used,
                   shape->lawful + (size_t)a * words);
    }
    return shape->lawful;
}
