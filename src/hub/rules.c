/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules in force (docs/rules.md): told, replaced as a whole, lifted.
 *
 * A file that does not parse never gets to core. It goes there in parts, and is in force with the last event or not at all; two that
 * come at the same time cannot be mixed: of one the parts do not follow one another, and it is refused. The same text again changes
 * nothing.
 */
#include "hub/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/osrandom.h"
#include "core/rulebook.h"

#define CONDITION_TEXT 1024

/* ---- reading ---- */

/* As many mistakes as the words have room for, each with its place. */
static int tell_errors(struct api_call *call, const struct rule_errors *errors)
{
    char words[sizeof call->err.msg] = "";
    size_t n = 0;
    uint32_t told = 0;
    for (; told < errors->n && told < RULE_ERRORS_MAX; told++) {
        const struct rule_error *e = &errors->list[told];
        int more = snprintf(words + n, sizeof words - n, "%s%u:%u: %s", told ? "; " : "", e->line, e->column,
                            e->text);
        if (more < 0 || n + (size_t)more + 20 > sizeof words) {
            words[n] = 0;
            break;
        }
        n += (size_t)more;
    }
    if (told == errors->n)
        return err_set(&call->err, ERR_INVALID, "%s", words);
    return err_set(&call->err, ERR_INVALID, "%s; and %u more", words, errors->n - told);
}

static int parse_text(struct api_call *call, const struct rule_file *file)
{
    struct rules rules;
    struct rule_errors errors = {0};
    void *block = aligned_alloc(ARENA_ALIGN, rules_size());
    if (!block)
        return ERR_NO_MEMORY;
    rules_place(&rules, block);
    int rc = rules_parse(&rules, file->text, file->len, &errors);
    free(block);
    return rc == ERR_INVALID ? tell_errors(call, &errors) : rc;
}

int rule_file_read(struct api_call *call, bool none, struct rule_file *out)
{
    static const char *const members[] = {"text", NULL};
    int rc = body_only(call, members);
    yyjson_val *text = body_member(call, "text");
    if (rc == 0 && !yyjson_is_str(text))
        rc = err_set(&call->err, ERR_INVALID, "text: must be the text of a rule file");
    if (rc != 0)
        return rc;
    *out = (struct rule_file){.text = yyjson_get_str(text), .len = yyjson_get_len(text)};
    if (out->len == 0 && !none)
        return err_set(&call->err, ERR_INVALID, "text: is empty; DELETE lifts all rules");
    return out->len > 0 ? parse_text(call, out) : 0;
}

/* ---- telling ---- */

static void add_moment(struct buf *out, const char *name, int64_t ms)
{
    if (ms == INT64_MIN || ms == INT64_MAX)
        buf_addf(out, ",\"%s\":null", name);
    else
        add_time(out, name, ms);
}

static void add_conditions(struct buf *out, const struct rules *rules, const char *name,
                           const struct rule_condition *list, uint32_t n)
{
    char text[CONDITION_TEXT];
    buf_addf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < n; i++) {
        rule_condition_format(rules, &list[i], text, sizeof text);
        buf_add_text(out, i ? "," : "");
        buf_add_json(out, text, strlen(text));
    }
    buf_add_char(out, ']');
}

static void add_rule(struct buf *out, const struct rules *rules, const struct rule *rule)
{
    buf_add_text(out, "{\"id\":");
    buf_add_json(out, rule->id, strlen(rule->id));
    add_text(out, "kind", rule_kind_text(rule->kind), KIND_TEXT_CAP);
    buf_addf(out, ",\"line\":%u", rule->line);
    add_text(out, "because", rule->because, sizeof rule->because);
    add_text(out, "cite", rule->cite, sizeof rule->cite);
    add_moment(out, "from", rule->from_ms);
    add_moment(out, "until", rule->until_ms);
    add_conditions(out, rules, "when", rule->when, rule->nwhen);
    add_conditions(out, rules, "that", rule->that, rule->nthat);
    buf_add_char(out, '}');
}

static int show(struct api_call *call, const struct core *core)
{
    const struct rules *rules;
    const char *text;
    size_t len;
    int64_t next_ms;
    struct buf *out = &call->out;
    const struct row_rules *row = view_rules(core, &rules, &text, &len, &next_ms);
    buf_addf(out, "{\"count\":%u", rules->nrules);
    add_time(out, "since", row->since_ms);
    add_moment(out, "next_change", next_ms);
    buf_add_text(out, ",\"text\":");
    buf_add_json(out, text, len);
    buf_add_text(out, ",\"data\":[");
    for (uint32_t i = 0; i < rules->nrules; i++) {
        buf_add_text(out, i ? "," : "");
        add_rule(out, rules, &rules->rule[i]);
    }
    buf_add_text(out, "],\"next\":null}");
    return out->failed ? ERR_TOO_LARGE : 0;
}

/* ---- putting in force ---- */

static int apply_parse(struct api_call *call)
{
    struct rule_file *file = calloc(1, sizeof *file);
    call->data = file;
    return file ? rule_file_read(call, false, file) : ERR_NO_MEMORY;
}

static int apply_prepare(struct api_call *call, const struct core *core)
{
    const struct rule_file *file = call->data;
    const struct rules *rules;
    const char *now;
    size_t len, at = 0;
    int64_t next_ms;
    const struct uuid set = uuid_new();
    uint32_t n;
    (void)view_rules(core, &rules, &now, &len, &next_ms);
    if (len == file->len && memcmp(now, file->text, len) == 0)
        return 0;
    call->many = calloc(RULES_PARTS_MAX + 1, sizeof *call->many);
    if (!call->many)
        return ERR_NO_MEMORY;
    while ((n = rules_cut(file->text + at, file->len - at)) > 0) {
        if (call->nevents == RULES_PARTS_MAX)
            return err_set(&call->err, ERR_LIMIT, "text: has more than %u parts", RULES_PARTS_MAX);
        struct event *e = &call->many[call->nevents];
        e->kind = EVENT_KIND_rules_put;
        e->u.rules_put.set = set;
        e->u.rules_put.part = call->nevents++;
        memcpy(e->u.rules_put.text, file->text + at, n);
        at += n;
    }
    call->many[call->nevents] =
        (struct event){.kind = EVENT_KIND_rules_set, .u.rules_set = {.set = set, .parts = call->nevents}};
    call->nevents++;
    return 0;
}

static bool apply_refused(struct api_call *call)
{
    if (call->rc == ERR_LIMIT)
        (void)err_set(&call->err, call->rc,
                      "Rules that ask for tenants by name need room for each tenant's requests, and there is "
                      "too much different work now.");
    else if (call->rc == ERR_WRONG_STATE)
        (void)err_set(&call->err, call->rc, "Other rules came at the same time; see what is in force now.");
    return false;
}

static int lift_prepare(struct api_call *call, const struct core *core)
{
    const struct rules *rules;
    const char *text;
    size_t len;
    int64_t next_ms;
    (void)view_rules(core, &rules, &text, &len, &next_ms);
    call->events[0].kind = EVENT_KIND_rules_set;
    call->events[0].u.rules_set.set = uuid_new();
    call->nevents = len > 0;
    return 0;
}

const struct api_handler api_rules_show = {.finish = show};
const struct api_handler api_rules_apply = {
    .parse = apply_parse, .prepare = apply_prepare, .finish = show, .refused = apply_refused};
const struct api_handler api_rules_lift = {.prepare = lift_prepare, .finish = show};
