/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub.yaml: the options of `busbar up` as a file, under their own names, and the log's witnesses (docs/architecture.md). It is read before
 * anything else and becomes options in front of those of the command line, so the command line prevails. All mistakes are told at once,
 * each with its line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/fs.h"
#include "cli/cli.h"
#include "network/tree.h"
#include "tlog/note.h"
#include "tlog/witness.h"

#define FILE_MAX ((size_t)1 << 20)
#define URL_CAP 512
#define PLACE_CAP 1024
#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

struct file {
    char data[PLACE_CAP], listen[PLACE_CAP], site_listen[PLACE_CAP], tls_cert[PLACE_CAP], tls_key[PLACE_CAP],
        engines[PLACE_CAP], keep_jobs[64], log_level[16], acceptance[16], acceptance_every[64];
    struct figure workers, engine_threads, drain, lease, queue, tenant_blobs, snapshot_every;
    uint32_t detach, webhook_private, no_model, log_json;
    yaml_node_t *witnesses;
};

struct witness_entry {
    char vkey[NOTE_KEY_TEXT_CAP], url[URL_CAP];
};

static const char *const truth[] = {"yes", "no", "true", "false", NULL}; /* from 1 on: odd is yes */

/* clang-format off */
#define TEXT(key, member) {key, TREE_TEXT, offsetof(struct file, member), sizeof(((struct file *)NULL)->member), 0, 0, 0, false, NULL}
#define NUMBER(key, member, min) {key, TREE_NUMBER, offsetof(struct file, member), 0, 0, min, UINT32_MAX, false, NULL}
#define FLAG(key, member) {key, TREE_WORD, offsetof(struct file, member), 0, 0, 0, 0, false, truth}
/* clang-format on */

static const struct tree_field fields[] = {
    TEXT("data", data),
    TEXT("listen", listen),
    TEXT("site-listen", site_listen),
    TEXT("tls-cert", tls_cert),
    TEXT("tls-key", tls_key),
    TEXT("engines", engines),
    TEXT("keep-jobs", keep_jobs),
    TEXT("log-level", log_level),
    TEXT("acceptance", acceptance),
    TEXT("acceptance-every", acceptance_every),
    NUMBER("workers", workers, 0),
    NUMBER("engine-threads", engine_threads, 1),
    NUMBER("drain", drain, 0),
    NUMBER("lease", lease, 4),
    NUMBER("queue", queue, 0),
    NUMBER("tenant-blobs", tenant_blobs, 0),
    NUMBER("snapshot-every", snapshot_every, 0),
    FLAG("detach", detach),
    FLAG("webhook-private", webhook_private),
    FLAG("no-model", no_model),
    FLAG("log-json", log_json),
    {"witnesses", TREE_NODE, offsetof(struct file, witnesses), 0, 0, 0, 0, false, NULL},
};

static const struct tree_field witness_fields[] = {
    {"vkey", TREE_TEXT, offsetof(struct witness_entry, vkey), NOTE_KEY_TEXT_CAP, 0, 0, 0, true, NULL},
    {"url", TREE_TEXT, offsetof(struct witness_entry, url), URL_CAP, 0, 0, 0, true, NULL},
};

/* In front of what is there; the text is the process's. False: there is no room. */
static bool put_first(struct cli *cli, const char *name, const char *value)
{
    char *copy = strdup(value);
    if (!copy || cli->noptions == CLI_OPTIONS_MAX) {
        free(copy);
        return false;
    }
    memmove(&cli->options[1], &cli->options[0], (size_t)cli->noptions * sizeof cli->options[0]);
    cli->options[0].name = name;
    cli->options[0].value = copy;
    cli->noptions++;
    return true;
}

static bool put_field(struct cli *cli, const struct tree_field *f, const struct file *file)
{
    const void *place = (const char *)file + f->offset;
    char text[32];
    if (f->kind == TREE_TEXT)
        return put_first(cli, f->key, place);
    if (f->kind == TREE_WORD)
        return *(const uint32_t *)place % 2 == 0 || put_first(cli, f->key, "");
    if (f->kind != TREE_NUMBER)
        return true;
    const struct figure *figure = place;
    (void)snprintf(text, sizeof text, "%" PRId64, figure->v);
    return put_first(cli, f->key, text);
}

static bool put_witnesses(struct cli *cli, const struct at *root, const struct file *file)
{
    struct problems *problems = root->tree->problems;
    bool room = true, ours = cli_option(cli, "witness") == NULL; /* else those of the command line */
    struct at list = at_child(root, "witnesses", file->witnesses);
    for (uint32_t i = at_items(&list, WITNESSES_MAX); i-- > 0;) {
        struct at at = at_item(&list, i);
        struct where where = at_where(&at);
        struct witness_entry w = {.vkey = ""};
        struct note_key key;
        char text[sizeof w.vkey + sizeof w.url];
        uint32_t given = fields_read(&at, witness_fields, COUNT(witness_fields), &w);
        fields_require(&where, problems, witness_fields, COUNT(witness_fields), given);
        if (w.vkey[0] && (note_key_parse(digest_sha256, &key, w.vkey, strlen(w.vkey)) != 0 ||
                          key.type != NOTE_COSIGNATURE))
            at_key_problem(&at, "vkey", "is no key of a witness");
        if (w.url[0] && strncmp(w.url, "http://", 7) != 0 && strncmp(w.url, "https://", 8) != 0)
            at_key_problem(&at, "url", "expected http:// or https://");
        (void)snprintf(text, sizeof text, "%s=%s", w.vkey, w.url);
        room = room && (!ours || put_first(cli, "witness", text));
    }
    return room;
}

/* False: there is no room for so many options. */
static bool take(struct cli *cli, struct tree *tree)
{
    static struct file file;
    struct at root = tree_root(tree);
    bool room = true;
    file = (struct file){.witnesses = NULL};
    uint32_t given = fields_read(&root, fields, COUNT(fields), &file);
    if (file.witnesses)
        room = put_witnesses(cli, &root, &file);
    for (uint32_t i = 0; i < COUNT(fields); i++) {
        const struct figure *figure = (const void *)((const char *)&file + fields[i].offset);
        if (fields[i].kind == TREE_NUMBER &&
            figure->tier > TIER_GIVEN) /* where a network's figure comes from */
            at_key_problem(&root, fields[i].key, "expected a number alone");
    }
    for (uint32_t i = 0; i < COUNT(fields) && problems_none(tree->problems); i++) {
        if (given >> i & 1)
            room = room && put_field(cli, &fields[i], &file);
    }
    return room;
}

int cli_hub_file(struct cli *cli)
{
    const char *path = cli_option(cli, "config");
    struct problems problems;
    struct tree tree;
    struct err err = {0};
    struct buf text;
    char line[PROBLEM_TEXT_CAP];
    bool room = true;
    if (!path)
        return CLI_OK;
    buf_init(&text, FILE_MAX);
    problems_init(&problems);
    int failed = fs_read(path, &text, &err);
    if (failed != 0)
        fprintf(stderr, "busbar: %s\n", err.msg[0] ? err.msg : err_text(failed));
    if (failed == 0 && tree_load(&tree, path, text.data ? text.data : "", text.len, &problems))
        room = take(cli, &tree);
    if (failed == 0)
        tree_fini(&tree);
    problems_sort(&problems);
    for (uint32_t i = 0; i < problems.n; i++) {
        problem_format(line, &problems.list[i]);
        fprintf(stderr, "busbar: %s\n", line);
    }
    if (!room)
        fprintf(stderr, "busbar: %s: too many options\n", path);
    bool good = failed == 0 && room && problems_none(&problems);
    problems_fini(&problems);
    buf_fini(&text);
    return good ? CLI_OK : failed == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_USAGE;
}
