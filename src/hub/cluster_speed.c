/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/cluster_speed.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/kinds.h"
#include "core/stages.h"

#define SECOND_E3_PS \
    INT64_C(1000000000000000) /* thousandths of a token a second, and picoseconds of a token */

void cluster_way(const struct core *core, const struct uuid *site, struct cluster_worker *out)
{
    const struct row_site *own = view_site_own(core);
    const struct row_corridor *way = view_corridor_to(core, site);
    bool here = own && uuid_eq(&own->id, site);
    out->local_ps = CLUSTER_LOCAL_PS;
    out->guessed = !here && (!way || way->rtt == 0);
    out->way_ps = here ? 0 : out->guessed ? CLUSTER_GUESS_PS : (int64_t)way->rtt * 1000000;
}

/* ---- samples ---- */

static const struct row_replica *head_of(const struct core *core, const struct uuid *deployment)
{
    const struct row_replica *row;
    for (uint32_t pos = 0; (row = view_replica_at(core, &pos)) != NULL;) {
        if (row->role == REPLICA_HEAD && uuid_eq(&row->deployment, deployment))
            break;
    }
    return row;
}

bool cluster_sample_take(struct cluster_sample *out, const struct core *core, const struct row_cluster *row)
{
    const struct row_replica *head = row->parts > 0 ? head_of(core, &row->id) : NULL;
    const struct row_acceptance *found = head ? view_acceptance(core, head) : NULL;
    const struct row_variant *variant = head ? view_variant(core, &head->variant) : NULL;
    struct view_part part;
    /* Heads of one variant at one site share a row: it is this one's if it was checked last. */
    if (!found || !variant || head->accept != ACCEPT_PASSED || found->verdict != ACCEPT_PASSED ||
        found->one == 0 || found->at_ms != head->accepted_ms || head->accepted_ms < row->planned_ms)
        return false;
    memset(out, 0, sizeof *out);
    out->deployment = row->id;
    out->generation = row->generation;
    out->at_ms = found->at_ms;
    out->token_s_e3 = found->one;
    memcpy(out->digest, variant->digest, sizeof out->digest);
    for (; view_cluster_part(row, out->parts, &part); out->parts++) {
        const struct row_replica *worker = view_cluster_worker(core, row, &part);
        struct cluster_part *to = &out->part[out->parts];
        if (!worker)
            return false;
        to->layers = part.layers;
        to->worker.site = worker->site;
        memcpy(to->chip, worker->chip, sizeof to->chip);
        cluster_way(core, &worker->site, &to->worker);
    }
    return out->parts > 0;
}

static bool is_same(const struct cluster_sample *a, const struct cluster_sample *b)
{
    if (a->at_ms != b->at_ms || a->token_s_e3 != b->token_s_e3 || a->parts != b->parts)
        return false;
    for (uint32_t i = 0; i < a->parts; i++) {
        const struct cluster_worker *x = &a->part[i].worker, *y = &b->part[i].worker;
        if (x->way_ps != y->way_ps || x->guessed != y->guessed)
            return false;
    }
    return true; /* of one plan's generation, so members and layers are too */
}

void cluster_samples_add(struct cluster_samples *s, const struct cluster_sample *sample)
{
    uint32_t oldest = 0, i = 0;
    while (i < s->n && !(s->sample[i].generation == sample->generation &&
                         uuid_eq(&s->sample[i].deployment, &sample->deployment)))
        i++;
    if (i < s->n && is_same(&s->sample[i], sample))
        return;
    for (uint32_t k = 1; k < s->n; k++) {
        if (s->sample[k].at_ms < s->sample[oldest].at_ms)
            oldest = k;
    }
    if (i == CLUSTER_SAMPLES_MAX)
        i = oldest;
    s->n = i == s->n ? s->n + 1 : s->n;
    s->sample[i] = *sample;
    s->changes++;
}

/* ---- what a token is made of ---- */

static int64_t part_ps(const struct shape *s, const struct cluster_part *part, bool last)
{
    int128 ps =
        (int128)part->layers * cluster_time_ps(s->model.layer_bytes, s->model.layer_flop, &part->worker) +
        (last ? cluster_time_ps(s->model.head_bytes, s->model.head_flop, &part->worker) : 0);
    return ps < STAGE_PS_MAX ? (int64_t)ps : STAGE_PS_MAX;
}

/* The head is where the first part is. A plan of one part has no hop, as in core/stages.h. */
static int64_t hops_ps(const struct cluster_part *part, uint32_t parts)
{
    int128 ps = 0;
    for (uint32_t i = 0; parts > 1 && i < parts; i++)
        ps += cluster_hop_ps(&part[i].worker, &part[0].worker);
    return ps < STAGE_PS_MAX ? (int64_t)ps : STAGE_PS_MAX;
}

bool cluster_guesses(const struct cluster_part *part, uint32_t parts)
{
    bool any = false, away = false;
    for (uint32_t i = 0; i < parts; i++) {
        any = any || part[i].worker.guessed;
        away = away || !uuid_eq(&part[i].worker.site, &part[0].worker.site);
    }
    return any && away; /* at one site no way is taken */
}

uint64_t cluster_forecast(const struct shape *shape, const struct cluster_part *part, uint32_t parts)
{
    int128 ps = hops_ps(part, parts);
    for (uint32_t i = 0; i < parts; i++) {
        if (part[i].worker.byte_s == 0)
            return 0;
        ps += part_ps(shape, &part[i], i + 1 == parts);
    }
    return ps > 0 ? (uint64_t)(SECOND_E3_PS / ps) : 0;
}

/* ---- learning ---- */

/* INDEX_NONE: more kinds than are told apart. */
static uint32_t kind_of(struct cluster_factors *f, const char *chip)
{
    uint32_t i = 0;
    while (i < f->kinds && strcmp(f->chip[i], chip) != 0)
        i++;
    if (i == f->kinds && i < CALIBRATE_UNITS_MAX) {
        memcpy(f->chip[i], chip, CHIP_CAP);
        f->factor[f->kinds++] = CALIBRATE_ONE;
    }
    return i < CALIBRATE_UNITS_MAX ? i : UINT32_MAX;
}

static bool pose(struct cluster_factors *f, const struct cluster_sample *sample, const struct shape *shape,
                 cluster_believed *believed, const void *ctx, struct calibrate_row *row)
{
    int64_t measured = sample->token_s_e3 < (uint64_t)SECOND_E3_PS
                           ? SECOND_E3_PS / (int64_t)(sample->token_s_e3 ? sample->token_s_e3 : 1)
                           : 1;
    *row = (struct calibrate_row){.measured_ps = measured, .fixed_ps = hops_ps(sample->part, sample->parts)};
    for (uint32_t i = 0; i < sample->parts; i++) {
        struct cluster_part part = sample->part[i];
        part.worker.byte_s = part.worker.flop_s = 0;
        (void)believed(ctx, part.chip, &part.worker.byte_s, &part.worker.flop_s);
        uint32_t unit = kind_of(f, part.chip);
        if (unit == UINT32_MAX)
            return false;
        row->part[row->parts++] =
            (struct calibrate_part){.unit = unit, .ps = part_ps(shape, &part, i + 1 == sample->parts)};
    }
    return true;
}

/* How many times longer all of them took than was believed, on what they have in common: a small model on strong chips waits for other
 * things than memory, and takes a multiple of what is believed on each. What kinds differ in is told apart from there. */
static int64_t common(const struct calibrate_row *row, uint32_t rows)
{
    int128 measured = 0, expected = 0;
    for (uint32_t i = 0; i < rows; i++) {
        measured += row[i].measured_ps > row[i].fixed_ps ? row[i].measured_ps - row[i].fixed_ps : 0;
        for (uint32_t k = 0; k < row[i].parts; k++)
            expected += row[i].part[k].ps;
    }
    int128 v = expected > 0 ? measured * CALIBRATE_ONE / expected : CALIBRATE_ONE;
    return v < CALIBRATE_LEAST ? CALIBRATE_LEAST : v < CALIBRATE_MOST ? (int64_t)v : CALIBRATE_MOST;
}

static int factors_of(struct calibrate_row *row, struct cluster_factors *out)
{
    int64_t all = common(row, out->samples);
    for (uint32_t i = 0; i < out->samples; i++) {
        for (uint32_t k = 0; k < row[i].parts; k++) {
            int128 ps = (int128)row[i].part[k].ps * all / CALIBRATE_ONE;
            row[i].part[k].ps = ps < STAGE_PS_MAX ? (int64_t)ps : STAGE_PS_MAX;
        }
    }
    int rc = calibrate(row, out->samples, out->kinds, out->factor);
    for (uint32_t u = 0; rc == 0 && u < out->kinds; u++)
        out->factor[u] = (int64_t)((int128)out->factor[u] * all / CALIBRATE_ONE);
    return rc;
}

int cluster_learn(struct cluster_factors *out, const struct cluster_samples *samples,
                  const uint8_t digest[DIGEST_BYTES], const struct shape *shape, cluster_believed *believed,
                  const void *ctx)
{
    struct calibrate_row *row = calloc(CLUSTER_SAMPLES_MAX, sizeof *row);
    *out = (struct cluster_factors){.samples = 0};
    if (!row)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < samples->n; i++) {
        const struct cluster_sample *s = &samples->sample[i];
        if (memcmp(s->digest, digest, DIGEST_BYTES) == 0 && !cluster_guesses(s->part, s->parts) &&
            pose(out, s, shape, believed, ctx, &row[out->samples]))
            out->samples++;
    }
    if (factors_of(row, out) != 0)
        *out = (struct cluster_factors){.samples = 0};
    free(row);
    return 0;
}

static uint64_t slower(uint64_t believed, uint64_t unless, int64_t factor)
{
    int128 v = (int128)(believed ? believed : unless) * CALIBRATE_ONE / factor;
    return v < 1 ? 1 : v < INT64_MAX ? (uint64_t)v : INT64_MAX;
}

void cluster_correct(const struct cluster_factors *f, const char *chip, struct cluster_worker *w)
{
    for (uint32_t i = 0; f->samples > 0 && i < f->kinds; i++) {
        if (strcmp(f->chip[i], chip) != 0)
            continue;
        w->byte_s = slower(w->byte_s, CLUSTER_BYTE_S, f->factor[i]);
        w->flop_s = slower(w->flop_s, CLUSTER_FLOP_S, f->factor[i]);
    }
}
