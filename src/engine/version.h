/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which version of an engine answers: asked of the process that serves, where its entry in engines.yaml says that it tells, so that it
 * is the one that runs and not a program that was put in its place since, and goes for engines at a URL as well. What comes is a word for receipts:
 * printable ASCII, cut to NAME_CAP - 1 bytes. An answer that is none, or too long, is ENGINE_UNKNOWN. Nothing here waits: who asks
 * gives up with engine_version_cancel.
 */
#ifndef BUSBAR_ENGINE_VERSION_H
#define BUSBAR_ENGINE_VERSION_H

#include "core/limits.h"
#include "engine/spec.h"
#include "net/http_client.h"

#define ENGINE_UNKNOWN "unknown"

struct engine_version {
    struct http_call *call; /* NULL: nothing is being asked */
    const struct engine_spec *spec;
    struct buf body;
    int status;
    char word[NAME_CAP]; /* "": not asked yet */
    void (*done)(void *ctx);
    void *ctx;
};

/* Asks once; `done` runs later with `word` set. False: nothing is under way, and `word` is ENGINE_UNKNOWN. The endpoint and the
 * question stay the caller's until done or engine_version_cancel. */
bool engine_version_ask(struct engine_version *ask, struct http_client *client,
                        const struct http_endpoint *endpoint, const struct engine_spec *spec,
                        void (*done)(void *ctx), void *ctx);
/* Gives up what is under way, if anything is. */
void engine_version_cancel(struct engine_version *ask);
/* The word in an answer's body; ENGINE_UNKNOWN where there is none. */
void engine_version_read(char dst[NAME_CAP], const char *field, const char *body, size_t len);

#endif
