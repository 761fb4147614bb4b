/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner: a thread that writes answers, as many at a time as it has slots.
 *
 * A task is a prompt and how to go on with it. It waits for a slot in the order of submission; each step takes the next token of every
 * slot that is writing, and pieces of prompts that are still to be read, in one go (ref/model.h says why that changes no answer).
 * A slot keeps what it read: a prompt that begins as that did does not read that part again. What comes out are pieces: text that can
 * be shown, with the count of tokens up to it. The last one says why it is the last, and there is always one.
 *
 * Tasks belong to their maker, who frees them after the last piece. `ready` is called on the runner's thread when there are pieces
 * to take; runner_take, runner_submit, runner_cancel and runner_sent are for the other side, from one thread. Bounds: RUNNER_QUEUE_MAX
 * waiting tasks; a task whose RUNNER_BACKLOG pieces nobody sends is not gone on with.
 */
#ifndef BUSBAR_REF_RUNNER_H
#define BUSBAR_REF_RUNNER_H

#include <stdatomic.h>

#include "base/list.h"
#include "ref/model.h"
#include "ref/sampler.h"

#define RUNNER_QUEUE_MAX 1024u
#define RUNNER_BACKLOG 1024u
#define TASK_STOPS 16u
#define TASK_STOP_MAX 256u
#define TASK_TOP 20u

enum task_end { TASK_GOES_ON, TASK_STOP, TASK_LENGTH, TASK_CANCELLED, TASK_NO_MEMORY };

/* One token of a piece, where its probability was asked for. */
struct task_token {
    uint32_t token;
    double logprob;
    uint32_t ntop;
    struct {
        uint32_t token;
        double logprob;
    } top[TASK_TOP];
};

struct task_counts {
    uint32_t prompt, cached, completion;
    uint64_t prompt_ns, completion_ns;
};

struct task_piece {
    struct list node;
    struct task *task;
    struct buf text;
    struct task_token *tokens; /* NULL: not asked for */
    uint32_t ntokens;
    struct task_counts counts; /* up to here */
    enum task_end end;
};

struct task {
    struct list node;
    void *ctx; /* the maker's */
    struct sampler_options sampling;
    struct tokens_list prompt;
    uint32_t max_tokens; /* 0: as many as there is room for */
    bool logprobs, ignores_end;
    uint32_t top;
    char *stops[TASK_STOPS]; /* an answer ends before the first of these */
    uint32_t nstops;
    atomic_uint backlog;
    atomic_bool cancelled;
    /* The runner's own. */
    struct sampler sampler;
    struct buf text;
    size_t shown;
    struct task_token *tokens; /* of what is not shown yet */
    uint32_t ntokens, tokens_cap;
    struct task_counts counts;
    uint64_t began_ns;
};

struct runner_config {
    const struct model *model;
    uint32_t slots, context, threads;
    uint64_t least; /* multiplications of a piece of work below which threads are not woken */
    void (*ready)(void *ctx);
    void *ctx;
};

struct runner;

int runner_new(struct runner **out, const struct runner_config *config, struct err *err);
/* Ends the thread; tasks that it has get no last piece. */
void runner_free(struct runner *runner);
struct task *task_new(uint32_t context);
void task_free(struct task *task);
/* ERR_QUEUE_FULL. */
int runner_submit(struct runner *runner, struct task *task);
void runner_cancel(struct runner *runner, struct task *task);
/* The next piece, or NULL; the caller sends it, says so with runner_sent, and frees it with piece_free. */
struct task_piece *runner_take(struct runner *runner);
void runner_sent(struct runner *runner, struct task *task);
void piece_free(struct task_piece *piece);

#endif
