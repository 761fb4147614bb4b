/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "ref/number.h"

#define FEW 256u /* up to so many are kept in order while all are looked at; above, all are sorted */

bool sampler_init(struct sampler *s, const struct sampler_options *options, uint32_t vocab)
{
    bool penalties = options->frequency != 0.0f || options->presence != 0.0f;
    *s = (struct sampler){.options = *options, .vocab = vocab};
    rng_init(&s->rng, options->seed);
    s->candidates = calloc(vocab, sizeof *s->candidates);
    s->used = penalties ? calloc(vocab, sizeof *s->used) : NULL;
    return s->candidates && (s->used || !penalties);
}

void sampler_fini(struct sampler *s)
{
    free(s->candidates);
    free(s->used);
    *s = (struct sampler){0};
}

/* ---- the order ---- */

static bool goes_before(const struct sampler_candidate *a, const struct sampler_candidate *b)
{
    return a->logit != b->logit ? a->logit > b->logit : a->token < b->token;
}

static int compare(const void *a, const void *b)
{
    return goes_before(a, b) ? -1 : 1;
}

/* Puts c where it belongs among the n that are there, of at most `cap`; the last may fall out. */
static uint32_t insert(struct sampler_candidate *list, uint32_t n, uint32_t cap,
                       const struct sampler_candidate *c)
{
    uint32_t i = n < cap ? n : cap - 1;
    if (n == cap && !goes_before(c, &list[cap - 1]))
        return n;
    for (; i > 0 && goes_before(c, &list[i - 1]); i--)
        list[i] = list[i - 1];
    list[i] = *c;
    return n < cap ? n + 1 : n;
}

uint32_t sampler_best(const float *logits, uint32_t vocab, struct sampler_candidate *out, uint32_t n)
{
    uint32_t have = 0;
    for (uint32_t t = 0; t < vocab && n > 0; t++) {
        struct sampler_candidate c = {.token = t, .logit = logits[t]};
        have = insert(out, have, n, &c);
    }
    return have;
}

double sampler_level(const float *logits, uint32_t vocab)
{
    float most = logits[0];
    double sum = 0.0;
    for (uint32_t t = 1; t < vocab; t++)
        most = logits[t] > most ? logits[t] : most;
    for (uint32_t t = 0; t < vocab; t++)
        sum += number_exp((double)(logits[t] - most));
    return (double)most + number_log(sum);
}

/* ---- the choice ---- */

static uint32_t likeliest(const struct sampler *s, const float *logits)
{
    struct sampler_candidate best;
    (void)sampler_best(logits, s->vocab, &best, 1);
    return best.token;
}

static float penalised(const struct sampler *s, uint32_t token, float logit)
{
    const struct sampler_options *o = &s->options;
    uint16_t times = s->used ? s->used[token] : 0;
    return times ? logit - (float)times * o->frequency - o->presence : logit;
}

static uint32_t gather(struct sampler *s, const float *logits)
{
    uint32_t k = s->options.top_k, n = 0;
    bool few = k > 0 && k <= FEW && k < s->vocab;
    for (uint32_t t = 0; t < s->vocab; t++) {
        struct sampler_candidate c = {.token = t, .logit = penalised(s, t, logits[t])};
        if (few)
            n = insert(s->candidates, n, k, &c);
        else
            s->candidates[n++] = c;
    }
    if (few)
        return n;
    qsort(s->candidates, n, sizeof *s->candidates, compare);
    return k > 0 && k < n ? k : n;
}

/* Shares of the first n, which are in order, at a temperature; their sum. */
static double weigh(struct sampler *s, uint32_t n, float temperature)
{
    double sum = 0.0, best = (double)s->candidates[0].logit;
    for (uint32_t i = 0; i < n; i++) {
        struct sampler_candidate *c = &s->candidates[i];
        c->share = number_exp(((double)c->logit - best) / (double)temperature);
        sum += c->share;
    }
    return sum;
}

/* The fewest whose shares make top_p together; of those the ones that have min_p of the best one's share. */
static uint32_t cut(struct sampler *s, uint32_t n)
{
    const struct sampler_options *o = &s->options;
    double sum = weigh(s, n, 1.0f), have = 0.0;
    uint32_t i = 0;
    while (i < n && o->top_p < 1.0f) {
        have += s->candidates[i++].share;
        if (have >= (double)o->top_p * sum)
            n = i;
    }
    while (n > 1 && s->candidates[n - 1].share < (double)o->min_p)
        n--;
    return n;
}

static uint32_t draw(struct sampler *s, uint32_t n)
{
    double sum = weigh(s, n, s->options.temperature);
    double at = (double)(rng_next(&s->rng) >> 11) * 0x1p-53 * sum;
    uint32_t i = 0;
    while (i + 1 < n && at >= s->candidates[i].share)
        at -= s->candidates[i++].share;
    return s->candidates[i].token;
}

uint32_t sampler_next(struct sampler *s, const float *logits)
{
    uint32_t token;
    if (s->options.temperature <= 0.0f && !s->used)
        token = likeliest(s, logits);
    else if (s->options.temperature <= 0.0f)
        token = (gather(s, logits), s->candidates[0].token);
    else
        token = draw(s, cut(s, gather(s, logits)));
    if (s->used && s->used[token] < UINT16_MAX)
        s->used[token]++;
    return token;
}
