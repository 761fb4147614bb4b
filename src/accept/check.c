/* SPDX-License-Identifier: Apache-2.0 */
#include "accept/check.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "accept/golden.h"
#include "accept/speed.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/str.h"
#include "core/accept.h"
#include "core/kinds.h"

#define BYTES_MAX (UINT64_C(4) << 30) /* of weights */
#define GOLDEN_CPU_S 60
#define WAIT_S 60
#define PROMPTS 8u
#define PROMPTS_QUICK 4u
#define PARTS_MAX 4u /* places of an answer at which it is asked anew */
#define RETRIES 3u   /* of a speed that looks low */
#define RETRY_PAUSE_MS 250
#define PARTED_SHARE 50u /* one token in so many may be another: rounding moves some */
#define NICE 10
#define THREADS_MAX 4

struct options {
    const char *model, *golden, *terms, *endpoint, *name, *quantisation;
    uint64_t slots, context, seed;
    uint64_t base_one, base_many; /* medians to compare with, 0: none */
    uint64_t speed;               /* is measured too */
    uint64_t quick, must;         /* must: an engine that has to tell probabilities and lengths */
};

struct check {
    struct options o;
    struct accept_terms terms;
    struct golden golden;
    struct asker asker;
    struct distance distance;
    struct speeds speeds;
    uint32_t prompts;
    uint32_t verdict;
    int rc; /* of the golden answers */
    uint64_t began_ns;
    struct err err;
};

/* ---- answers ---- */

/* Compares from the first place on that is not compared yet; returns how many were. */
static uint32_t compare_some(struct check *c, const struct golden_answer *a, uint32_t from,
                             const struct ask_result *r, double margin)
{
    uint32_t n = 0;
    while (n < r->nplaces && from + n < a->n) {
        n++;
        if (!compare_place(&c->distance, &a->place[from + n - 1], &r->place[n - 1], margin))
            break;
    }
    return n;
}

static int check_answer(struct check *c, uint32_t prompt, double margin)
{
    const struct golden_answer *a = &c->golden.answer[prompt];
    struct answer_place place[TERMS_TOKENS_MAX];
    uint32_t written[GOLDEN_PROMPT_MAX + 2 + TERMS_TOKENS_MAX], at = 0;
    for (uint32_t part = 0; at < a->n && part < PARTS_MAX; part++) {
        struct ask_result result = {.place = place, .places = a->n - at};
        struct ask_text text = {.prompt = written,
                                .nprompt = a->nprompt + at,
                                .text = at == 0 ? c->terms.prompt[prompt] : NULL,
                                .max_tokens = a->n - at,
                                .logprobs = true};
        uint64_t ns;
        memcpy(written, a->prompt, a->nprompt * sizeof written[0]);
        for (uint32_t i = 0; i < at; i++)
            written[a->nprompt + i] = a->place[i].token;
        int rc = ask_all(&c->asker, &text, &result, 1, &ns, &c->err);
        if (rc != 0)
            return rc;
        at += compare_some(c, a, at, &result, margin);
    }
    return 0;
}

/* Some of the prompts, in an order that nobody can know. */
static int check_answers(struct check *c, const struct terms_limit *limit)
{
    uint32_t list[TERMS_PROMPTS_MAX], left = c->golden.n;
    uint32_t most = c->o.quick ? PROMPTS_QUICK : PROMPTS;
    struct rng rng;
    int rc = 0;
    rng_init(&rng, c->o.seed);
    for (uint32_t i = 0; i < left; i++)
        list[i] = i;
    while (rc == 0 && left > 0 && c->prompts < most) {
        uint32_t k = (uint32_t)rng_below(&rng, left);
        rc = check_answer(c, list[k], limit->margin);
        list[k] = list[--left];
        c->prompts++;
    }
    return rc;
}

static void judge(struct check *c, const struct terms_limit *limit)
{
    const struct distance *d = &c->distance;
    c->verdict = ACCEPT_FAILED;
    if (d->parted * PARTED_SHARE > d->tokens)
        err_set(&c->err, ERR_NOT_ACCEPTED, "%u of %u tokens are others than the reference's", d->parted,
                d->tokens);
    else if (distance_mean(d) > limit->mean)
        err_set(&c->err, ERR_NOT_ACCEPTED, "probabilities differ by %.4f in the mean, %.4f is the limit",
                distance_mean(d), limit->mean);
    else if (d->max > limit->max)
        err_set(&c->err, ERR_NOT_ACCEPTED, "a probability differs by %.4f, %.4f is the limit", d->max,
                limit->max);
    else
        c->verdict = ACCEPT_PASSED;
}

/* ---- speed ---- */

static bool is_low(const struct check *c)
{
    return accept_is_slow(c->speeds.one, c->speeds.many, c->o.base_one, c->o.base_many);
}

/* What looks low is measured again, longer each time: other work may pass. */
static int measure(struct check *c)
{
    const struct golden_answer *a = &c->golden.answer[0];
    struct speed_plan plan = {.window_ms = c->o.quick ? 120 : 300,
                              .rounds = c->o.quick ? 2 : 3,
                              .slots = (uint32_t)c->o.slots,
                              .context = (uint32_t)c->o.context,
                              .prompt = a->prompt,
                              .nprompt = a->nprompt,
                              .seed = c->o.seed};
    int rc = speed_write(&c->speeds, &c->asker, &plan, &c->err);
    for (uint32_t i = 0; rc == 0 && is_low(c) && i < RETRIES; i++) {
        const struct timespec pause = {.tv_nsec = RETRY_PAUSE_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        plan.window_ms = 300;
        plan.rounds = 2;
        rc = speed_write(&c->speeds, &c->asker, &plan, &c->err);
    }
    if (rc == 0) {
        plan.rounds = c->o.quick ? 1 : 3;
        rc = speed_read(&c->speeds, &c->asker, &plan, &c->err);
    }
    return rc;
}

/* ---- the whole ---- */

/* On a thread of its own, whose priority is low, and that of those it starts; what is measured later must not be. */
static void *get_golden(void *ctx)
{
    struct check *c = ctx;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct golden_config config = {.model = c->o.model,
                                   .path = c->o.golden,
                                   .bytes_max = BYTES_MAX,
                                   .cpu_s = GOLDEN_CPU_S,
                                   .threads =
                                       cores > THREADS_MAX ? THREADS_MAX : (uint32_t)(cores > 0 ? cores : 1)};
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    c->rc = golden_get(&c->golden, &c->terms, &config, &c->err);
    return NULL;
}

/* Without the reference's answers: of the weights (words of files, which name paths, are for the hub's own log), or ours. */
static void judge_golden(struct check *c)
{
    bool ours = c->rc == ERR_IO || c->rc == ERR_NOT_FOUND || c->rc == ERR_NO_MEMORY;
    fprintf(stderr, "busbar accept-check: %s\n", c->err.msg);
    c->verdict = ours ? ACCEPT_OPEN : ACCEPT_UNCHECKED;
    if (ours)
        err_set(&c->err, c->rc, "the hub cannot read the weights, or keep the reference's answers: %s",
                err_text(c->rc));
    else if (strchr(c->err.msg, '/'))
        err_set(&c->err, c->rc, "the reference engine cannot read these weights");
}

static void run(struct check *c)
{
    const struct terms_limit *limit = accept_limit(&c->terms, c->o.quantisation);
    pthread_t thread;
    c->verdict = ACCEPT_UNCHECKED;
    if (!limit) {
        err_set(&c->err, ERR_UNSUPPORTED, "no limits are known for %.15s", c->o.quantisation);
        return;
    }
    if (pthread_create(&thread, NULL, get_golden, c) != 0) {
        c->verdict = ACCEPT_OPEN;
        err_set(&c->err, ERR_NO_MEMORY, "no thread can be started");
        return;
    }
    (void)pthread_join(thread, NULL);
    if (c->rc != 0) {
        judge_golden(c);
        return;
    }
    c->asker.vocabulary = c->golden.vocabulary;
    int rc = check_answers(c, limit);
    if (rc != 0) {
        bool excused = rc == ERR_UNSUPPORTED && !c->o.must;
        c->verdict = rc == ERR_TIMEOUT     ? ACCEPT_WAITING /* nothing is known of it */
                     : rc == ERR_NO_MEMORY ? ACCEPT_OPEN
                     : excused             ? ACCEPT_UNCHECKED
                                           : ACCEPT_FAILED;
        return;
    }
    judge(c, limit);
    if (c->verdict != ACCEPT_PASSED || !c->o.speed)
        return;
    rc = measure(c);
    if (rc != 0 && c->o.must)
        c->verdict = rc == ERR_TIMEOUT ? ACCEPT_WAITING : rc == ERR_NO_MEMORY ? ACCEPT_OPEN : ACCEPT_FAILED;
    if (rc != 0 && !c->o.must) {
        c->speeds = (struct speeds){0};
        c->err = (struct err){0};
    }
}

/* Words for a line of facts: printable ASCII. */
static void add_words(struct buf *out, const char *text)
{
    char plain[TEXT_CAP];
    size_t n = 0;
    for (; text[n] && n + 1 < sizeof plain; n++)
        plain[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    buf_add_json(out, plain, n);
}

static uint32_t millionths(double distance)
{
    return distance * 1e6 < (double)UINT32_MAX ? (uint32_t)(distance * 1e6 + 0.5) : UINT32_MAX;
}

static void tell(const struct check *c)
{
    struct buf out;
    char digest[2 * DIGEST_LEN + 1];
    const struct distance *d = &c->distance;
    hex_encode(digest, c->golden.digest, DIGEST_LEN);
    buf_init(&out, 4096);
    buf_addf(&out, "{\"verdict\":%u,\"reason\":", c->verdict);
    add_words(&out, c->verdict == ACCEPT_PASSED ? "" : c->err.msg);
    buf_addf(&out, ",\"prompts\":%u,\"tokens\":%u,\"close\":%u,\"parted\":%u,\"mean\":%u,\"max\":%u",
             c->prompts, d->tokens, d->close, d->parted, millionths(distance_mean(d)), millionths(d->max));
    buf_addf(&out, ",\"one\":%llu,\"many\":%llu,\"batch\":%u,\"read\":%llu",
             (unsigned long long)c->speeds.one, (unsigned long long)c->speeds.many, c->speeds.batch,
             (unsigned long long)c->speeds.read);
    buf_addf(&out, ",\"golden\":\"%s\",\"took_ms\":%llu}\n", digest,
             (unsigned long long)((clock_mono_ns() - c->began_ns) / 1000000));
    (void)fwrite(out.data, 1, out.len, stdout);
    (void)fflush(stdout);
    buf_fini(&out);
}

/* ---- the command line ---- */

static int take_options(struct options *o, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **text;
        uint64_t *number;
    } table[] = {{"--model", &o->model, NULL},         {"--golden", &o->golden, NULL},
                 {"--terms", &o->terms, NULL},         {"--endpoint", &o->endpoint, NULL},
                 {"--name", &o->name, NULL},           {"--quantisation", &o->quantisation, NULL},
                 {"--slots", NULL, &o->slots},         {"--context", NULL, &o->context},
                 {"--seed", NULL, &o->seed},           {"--base-one", NULL, &o->base_one},
                 {"--base-many", NULL, &o->base_many}, {"--quick", NULL, &o->quick},
                 {"--must", NULL, &o->must},           {"--speed", NULL, &o->speed}};
    const size_t n = sizeof table / sizeof table[0];
    for (int i = 1; i + 1 < argc; i += 2) {
        size_t k = 0;
        char *end = NULL;
        while (k < n && strcmp(table[k].name, argv[i]) != 0)
            k++;
        if (k == n)
            return -1;
        if (table[k].text)
            *table[k].text = argv[i + 1];
        else
            *table[k].number = strtoull(argv[i + 1], &end, 10);
        if (end && *end)
            return -1;
    }
    return argc % 2 == 1 && o->model && o->golden && o->terms && o->endpoint && o->name && o->quantisation &&
                   o->slots > 0 && o->context > 0
               ? 0
               : -1;
}

int accept_main(int argc, char **argv)
{
    struct check *c = calloc(1, sizeof *c);
    int rc = 0;
    if (!c || take_options(&c->o, argc, argv) != 0) {
        fprintf(stderr, "busbar accept-check: started by the hub (docs/acceptance.md)\n");
        free(c);
        return 64;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    c->began_ns = clock_mono_ns();
    c->asker.wait_s = WAIT_S;
    rc = accept_terms_load(&c->terms, c->o.terms, &c->err);
    if (rc == 0)
        rc = asker_init(&c->asker, c->o.endpoint, c->o.name, &c->err);
    if (rc == 0) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        run(c);
        curl_global_cleanup();
    } else {
        fprintf(stderr, "busbar accept-check: %s\n", c->err.msg);
        err_set(&c->err, rc, "the terms of checks cannot be read, or the endpoint is none");
        c->verdict = ACCEPT_OPEN;
    }
    tell(c);
    free(c);
    return rc ? 1 : 0;
}
