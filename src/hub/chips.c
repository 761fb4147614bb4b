/* SPDX-License-Identifier: Apache-2.0 */
/* The register of single chips: listed, shown with their past, and what operators declare of them. */
#include "hub/chips.h"

#include <stdlib.h>
#include <string.h>

#define DECLARED_MAX 1000 /* by one call; the rest by the next one */
#define RANGES_MAX 256
#define PASTS_SHOWN 200 /* the newest */

/* ---- which ---- */

static bool decode(char *dst, size_t cap, const char *text)
{
    size_t n = 0;
    for (; *text && n + 1 < cap; text++) {
        uint8_t byte;
        bool coded = *text == '%' && text[1] && text[2] && hex_decode(&byte, 1, text + 1, 2);
        dst[n++] = coded ? (char)byte : *text;
        text += coded ? 2 : 0;
    }
    dst[n] = 0;
    return *text == 0;
}

const struct row_unit *call_chip(struct api_call *call, const struct core *core, const char *text)
{
    struct uuid id;
    char name[CALL_PARAM_MAX];
    const struct row_unit *row = NULL;
    if (decode(name, sizeof name, text))
        row = uuid_parse(&id, name, strlen(name)) ? view_unit(core, &id)
                                                  : view_unit_named(core, name, strlen(name));
    if (!row)
        err_set(&call->err, ERR_NOT_FOUND, "There is no chip %.100s; chips are named VENDOR:SERIAL.", text);
    return row;
}

const char *chip_origin(const struct row_unit *row)
{
    return row->declared_origin[0] ? row->declared_origin : row->origin;
}

struct filter {
    struct uuid site;
    char site_name[NAME_CAP], vendor[UNIT_VENDOR_CAP], kind[CHIP_CAP];
    uint32_t state; /* 0: any */
    int licensed;   /* -1: any */
    bool alarmed;
};

static bool passes(const struct filter *f, const struct core *core, const struct row_unit *row)
{
    return (uuid_zero(&f->site) || uuid_eq(&f->site, &row->site)) &&
           (f->vendor[0] == 0 || strncmp(f->vendor, row->vendor, sizeof row->vendor) == 0) &&
           (f->kind[0] == 0 || strncmp(f->kind, row->kind, sizeof row->kind) == 0) &&
           (f->state == 0 || f->state == row->state) &&
           (f->licensed < 0 || f->licensed == (row->licence[0] != 0)) &&
           (!f->alarmed || view_unit_alarmed(core, row));
}

/* The site that is named, if one is. */
static int find_site(struct api_call *call, const struct core *core, struct filter *f)
{
    const struct row_site *site =
        f->site_name[0] ? view_site_named(core, f->site_name, strlen(f->site_name)) : NULL;
    if (site)
        f->site = site->id;
    return site || f->site_name[0] == 0
               ? 0
               : err_set(&call->err, ERR_NOT_FOUND, "There is no site %s.", f->site_name);
}

static bool one_of(struct api_call *call, const char *name, const char *yes, const char *no, int *out)
{
    char text[32];
    if (!call_query(call, name, text, sizeof text))
        return true;
    *out = strcmp(text, yes) == 0;
    return *out || strcmp(text, no) == 0;
}

static int read_filter(struct api_call *call, struct filter *f)
{
    char state[32];
    int alarmed = 0;
    *f = (struct filter){.licensed = -1};
    (void)call_query(call, "site", f->site_name, sizeof f->site_name);
    (void)call_query(call, "vendor", f->vendor, sizeof f->vendor);
    (void)call_query(call, "kind", f->kind, sizeof f->kind);
    bool has_state = call_query(call, "state", state, sizeof state);
    for (uint32_t i = 1; has_state && i < UNIT_STATES_END; i++)
        f->state = strcmp(state, unit_state_text(i)) == 0 ? i : f->state;
    if (has_state && f->state == 0)
        return err_set(&call->err, ERR_INVALID, "state: must be present, failed or absent");
    if (!one_of(call, "licence", "declared", "none", &f->licensed))
        return err_set(&call->err, ERR_INVALID, "licence: must be declared or none");
    if (!one_of(call, "alarm", "true", "false", &alarmed))
        return err_set(&call->err, ERR_INVALID, "alarm: must be true or false");
    f->alarmed = alarmed;
    return 0;
}

/* ---- shown ---- */

/* The site's pool of the kind that has nodes up, else the first. */
static const struct row_pool *pool_of(const struct core *core, const struct row_unit *row)
{
    const struct row_pool *pool, *best = NULL;
    for (uint32_t pos = 0; row->kind[0] && (pool = view_pool_at(core, &pos)) != NULL;) {
        if (uuid_eq(&pool->site, &row->site) && strncmp(pool->chip, row->kind, CHIP_CAP) == 0 &&
            (!best || view_pool_use(core, &best->id).nodes_up == 0))
            best = pool;
    }
    return best;
}

static void add_site_name(struct buf *out, const struct core *core, const char *name, const struct uuid *id)
{
    const struct row_site *site = view_site(core, id);
    if (site)
        add_text(out, name, site->name, sizeof site->name);
}

void render_chip(struct buf *out, const struct core *core, const struct row_unit *row)
{
    const struct row_pool *pool = row->state == UNIT_ABSENT ? NULL : pool_of(core, row);
    buf_add_char(out, '{');
    add_text(out, "name", row->name, sizeof row->name);
    add_id(out, "id", &row->id);
    add_text(out, "vendor", row->vendor, sizeof row->vendor);
    add_text(out, "kind", row->kind, sizeof row->kind);
    add_text(out, "model", row->model, sizeof row->model);
    add_text(out, "device", row->device, sizeof row->device);
    add_text(out, "uuid", row->maker_id, sizeof row->maker_id);
    add_site_name(out, core, "site", &row->site);
    add_text(out, "host", row->host, sizeof row->host);
    if (pool)
        add_id(out, "pool", &pool->id);
    add_text(out, "state", unit_state_text(row->state), KIND_TEXT_CAP);
    add_time(out, "since", row->since_ms);
    add_text(out, "health", unit_health_text(row->health), KIND_TEXT_CAP);
    add_text(out, "reason", row->reason, sizeof row->reason);
    add_time(out, "first_seen", row->first_ms);
    add_time(out, "last_seen", view_unit_seen_ms(core, row));
    add_text(out, "origin", chip_origin(row), CODE_CAP);
    add_text(out, "licence", row->licence, sizeof row->licence);
    buf_addf(out, ",\"origin_declared\":%s,\"moves\":%u,\"alarm\":%s",
             row->declared_origin[0] ? "true" : "false", row->moves,
             view_unit_alarmed(core, row) ? "true" : "false");
    if (row->moves > 0) {
        add_site_name(out, core, "moved_from", &row->from);
        add_time(out, "moved", row->moved_ms);
    }
}

static int list_parse(struct api_call *call)
{
    struct filter *f = call->data = calloc(1, sizeof *f);
    return f ? read_filter(call, f) : ERR_NO_MEMORY;
}

static int list(struct api_call *call, const struct core *core)
{
    struct filter *f = call->data;
    const struct row_unit *row;
    uint32_t limit, n = 0, pos;
    uint64_t from;
    int rc = find_site(call, core, f);
    if (rc == 0)
        rc = call_page_from(call, UINT32_MAX, &limit, &from);
    if (rc != 0)
        return rc;
    buf_add_text(&call->out, "{\"data\":[");
    pos = (uint32_t)from;
    for (uint32_t at = pos; (row = view_unit_at(core, &pos)) != NULL; at = pos) {
        if (!passes(f, core, row))
            continue;
        if (n == limit) {
            page_end_at(&call->out, true, at);
            return 0;
        }
        buf_add_text(&call->out, n++ ? "," : "");
        render_chip(&call->out, core, row);
        buf_add_char(&call->out, '}');
    }
    page_end_at(&call->out, false, 0);
    return 0;
}

/* ---- one, with its past ---- */

struct shown {
    struct row_unit_past past[PASTS_SHOWN]; /* the n-th of all at n % PASTS_SHOWN */
    uint32_t n;
};

static int find_one(struct api_call *call, const struct core *core)
{
    const struct row_unit *row = call_chip(call, core, call->param);
    if (!row)
        return ERR_NOT_FOUND;
    call->id = row->id;
    return 0;
}

static int take_past(void *ctx, enum row_kind kind, const void *row)
{
    struct shown *s = ctx;
    (void)kind;
    s->past[s->n++ % PASTS_SHOWN] = *(const struct row_unit_past *)row;
    return 0;
}

static int read_past(struct api_call *call)
{
    struct store *store = runtime_store(call->hub->runtime);
    struct shown *s = call->data = calloc(1, sizeof *s);
    const struct row_query query = {.kind = ROW_KIND_unit_past, .owner_field = "unit", .owner = &call->id};
    return s ? store->ops->rows(store, &query, 1, take_past, s, &call->err) : ERR_NO_MEMORY;
}

static void add_alarms(struct buf *out, const struct core *core, const struct row_unit *row)
{
    const struct row_unit_alarm *alarm;
    const char *sep = "";
    buf_add_text(out, ",\"alarms\":[");
    for (uint32_t pos = 0; (alarm = view_alarm_of_unit_at(core, row, &pos)) != NULL; sep = ",") {
        buf_add_text(out, sep);
        render_chip_alarm(out, core, alarm);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static int show(struct api_call *call, const struct core *core)
{
    const struct shown *s = call->data;
    const struct row_unit *row = view_unit(core, &call->id);
    struct buf *out = &call->out;
    render_chip(out, core, row); /* units never go */
    add_alarms(out, core, row);
    buf_add_text(out, ",\"past\":[");
    for (uint32_t i = s->n > PASTS_SHOWN ? s->n - PASTS_SHOWN : 0, first = i; i < s->n; i++) {
        const struct row_unit_past *past = &s->past[i % PASTS_SHOWN];
        buf_add_text(out, i > first ? ",{" : "{");
        add_text(out, "what", unit_past_text(past->what), KIND_TEXT_CAP);
        add_time(out, "at", past->at_ms);
        add_site_name(out, core, "site", &past->site);
        add_site_name(out, core, "from", &past->from);
        add_text(out, "text", past->text, sizeof past->text);
        buf_add_char(out, '}');
    }
    buf_add_text(out, "]}");
    return 0;
}

/* ---- declared ---- */

struct declaring {
    struct filter filter;
    struct event_unit_declare what;
    struct range {
        char from[UNIT_NAME_CAP], to[UNIT_NAME_CAP];
        uint32_t len;                       /* of both */
    } alone[RANGES_MAX], range[RANGES_MAX]; /* as given; by length, then by name; none into the next one */
    uint32_t nalone, nranges, n;
    bool more;
};

/* NAME, or FIRST..LAST: all names of that length in between. */
static int take_range(struct api_call *call, struct declaring *d, yyjson_val *item)
{
    struct range *r = &d->range[d->nranges];
    const char *text = yyjson_get_str(item), *dots = text ? strstr(text, "..") : NULL;
    size_t len = dots ? (size_t)(dots - text) : text ? strlen(text) : 0;
    const char *last = dots ? dots + 2 : text;
    if (d->nranges == RANGES_MAX || !text || len == 0 || !text_set(r->from, sizeof r->from, text, len) ||
        !text_set(r->to, sizeof r->to, last, strlen(last)))
        return err_set(&call->err, ERR_INVALID,
                       "chips: must be a list of names, or of ranges FIRST..LAST, %d at most", RANGES_MAX);
    if (strlen(r->from) != strlen(r->to) || strcmp(r->from, r->to) > 0)
        return err_set(
            &call->err, ERR_INVALID,
            "chips: %.40s..%.40s is no range: its ends must be as long as each other, and in order", r->from,
            r->to);
    r->len = (uint32_t)strlen(r->from);
    d->nranges++;
    return 0;
}

static int order(const struct range *r, uint32_t len, const char *name)
{
    return r->len != len ? (r->len < len ? -1 : 1) : strcmp(r->from, name);
}

static int by_order(const void *a, const void *b)
{
    const struct range *other = b;
    return order(a, other->len, other->from);
}

/* There may be as many names as the register has, on the core's thread: ranges are in order, and those that meet are one. */
static void sort_ranges(struct declaring *d)
{
    uint32_t n = 0;
    if (d->nranges == 0)
        return;
    for (uint32_t i = 0; i < d->nranges; i++)
        d->alone[i] = d->range[i];
    d->nalone = d->nranges;
    qsort(d->range, d->nranges, sizeof d->range[0], by_order);
    for (uint32_t i = 1; i < d->nranges; i++) {
        struct range *last = &d->range[n];
        if (order(&d->range[i], last->len, last->to) > 0)
            d->range[++n] = d->range[i];
        else if (strcmp(d->range[i].to, last->to) > 0)
            memcpy(last->to, d->range[i].to, sizeof last->to);
    }
    d->nranges = n + 1;
}

static int plain(struct api_call *call, const char *name, const char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            return err_set(&call->err, ERR_INVALID, "%s: must be plain ASCII", name);
    }
    return 0;
}

/* It goes into tables of others as it is. */
static int code(struct api_call *call, const char *name, const char *text)
{
    for (; *text; text++) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (!letter && (*text < '0' || *text > '9') && *text != '-')
            return err_set(&call->err, ERR_INVALID, "%s: must be letters, digits and '-'", name);
    }
    return 0;
}

static int read_declared(struct api_call *call, struct event_unit_declare *what)
{
    int rc = body_text(call, "licence", false, what->licence, sizeof what->licence);
    if (rc == 0)
        rc = body_text(call, "origin", false, what->origin, sizeof what->origin);
    if (rc == 0)
        rc = plain(call, "licence", what->licence);
    if (rc == 0)
        rc = code(call, "origin", what->origin);
    what->what = (body_member(call, "licence") ? UNIT_DECLARED_LICENCE : 0) |
                 (body_member(call, "origin") ? UNIT_DECLARED_ORIGIN : 0);
    if (rc == 0 && what->what == 0)
        rc = err_set(&call->err, ERR_INVALID,
                     "either licence or origin, or both; \"\" takes back what was declared");
    return rc;
}

static int declare_parse(struct api_call *call)
{
    static const char *const members[] = {"chips", "site", "vendor", "kind", "licence", "origin", NULL};
    struct declaring *d = call->data = calloc(1, sizeof *d);
    yyjson_val *list, *item;
    if (!d)
        return ERR_NO_MEMORY;
    d->filter.licensed = -1;
    int rc = body_only(call, members);
    if (rc == 0)
        rc = read_declared(call, &d->what);
    if (rc == 0)
        rc = body_text(call, "site", false, d->filter.site_name, sizeof d->filter.site_name);
    if (rc == 0)
        rc = body_text(call, "vendor", false, d->filter.vendor, sizeof d->filter.vendor);
    if (rc == 0)
        rc = body_text(call, "kind", false, d->filter.kind, sizeof d->filter.kind);
    list = body_member(call, "chips");
    if (rc == 0 && list && !yyjson_is_arr(list))
        rc = err_set(&call->err, ERR_INVALID, "chips: must be a list");
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while (rc == 0 && (item = yyjson_arr_iter_next(&it)) != NULL)
        rc = take_range(call, d, item);
    sort_ranges(d);
    if (rc == 0 && d->nranges == 0 && !d->filter.site_name[0] && !d->filter.vendor[0] && !d->filter.kind[0])
        rc = err_set(&call->err, ERR_INVALID, "which: chips by name, or site, vendor or kind");
    return rc;
}

static bool in_range(const struct declaring *d, const char name[UNIT_NAME_CAP])
{
    const uint32_t len = (uint32_t)strlen(name);
    uint32_t low = 0, high = d->nranges; /* the first that begins behind the name */
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (order(&d->range[mid], len, name) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return d->nranges == 0 ||
           (low > 0 && d->range[low - 1].len == len && strcmp(name, d->range[low - 1].to) <= 0);
}

static bool has_it(const struct row_unit *row, const struct event_unit_declare *what)
{
    return (!(what->what & UNIT_DECLARED_LICENCE) || strcmp(row->licence, what->licence) == 0) &&
           (!(what->what & UNIT_DECLARED_ORIGIN) || strcmp(row->declared_origin, what->origin) == 0);
}

/* A name that is given by itself must be there. */
static int check_names(struct api_call *call, const struct core *core, const struct declaring *d)
{
    for (uint32_t i = 0; i < d->nalone; i++) {
        const struct range *r = &d->alone[i];
        if (strcmp(r->from, r->to) == 0 && !call_chip(call, core, r->from))
            return ERR_NOT_FOUND;
    }
    return 0;
}

static int declare_prepare(struct api_call *call, const struct core *core)
{
    struct declaring *d = call->data;
    const struct row_unit *row;
    uint32_t found = 0;
    int rc = find_site(call, core, &d->filter);
    if (rc == 0)
        rc = check_names(call, core, d);
    call->many = rc == 0 ? calloc(DECLARED_MAX, sizeof *call->many) : NULL;
    if (rc == 0 && !call->many)
        return ERR_NO_MEMORY;
    for (uint32_t pos = 0; rc == 0 && !d->more && (row = view_unit_at(core, &pos)) != NULL;) {
        if (!in_range(d, row->name) || !passes(&d->filter, core, row))
            continue;
        found++;
        if (has_it(row, &d->what))
            continue;
        d->more = call->nevents == DECLARED_MAX;
        if (d->more)
            break;
        struct event *event = &call->many[call->nevents++];
        *event = (struct event){.kind = EVENT_KIND_unit_declare, .u.unit_declare = d->what};
        event->u.unit_declare.unit = row->id;
    }
    d->n = call->nevents;
    if (rc == 0 && found == 0)
        rc = err_set(&call->err, ERR_NOT_FOUND, "The register has no such chip.");
    return rc;
}

static int declare_finish(struct api_call *call, const struct core *core)
{
    const struct declaring *d = call->data;
    (void)core;
    buf_addf(&call->out, "{\"declared\":%u,\"more\":%s}", d->n, d->more ? "true" : "false");
    return 0;
}

const struct api_handler api_chip_list = {.parse = list_parse, .finish = list};
const struct api_handler api_chip_show = {.prepare = find_one, .work = read_past, .finish = show};
const struct api_handler api_chip_declare = {
    .parse = declare_parse, .prepare = declare_prepare, .finish = declare_finish};
