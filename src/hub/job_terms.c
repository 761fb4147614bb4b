/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/job_terms.h"

#include <string.h>

#include "base/timetext.h"
#include "core/rulebook.h"
#include "gateway/refusal.h"
#include "hub/job_near.h"
#include "hub/jobs.h"

#define JOB_CHIPS_MAX 65536
#define ALTERNATIVES_MAX 4
#define RATE_ONE 1000 /* of an alternative that is as fast as the job's time is meant */
#define RATE_MAX 1000

const char *const job_terms_members[] = {"tenant",
                                         "chips",
                                         "chip",
                                         "alternatives",
                                         "time_limit_s",
                                         "priority",
                                         "interruptible",
                                         "on_disconnect",
                                         "after",
                                         "array",
                                         "site",
                                         "near",
                                         "jurisdiction",
                                         "vendor",
                                         "data_class",
                                         "data_home",
                                         "kind",
                                         "isolation",
                                         "deadline",
                                         "defer_until",
                                         "checkpoint_every_s",
                                         "checkpoint_cost_s",
                                         NULL};

/* ---- which chips ---- */

struct place_of {
    char *chip;
    uint32_t *count, *rate;
};

static struct place_of alternative(struct event_job_array *e, uint32_t i)
{
    const struct place_of places[ALTERNATIVES_MAX] = {{e->chip0, &e->count0, &e->rate0},
                                                      {e->chip1, &e->count1, &e->rate1},
                                                      {e->chip2, &e->count2, &e->rate2},
                                                      {e->chip3, &e->count3, &e->rate3}};
    return places[i];
}

static int bad_alternative(struct api_call *call, uint32_t i, const char *words)
{
    return err_set(&call->err, ERR_INVALID, "alternatives: number %u: %s", i + 1, words);
}

/* {"chip": KIND, "chips": N, "rate": how fast beside the time that the job is given} */
static int read_alternative(struct api_call *call, yyjson_val *v, uint32_t i, struct event_job_array *e)
{
    struct place_of to = alternative(e, i);
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    yyjson_val *key;
    *to.count = 1;
    *to.rate = RATE_ONE;
    if (!yyjson_is_obj(v))
        return bad_alternative(call, i, "is not an object with chip, chips and rate");
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        yyjson_val *val = yyjson_obj_iter_get_val(key);
        const char *name = yyjson_get_str(key);
        if (strcmp(name, "chip") == 0) {
            if (!yyjson_is_str(val) || !text_set(to.chip, CHIP_CAP, yyjson_get_str(val), yyjson_get_len(val)))
                return bad_alternative(call, i, "chip must be the name of a kind");
        } else if (strcmp(name, "chips") == 0) {
            if (!yyjson_is_uint(val) || yyjson_get_uint(val) == 0 || yyjson_get_uint(val) > JOB_CHIPS_MAX)
                return bad_alternative(call, i, "chips must be a whole number, at least 1");
            *to.count = (uint32_t)yyjson_get_uint(val);
        } else if (strcmp(name, "rate") == 0) {
            double rate = yyjson_get_num(val);
            if (!yyjson_is_num(val) || !(rate >= 1.0 / RATE_ONE && rate <= RATE_MAX))
                return bad_alternative(call, i, "rate must be a number from 0.001 to 1000");
            *to.rate = (uint32_t)(rate * RATE_ONE + 0.5);
        } else {
            return bad_alternative(call, i, "only chip, chips and rate");
        }
    }
    return to.chip[0] ? 0 : bad_alternative(call, i, "chip is missing");
}

static int read_chips(struct api_call *call, struct event_job_array *e)
{
    yyjson_val *list = body_member(call, "alternatives");
    uint64_t chips = 1;
    int rc = body_count(call, "chips", JOB_CHIPS_MAX, &chips);
    if (rc == 0 && chips == 0)
        rc = err_set(&call->err, ERR_INVALID, "chips: must be at least 1");
    if (rc == 0)
        rc = body_text(call, "chip", false, e->chip0, CHIP_CAP);
    e->count0 = (uint32_t)chips;
    e->rate0 = RATE_ONE;
    if (rc != 0 || !list)
        return rc;
    if (body_member(call, "chip") || body_member(call, "chips"))
        return err_set(&call->err, ERR_INVALID, "alternatives: not beside chip or chips");
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0 || yyjson_arr_size(list) > ALTERNATIVES_MAX)
        return err_set(&call->err, ERR_INVALID, "alternatives: must be a list of 1 to %d", ALTERNATIVES_MAX);
    for (uint32_t i = 0; i < yyjson_arr_size(list) && rc == 0; i++)
        rc = read_alternative(call, yyjson_arr_get(list, i), i, e);
    return rc;
}

/* ---- when ---- */

static int read_span(struct api_call *call, const char *name, int64_t *ms)
{
    uint64_t seconds = 0;
    int rc = body_count(call, name, SPAN_S_MAX, &seconds);
    if (rc == 0 && body_member(call, name) && seconds == 0)
        rc = err_set(&call->err, ERR_INVALID, "%s: must be at least 1", name);
    *ms = (int64_t)seconds * 1000;
    return rc;
}

static int read_moment(struct api_call *call, const char *name, int64_t *ms)
{
    const int64_t now_ms = runtime_now_ms(call->hub->runtime);
    char text[64] = "";
    int rc = body_text(call, name, false, text, sizeof text);
    if (rc != 0 || !body_member(call, name))
        return rc;
    if (!moment_parse(text, strlen(text), now_ms, ms))
        return err_set(&call->err, ERR_INVALID,
                       "%s: must be a time such as 2026-12-31T18:00:00Z, or from now such as +2h", name);
    return *ms > now_ms ? 0 : err_set(&call->err, ERR_INVALID, "%s: is in the past", name);
}

static int read_checkpoint(struct api_call *call, struct event_job_array *e)
{
    int rc = read_span(call, "checkpoint_every_s", &e->checkpoint_every_ms);
    if (rc == 0)
        rc = read_span(call, "checkpoint_cost_s", &e->checkpoint_ms);
    if (rc == 0 && (e->checkpoint_every_ms || e->checkpoint_ms) && !(e->flags & JOB_INTERRUPTIBLE))
        rc = err_set(&call->err, ERR_INVALID,
                     "%s: only of a job that is interruptible; no other is stopped and goes on later",
                     e->checkpoint_every_ms ? "checkpoint_every_s" : "checkpoint_cost_s");
    return rc;
}

static int read_times(struct api_call *call, struct event_job_array *e)
{
    int rc = read_span(call, "time_limit_s", &e->duration_ms);
    if (rc == 0)
        rc = read_moment(call, "deadline", &e->deadline_ms);
    if (rc == 0)
        rc = read_moment(call, "defer_until", &e->start_by_ms);
    return rc == 0 ? read_checkpoint(call, e) : rc;
}

/* ---- in what order ---- */

static int read_flag(struct api_call *call, const char *name, bool *out)
{
    yyjson_val *v = body_member(call, name);
    if (v && !yyjson_is_bool(v))
        return err_set(&call->err, ERR_INVALID, "%s: must be true or false", name);
    *out = v && yyjson_get_bool(v);
    return 0;
}

static int read_priority(struct api_call *call, uint32_t *out)
{
    yyjson_val *v = body_member(call, "priority");
    int64_t n = v && yyjson_is_int(v) && !(yyjson_is_uint(v) && yyjson_get_uint(v) > INT32_MAX)
                    ? yyjson_get_sint(v)
                    : INT64_MAX;
    if (v && (n < -JOB_PRIORITY_MAX || n > JOB_PRIORITY_MAX))
        return err_set(&call->err, ERR_INVALID, "priority: must be a whole number from -%d to %d",
                       JOB_PRIORITY_MAX, JOB_PRIORITY_MAX);
    *out = v ? (uint32_t)n : 0;
    return 0;
}

/* "ID" or "afterany:ID" */
static bool read_after(const char *text, char job[64], uint32_t *kind)
{
    const char *colon = strchr(text, ':');
    const char *name = colon ? colon + 1 : text;
    bool known = !colon;
    *kind = AFTER_OK;
#define A(n, number, word) \
    if (colon && text_eq(text, (size_t)(colon - text), word, sizeof(word) - 1)) { \
        *kind = (number); \
        known = true; \
    }
    JOB_AFTER_KINDS(A)
#undef A
    return known && job_name_valid(name) && text_set(job, 64, name, strlen(name));
}

static int read_afters(struct api_call *call, struct job_terms *terms)
{
    yyjson_val *v = body_member(call, "after"), *item;
    if (!v)
        return 0;
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) > JOB_AFTERS_MAX)
        return err_set(&call->err, ERR_INVALID, "after: must be a list of at most %d jobs", JOB_AFTERS_MAX);
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        const char *text = yyjson_is_str(item) ? yyjson_get_str(item) : "";
        if (!read_after(text, terms->after[terms->nafter].job, &terms->after[terms->nafter].kind))
            return err_set(&call->err, ERR_INVALID,
                           "after: `%.60s` is not [afterok:|afterany:|afternotok:]JOB", text);
        terms->nafter++;
    }
    return 0;
}

/* ---- arrays ---- */

#define INDEX_MAX (1u << 30)

bool job_array_parse(const char *text, size_t len, uint32_t *first, uint32_t *total, uint32_t *at_once)
{
    const char *percent = memchr(text, '%', len);
    const size_t range = percent ? (size_t)(percent - text) : len;
    const char *dash = memchr(text, '-', range);
    const size_t a_len = dash ? (size_t)(dash - text) : range;
    uint64_t a, b, c = 0;
    if (!u64_parse(text, a_len, INDEX_MAX, &a))
        return false;
    b = a;
    if (dash && (!u64_parse(dash + 1, range - a_len - 1, INDEX_MAX + ARRAY_TASKS_MAX, &b) || b < a))
        return false;
    if (percent && (!u64_parse(percent + 1, len - range - 1, ARRAY_TASKS_MAX, &c) || c == 0))
        return false;
    if (b - a >= ARRAY_TASKS_MAX)
        return false;
    *first = (uint32_t)a;
    *total = (uint32_t)(b - a + 1);
    *at_once = (uint32_t)c;
    return true;
}

static int read_array(struct api_call *call, struct job_terms *terms)
{
    char text[40] = "";
    int rc = body_text(call, "array", false, text, sizeof text);
    if (rc != 0 || !body_member(call, "array") ||
        job_array_parse(text, strlen(text), &terms->first, &terms->total, &terms->at_once))
        return rc;
    return err_set(&call->err, ERR_INVALID,
                   "array: must be A-B or A-B%%C, of at most %d tasks; lists and steps are not known",
                   ARRAY_TASKS_MAX);
}

static int read_isolation(struct api_call *call, uint32_t *flags)
{
    char text[NAME_CAP] = "none";
    uint32_t level = ISOLATION_NONE;
    int rc = body_text(call, "isolation", false, text, sizeof text);
    if (rc == 0 && !isolation_parse(text, &level))
        rc = err_set(&call->err, ERR_INVALID, "isolation: must be none, process, namespace or cgroup");
    *flags |= level << JOB_ISOLATION_SHIFT;
    return rc;
}

/* Without an end in sight nobody could say when another placement may begin. */
static int read_on_disconnect(struct api_call *call, struct event_job_array *e)
{
    char text[16] = "stop";
    int rc = body_text(call, "on_disconnect", false, text, sizeof text);
    bool finish = strcmp(text, "finish") == 0;
    if (rc == 0 && !finish && strcmp(text, "stop") != 0)
        rc = err_set(&call->err, ERR_INVALID, "on_disconnect: must be stop or finish");
    if (rc == 0 && finish && e->duration_ms == 0)
        rc = err_set(&call->err, ERR_INVALID,
                     "on_disconnect: finish needs a time limit (time_limit_s), past which it surely is over");
    e->flags |= finish ? JOB_FINISH : 0;
    return rc;
}

/* What rules are told of it. A replica is no job of a tenant's, so `inference` is nobody's to declare. */
static int read_declared(struct api_call *call, struct event_job_array *e)
{
    char kind[KIND_TEXT_CAP] = "";
    int rc = body_text(call, "data_class", false, e->data_class, sizeof e->data_class);
    if (rc == 0)
        rc = body_text(call, "data_home", false, e->home, sizeof e->home);
    if (rc == 0 && e->home[0] == HOME_NOT_KNOWN && e->home[1])
        rc =
            err_set(&call->err, ERR_INVALID, "data_home: a jurisdiction such as DE, or - where nobody knows");
    if (rc == 0)
        rc = body_text(call, "kind", false, kind, sizeof kind);
    for (e->kind = JOB_KIND_BATCH; rc == 0 && kind[0] && strcmp(kind, job_kind_text(e->kind)) != 0;) {
        if (++e->kind > JOB_KIND_TRAINING)
            rc = err_set(&call->err, ERR_INVALID, "kind: batch or training");
    }
    return rc;
}

int job_terms_read(struct api_call *call, struct job_terms *terms, struct event_job_array *e)
{
    bool interruptible = false;
    int rc = body_text(call, "tenant", call->operator_, terms->tenant, sizeof terms->tenant);
    if (rc == 0)
        rc = read_chips(call, e);
    if (rc == 0)
        rc = read_priority(call, &e->priority);
    if (rc == 0)
        rc = read_flag(call, "interruptible", &interruptible);
    e->flags = interruptible ? JOB_INTERRUPTIBLE : 0;
    if (rc == 0)
        rc = read_isolation(call, &e->flags);
    if (rc == 0)
        rc = read_times(call, e);
    if (rc == 0)
        rc = read_on_disconnect(call, e);
    if (rc == 0)
        rc = read_afters(call, terms);
    if (rc == 0)
        rc = read_array(call, terms);
    if (rc == 0)
        rc = body_text(call, "site", false, terms->site, sizeof terms->site);
    if (rc == 0)
        rc = body_text(call, "near", false, terms->near, sizeof terms->near);
    if (rc == 0 && terms->near[0] && terms->site[0])
        rc = err_set(&call->err, ERR_INVALID, "near, site: only one of the two");
    if (rc == 0)
        rc = body_text(call, "jurisdiction", false, e->jurisdiction, sizeof e->jurisdiction);
    if (rc == 0)
        rc = body_text(call, "vendor", false, e->vendor, sizeof e->vendor);
    return rc == 0 ? read_declared(call, e) : rc;
}

/* ---- names ---- */

/* `name`, and those that there are: the next of them at *pos, NULL at the end. */
static int unknown(struct api_call *call, const struct core *core, const char *member, const char *name,
                   const char *(*next)(const struct core *core, uint32_t *pos))
{
    struct buf list;
    const char *text;
    buf_init(&list, 160); /* as many as the words of an error have room for */
    for (uint32_t pos = 0; (text = next(core, &pos)) != NULL;)
        buf_addf(&list, "%s%s", list.len ? ", " : "", text);
    int rc = err_set(&call->err, ERR_NOT_FOUND, "%s: there is no `%s`; there are: %.*s%s", member, name,
                     (int)list.len, list.data ? list.data : "", list.failed ? ", ..." : "");
    buf_fini(&list);
    return rc;
}

static const char *next_chip(const struct core *core, uint32_t *pos)
{
    const struct row_chip *row = view_chip_at(core, pos);
    return row ? row->id : NULL;
}

static const char *next_site(const struct core *core, uint32_t *pos)
{
    const struct row_site *row = view_site_at(core, pos);
    return row ? row->name : NULL;
}

/* Each once: a vendor is told at its first kind of chips. */
static const char *next_vendor(const struct core *core, uint32_t *pos)
{
    const struct row_chip *row, *before;
    while ((row = view_chip_at(core, pos)) != NULL) {
        uint32_t at = 0;
        while ((before = view_chip_at(core, &at)) != row && strcmp(before->vendor, row->vendor) != 0)
            continue;
        if (before == row)
            return row->vendor;
    }
    return NULL;
}

static bool is_vendor(const struct core *core, const char *name)
{
    const char *vendor;
    for (uint32_t pos = 0; (vendor = next_vendor(core, &pos)) != NULL;) {
        if (strcmp(vendor, name) == 0)
            return true;
    }
    return false;
}

int job_terms_resolve(struct api_call *call, const struct core *core, const struct job_terms *terms,
                      struct event_job_array *e)
{
    const struct row_tenant *tenant =
        terms->tenant[0] ? call_tenant(call, core, terms->tenant) : view_tenant(core, &call->key.tenant);
    const struct row_site *site =
        terms->site[0] ? view_site_named(core, terms->site, strlen(terms->site)) : NULL;
    if (!tenant)
        return ERR_NOT_FOUND;
    e->tenant = tenant->id;
    for (uint32_t i = 0; i < ALTERNATIVES_MAX; i++) {
        const char *chip = alternative(e, i).chip;
        if (chip[0] && !view_chip_known(core, chip))
            return unknown(call, core, "chip", chip, next_chip);
    }
    if (e->vendor[0] && !is_vendor(core, e->vendor))
        return unknown(call, core, "vendor", e->vendor, next_vendor);
    if (terms->site[0] && !site)
        return unknown(call, core, "site", terms->site, next_site);
    if (site)
        e->site = site->id;
    if (view_site_own(core)) /* where blobs are; job_data_check tells whether there are any */
        e->data_site = view_site_own(core)->id;
    return job_near_resolve(call, core, terms, e);
}

int job_pay_check(struct api_call *call, const struct core *core, struct event_job_array *e)
{
    if (uuid_eq(&call->key.tenant, &e->tenant))
        e->key = call->key.id;
    int64_t lack = view_budget_lack(core, &e->tenant, &e->key);
    if (lack == 0)
        return 0;
    refusal_words(call->err.msg, sizeof call->err.msg, lack, "has nothing left for a job");
    return call->err.code = ERR_BUDGET_SPENT;
}

void job_of_array(struct event_job_submit *to, const struct event_job_array *from)
{
    memcpy(to, from, offsetof(struct event_job_submit, key)); /* so far both are the same */
    to->key = from->key;
    memcpy(to->home, from->home, sizeof to->home);
}

/* ---- told again ---- */

static void render_alternatives(struct buf *out, const struct row_job *row)
{
    const struct {
        const char *chip;
        uint32_t count, rate;
    } list[ALTERNATIVES_MAX] = {{row->chip0, row->count0, row->rate0},
                                {row->chip1, row->count1, row->rate1},
                                {row->chip2, row->count2, row->rate2},
                                {row->chip3, row->count3, row->rate3}};
    if (!row->chip0[0])
        return;
    buf_add_text(out, ",\"alternatives\":[");
    for (uint32_t i = 0; i < ALTERNATIVES_MAX && list[i].count > 0; i++) {
        buf_add_text(out, i ? ",{" : "{");
        add_text(out, "chip", list[i].chip, CHIP_CAP);
        buf_addf(out, ",\"chips\":%u", list[i].count);
        if (list[i].rate != RATE_ONE)
            buf_addf(out, ",\"rate\":%u.%03u", list[i].rate / RATE_ONE, list[i].rate % RATE_ONE);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

void job_terms_render(struct buf *out, const struct core *core, const struct row_job *row)
{
    const struct row_site *site = uuid_zero(&row->site) ? NULL : view_site(core, &row->site);
    render_alternatives(out, row);
    if (site)
        add_text(out, "site_asked", site->name, NAME_CAP);
    if (row->jurisdiction[0])
        add_text(out, "jurisdiction", row->jurisdiction, CODE_CAP);
    if (row->vendor[0])
        add_text(out, "vendor", row->vendor, NAME_CAP);
    if (row->data_class[0])
        add_text(out, "data_class", row->data_class, CODE_CAP);
    if (row->home[0] && row->home[0] != HOME_NOT_KNOWN)
        add_text(out, "data_home", row->home, CODE_CAP);
    if (row->kind == JOB_KIND_TRAINING)
        add_text(out, "kind", job_kind_text(row->kind), KIND_TEXT_CAP);
    if (job_isolation(row->flags) > ISOLATION_NONE)
        add_text(out, "isolation", isolation_text(job_isolation(row->flags)), NAME_CAP);
    if (row->flags & JOB_FINISH)
        add_text(out, "on_disconnect", "finish", 8);
    if (row->deadline_ms)
        add_time(out, "deadline", row->deadline_ms);
    if (row->start_by_ms)
        add_time(out, "defer_until", row->start_by_ms);
    if (row->checkpoint_every_ms)
        buf_addf(out, ",\"checkpoint_every_s\":%lld", (long long)(row->checkpoint_every_ms / 1000));
    if (row->checkpoint_ms)
        buf_addf(out, ",\"checkpoint_cost_s\":%lld", (long long)(row->checkpoint_ms / 1000));
}
