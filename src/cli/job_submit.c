/* SPDX-License-Identifier: Apache-2.0 */
/* `busbar submit FILE`: a script that says what it needs, or a job in YAML. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/job.h"
#include "cli/job_script.h"
#include "cli/job_yaml.h"
#include "engine/job.h"

#define YAML_MAX ((size_t)1 << 20)

/* ---- the file ---- */

static int read_stdin(struct buf *out)
{
    char piece[65536];
    ssize_t n;
    while ((n = read(STDIN_FILENO, piece, sizeof piece)) > 0 && !out->failed)
        buf_add(out, piece, (size_t)n);
    if (n < 0)
        fprintf(stderr, "busbar: cannot read standard input: %s\n", strerror(errno));
    else if (out->failed)
        fprintf(stderr, "busbar: standard input is longer than %zu KiB\n", YAML_MAX >> 10);
    return n < 0 || out->failed ? CLI_USAGE : CLI_OK;
}

static int read_file(const char *path, struct buf *out)
{
    struct err err = {0};
    if (strcmp(path, "-") == 0)
        return read_stdin(out);
    if (fs_read(path, out, &err) == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: %s\n", err.msg);
    return CLI_USAGE;
}

/* ---- scripts ---- */

static void tell_ignored(const char *file, const struct script *script)
{
    static const char *const prints[] = {"-o", "-e", "--output", "--error"};
    bool logs = false;
    if (script->ignored.n == 0)
        return;
    fprintf(stderr, "busbar: %s: without a meaning here, and left out:", file);
    for (uint32_t i = 0; i < script->ignored.n; i++) {
        fprintf(stderr, "%s %s", i ? "," : "", script->ignored.word[i]);
        for (size_t k = 0; k < sizeof prints / sizeof prints[0]; k++)
            logs |= strcmp(script->ignored.word[i], prints[k]) == 0;
    }
    fprintf(stderr, "%s\n", logs ? " (what a job prints is kept: busbar job logs JOB)" : "");
}

/* Whether the command line says itself what chips there are to be; then the script does not. */
static bool says_chips(const struct cli *cli)
{
    return cli_option(cli, "chip") || cli_option(cli, "chips");
}

/* The options of the script, and after them those of the command line, which so prevail. */
static int merge(const struct cli *cli, const struct script *script, struct cli *merged)
{
    *merged = *cli;
    merged->noptions = 0;
    int rc = cli_take_options(merged, (int)script->options.n, (char **)(uintptr_t)script->options.word);
    int kept = 0;
    for (int i = 0; says_chips(cli) && i < merged->noptions; i++) {
        const char *name = merged->options[i].name;
        if (strcmp(name, "chip") != 0 && strcmp(name, "chips") != 0)
            merged->options[kept++] = merged->options[i];
    }
    if (says_chips(cli))
        merged->noptions = kept;
    for (int i = 0; rc == 0 && i < cli->noptions; i++) {
        if (merged->noptions == CLI_OPTIONS_MAX) {
            fprintf(stderr, "busbar: more than %d options\n", CLI_OPTIONS_MAX);
            return CLI_USAGE;
        }
        merged->options[merged->noptions++] = cli->options[i];
    }
    return rc;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(path, "-") == 0 ? "script" : slash ? slash + 1 : path;
}

static int check_script(const char *file, const struct buf *text)
{
    const char *newline = memchr(text->data, '\n', text->len);
    const char *end = newline ? newline : text->data + text->len;
    const char *wrong = NULL;
    if (memchr(text->data, 0, text->len))
        wrong = "is no text";
    else if (end[-1] == '\r')
        wrong = "has the line ends of Windows; its interpreter would not be found";
    if (wrong)
        fprintf(stderr, "busbar: %s %s\n", file, wrong);
    else if (text->len > JOB_SCRIPT_MAX)
        fprintf(stderr, "busbar: %s is longer than %zu KiB; put what is large where the job can read it\n",
                file, JOB_SCRIPT_MAX >> 10);
    return wrong || text->len > JOB_SCRIPT_MAX ? CLI_USAGE : CLI_OK;
}

static int add_script(struct request *r, const struct cli *cli, const struct buf *text)
{
    static struct script script;
    static struct cli merged;
    const char *file = cli->args[0], *args[CLI_ARGS_MAX];
    struct err err = {0};
    if (check_script(file, text) != CLI_OK)
        return CLI_USAGE;
    if (script_read(&script, text->data, text->len, &err) != 0) {
        fprintf(stderr, "busbar: %s: %s\n", file, err.msg);
        return CLI_USAGE;
    }
    int rc = merge(cli, &script, &merged);
    if (rc != CLI_OK)
        return rc;
    tell_ignored(file, &script);
    job_options_add(r, &merged, false);
    for (int i = 0; i < merged.noptions; i++) {
        if (strcmp(merged.options[i].name, "in") == 0)
            buf_add(&r->inputs, merged.options[i].value, strlen(merged.options[i].value) + 1);
    }
    memcpy(args, cli->args, (size_t)cli->nargs * sizeof args[0]);
    args[0] = base_name(file);
    job_argv_add(r, args, cli->nargs);
    request_member(r, "script");
    buf_add_json(&r->body, text->data, text->len);
    return r->bad ? CLI_USAGE : CLI_OK;
}

/* ---- YAML ---- */

/* Members that options of the command line stand for; their values come from there. */
static void given_members(const struct cli *cli, const char *given[], size_t cap)
{
    static const char *const names[][3] = {{"tenant", "tenant"},
                                           {"name", "name"},
                                           {"chip", "chip", "alternatives"},
                                           {"chips", "chips", "alternatives"},
                                           {"memory", "memory_mib"},
                                           {"after", "after"},
                                           {"array", "array"},
                                           {"site", "site"},
                                           {"near", "near"},
                                           {"jurisdiction", "jurisdiction"},
                                           {"vendor", "vendor"},
                                           {"data-class", "data_class"},
                                           {"data-home", "data_home"},
                                           {"kind", "kind"},
                                           {"isolation", "isolation"},
                                           {"time", "time_limit_s"},
                                           {"deadline", "deadline"},
                                           {"defer", "defer_until"},
                                           {"green", "defer_until"},
                                           {"checkpoint-every", "checkpoint_every_s"},
                                           {"checkpoint-cost", "checkpoint_cost_s"},
                                           {"priority", "priority"},
                                           {"interruptible", "interruptible"},
                                           {"on-disconnect", "on_disconnect"},
                                           {"network", "network"},
                                           {"cwd", "cwd"},
                                           {"in", "in"},
                                           {"out", "outputs"},
                                           {"env", "env"}};
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (int k = 1; cli_option(cli, names[i][0]) && k < 3 && names[i][k] && n + 2 < cap; k++)
            given[n++] = names[i][k];
    }
    const char *kinds = cli_option(cli, "chip");
    if (kinds && strpbrk(kinds, ":,"))
        given[n++] = "chips";
    given[n] = NULL;
}

static int add_yaml(struct request *r, const struct cli *cli, const struct buf *text)
{
    const char *given[64];
    bool tenant;
    if (cli->nargs > 1) {
        fprintf(stderr, "busbar: only a script takes arguments, and %s does not begin with #!\n",
                cli->args[0]);
        return CLI_USAGE;
    }
    given_members(cli, given, sizeof given / sizeof given[0]);
    if (!job_yaml_add(r, cli->args[0], text->data ? text->data : "", text->len, given, &tenant))
        return CLI_USAGE;
    job_options_add(r, cli, tenant);
    return r->bad ? CLI_USAGE : CLI_OK;
}

int job_file_add(struct request *r, const struct cli *cli)
{
    struct buf text;
    buf_init(&text, YAML_MAX);
    int rc = read_file(cli->args[0], &text);
    if (rc == CLI_OK && text.len > 2 && memcmp(text.data, "#!", 2) == 0)
        rc = add_script(r, cli, &text);
    else if (rc == CLI_OK)
        rc = add_yaml(r, cli, &text);
    buf_fini(&text);
    return rc;
}
