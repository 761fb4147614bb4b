/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line and environment of an engine, from its specification.
 *
 * The environment is made anew: what an engine may see of ours is named here. Everything is on the heap until
 * command_free; the arguments are bounded by COMMAND_ARGS_MAX.
 */
#ifndef BUSBAR_ENGINE_COMMAND_H
#define BUSBAR_ENGINE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fs.h"
#include "core/limits.h"
#include "engine/spec.h"

#define COMMAND_ARGS_MAX 128

struct command {
    char *argv[COMMAND_ARGS_MAX + 1];
    unsigned n;
    char *env[COMMAND_ARGS_MAX + 1];
};

#define COMMAND_SOCKET_CAP 108 /* of an address */

/* What a head has compute, and where it is reached. */
struct command_worker {
    uint32_t layers;
    char socket[COMMAND_SOCKET_CAP];
};

/* What the names in braces of an argv template stand for. */
struct command_order {
    const char *self;   /* our own program, whose shim starts the engine */
    const char *binary; /* {bin} */
    const char *location, *socket, *model;
    uint32_t slots, context, threads;
    uint32_t kind;       /* enum model_kind: which further arguments */
    const char *visible; /* "NAME=0,1", in place of what we have of that name; NULL or "": none */
    /* Of a cluster (engine/rpc.h): a worker takes the engine's place; a head goes before it. */
    uint32_t role; /* enum replica_role */
    uint32_t memory_mib;
    const struct command_worker *workers; /* of a head, in the order of their layers */
    uint32_t nworkers;
};

/* First executable of that name in the colon-separated folders, then on PATH. */
bool command_find(const char *folders, const char *name, char out[FS_PATH_MAX]);
/* An engine's program: ours, if its entry says "{self}". */
bool command_program(const char *self, const char *folders, const char *binary, char out[FS_PATH_MAX]);
/* `command` is zeroed. */
void command_build(struct command *command, const struct engine_spec *spec,
                   const struct command_order *order);
void command_free(struct command *command);

#endif
