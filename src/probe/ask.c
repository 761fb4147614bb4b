/* SPDX-License-Identifier: Apache-2.0 */
/* The makers' libraries and tools: which are asked, where they are found, what came of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/library.h"
#include "probe/parts.h"

#define LIMIT_MS_DEFAULT 5000
#define FILES_MAX 16
#define WORDS_MAX 8
#define ARGS_CAP 1024
#define EACH_MAX 32 /* commands of one step */

struct asking {
    struct probe_scan *scan;
    const struct probe_options *options;
    struct drafts *drafts;
    struct buf out;
    uint32_t limit_ms;
};

static uint32_t limit_of(const struct probe_options *options)
{
    return options->limit_ms > 0 ? options->limit_ms : LIMIT_MS_DEFAULT;
}

static const char *place(const char *given, const char *variable)
{
    const char *text = given ? given : getenv(variable);
    return text && text[0] ? text : NULL;
}

/* Whether there is something to ask: chips on the bus, or nobody knows. */
static bool is_asked(const struct maker *m, const struct asking *a)
{
    unsigned sources = a->options->sources ? a->options->sources : PROBE_ALL;
    return maker_is_here(m, a->scan) || !(sources & PROBE_PCI);
}

static void drafts_clear(struct drafts *drafts)
{
    drafts->n = drafts->dropped = 0;
    memset(drafts->driver, 0, sizeof drafts->driver);
}

/* ---- libraries ---- */

struct files {
    char path[FILES_MAX][FS_PATH_MAX];
    int n;
};

static void add_file(struct files *files, const char *folder, size_t folder_len, const char *name,
                     size_t name_len)
{
    if (files->n == FILES_MAX)
        return;
    char *path = files->path[files->n];
    int n = folder ? snprintf(path, FS_PATH_MAX, "%.*s/%.*s", (int)folder_len, folder, (int)name_len, name)
                   : snprintf(path, FS_PATH_MAX, "%.*s", (int)name_len, name);
    if (n > 0 && n < FS_PATH_MAX && (!folder || access(path, R_OK) == 0))
        files->n++;
}

/* In the folder that was given; else in the maker's own, and where the loader looks. */
static void library_files(struct files *files, const struct maker *m, const char *given)
{
    const char *folders = given ? given : m->folders;
    files->n = 0;
    for (const char *name = m->library; *name; name += strspn(name, " ")) {
        size_t len = strcspn(name, " ");
        for (const char *f = folders; f && *f; f += *f == ':') {
            size_t n = strcspn(f, ":");
            add_file(files, f, n, name, len);
            f += n;
        }
        if (!given)
            add_file(files, NULL, 0, name, len);
        name += len;
    }
}

static void take_library(struct asking *a, const struct maker *m, const struct run_result *result)
{
    struct probe_scan *told = calloc(1, sizeof *told);
    if (told && !a->out.failed && a->out.len > 0 && probe_read(told, a->out.data, a->out.len, NULL) == 0) {
        drafts_clear(a->drafts);
        for (uint32_t i = 0; i < told->n; i++) {
            struct draft *d = drafts_add(a->drafts);
            if (d)
                d->chip = told->chip[i];
        }
        for (uint32_t i = 0; i < told->notes; i++)
            scan_note(a->scan, "%s: %.*s", m->name, PROBE_WORDS_CAP - 32, told->note[i]);
        merge_drafts(a->scan, m, a->drafts, PROBE_LIBRARY, STEP_LIST, m->library);
    } else if (result->status != LIBRARY_NONE) {
        scan_note(a->scan, "%s: its library %s", m->name,
                  result->stuck       ? "hangs, and cannot be ended"
                  : result->timed_out ? "did not answer in time"
                                      : "broke");
    }
    free(told);
}

static void ask_library(struct asking *a, const struct maker *m, const char *program)
{
    struct files *files = calloc(1, sizeof *files);
    char *argv[FILES_MAX + 4] = {(char *)(uintptr_t)program, (char[]){"probe-library"},
                                 (char *)(uintptr_t)m->prefix};
    struct run_result result;
    if (files)
        library_files(files, m, place(a->options->libs, "BUSBAR_CHIP_LIBS"));
    for (int i = 0; files && i < files->n; i++)
        argv[3 + i] = files->path[i];
    buf_clear(&a->out);
    if (files && files->n > 0 &&
        run_tool(program, argv, NULL, a->limit_ms, m->library, &a->out, &result) == 0)
        take_library(a, m, &result);
    free(files);
}

void libraries_ask(struct probe_scan *scan, const struct probe_options *options)
{
    char self[FS_PATH_MAX];
    struct asking a = {.scan = scan, .options = options, .limit_ms = limit_of(options)};
    const char *program = options->program ? options->program : fs_self(self) ? self : NULL;
    a.drafts = program ? calloc(1, sizeof *a.drafts) : NULL;
    buf_init(&a.out, RUN_OUTPUT_MAX);
    for (uint32_t i = 0; a.drafts && i < makers_n; i++) {
        if (makers[i].library && is_asked(&makers[i], &a))
            ask_library(&a, &makers[i], program);
    }
    buf_fini(&a.out);
    free(a.drafts);
}

/* ---- tools ---- */

/* Folders that were given; else those of PATH and the maker's. */
static bool find_tool(char dst[FS_PATH_MAX], const char *programs, const char *given, const char *more)
{
    const char *places[] = {given ? given : getenv("PATH"), given ? NULL : more};
    for (const char *name = programs; *name; name += strspn(name, " ")) {
        size_t len = strcspn(name, " ");
        for (int i = 0; i < 2; i++) {
            for (const char *f = places[i]; f && *f; f += *f == ':') {
                size_t n = strcspn(f, ":");
                int total = snprintf(dst, FS_PATH_MAX, "%.*s/%.*s", (int)n, f, (int)len, name);
                if (n > 0 && f[0] == '/' && total > 0 && total < FS_PATH_MAX && access(dst, X_OK) == 0)
                    return true;
                f += n;
            }
        }
        name += len;
    }
    return false;
}

/* `text` with {} and {keys} filled in. False: it does not fit. */
static bool fill(char *dst, size_t cap, const char *text, const char *number,
                 const struct tool_column *columns)
{
    struct buf out;
    buf_init(&out, cap - 1);
    while (*text) {
        if (strncmp(text, "{keys}", 6) == 0) {
            for (const struct tool_column *c = columns; c->key; c++) {
                buf_add_text(&out, c == columns ? "" : ",");
                buf_add_text(&out, c->key);
            }
            text += 6;
        } else if (strncmp(text, "{}", 2) == 0) {
            buf_add_text(&out, number);
            text += 2;
        } else {
            buf_add_char(&out, *text++);
        }
    }
    bool fits = !out.failed;
    dst[0] = 0;
    if (fits && out.len > 0)
        memcpy(dst, out.data, out.len);
    dst[fits ? out.len : 0] = 0;
    buf_fini(&out);
    return fits;
}

/* The output of a step, of this machine or of a captured one. False, with a note where that is news: there is none. */
static bool step_output(struct asking *a, const struct maker *m, const struct tool_step *step,
                        const char *number)
{
    char program[FS_PATH_MAX], args[ARGS_CAP], name[128], path[FS_PATH_MAX];
    char *argv[RUN_ARGS_MAX + 2] = {program};
    int argc = 1;
    struct run_result result;
    buf_clear(&a->out);
    if (a->options->from) {
        (void)snprintf(path, sizeof path, "%s/tools/", a->options->from);
        return fill(name, sizeof name, step->capture, number, step->columns) &&
               fs_join(program, a->options->from, "tools") && fs_join(path, program, name) &&
               fs_read(path, &a->out, NULL) == 0;
    }
    if (!find_tool(program, step->program, place(a->options->tools, "BUSBAR_CHIP_TOOLS"), m->folders)) {
        if (step->role == STEP_LIST && step == m->steps)
            scan_note(a->scan, "%s: %s is not here, so little is known of its chips", m->name, step->program);
        return false;
    }
    if (!fill(args, sizeof args, step->args, number, step->columns))
        return false;
    for (char *at = args; *at && argc < RUN_ARGS_MAX; argc++) {
        argv[argc] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = 0;
    }
    if (run_tool(program, argv, step->file, a->limit_ms, step->program, &a->out, &result) != 0) {
        scan_note(a->scan, "%s: cannot be started", program);
        return false;
    }
    if (result.timed_out || result.stuck)
        scan_note(a->scan, "%.60s %s", step->program,
                  result.stuck ? "hangs, and cannot be ended" : "did not answer in time");
    return !a->out.failed && !result.stuck && !result.timed_out;
}

/* What a tool said in place of a list. */
static void note_words(struct asking *a, const struct tool_step *step)
{
    const char *at = a->out.data, *line;
    char words[PROBE_WORDS_CAP];
    size_t n;
    while (a->out.len > 0 && line_next(&at, a->out.data + a->out.len, &line, &n)) {
        text_take(words, 90, line, n);
        if (words[0]) {
            scan_note(a->scan, "%.30s: %s", step->program, words);
            return;
        }
    }
}

static void ask_step(struct asking *a, const struct maker *m, const struct tool_step *step,
                     const char *number, bool *listed)
{
    if (!step_output(a, m, step, number))
        return;
    const char *text = a->out.len > 0 ? a->out.data : "";
    if (step->format == TOOL_MATRIX) {
        read_matrix(a->scan, m->name, step, text, a->out.len);
        return;
    }
    drafts_clear(a->drafts);
    tool_read(a->drafts, step, text, a->out.len);
    if (a->drafts->n > 0 && step->role == STEP_LIST)
        *listed = true;
    else if (step->role == STEP_LIST)
        note_words(a, step);
    if (step->each == EACH_INDEX && a->drafts->n == 1 && a->drafts->d[0].chip.index == PROBE_UNKNOWN)
        a->drafts->d[0].chip.index = strtol(number, NULL, 10);
    merge_drafts(a->scan, m, a->drafts, PROBE_COMMAND, step->role, step->program);
}

static bool number_of(const struct probe_chip *c, enum step_each each, char dst[PROBE_TEXT_CAP])
{
    if (each == EACH_CARD)
        memcpy(dst, c->card, PROBE_TEXT_CAP);
    else if (c->index != PROBE_UNKNOWN)
        (void)snprintf(dst, PROBE_TEXT_CAP, "%lld", (long long)c->index);
    else
        dst[0] = 0;
    return dst[0] != 0;
}

/* Once for each card or chip. */
static void ask_each(struct asking *a, const struct maker *m, const struct tool_step *step)
{
    char done[EACH_MAX][PROBE_TEXT_CAP];
    uint32_t n = 0;
    bool listed;
    for (uint32_t i = 0; i < a->scan->n && n < EACH_MAX; i++) {
        bool again = false;
        if (!maker_has(m, &a->scan->chip[i]) || !number_of(&a->scan->chip[i], step->each, done[n]))
            continue;
        for (uint32_t k = 0; k < n; k++)
            again |= strcmp(done[k], done[n]) == 0;
        if (again)
            continue;
        ask_step(a, m, step, done[n], &listed);
        n++;
    }
}

static void ask_maker(struct asking *a, const struct maker *m)
{
    bool listed = false;
    for (const struct tool_step *step = m->steps; step && step->program; step++) {
        if (step->role == STEP_LIST && !listed)
            ask_step(a, m, step, "", &listed);
    }
    for (const struct tool_step *step = m->steps; listed && step->program; step++) {
        if (step->role != STEP_ALSO)
            continue;
        if (step->each == EACH_ALL)
            ask_step(a, m, step, "", &listed);
        else
            ask_each(a, m, step);
    }
}

void tools_ask(struct probe_scan *scan, const struct probe_options *options)
{
    struct asking a = {.scan = scan, .options = options, .limit_ms = limit_of(options)};
    a.drafts = calloc(1, sizeof *a.drafts);
    buf_init(&a.out, RUN_OUTPUT_MAX);
    for (uint32_t i = 0; a.drafts && i < makers_n; i++) {
        if (makers[i].steps && is_asked(&makers[i], &a))
            ask_maker(&a, &makers[i]);
    }
    buf_fini(&a.out);
    free(a.drafts);
}
