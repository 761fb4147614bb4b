/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/job_script.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define LINE_WORDS_MAX 64
#define COUNT_MAX 65536

struct reader {
    struct script *script;
    struct err *err;
    uint32_t line;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct reader *r, const char *fmt, ...)
{
    char text[180];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(r->err, ERR_INVALID, "line %u: %s", r->line, text);
}

/* ---- words ---- */

static int add_word(const struct reader *r, struct script_words *to, const char *text, size_t len)
{
    struct script *s = r->script;
    if (to->n == SCRIPT_WORDS_MAX || len >= sizeof s->text - s->used)
        return wrong(r, "more options than there is room for");
    char *word = s->text + s->used;
    memcpy(word, text, len);
    word[len] = 0;
    s->used += len + 1;
    to->word[to->n++] = word;
    return 0;
}

__attribute__((format(printf, 3, 4))) static int add_option(const struct reader *r, const char *name,
                                                            const char *fmt, ...)
{
    char value[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof value)
        return wrong(r, "the value of %s is too long", name);
    int rc = add_word(r, &r->script->options, name, strlen(name));
    return rc == 0 ? add_word(r, &r->script->options, value, (size_t)n) : rc;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The words of a line: quotes hold one together, a # begins a comment. */
static int split(const struct reader *r, const char *p, const char *end, struct script_words *out)
{
    char word[1024];
    out->n = 0;
    for (;;) {
        size_t n = 0;
        while (p < end && is_space(*p))
            p++;
        if (p == end || *p == '#')
            return 0;
        for (char quote = 0; p < end && (quote || !is_space(*p)); p++) {
            if (*p == quote) {
                quote = 0;
            } else if (!quote && (*p == '"' || *p == '\'')) {
                quote = *p;
            } else if (n < sizeof word) {
                word[n++] = *p;
            }
            if (quote && p + 1 == end)
                return wrong(r, "a quote is not closed");
        }
        if (n == sizeof word || out->n == LINE_WORDS_MAX || memchr(word, 0, n))
            return wrong(r, "too long, or not a text");
        int rc = add_word(r, out, word, n);
        if (rc != 0)
            return rc;
    }
}

/* ---- what #SBATCH options mean ---- */

typedef int take_fn(const struct reader *r, const char *value);

static int take_count(const struct reader *r, const char *name, const char *value, size_t len, uint64_t *out)
{
    if (!u64_parse(value, len, COUNT_MAX, out) || *out == 0)
        return wrong(r, "--%s: expected a whole number of at least 1, got %.60s", name, value);
    return 0;
}

/* N, or N-M of which the least is taken. */
static int take_nodes(const struct reader *r, const char *value)
{
    return take_count(r, "nodes", value, strcspn(value, "-"), &r->script->sizes.nodes);
}

static int take_ntasks(const struct reader *r, const char *value)
{
    return take_count(r, "ntasks", value, strlen(value), &r->script->sizes.tasks);
}

static int take_ntasks_node(const struct reader *r, const char *value)
{
    return take_count(r, "ntasks-per-node", value, strlen(value), &r->script->sizes.tasks_node);
}

static int take_cpus_task(const struct reader *r, const char *value)
{
    return take_count(r, "cpus-per-task", value, strlen(value), &r->script->sizes.cpus_task);
}

/* N, KIND or KIND:N */
static int take_gpu_count(const struct reader *r, const char *name, const char *value, uint64_t *out)
{
    struct script_sizes *sizes = &r->script->sizes;
    const char *colon = strchr(value, ':');
    size_t kind = colon ? (size_t)(colon - value) : strlen(value);
    *out = 1;
    if (!colon && value[0] >= '0' && value[0] <= '9')
        return take_count(r, name, value, kind, out);
    if (kind == 0 || !text_set(sizes->kind, sizeof sizes->kind, value, kind))
        return wrong(r, "--%s: expected N or KIND:N, got %.60s", name, value);
    return colon ? take_count(r, name, colon + 1, strlen(colon + 1), out) : 0;
}

static int take_gpus(const struct reader *r, const char *value)
{
    return take_gpu_count(r, "gpus", value, &r->script->sizes.gpus);
}

static int take_gpus_node(const struct reader *r, const char *value)
{
    return take_gpu_count(r, "gpus-per-node", value, &r->script->sizes.gpus_node);
}

static int take_gpus_task(const struct reader *r, const char *value)
{
    return take_gpu_count(r, "gpus-per-task", value, &r->script->sizes.gpus_task);
}

/* gpu[:KIND][:N], of each node */
static int take_gres(const struct reader *r, const char *value)
{
    static const char gpu[] = "gpu";
    if (strncmp(value, gpu, sizeof gpu - 1) != 0 || (value[3] != ':' && value[3] != 0) || strchr(value, ','))
        return wrong(r, "--gres: only gpu[:KIND][:N] is known, got %.60s", value);
    return take_gpu_count(r, "gres", value[3] ? value + 4 : "1", &r->script->sizes.gpus_node);
}

static int take_time(const struct reader *r, const char *value)
{
    if (strcmp(value, "UNLIMITED") == 0 || strcmp(value, "INFINITE") == 0 || strcmp(value, "0") == 0)
        return 0;
    return add_option(r, "--time", "%s", value);
}

static int take_array(const struct reader *r, const char *value)
{
    return add_option(r, "--array", "%s", value);
}

static int take_chdir(const struct reader *r, const char *value)
{
    return add_option(r, "--cwd", "%s", value);
}

/* MiB unless a unit says otherwise, rounded up; 0 is all of a node's, which is no limit here. */
static int take_memory(const struct reader *r, const char *value)
{
    static const char units[] = "KMGT";
    size_t len = strlen(value);
    const char *unit = len > 1 ? memchr(units, value[len - 1], sizeof units - 1) : NULL;
    uint64_t n;
    if (!u64_parse(value, len - (unit != NULL), UINT64_C(1) << 30, &n))
        return wrong(r, "--mem: expected a size such as 4000M or 16G, got %.60s", value);
    for (const char *u = units + 1; unit && u < unit; u++)
        n *= 1024;
    if (unit == units)
        n = (n + 1023) / 1024;
    return n == 0 ? 0 : add_option(r, "--memory", "%llu", (unsigned long long)n);
}

/* Names here are of small letters, digits and hyphens. */
static int take_name(const struct reader *r, const char *value)
{
    char name[64];
    size_t n = 0;
    for (const char *p = value; *p && n + 1 < sizeof name; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain || n > 0)
            name[n++] = plain ? c : '-';
    }
    name[n] = 0;
    return n == 0 ? 0 : add_option(r, "--name", "%s", name);
}

/* TYPE:ID[:ID...],TYPE:ID... as KIND:ID,KIND:ID */
static int take_dependency(const struct reader *r, const char *value)
{
    static const char *const kinds[] = {"afterok", "afterany", "afternotok"};
    char out[512];
    size_t n = 0;
    for (const char *p = value; *p; p += *p == ',') {
        size_t part = strcspn(p, ","), kind = strcspn(p, ":,"), i = 0;
        while (i < 3 && !text_eq(p, kind, kinds[i], strlen(kinds[i])))
            i++;
        if (i == 3 || kind >= part)
            return wrong(r, "--dependency: expected afterok, afterany or afternotok and jobs, got %.60s",
                         value);
        const char *end = p + part;
        for (p += kind; p < end;) {
            size_t id = strcspn(++p, ":,");
            int added = snprintf(out + n, sizeof out - n, "%s%s:%.*s", n ? "," : "", kinds[i], (int)id, p);
            if (added < 0 || (size_t)added >= sizeof out - n)
                return wrong(r, "--dependency: is too long");
            n += (size_t)added;
            p += id;
        }
    }
    return n == 0 ? 0 : add_option(r, "--after", "%s", out);
}

static const struct {
    char letter;
    const char *name;
    take_fn *take; /* NULL: without a meaning here, but with a value */
} known[] = {{'N', "nodes", take_nodes},
             {'n', "ntasks", take_ntasks},
             {0, "ntasks-per-node", take_ntasks_node},
             {'c', "cpus-per-task", take_cpus_task},
             {'G', "gpus", take_gpus},
             {0, "gpus-per-node", take_gpus_node},
             {0, "gpus-per-task", take_gpus_task},
             {0, "gres", take_gres},
             {'t', "time", take_time},
             {'a', "array", take_array},
             {'d', "dependency", take_dependency},
             {'J', "job-name", take_name},
             {'D', "chdir", take_chdir},
             {0, "mem", take_memory},
             {'p', "partition", NULL},
             {'A', "account", NULL},
             {'q', "qos", NULL},
             {'o', "output", NULL},
             {'e', "error", NULL},
             {'i', "input", NULL},
             {'C', "constraint", NULL},
             {'w', "nodelist", NULL},
             {'x', "exclude", NULL},
             {'b', "begin", NULL},
             {'L', "licenses", NULL},
             {'M', "clusters", NULL}};
#define KNOWN_N (sizeof known / sizeof known[0])

static size_t find(const char *word, size_t len)
{
    size_t i = 0;
    bool brief = word[1] != '-';
    while (i < KNOWN_N && !(brief ? known[i].letter == word[1]
                                  : text_eq(word + 2, len - 2, known[i].name, strlen(known[i].name))))
        i++;
    return i;
}

/* The words of a #SBATCH line: --name=value, --name value, -nvalue, -n value. */
static int take_slurm(const struct reader *r, const struct script_words *line)
{
    for (uint32_t k = 0; k < line->n; k++) {
        const char *word = line->word[k];
        if (word[0] != '-' || word[1] == 0)
            return wrong(r, "expected an option, got %.60s", word);
        bool brief = word[1] != '-';
        const char *eq = brief ? NULL : strchr(word, '=');
        size_t len = eq ? (size_t)(eq - word) : brief ? 2 : strlen(word), i = find(word, len);
        const char *value = eq ? eq + 1 : word[len] ? word + len : NULL;
        /* Of one that nobody knows, what is no option belongs to it. */
        if (!value && k + 1 < line->n && (i < KNOWN_N || line->word[k + 1][0] != '-'))
            value = line->word[++k];
        int rc;
        if (i == KNOWN_N || !known[i].take)
            rc = add_word(r, &r->script->ignored, word, len);
        else if (!value || !value[0])
            rc = wrong(r, "--%s needs a value", known[i].name);
        else
            rc = known[i].take(r, value);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Chips from what was said of sizes: those of all nodes, or processors where there is no word of others. */
static int add_chips(const struct reader *r)
{
    const struct script_sizes *s = &r->script->sizes;
    const uint64_t nodes = s->nodes ? s->nodes : 1;
    const uint64_t tasks = s->tasks ? s->tasks : nodes * (s->tasks_node ? s->tasks_node : 1);
    uint64_t gpus = s->gpus ? s->gpus : s->gpus_node ? s->gpus_node * nodes : s->gpus_task * tasks;
    const uint64_t cpus = tasks * (s->cpus_task ? s->cpus_task : 1);
    if (gpus > COUNT_MAX || cpus > COUNT_MAX)
        return err_set(r->err, ERR_INVALID, "it asks for more than %d chips", COUNT_MAX);
    if (gpus > 0 && s->kind[0])
        return add_option(r, "--chip", "%s:%llu", s->kind, (unsigned long long)gpus);
    if (gpus > 0)
        return add_option(r, "--chips", "%llu", (unsigned long long)gpus);
    if (s->nodes || s->tasks || s->tasks_node || s->cpus_task)
        return add_option(r, "--chip", "cpu:%llu", (unsigned long long)cpus);
    return 0;
}

/* ---- lines ---- */

static bool begins(const char *p, const char *end, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(end - p) > len && memcmp(p, word, len) == 0 && is_space(p[len]);
}

static int take_line(const struct reader *r, const char *p, const char *end)
{
    static const char ours[] = "#BUSBAR", slurm[] = "#SBATCH";
    struct script_words words = {.n = 0};
    bool is_ours = begins(p, end, ours);
    if (!is_ours && !begins(p, end, slurm))
        return 0;
    int rc = split(r, p + sizeof ours - 1, end, &words);
    if (rc != 0 || !is_ours)
        return rc == 0 ? take_slurm(r, &words) : rc;
    for (uint32_t i = 0; i < words.n; i++) {
        if (r->script->options.n == SCRIPT_WORDS_MAX)
            return wrong(r, "more options than there is room for");
        r->script->options.word[r->script->options.n++] = words.word[i];
    }
    return 0;
}

int script_read(struct script *script, const char *text, size_t len, struct err *err)
{
    struct reader r = {.script = script, .err = err};
    const char *end = text + len;
    script->used = 0;
    script->options.n = script->ignored.n = 0;
    script->sizes = (struct script_sizes){.nodes = 0};
    for (const char *p = text; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *stop = newline ? newline : end, *first = p;
        while (first < stop && is_space(*first))
            first++;
        if (first < stop && *first != '#')
            break;
        r.line++;
        int rc = take_line(&r, p, stop);
        if (rc != 0)
            return rc;
        p = newline ? newline + 1 : end;
    }
    return add_chips(&r);
}
