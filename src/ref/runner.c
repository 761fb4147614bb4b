/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/runner.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ref/text.h"

#define READING_ROWS 4u

struct slot {
    struct task *task;
    uint32_t *tokens; /* what is at its positions */
    uint32_t held;    /* how many of them have keys and values */
    uint32_t read;    /* of the task's prompt */
    uint32_t next;    /* token that comes next, once the prompt is read */
    float *logits;    /* of this step; NULL: it asks for none */
};

struct runner {
    struct runner_config config;
    struct team *team;
    struct model_state *state;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake;
    struct list queue, pieces;
    uint32_t nqueue;
    bool over;
    /* The thread's own. */
    struct slot *slots;
    uint32_t turn; /* whose prompt is read first */
    float *logits; /* MODEL_ROWS of them */
};

/* ---- tasks ---- */

struct task *task_new(uint32_t context)
{
    struct task *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    tokens_list_init(&t->prompt, context);
    buf_init(&t->text, (size_t)256 << 20);
    return t;
}

void task_free(struct task *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->nstops; i++)
        free(t->stops[i]);
    tokens_list_fini(&t->prompt);
    sampler_fini(&t->sampler);
    buf_fini(&t->text);
    free(t->tokens);
    free(t);
}

void piece_free(struct task_piece *p)
{
    buf_fini(&p->text);
    free(p->tokens);
    free(p);
}

/* ---- pieces ---- */

/* Text up to `until` may be shown. False: out of memory, and nothing has happened. */
static bool emit(struct runner *r, struct task *t, size_t until, enum task_end end)
{
    struct task_piece *p = calloc(1, sizeof *p);
    if (!p)
        return false;
    buf_init(&p->text, t->text.max);
    if (until > t->shown)
        buf_add(&p->text, t->text.data + t->shown, until - t->shown);
    if (p->text.failed) {
        piece_free(p);
        return false;
    }
    t->shown = until;
    p->task = t;
    p->tokens = t->tokens;
    p->ntokens = t->ntokens;
    p->counts = t->counts;
    p->end = end;
    t->tokens = NULL;
    t->ntokens = t->tokens_cap = 0;
    atomic_fetch_add(&t->backlog, 1);
    pthread_mutex_lock(&r->lock);
    list_push(&r->pieces, &p->node);
    pthread_mutex_unlock(&r->lock);
    r->config.ready(r->config.ctx);
    return true;
}

static bool is_over(struct runner *r)
{
    pthread_mutex_lock(&r->lock);
    bool over = r->over;
    pthread_mutex_unlock(&r->lock);
    return over;
}

/* Who made the task waits for its end, so it must be told: memory comes back when others end. At the runner's own end nobody takes it. */
static void emit_end(struct runner *r, struct task *t, enum task_end end)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    size_t until = end == TASK_CANCELLED || end == TASK_NO_MEMORY ? t->shown : t->text.len;
    while (!emit(r, t, until, end) && !is_over(r))
        nanosleep(&pause, NULL);
}

static void end_slot(struct runner *r, struct slot *s, enum task_end end)
{
    struct task *t = s->task;
    s->task = NULL;
    emit_end(r, t, end);
}

static bool note_token(struct task *t, uint32_t token, const float *logits, uint32_t vocab)
{
    struct sampler_candidate top[TASK_TOP];
    if (!t->logprobs)
        return true;
    if (t->ntokens == t->tokens_cap) {
        uint32_t cap = t->tokens_cap ? t->tokens_cap * 2 : 1;
        struct task_token *tokens = realloc(t->tokens, cap * sizeof *tokens);
        if (!tokens)
            return false;
        t->tokens = tokens;
        t->tokens_cap = cap;
    }
    double level = sampler_level(logits, vocab);
    struct task_token *note = &t->tokens[t->ntokens++];
    *note = (struct task_token){.token = token, .logprob = (double)logits[token] - level};
    note->ntop = sampler_best(logits, vocab, top, t->top);
    for (uint32_t i = 0; i < note->ntop; i++) {
        note->top[i].token = top[i].token;
        note->top[i].logprob = (double)top[i].logit - level;
    }
    return true;
}

/* ---- a slot's turn ---- */

/* The answer's next token: whether it is the last, and what of the text can be shown. */
static void take_token(struct runner *r, struct slot *s, uint32_t token, const float *logits)
{
    struct task *t = s->task;
    const struct vocab *v = &r->config.model->vocab;
    bool ends = v->tokens[token].ends && !t->ignores_end;
    t->counts.completion++;
    t->counts.completion_ns = clock_mono_ns() - t->began_ns;
    s->next = token;
    size_t before = t->text.len;
    if (!ends)
        vocab_piece(v, token, &t->text);
    if (!note_token(t, token, logits, v->count) || t->text.failed) {
        end_slot(r, s, TASK_NO_MEMORY);
        return;
    }
    if (ends) {
        end_slot(r, s, TASK_STOP);
        return;
    }
    const char *const *stops = (const char *const *)t->stops;
    size_t stop = text_find_stop(t->text.data, t->text.len, before, stops, t->nstops);
    bool stopped = stop < t->text.len;
    if (stopped)
        t->text.len = stop > t->shown ? stop : t->shown;
    bool full = s->held >= r->config.context || (t->max_tokens && t->counts.completion >= t->max_tokens);
    if (stopped || full) {
        end_slot(r, s, stopped ? TASK_STOP : TASK_LENGTH);
        return;
    }
    size_t safe = t->text.len - text_held(t->text.data, t->text.len, stops, t->nstops);
    if (safe > t->shown && !emit(r, t, safe, TASK_GOES_ON))
        end_slot(r, s, TASK_NO_MEMORY);
}

static uint32_t common(const struct slot *s, const struct task *t)
{
    uint32_t n = 0;
    while (n < s->held && n < t->prompt.n - 1 && s->tokens[n] == t->prompt.at[n])
        n++;
    return n;
}

/* Into the free slot that has read the most of what it begins with. */
static void give_slot(struct runner *r, struct task *t)
{
    struct slot *best = NULL;
    uint32_t most = 0;
    for (uint32_t i = 0; i < r->config.slots; i++) {
        struct slot *s = &r->slots[i];
        if (s->task)
            continue;
        uint32_t n = common(s, t);
        if (!best || n > most) {
            best = s;
            most = n;
        }
    }
    best->task = t;
    best->held = best->read = most;
    t->counts = (struct task_counts){.prompt = t->prompt.n, .cached = most};
    t->began_ns = clock_mono_ns();
    if (!sampler_init(&t->sampler, &t->sampling, r->config.model->vocab.count))
        end_slot(r, best, TASK_NO_MEMORY);
}

static bool has_free(const struct runner *r)
{
    for (uint32_t i = 0; i < r->config.slots; i++) {
        if (!r->slots[i].task)
            return true;
    }
    return false;
}

/* One row of a slot: its next token, of the prompt or of the answer. */
static void add_row(struct runner *r, struct slot *s, struct model_row *rows, uint32_t *n)
{
    const struct task *t = s->task;
    uint32_t token = s->read < t->prompt.n ? t->prompt.at[s->read++] : s->next;
    bool asks = s->read == t->prompt.n;
    s->logits = asks ? r->logits + (size_t)*n * r->config.model->vocab.count : NULL;
    s->tokens[s->held] = token;
    rows[(*n)++] = (struct model_row){
        .token = token, .slot = (uint32_t)(s - r->slots), .position = s->held++, .logits = s->logits};
}

static bool can_go(const struct slot *s)
{
    return s->task && atomic_load(&s->task->backlog) < RUNNER_BACKLOG;
}

static bool reads(const struct slot *s)
{
    return can_go(s) && s->read < s->task->prompt.n;
}

/* First one token of each that writes, then prompts, with what is left of a step: READING_ROWS at least, so that many who write never
 * keep one from reading. Each step begins one slot further, so all get their turn. */
static uint32_t plan(struct runner *r, struct model_row *rows)
{
    uint32_t n = 0, slots = r->config.slots;
    bool any_reads = false;
    for (uint32_t i = 0; i < slots; i++) {
        r->slots[i].logits = NULL;
        any_reads = any_reads || reads(&r->slots[i]);
    }
    uint32_t writing = MODEL_ROWS - (any_reads ? READING_ROWS : 0);
    for (uint32_t i = 0; i < slots && n < writing; i++) {
        struct slot *s = &r->slots[(r->turn + i) % slots];
        if (can_go(s) && s->read == s->task->prompt.n)
            add_row(r, s, rows, &n);
    }
    for (uint32_t i = 0; i < slots; i++) {
        struct slot *s = &r->slots[(r->turn + i) % slots];
        while (reads(s) && n < MODEL_ROWS)
            add_row(r, s, rows, &n);
    }
    r->turn = (r->turn + 1) % slots;
    return n;
}

static void drop_cancelled(struct runner *r)
{
    for (uint32_t i = 0; i < r->config.slots; i++) {
        struct slot *s = &r->slots[i];
        if (s->task && atomic_load(&s->task->cancelled))
            end_slot(r, s, TASK_CANCELLED);
    }
}

static void step(struct runner *r)
{
    struct model_row rows[MODEL_ROWS];
    uint32_t n = plan(r, rows);
    model_step(r->state, rows, n);
    for (uint32_t i = 0; i < r->config.slots; i++) {
        struct slot *s = &r->slots[i];
        if (!s->task || !s->logits)
            continue;
        struct task *t = s->task;
        if (t->counts.completion == 0) {
            t->counts.prompt_ns = clock_mono_ns() - t->began_ns;
            t->began_ns += t->counts.prompt_ns;
        }
        take_token(r, s, sampler_next(&t->sampler, s->logits), s->logits);
    }
}

/* ---- the thread ---- */

static bool is_idle(const struct runner *r)
{
    for (uint32_t i = 0; i < r->config.slots; i++) {
        const struct slot *s = &r->slots[i];
        if (can_go(s) || (s->task && atomic_load(&s->task->cancelled)))
            return false;
    }
    return true;
}

/* The next task that waits and may have a slot, or was cancelled meanwhile; NULL: there is none. The lock is held. */
static struct task *next_task(struct runner *r)
{
    bool room = has_free(r);
    list_for_each_safe (it, next, &r->queue) {
        struct task *t = list_entry(it, struct task, node);
        if (!room && !atomic_load(&t->cancelled))
            continue;
        list_remove(&t->node);
        r->nqueue--;
        return t;
    }
    return NULL;
}

static void *run(void *arg)
{
    struct runner *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->over) {
        struct task *t = next_task(r);
        if (!t && is_idle(r)) {
            pthread_cond_wait(&r->wake, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        if (t && atomic_load(&t->cancelled))
            emit_end(r, t, TASK_CANCELLED);
        else if (t)
            give_slot(r, t);
        drop_cancelled(r);
        if (!t)
            step(r);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- the interface ---- */

static bool make_slots(struct runner *r)
{
    r->slots = calloc(r->config.slots, sizeof *r->slots);
    r->logits = calloc((size_t)MODEL_ROWS * r->config.model->vocab.count, sizeof *r->logits);
    for (uint32_t i = 0; r->slots && i < r->config.slots; i++) {
        r->slots[i].tokens = calloc(r->config.context, sizeof *r->slots[i].tokens);
        if (!r->slots[i].tokens)
            return false;
    }
    return r->slots && r->logits;
}

int runner_new(struct runner **out, const struct runner_config *config, struct err *err)
{
    struct runner *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    r->config = *config;
    list_init(&r->queue);
    list_init(&r->pieces);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    r->team = team_new(config->threads, config->least);
    int rc = r->team ? model_state_new(&r->state, config->model, r->team, config->slots, config->context, err)
                     : err_set(err, ERR_NO_MEMORY, "%u threads cannot be had", config->threads);
    if (rc == 0 && !make_slots(r))
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0 && pthread_create(&r->thread, NULL, run, r) != 0)
        rc = err_set(err, ERR_NO_MEMORY, "a thread cannot be had");
    r->has_thread = rc == 0;
    if (rc == 0)
        *out = r;
    else
        runner_free(r);
    return rc;
}

void runner_free(struct runner *r)
{
    if (r->has_thread) {
        pthread_mutex_lock(&r->lock);
        r->over = true;
        pthread_cond_signal(&r->wake);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->thread, NULL);
    }
    list_for_each_safe (it, next, &r->pieces)
        piece_free(list_entry(it, struct task_piece, node));
    for (uint32_t i = 0; r->slots && i < r->config.slots; i++)
        free(r->slots[i].tokens);
    free(r->slots);
    free(r->logits);
    model_state_free(r->state);
    team_free(r->team);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int runner_submit(struct runner *r, struct task *t)
{
    int rc = ERR_QUEUE_FULL;
    pthread_mutex_lock(&r->lock);
    if (r->nqueue < RUNNER_QUEUE_MAX) {
        list_push(&r->queue, &t->node);
        r->nqueue++;
        pthread_cond_signal(&r->wake);
        rc = 0;
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void runner_cancel(struct runner *r, struct task *t)
{
    pthread_mutex_lock(&r->lock);
    atomic_store(&t->cancelled, true);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

struct task_piece *runner_take(struct runner *r)
{
    pthread_mutex_lock(&r->lock);
    struct list *first = list_first(&r->pieces);
    if (first)
        list_remove(first);
    pthread_mutex_unlock(&r->lock);
    return first ? list_entry(first, struct task_piece, node) : NULL;
}

void runner_sent(struct runner *r, struct task *t)
{
    if (atomic_fetch_sub(&t->backlog, 1) != RUNNER_BACKLOG)
        return;
    pthread_mutex_lock(&r->lock);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}
