/* SPDX-License-Identifier: Apache-2.0 */
/* One step of a model: from tokens to logits. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/checked.h"
#include "ref/model.h"
#include "ref/number.h"

struct model_state {
    const struct model *model;
    struct team *team;
    uint32_t slots, context, kv; /* kv: floats of one key, of all its heads */
    float *keys, *values;        /* [slot][layer][position][kv] */
    float *turns;                /* [position][turned / 2]: cosine, sine */
    /* Of the rows of a step, one after the other. */
    float *x, *normed, *q, *k, *v, *mixed, *gate, *up;
    float *rooms; /* of each thread: a row of weights, then the scores of a head */
    size_t room, weights;
};

/* ---- memory ---- */

static bool times(size_t *size, size_t n)
{
    return size_mul(*size, n, size);
}

static float *floats(size_t a, size_t b, size_t c, size_t d)
{
    size_t n = a;
    return times(&n, b) && times(&n, c) && times(&n, d) && n > 0 ? calloc(n, sizeof(float)) : NULL;
}

static void fill_turns(struct model_state *s)
{
    const struct model *m = s->model;
    uint32_t pairs = m->turned / 2;
    const float *factors = m->rope_factors.data ? tensor_row(&m->rope_factors, 0, s->rooms) : NULL;
    double log_base = number_log((double)m->rope_base);
    for (uint32_t i = 0; i < pairs; i++) {
        double frequency = number_exp(-2.0 * i / m->turned * log_base) / (double)m->rope_scale;
        if (factors && factors[i] >= 1e-3f && factors[i] < 1e6f)
            frequency /= (double)factors[i];
        for (uint32_t p = 0; p < s->context; p++) {
            double cosine, sine;
            float *turn = s->turns + ((size_t)p * pairs + i) * 2;
            number_turn((double)p * frequency, &cosine, &sine);
            turn[0] = (float)cosine;
            turn[1] = (float)sine;
        }
    }
}

static bool carve(struct model_state *s)
{
    const struct model *m = s->model;
    size_t q = (size_t)m->heads * m->head;
    size_t widest = m->width > m->ffn ? m->width : m->ffn;
    s->weights = widest > q ? widest : q;
    s->room = s->weights + s->context;
    s->keys = floats(s->slots, m->layers, s->context, s->kv);
    s->values = floats(s->slots, m->layers, s->context, s->kv);
    s->turns = floats(s->context, m->turned ? m->turned : 1, 1, 1);
    s->x = floats(MODEL_ROWS, m->width, 1, 1);
    s->normed = floats(MODEL_ROWS, m->width, 1, 1);
    s->q = floats(MODEL_ROWS, q, 1, 1);
    s->mixed = floats(MODEL_ROWS, q, 1, 1);
    s->k = floats(MODEL_ROWS, s->kv, 1, 1);
    s->v = floats(MODEL_ROWS, s->kv, 1, 1);
    s->gate = floats(MODEL_ROWS, m->ffn, 1, 1);
    s->up = floats(MODEL_ROWS, m->ffn, 1, 1);
    s->rooms = floats(team_threads(s->team), s->room, 1, 1);
    return s->keys && s->values && s->turns && s->x && s->normed && s->q && s->mixed && s->k && s->v &&
           s->gate && s->up && s->rooms;
}

/* Keys and values, which are most of it: memory that a machine does not have would be promised and not given. */
static bool is_too_much(const struct model_state *s)
{
    size_t bytes = 2 * sizeof(float);
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    bool counted = times(&bytes, s->slots) && times(&bytes, s->model->layers) && times(&bytes, s->context) &&
                   times(&bytes, s->kv);
    return !counted || (pages > 0 && page > 0 && bytes / (size_t)page > (size_t)pages);
}

int model_state_new(struct model_state **out, const struct model *m, struct team *team, uint32_t slots,
                    uint32_t context, struct err *err)
{
    *out = NULL;
    if (slots == 0 || slots > MODEL_SLOTS_MAX)
        return err_set(err, ERR_INVALID, "slots: must be 1 to %u", MODEL_SLOTS_MAX);
    if (context == 0 || context > MODEL_CONTEXT_MAX)
        return err_set(err, ERR_INVALID, "context: must be 1 to %u", MODEL_CONTEXT_MAX);
    struct model_state *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->model = m;
    s->team = team;
    s->slots = slots;
    s->context = context;
    s->kv = m->kv_heads * m->head;
    if (is_too_much(s) || !carve(s)) {
        model_state_free(s);
        return err_set(err, ERR_NO_MEMORY, "%u slots of %u tokens need more memory than there is", slots,
                       context);
    }
    fill_turns(s);
    *out = s;
    return 0;
}

void model_state_free(struct model_state *s)
{
    if (!s)
        return;
    float *const parts[] = {s->keys, s->values, s->turns, s->x,    s->normed, s->q,
                            s->k,    s->v,      s->mixed, s->gate, s->up,     s->rooms};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        free(parts[i]);
    free(s);
}

/* ---- pieces of a layer ---- */

/* RMSNorm: x over the root of its mean square, times the weights. */
static void norm(const struct model_state *s, const struct tensor *weight, const float *x, float *out)
{
    uint32_t n = weight->columns;
    const float *w = tensor_row(weight, 0, s->rooms);
    float scale = 1.0f / sqrtf(tensor_dot(x, x, n) / (float)n + s->model->norm_epsilon);
    for (uint32_t i = 0; i < n; i++)
        out[i] = x[i] * scale * w[i];
}

struct product {
    const struct model_state *s;
    const struct tensor *weight;
    const float *in;
    float *out;
    uint32_t rows;
};

/* out[r] = weight x in[r]. A row of weights is made floats once for all rows of the step. */
static void multiply_part(void *ctx, uint32_t part, uint32_t parts)
{
    const struct product *p = ctx;
    const struct tensor *w = p->weight;
    float *room = p->s->rooms + part * p->s->room;
    uint32_t begin, end;
    team_share(w->rows, part, parts, &begin, &end);
    for (uint32_t i = begin; i < end; i++) {
        const float *row = tensor_row(w, i, room);
        for (uint32_t r = 0; r < p->rows; r++)
            p->out[(size_t)r * w->rows + i] = tensor_dot(row, p->in + (size_t)r * w->columns, w->columns);
    }
}

static void multiply(const struct model_state *s, const struct tensor *weight, const float *in, float *out,
                     uint32_t rows)
{
    struct product p = {s, weight, in, out, rows};
    team_run(s->team, (uint64_t)weight->rows * weight->columns * rows, multiply_part, &p);
}

/* RoPE: neighbours are a point in a plane, which is turned by its position. */
static void turn(const struct model_state *s, float *heads, uint32_t n, uint32_t position)
{
    const struct model *m = s->model;
    const float *turns = s->turns + (size_t)position * m->turned;
    for (uint32_t h = 0; h < n; h++) {
        float *x = heads + (size_t)h * m->head;
        for (uint32_t i = 0; i < m->turned; i += 2) {
            float a = x[i], b = x[i + 1], c = turns[i], d = turns[i + 1];
            x[i] = a * c - b * d;
            x[i + 1] = a * d + b * c;
        }
    }
}

static float *place_of(const struct model_state *s, float *all, uint32_t slot, uint32_t layer,
                       uint32_t position)
{
    return all + (((size_t)slot * s->model->layers + layer) * s->context + position) * s->kv;
}

struct attention {
    const struct model_state *s;
    const struct model_row *rows;
    uint32_t n, layer;
};

/* What one head of a row takes from the values up to its own position. */
static void attend(const struct attention *a, uint32_t r, uint32_t h, float *scores)
{
    const struct model_state *s = a->s;
    const struct model *m = s->model;
    const struct model_row *row = &a->rows[r];
    uint32_t n = row->position + 1;
    size_t at = (size_t)(h / (m->heads / m->kv_heads)) * m->head;
    const float *q = s->q + ((size_t)r * m->heads + h) * m->head;
    const float *keys = place_of(s, s->keys, row->slot, a->layer, 0) + at;
    const float *values = place_of(s, s->values, row->slot, a->layer, 0) + at;
    float *out = s->mixed + ((size_t)r * m->heads + h) * m->head;
    float scale = 1.0f / sqrtf((float)m->head), most = -INFINITY;
    for (uint32_t t = 0; t < n; t++) {
        scores[t] = tensor_dot(q, keys + (size_t)t * s->kv, m->head) * scale;
        most = scores[t] > most ? scores[t] : most;
    }
    for (uint32_t t = 0; t < n; t++)
        scores[t] = number_exp_float(scores[t] - most);
    float whole = 1.0f / tensor_sum(scores, n);
    for (uint32_t i = 0; i < m->head; i++)
        out[i] = 0.0f;
    for (uint32_t t = 0; t < n; t++) {
        const float *v = values + (size_t)t * s->kv;
        for (uint32_t i = 0; i < m->head; i++)
            out[i] += scores[t] * v[i];
    }
    for (uint32_t i = 0; i < m->head; i++)
        out[i] *= whole;
}

static void attention_part(void *ctx, uint32_t part, uint32_t parts)
{
    const struct attention *a = ctx;
    uint32_t heads = a->s->model->heads, begin, end;
    float *scores = a->s->rooms + part * a->s->room + a->s->weights;
    team_share(a->n * heads, part, parts, &begin, &end);
    for (uint32_t i = begin; i < end; i++)
        attend(a, i / heads, i % heads, scores);
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

/* ---- the step ---- */

static void attention_block(struct model_state *s, const struct model_row *rows, uint32_t n, uint32_t l)
{
    const struct model *m = s->model;
    const struct model_layer *layer = &m->layer[l];
    struct attention a = {s, rows, n, l};
    uint64_t seen = 0;
    for (uint32_t r = 0; r < n; r++)
        norm(s, &layer->attention_norm, s->x + (size_t)r * m->width, s->normed + (size_t)r * m->width);
    multiply(s, &layer->q, s->normed, s->q, n);
    multiply(s, &layer->k, s->normed, s->k, n);
    multiply(s, &layer->v, s->normed, s->v, n);
    for (uint32_t r = 0; r < n; r++) {
        const struct model_row *row = &rows[r];
        float *k = s->k + (size_t)r * s->kv;
        turn(s, s->q + (size_t)r * m->heads * m->head, m->heads, row->position);
        turn(s, k, m->kv_heads, row->position);
        memcpy(place_of(s, s->keys, row->slot, l, row->position), k, s->kv * sizeof *k);
        memcpy(place_of(s, s->values, row->slot, l, row->position), s->v + (size_t)r * s->kv,
               s->kv * sizeof *k);
        seen += row->position + 1;
    }
    team_run(s->team, 2 * seen * m->heads * m->head, attention_part, &a);
    multiply(s, &layer->output, s->mixed, s->normed, n);
    add(s->x, s->normed, (size_t)n * m->width);
}

/* SwiGLU: down x (silu(gate x y) * (up x y)). */
static void ffn_block(struct model_state *s, uint32_t n, uint32_t l)
{
    const struct model *m = s->model;
    const struct model_layer *layer = &m->layer[l];
    for (uint32_t r = 0; r < n; r++)
        norm(s, &layer->ffn_norm, s->x + (size_t)r * m->width, s->normed + (size_t)r * m->width);
    multiply(s, &layer->gate, s->normed, s->gate, n);
    multiply(s, &layer->up, s->normed, s->up, n);
    for (size_t i = 0; i < (size_t)n * m->ffn; i++)
        s->gate[i] = s->gate[i] / (1.0f + number_exp_float(-s->gate[i])) * s->up[i];
    multiply(s, &layer->down, s->gate, s->normed, n);
    add(s->x, s->normed, (size_t)n * m->width);
}

/* Weights may be anything, and so what becomes of them: no logit is left that is no number. */
static void finish(const struct model_state *s, float *logits)
{
    const float least = -1e30f, most = 1e30f;
    for (uint32_t i = 0; i < s->model->vocab.count; i++) {
        logits[i] = logits[i] > least ? logits[i] : least;
        logits[i] = logits[i] < most ? logits[i] : most;
    }
}

void model_step(struct model_state *s, const struct model_row *rows, uint32_t n)
{
    const struct model *m = s->model;
    for (uint32_t r = 0; r < n; r++) {
        float *x = s->x + (size_t)r * m->width;
        const float *row = tensor_row(&m->embedding, rows[r].token, s->rooms);
        memcpy(x, row, m->width * sizeof *x);
    }
    for (uint32_t l = 0; l < m->layers; l++) {
        attention_block(s, rows, n, l);
        ffn_block(s, n, l);
    }
    for (uint32_t r = 0; r < n; r++) {
        if (!rows[r].logits)
            continue;
        norm(s, &m->output_norm, s->x + (size_t)r * m->width, s->normed);
        multiply(s, &m->output, s->normed, rows[r].logits, 1);
        finish(s, rows[r].logits);
    }
}
