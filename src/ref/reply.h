/* SPDX-License-Identifier: Apache-2.0 */
/* Replies: an answer's pieces as OpenAI's JSON, with llama.cpp's `timings`, by which gateways count. Pure but for growing buffers. */
#ifndef BUSBAR_REF_REPLY_H
#define BUSBAR_REF_REPLY_H

#include "ref/runner.h"

#define REPLY_FINGERPRINT "busbar-reference-" BUSBAR_VERSION

struct reply {
    const struct vocab *vocab;
    const char *id, *model; /* model: the name that the engine was given */
    int64_t created_s;
    bool chat, include_usage, timings;
};

/* An answer that is not streamed: all of its text, and all of its tokens where their probability was asked for. */
void reply_whole(const struct reply *reply, const struct task_piece *last, const char *text, size_t len,
                 const struct task_token *tokens, uint32_t ntokens, bool logprobs, struct buf *out);
/* Events of a stream: the first, one for each piece that has anything, and what ends it. */
void reply_first(const struct reply *reply, struct buf *out);
void reply_piece(const struct reply *reply, const struct task_piece *piece, struct buf *out);
void reply_last(const struct reply *reply, const struct task_piece *last, struct buf *out);
/* {"error": ...} for one of our codes. */
void reply_error(struct buf *out, int code, const char *words);

#endif
