/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/command.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "core/kinds.h"

/* Replaces one {name} in an argument. */
static char *expand(const struct command_order *o, const char *arg)
{
    char number[24] = "";
    const struct {
        const char *name;
        const char *text;
        uint64_t number;
    } names[] = {
        {"{bin}", o->binary, 0},
        {"{model}", o->location, 0},
        {"{socket}", o->socket, 0},
        {"{name}", o->model, 0},
        {"{slots}", NULL, o->slots},
        {"{context}", NULL, o->context},
        {"{context_total}", NULL, (uint64_t)o->context * o->slots},
        {"{threads}", NULL, o->threads},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(arg, names[i].name) != 0)
            continue;
        if (names[i].text)
            return strdup(names[i].text);
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)names[i].number);
        return strdup(number);
    }
    return strdup(arg);
}

bool command_find(const char *folders, const char *name, char out[FS_PATH_MAX])
{
    const char *places[] = {folders, getenv("PATH")};
    for (int i = 0; i < 2; i++) {
        for (const char *p = places[i]; p && *p;) {
            size_t len = strcspn(p, ":");
            int n = snprintf(out, FS_PATH_MAX, "%.*s/%s", (int)len, p, name);
            if (n > 0 && n < FS_PATH_MAX && access(out, X_OK) == 0)
                return true;
            p += len + (p[len] == ':');
        }
    }
    return false;
}

bool command_program(const char *self, const char *folders, const char *binary, char out[FS_PATH_MAX])
{
    if (strcmp(binary, "{self}") != 0)
        return command_find(folders, binary, out);
    int n = snprintf(out, FS_PATH_MAX, "%s", self);
    return n > 0 && n < FS_PATH_MAX;
}

/* A clean environment: what an engine may see of ours is named here. Which chips are its own each maker tells by a variable of
 * its own name (`visible` in data/chips.yaml). */
static bool is_kept(const char *text)
{
    static const char *const kept[] = {"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"};
    static const char chips[] = "_VISIBLE_DEVICES";
    size_t len = strcspn(text, "="), tail = sizeof chips - 1;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (text_eq(text, len, kept[i], strlen(kept[i])))
            return true;
    }
    return len > tail && memcmp(text + len - tail, chips, tail) == 0;
}

/* Of the same name as another one. */
static bool is_named_as(const char *text, const char *other)
{
    size_t len = strcspn(text, "=");
    return other && other[0] && text_eq(text, len, other, strcspn(other, "="));
}

static void command_add(struct command *c, char *arg)
{
    assert(c->n < COMMAND_ARGS_MAX);
    c->argv[c->n++] = arg;
}

void command_free(struct command *c)
{
    for (unsigned i = 0; i < c->n; i++)
        free(c->argv[i]);
    for (unsigned i = 0; c->env[i]; i++)
        free(c->env[i]);
}

static void command_add_number(struct command *c, const char *option, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    command_add(c, strdup(option));
    command_add(c, strdup(text));
}

static void add_worker(struct command *c, const struct command_order *o)
{
    command_add(c, strdup(o->self));
    command_add(c, strdup("rpc-worker"));
    command_add(c, strdup("--socket"));
    command_add(c, strdup(o->socket));
    if (o->memory_mib > 0)
        command_add_number(c, "--memory-mib", o->memory_mib);
    if (o->threads > 0)
        command_add_number(c, "--threads", o->threads);
}

/* What the engine itself is started with comes after it. */
static void add_head(struct command *c, const struct command_order *o)
{
    char split[CLUSTER_MEMBERS_MAX * 12 + 1];
    size_t len = 0;
    command_add(c, strdup(o->self));
    command_add(c, strdup("rpc-head"));
    for (uint32_t i = 0; i < o->nworkers && i < CLUSTER_MEMBERS_MAX; i++) {
        command_add(c, strdup("--worker"));
        command_add(c, strdup(o->workers[i].socket));
        len += (size_t)snprintf(split + len, sizeof split - len, "%s%u", i ? "," : "", o->workers[i].layers);
    }
    command_add(c, strdup("--split"));
    command_add(c, strdup(split));
    command_add(c, strdup("--"));
}

static void add_engine(struct command *c, const struct engine_spec *spec, const struct command_order *o)
{
    for (unsigned i = 0; i < spec->argv_count && c->n < COMMAND_ARGS_MAX - 16; i++)
        command_add(c, expand(o, spec->argv[i]));
    char **more = o->kind == MODEL_EMBEDDING ? spec->args_embedding : spec->args_rerank;
    unsigned nmore = o->kind == MODEL_EMBEDDING ? spec->args_embedding_count
                     : o->kind == MODEL_RERANK  ? spec->args_rerank_count
                                                : 0;
    for (unsigned i = 0; i < nmore && c->n < COMMAND_ARGS_MAX; i++)
        command_add(c, expand(o, more[i]));
}

void command_build(struct command *c, const struct engine_spec *spec, const struct command_order *o)
{
    char parent[24];
    (void)snprintf(parent, sizeof parent, "%ld", (long)getpid());
    command_add(c, strdup(o->self));
    command_add(c, strdup("shim"));
    command_add(c, strdup(parent));
    if (o->role == REPLICA_HEAD)
        add_head(c, o);
    if (o->role == REPLICA_WORKER)
        add_worker(c, o);
    else
        add_engine(c, spec, o);
    unsigned k = 0;
    for (char **e = environ; *e && k < COMMAND_ARGS_MAX; e++) {
        if (is_kept(*e) && !is_named_as(*e, o->visible))
            c->env[k++] = strdup(*e);
    }
    for (unsigned i = 0; i < spec->env_count && k < COMMAND_ARGS_MAX; i++)
        c->env[k++] = strdup(spec->env[i]);
    if (o->visible && o->visible[0] && k < COMMAND_ARGS_MAX)
        c->env[k] = strdup(o->visible);
}
