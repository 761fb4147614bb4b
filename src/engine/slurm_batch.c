/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/slurm_batch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/command.h"
#include "engine/workdir.h"

#define MESSAGE_TIMEOUT_S 100u /* Slurm's greatest, until it is known */
#define MARGIN_MS 5000u
#define TIME_MARGIN_MS 120000u /* Slurm's own limit is the outer one: the shim ends the job before */
#define ARGS_MAX 40

int slurm_tools_open(struct slurm_tools *t, const struct engine_config *config, struct err *err)
{
    const char *folders = config->bin ? config->bin : "/usr/bin:/usr/local/bin:/opt/slurm/bin";
    const struct {
        const char *name;
        char *path;
    } commands[] = {
        {"sbatch", t->sbatch}, {"squeue", t->squeue}, {"scancel", t->scancel}, {"scontrol", t->scontrol}};
    *t = (struct slurm_tools){.config = config};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (!command_find(folders, commands[i].name, commands[i].path))
            return err_set(err, ERR_NOT_FOUND, "there is no %s", commands[i].name);
    }
    if (!command_find(folders, "sacct", t->sacct))
        t->sacct[0] = 0;
    if (config->program)
        (void)snprintf(t->program, sizeof t->program, "%s", config->program);
    else if (!fs_self(t->program))
        return err_set(err, ERR_NOT_FOUND, "the program's own path is not known");
    return 0;
}

/* Milliseconds that a command may take. */
static uint32_t slurm_limit_ms(const struct slurm_tools *t)
{
    uint32_t timeout_s = t->settings.message_timeout_s ? t->settings.message_timeout_s : MESSAGE_TIMEOUT_S;
    return t->config->command_ms ? t->config->command_ms : timeout_s * 2000 + MARGIN_MS;
}

/* The last error, which says why; those before it say what was tried. */
static void last_words(const struct spawn_result *r, char *dst, size_t cap)
{
    const char *text = r->err.len ? r->err.data : r->out.data;
    for (const char *next; (next = strstr(text, "error: ")) != NULL;)
        text = next + strlen("error: ");
    (void)snprintf(dst, cap, "%s", text);
    dst[strcspn(dst, "\n")] = 0;
}

static int run(const struct slurm_tools *t, const char *const *argv, const char *input,
               struct spawn_result *result, struct err *err)
{
    char words[160];
    const struct spawn_order order = {
        .argv = argv, .input = input, .input_len = input ? strlen(input) : 0, .limit_ms = slurm_limit_ms(t)};
    int rc = spawn_run(&order, result, err);
    if (rc != 0 || result->status == 0)
        return rc;
    last_words(result, words, sizeof words);
    return err_set(err, ERR_UPSTREAM, "%s: %s", strrchr(argv[0], '/') + 1, words[0] ? words : "failed");
}

int slurm_tools_settle(struct slurm_tools *t, struct err *err)
{
    struct spawn_result result;
    const char *const argv[] = {t->scontrol, "show", "config", NULL};
    if (t->settings.version[0])
        return 0;
    int rc = run(t, argv, NULL, &result, err);
    if (rc == 0)
        slurm_settings_parse(&t->settings, result.out.data, result.out.len);
    spawn_result_fini(&result);
    return rc;
}

int slurm_queue(const struct slurm_tools *t, struct slurm_rows *rows, struct err *err)
{
    struct spawn_result result;
    const char *const argv[] = {
        t->squeue, "--noheader", "--all", "--array", "--states=all", "--me", "--format=" SLURM_SQUEUE_FORMAT,
        NULL};
    *rows = (struct slurm_rows){0};
    int rc = run(t, argv, NULL, &result, err);
    if (rc == 0 && slurm_squeue_parse(rows, result.out.data, result.out.len) != 0)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    spawn_result_fini(&result);
    return rc;
}

int slurm_history(const struct slurm_tools *t, const char *names, struct slurm_rows *rows, struct err *err)
{
    struct spawn_result result;
    struct buf filter;
    *rows = (struct slurm_rows){0};
    if (!t->settings.accounting || !t->sacct[0])
        return err_set(err, ERR_UNSUPPORTED, "no accounting");
    buf_init(&filter, (size_t)1 << 20);
    buf_addf(&filter, "--name=%s", names);
    buf_add_char(&filter, 0);
    /* -D: each run of a requeued job is a row. */
    const char *const argv[] = {t->sacct,
                                "--noheader",
                                "--parsable2",
                                "--delimiter=\x1f",
                                "-D",
                                "-X",
                                "--starttime=now-30days",
                                "--format=" SLURM_SACCT_FORMAT,
                                filter.data,
                                NULL};
    int rc = filter.failed ? err_set(err, ERR_NO_MEMORY, "out of memory") : run(t, argv, NULL, &result, err);
    if (!filter.failed) {
        if (rc == 0 && slurm_sacct_parse(rows, result.out.data, result.out.len) != 0)
            rc = err_set(err, ERR_NO_MEMORY, "out of memory");
        spawn_result_fini(&result);
    }
    buf_fini(&filter);
    return rc;
}

static int cancel(const struct slurm_tools *t, const char *name, const char *which, struct err *err)
{
    char filter[SLURM_NAME_CAP + 16];
    struct spawn_result result;
    const char *const argv[] = {t->scancel, "--me", filter, which, NULL};
    (void)snprintf(filter, sizeof filter, "--name=%s", name);
    int rc = run(t, argv, NULL, &result, err);
    spawn_result_fini(&result);
    return rc;
}

int slurm_cancel(const struct slurm_tools *t, const char *name, uint32_t number, struct err *err)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%u", number);
    return cancel(t, name, text, err);
}

int slurm_cancel_waiting(const struct slurm_tools *t, const char *name, struct err *err)
{
    return cancel(t, name, "--state=PENDING", err);
}

int slurm_nodes(const struct slurm_tools *t, struct engine_inventory *inventory, struct err *err)
{
    struct spawn_result result;
    const char *const argv[] = {t->scontrol, "--details", "--oneliner", "show", "nodes", NULL};
    int rc = run(t, argv, NULL, &result, err);
    if (rc == 0 && slurm_nodes_parse(inventory, t->config, result.out.data, result.out.len) != 0)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    spawn_result_fini(&result);
    return rc;
}

/* ---- sbatch ---- */

/* Texts of the arguments; `failed` when they do not fit. */
struct arguments {
    const char *argv[ARGS_MAX];
    unsigned n;
    char text[8192];
    size_t used;
    bool failed;
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t room = sizeof a->text - a->used;
    int n = vsnprintf(a->text + a->used, room, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= room || a->n >= ARGS_MAX - 1) {
        a->failed = true;
        return;
    }
    a->argv[a->n++] = a->text + a->used;
    a->used += (size_t)n + 1;
}

static void add_list(struct arguments *a, const char *option, char *const *list, unsigned n)
{
    char text[2048];
    size_t used = 0;
    for (unsigned i = 0; i < n && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? "," : "", list[i]);
    a->failed = a->failed || used >= sizeof text;
    if (n && used < sizeof text)
        add(a, "%s=%s", option, text);
}

static void add_chips(struct arguments *a, const struct engine_config *config, const struct job_spec *spec)
{
    char gres[1024];
    size_t used = 0;
    for (uint32_t i = 0; i < spec->chips_count && used < sizeof gres; i++) {
        const struct engine_chips *c = engine_config_chips(config, spec->chips[i].kind);
        if (c && c->gres)
            used += (size_t)snprintf(gres + used, sizeof gres - used, "%s%s:%u", used ? "," : "", c->gres,
                                     spec->chips[i].count);
    }
    a->failed = a->failed || used >= sizeof gres;
    if (used && used < sizeof gres)
        add(a, "--gres=%s", gres);
}

static void add_place(struct arguments *a, const struct engine_config *config, const struct job_spec *spec)
{
    const struct engine_chips *c =
        spec->chips_count ? engine_config_chips(config, spec->chips[0].kind) : NULL;
    if (spec->account)
        add(a, "--account=%s", spec->account);
    else if (config->accounts_count)
        add(a, "--account=%s", config->accounts[0]);
    if (spec->partition)
        add(a, "--partition=%s", spec->partition);
    else if (c && c->partitions_count)
        add_list(a, "--partition", c->partitions, c->partitions_count);
    else
        add_list(a, "--partition", config->partitions, config->partitions_count);
}

static void add_size(struct arguments *a, const struct job_spec *spec)
{
    uint32_t nodes = spec->nodes ? spec->nodes : 1;
    add(a, "--nodes=%u", nodes);
    add(a, "--ntasks=%u", nodes);
    add(a, "--ntasks-per-node=1");
    if (spec->cpus)
        add(a, "--cpus-per-task=%u", spec->cpus);
    if (spec->memory_mib)
        add(a, "--mem=%llu", (unsigned long long)spec->memory_mib);
    if (spec->time_limit_ms)
        add(a, "--time=%llu",
            (unsigned long long)((spec->time_limit_ms + spec->grace_ms + TIME_MARGIN_MS + 59999) / 60000));
}

/* 'it'\''s' */
static void quote(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

/* Where a partition has another time for who says nothing, its own longest has to be asked for by name. What cannot be known is left to
 * Slurm. */
static void add_longest(struct arguments *a, const struct slurm_tools *t)
{
    static const char option[] = "--partition=";
    const char *const argv[] = {t->scontrol, "--oneliner", "show", "partition", NULL};
    const char *names = "";
    struct spawn_result result;
    struct err ignored = {0};
    uint32_t minutes;
    for (unsigned i = 0; i < a->n; i++) {
        if (strncmp(a->argv[i], option, sizeof option - 1) == 0)
            names = a->argv[i] + sizeof option - 1;
    }
    if (run(t, argv, NULL, &result, &ignored) == 0 &&
        slurm_longest_parse(result.out.data, result.out.len, names, &minutes)) {
        if (minutes)
            add(a, "--time=%u", minutes);
        else
            add(a, "--time=UNLIMITED");
    }
    spawn_result_fini(&result);
}

int slurm_sbatch(const struct slurm_tools *t, const struct job_spec *spec, const char *name,
                 const char *argument, const char *tasks, struct err *err)
{
    struct arguments a = {.n = 0};
    struct spawn_result result;
    struct buf script;
    add(&a, "%s", t->sbatch);
    add(&a, "--parsable");
    add(&a, "--job-name=%s", name);
    add(&a, "--comment=%s", name);
    add(&a, "--no-requeue");
    /* Nothing of ours: by the name of no variable. NONE would have the node log our user in for an environment, which from 26.05
     * on fails the job where he has no shell; to newer ones NIL is a word that says this. */
    add(&a, "--export=NIL");
    add(&a, "--chdir=%s", t->config->work);
    add(&a, "--output=%s%s", tasks ? "/dev/null" : argument, tasks ? "" : "/batch");
    add_size(&a, spec);
    add_chips(&a, t->config, spec);
    add_place(&a, t->config, spec);
    if (spec->longest)
        add_longest(&a, t);
    if (tasks && spec->array_limit)
        add(&a, "--array=%s%%%u", tasks, spec->array_limit);
    else if (tasks)
        add(&a, "--array=%s", tasks);
    a.argv[a.n] = NULL;
    buf_init(&script, 16384);
    buf_add_text(&script, "#!/bin/sh\nexec ");
    quote(&script, t->program);
    buf_add_text(&script, tasks ? " shim --task " : " shim ");
    quote(&script, argument);
    buf_add(&script, "\n", 2); /* with its NUL */
    if (a.failed || script.failed) {
        buf_fini(&script);
        return err_set(err, ERR_INVALID, "the job's account, partition or chips make the command too long");
    }
    int rc = run(t, a.argv, script.data, &result, err);
    if (rc == ERR_UPSTREAM && result.err.len && slurm_refused(result.err.data))
        rc = err->code = ERR_INVALID;
    spawn_result_fini(&result);
    buf_fini(&script);
    return rc;
}
