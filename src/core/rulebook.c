/* SPDX-License-Identifier: Apache-2.0 */
/* The rules in force: how they arrive, when they change, and what they say of shapes and pools. */
#include "core/rulebook.h"

#include <string.h>

#include "base/err.h"
#include "core/kinds.h"
#include "core/state.h"
#include "core/view.h"

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

const struct row_rules *view_rules(const struct core *core, const struct rules **rules, const char **text,
                                   size_t *len, int64_t *next_ms)
{
    const struct rules_text *t = &core->book.text[core->book.row.slot];
    *rules = rulebook_rules(core);
    *text = t->text;
    *len = t->parts > 0 ? t->at[t->parts] : 0;
    *next_ms = core->book.next_ms;
    return &core->book.row;
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

/* What rules are told of has changed: all work is judged anew, as of now. */
static void rulebook_rejudge(struct core *core)
{
    judge_from(core, core->now_ms);
    core->effects->routes_changed = true; /* doors judge requests */
}

void rulebook_turn(struct core *core)
{
    if (core->now_ms >= core->book.next_ms)
        rulebook_rejudge(core);
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
    core->effects->routes_changed = true;
    return 0;
}

/* ---- what they are told ---- */

/* What a job's data are at home does not change with the site where they lie; rows from before have it to be found. */
static bool home_unknown(const struct core *core, uint32_t i, const struct uuid *site)
{
    const struct row_job *row = &core->work.job[i].row;
    return table_live(&core->work.jobs, i) && !row->home[0] && uuid_eq(&row->data_site, site);
}

int step_site_facts(struct core *core, const struct event *event)
{
    const struct event_site_facts *e = &event->u.site_facts;
    struct site_id id = site_by_id(core, &e->site);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    struct row_site *row = &core->net.site[id.v].row;
    uint32_t homes = 0;
    for (uint32_t i = 0; i < core->work.jobs.used; i++)
        homes += home_unknown(core, i, &e->site);
    if (homes > SITE_HOMES_MAX)
        return ERR_LIMIT;
    for (uint32_t i = 0; homes > 0 && i < core->work.jobs.used; i++) {
        if (!home_unknown(core, i, &e->site))
            continue;
        home_of(core, &e->site, core->work.job[i].row.home);
        table_touch(&core->work.jobs, i);
    }
    memcpy(row->jurisdiction, e->jurisdiction, sizeof row->jurisdiction);
    memcpy(row->region, e->region, sizeof row->region);
    memcpy(row->owner, e->owner, sizeof row->owner);
    table_touch(&core->net.sites, id.v);
    rulebook_rejudge(core);
    return 0;
}

int step_tenant_facts(struct core *core, const struct event *event)
{
    const struct event_tenant_facts *e = &event->u.tenant_facts;
    struct tenant_id id = tenant_by_id(core, &e->tenant);
    if (id.v == INDEX_NONE)
        return ERR_NOT_FOUND;
    if (core->work.lanes.live > core->work.shapes.cap)
        return ERR_LIMIT; /* as rules that name tenants: lanes may have nothing in common any more */
    struct row_tenant *row = &core->tenant[id.v].row;
    memcpy(row->jurisdiction, e->jurisdiction, sizeof row->jurisdiction);
    memcpy(row->licence, e->licence, sizeof row->licence);
    table_touch(&core->tenants, id.v);
    tenant_move_peer(core, id);
    rulebook_rejudge(core);
    lanes_rekey(core);
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

static void facts_of_tenant(const struct row_tenant *row, struct rule_facts *facts)
{
    rule_facts_text(facts, RULE_TENANT_NAME, row->name, sizeof row->name);
    rule_facts_text(facts, RULE_TENANT_JURISDICTION, row->jurisdiction, sizeof row->jurisdiction);
    rule_facts_text(facts, RULE_TENANT_LICENCE, row->licence, sizeof row->licence);
}

static void facts_of_model(const struct row_model *model, struct rule_facts *facts)
{
    rule_facts_text(facts, RULE_MODEL_NAME, model->name, sizeof model->name);
    rule_facts_text(facts, RULE_MODEL_ORIGIN, model->origin, sizeof model->origin);
    rule_facts_text(facts, RULE_MODEL_LICENCE, model->licence, sizeof model->licence);
}

void rule_facts_of_work(const struct core *core, const struct shape_key *key, uint32_t tenant,
                        uint32_t alternative, struct rule_facts *facts)
{
    rule_facts_clear(facts);
    facts_of_tenant(&core->tenant[tenant].row, facts);
    rule_facts_text(facts, RULE_DATA_CLASS, key->data_class, sizeof key->data_class);
    rule_facts_text(facts, RULE_DATA_HOME, key->home, sizeof key->home);
    rule_facts_text(facts, RULE_JOB_KIND, job_kind_text(key->kind), KIND_TEXT_CAP);
    rule_facts_number(facts, RULE_JOB_CHIPS, key->alternative[alternative].count);
}

static void facts_of_chip(const struct row_chip *chip, struct rule_facts *facts)
{
    rule_facts_text(facts, RULE_CHIP_NAME, chip->id, sizeof chip->id);
    rule_facts_text(facts, RULE_CHIP_VENDOR, chip->vendor, sizeof chip->vendor);
    rule_facts_text(facts, RULE_CHIP_ORIGIN, chip->origin, sizeof chip->origin);
    set_number(facts, RULE_CHIP_TPP, chip->tpp);
    set_number(facts, RULE_CHIP_DENSITY, chip->density);
    set_number(facts, RULE_CHIP_MEMORY_GIB, chip->memory_mib / 1024);
}

/* The same of chips at a site, whatever pool they are in; chip: INDEX_NONE, not known. */
static void rule_facts_of_place(const struct core *core, uint32_t chip, uint32_t at, struct rule_facts *facts)
{
    const struct row_site *site = &core->net.site[at].row;
    facts->about = RULE_ABOUT_POOL;
    if (chip != INDEX_NONE)
        facts_of_chip(&core->net.chip[chip].row, facts);
    rule_facts_text(facts, RULE_SITE_NAME, site->name, sizeof site->name);
    rule_facts_text(facts, RULE_SITE_JURISDICTION, site->jurisdiction, sizeof site->jurisdiction);
    rule_facts_text(facts, RULE_SITE_REGION, site->region, sizeof site->region);
    rule_facts_text(facts, RULE_SITE_OWNER, site->owner, sizeof site->owner);
}

void rule_facts_of_pool(const struct core *core, uint32_t i, struct rule_facts *facts)
{
    const struct pool *pool = &core->net.pool[i];
    rule_facts_of_place(core, pool->chip.v, pool->site.v, facts);
}

/* ---- requests ---- */

const struct uuid *view_rules_peer(const struct core *core, const struct uuid *id)
{
    struct tenant_id tenant = tenant_by_id(core, id);
    return tenant.v == INDEX_NONE || core->book.names_tenants
               ? id
               : &core->tenant[core->tenant[tenant.v].peer].row.id;
}

/* A head computes nothing: what it is asked, its workers are. */
static bool may_ask_workers(const struct core *core, const struct uuid *tenant, const struct row_model *model,
                            const struct row_replica *head, uint32_t *rule)
{
    const struct row_cluster *cluster = view_cluster(core, &head->deployment);
    struct view_part part;
    for (uint32_t i = 0; cluster && view_cluster_part(cluster, i, &part); i++) {
        const struct row_replica *worker = view_cluster_worker(core, cluster, &part);
        if (worker && !view_may_ask(core, tenant, model, worker, rule))
            return false;
    }
    return true;
}

bool view_may_ask(const struct core *core, const struct uuid *tenant_id, const struct row_model *model,
                  const struct row_replica *replica, uint32_t *rule)
{
    struct tenant_id tenant = tenant_by_id(core, tenant_id);
    struct site_id site = site_by_id(core, &replica->site);
    struct rule_facts facts;
    struct verdict verdict;
    *rule = RULES_NONE;
    if (replica->role == REPLICA_HEAD)
        return may_ask_workers(core, tenant_id, model, replica, rule);
    if (rulebook_rules(core)->nrules == 0 || tenant.v == INDEX_NONE || site.v == INDEX_NONE)
        return true;
    const struct row_tenant *row = &core->tenant[tenant.v].row;
    size_t len = text_len(replica->chip, sizeof replica->chip);
    uint32_t chip = len > 0 ? map_get(&core->net.chip_map, replica->chip, len) : MAP_NONE;
    rule_facts_clear(&facts);
    facts_of_tenant(row, &facts);
    facts_of_model(model, &facts);
    rule_facts_text(&facts, RULE_JOB_KIND, job_kind_text(JOB_KIND_INFERENCE), KIND_TEXT_CAP);
    set_number(&facts, RULE_JOB_CHIPS, replica->chips);
    rule_facts_of_place(core, chip == MAP_NONE ? INDEX_NONE : chip, site.v, &facts);
    int rc = rules_judge(rulebook_rules(core), &facts, core->book.row.judged_ms, &verdict);
    *rule = verdict.rule;
    return rc == 0;
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
