/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/requests.h"

#include <stdlib.h>

#include "base/rng.h"
#include "sim/csv.h"
#include "sim/ends.h"

#define SPREAD_MS 60000
#define BIN_MS_GUESS 600000 /* of a series with one bin */
/* What an event of a Poisson process is in the integers below. */
#define EVENT INT64_C(1000000000000)
#define LN2_OF_EVENT INT64_C(693147180560)

/* A copy of a trace, or a place of origin of a process. */
struct cursor {
    uint32_t next;    /* request of the trace */
    int64_t shift_ms; /* of a copy; of a place: where in the series it begins */
    uint32_t keep;    /* of a copy: thousandths of its requests */
    uint32_t bin;     /* of the series */
    int64_t left_ms;  /* of that bin */
    int64_t ahead;    /* until the next event */
    int64_t now_ms;
};

struct requests {
    const struct requests_file *file;
    struct requests_options options;
    struct rng rng;
    struct cursor *cursor;
    uint32_t ncursors;
    struct ends next; /* `job`: a cursor, at the time of its next request */
    uint64_t *rate;   /* of the model, requests in a million seconds; each for bin_ms */
    uint32_t nbins;
    int64_t bin_ms;
    bool failed;
};

/* ---- files ---- */

static int kind_of(const char *path, bool *rates, struct err *err)
{
    static const struct csv_column columns[] = {{"arrival_ms", .optional = true}, {"rate", .optional = true}};
    struct csv *csv;
    struct csv_field field[CSV_COLUMNS_MAX];
    int rc = csv_open(&csv, path, err);
    if (rc != 0)
        return rc;
    *rates = csv_header(csv, columns, 2, 0) && csv_next(csv, field) && !field[0].at && field[1].at;
    char *complaints;
    rc = csv_close(csv, &complaints, err);
    free(complaints);
    return rc;
}

int requests_read(struct requests_file *file, const char *path, struct err *err)
{
    *file = (struct requests_file){0};
    int rc = kind_of(path, &file->rates, err);
    if (rc == 0)
        rc = file->rates ? trace_read_rates(&file->rate, path, err)
                         : trace_read_requests(&file->single, path, err);
    if (rc != 0)
        requests_file_free(file);
    return rc;
}

void requests_file_free(struct requests_file *file)
{
    trace_requests_free(&file->single);
    trace_rates_free(&file->rate);
    *file = (struct requests_file){0};
}

/* ---- draws ---- */

/* The logarithm to base 2 in 1/65536, by squaring: each square gives a bit. */
static int64_t log2_of(uint64_t v)
{
    int whole = 63 - __builtin_clzll(v);
    uint64_t x = whole > 31 ? v >> (whole - 31) : v << (31 - whole);
    int64_t log = whole;
    for (int i = 0; i < 16; i++) {
        x = x * x >> 31;
        log = log << 1 | (int64_t)(x >> 32);
        x >>= x >> 32;
    }
    return log;
}

/* Exponential with mean EVENT. */
static int64_t draw(struct rng *rng)
{
    return ((INT64_C(64) << 16) - log2_of(rng_next(rng) | 1)) * (LN2_OF_EVENT >> 16);
}

static uint32_t draw_tokens(struct rng *rng, uint32_t mean)
{
    int64_t tokens = draw(rng) / (EVENT / 1000000) * mean / 1000000;
    return tokens > 0 ? tokens < TRACE_TOKENS_MAX ? (uint32_t)tokens : TRACE_TOKENS_MAX : 1;
}

/* ---- single requests ---- */

static bool arm(struct requests *r, uint32_t i, int64_t at_ms)
{
    if (ends_put(&r->next, at_ms, i, 0))
        return true;
    r->failed = true;
    return false;
}

/* The cursor's next request that is in the window and kept, from cursor->next on. */
static void arm_single(struct requests *r, uint32_t i)
{
    struct cursor *c = &r->cursor[i];
    const struct requests_options *o = &r->options;
    const struct trace_requests *t = &r->file->single;
    for (; c->next < t->n; c->next++) {
        int64_t at = t->request[c->next].arrival_ms - o->from_ms;
        if (at < 0 || (o->length_ms > 0 && at >= o->length_ms) ||
            (c->keep < 1000 && rng_below(&r->rng, 1000) >= c->keep))
            continue;
        (void)arm(r, i, at + c->shift_ms);
        return;
    }
}

static int by_arrival(const void *a, const void *b)
{
    const struct trace_request *x = a, *y = b;
    return (x->arrival_ms > y->arrival_ms) - (x->arrival_ms < y->arrival_ms);
}

static void open_single(struct requests *r)
{
    uint64_t scale = r->options.scale;
    const struct trace_requests *t = &r->file->single;
    for (uint32_t i = 1; i < t->n; i++) {
        if (by_arrival(&t->request[i - 1], &t->request[i]) > 0) {
            qsort(t->request, t->n, sizeof *t->request, by_arrival);
            break;
        }
    }
    for (uint32_t i = 0; i < r->ncursors; i++) {
        r->cursor[i] = (struct cursor){.shift_ms = (int64_t)SPREAD_MS * i / r->ncursors,
                                       .keep = scale >= 1000 ? 1000 : (uint32_t)scale};
        scale -= r->cursor[i].keep;
        arm_single(r, i);
    }
}

static void next_single(struct requests *r, uint32_t i, struct request *out)
{
    const struct trace_request *t = &r->file->single.request[r->cursor[i].next++];
    out->in_tokens = t->in_tokens > 0 ? t->in_tokens : 1;
    out->out_tokens = t->out_tokens > 0 ? t->out_tokens : 1;
    out->origin = r->options.origins > 1 ? (uint32_t)rng_below(&r->rng, r->options.origins) : 0;
    arm_single(r, i);
}

/* ---- rates ---- */

static int64_t window_ms(const struct requests *r)
{
    int64_t all = r->nbins * r->bin_ms - r->options.from_ms;
    return r->options.length_ms > 0 && r->options.length_ms < all ? r->options.length_ms : all;
}

/* The place's next request, if it is in the window. */
static void arm_rate(struct requests *r, uint32_t i)
{
    struct cursor *c = &r->cursor[i];
    int64_t end = window_ms(r);
    c->ahead += draw(&r->rng);
    while (c->ahead > 0 && c->now_ms < end) {
        /* rate / 10^9 in a ms, times scale / 10^3, in EVENTs */
        int64_t each = (int64_t)(r->rate[c->bin] * r->options.scale / r->options.origins);
        int64_t steps = each > 0 ? (c->ahead + each - 1) / each : c->left_ms;
        steps = steps < c->left_ms ? steps : c->left_ms;
        c->ahead -= steps * each;
        c->now_ms += steps;
        c->left_ms -= steps;
        if (c->left_ms == 0) {
            c->bin = (c->bin + 1) % r->nbins;
            c->left_ms = r->bin_ms;
        }
    }
    if (c->now_ms < end)
        (void)arm(r, i, c->now_ms);
}

/* The model's series on a grid of bins; a bin that the trace does not have is as the one before. */
static int open_series(struct requests *r, struct err *err)
{
    const struct trace_rates *t = &r->file->rate;
    int64_t last = -1, first = -1;
    r->bin_ms = INT64_MAX;
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->rate[i].model != r->options.model)
            continue;
        if (last >= 0 && t->rate[i].from_ms - last < r->bin_ms)
            r->bin_ms = t->rate[i].from_ms - last;
        first = first < 0 ? t->rate[i].from_ms : first;
        last = t->rate[i].from_ms;
    }
    if (last < 0)
        return err_set(err, ERR_INVALID, "the trace has no rates of the model");
    if (r->bin_ms == INT64_MAX)
        r->bin_ms = BIN_MS_GUESS;
    int64_t nbins = (last - first) / r->bin_ms + 1;
    r->nbins = nbins <= TRACE_ROWS_MAX ? (uint32_t)nbins : 0;
    r->rate = r->nbins > 0 ? calloc(r->nbins, sizeof *r->rate) : NULL;
    if (!r->rate)
        return err_set(err, r->nbins > 0 ? ERR_NO_MEMORY : ERR_LIMIT, "the series is too long");
    uint32_t bin = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->rate[i].model != r->options.model)
            continue;
        uint32_t at = (uint32_t)((t->rate[i].from_ms - first) / r->bin_ms);
        for (; bin < at; bin++)
            r->rate[bin] = bin > 0 ? r->rate[bin - 1] : 0;
        r->rate[at] = t->rate[i].rate_micro;
        bin = at + 1;
    }
    return 0;
}

static int open_rates(struct requests *r, struct err *err)
{
    int rc = open_series(r, err);
    if (rc != 0)
        return rc;
    if (r->options.from_ms >= r->nbins * r->bin_ms)
        return err_set(err, ERR_INVALID, "the window begins after the end of the trace");
    for (uint32_t i = 0; i < r->nbins; i++) {
        if (r->options.scale > 0 && r->rate[i] > (uint64_t)INT64_MAX / 1000 / r->options.scale)
            return err_set(err, ERR_LIMIT, "the rate is too large");
    }
    for (uint32_t i = 0; i < r->ncursors; i++) {
        int64_t period = r->nbins * r->bin_ms;
        int64_t zone = r->options.zone_ms ? r->options.zone_ms[i] : 0;
        int64_t at = ((r->options.from_ms + zone) % period + period) % period;
        r->cursor[i] =
            (struct cursor){.bin = (uint32_t)(at / r->bin_ms), .left_ms = r->bin_ms - at % r->bin_ms};
        arm_rate(r, i);
    }
    return 0;
}

static void next_rate(struct requests *r, uint32_t i, struct request *out)
{
    out->in_tokens = draw_tokens(&r->rng, r->options.in_mean);
    out->out_tokens = draw_tokens(&r->rng, r->options.out_mean);
    out->origin = i;
    arm_rate(r, i);
}

/* ---- streams ---- */

int requests_open(struct requests **out, const struct requests_file *file,
                  const struct requests_options *options, struct err *err)
{
    struct requests *r = calloc(1, sizeof *r);
    *out = r;
    if (!r)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    r->file = file;
    r->options = *options;
    rng_init(&r->rng, options->seed);
    uint64_t n = file->rates ? options->origins : (options->scale + 999) / 1000;
    if (n == 0 || n > REQUESTS_COPIES_MAX)
        return err_set(err, ERR_LIMIT, "a scale of 0.001 to %u is possible", REQUESTS_COPIES_MAX);
    r->ncursors = (uint32_t)n;
    r->cursor = calloc(n, sizeof *r->cursor);
    if (!r->cursor)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int rc = 0;
    if (file->rates)
        rc = open_rates(r, err);
    else
        open_single(r);
    if (rc == 0 && r->failed)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0 && r->next.n == 0)
        rc = err_set(err, ERR_INVALID, "no requests in the window");
    return rc;
}

void requests_free(struct requests *r)
{
    if (!r)
        return;
    ends_fini(&r->next);
    free(r->cursor);
    free(r->rate);
    free(r);
}

bool requests_next(struct requests *r, struct request *out)
{
    if (r->next.n == 0 || r->failed)
        return false;
    struct end at = ends_take(&r->next);
    *out = (struct request){.arrival_ms = at.at_ms};
    if (r->file->rates)
        next_rate(r, at.job, out);
    else
        next_single(r, at.job, out);
    return true;
}

bool requests_failed(const struct requests *r)
{
    return r->failed;
}
