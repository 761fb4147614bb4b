/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "core/view.h"
#include "hub/api.h"
#include "hub/desk.h"
#include "site/survey.h"

struct told {
    struct event_corridor_measure figures;
    bool known; /* there is a corridor */
    struct row_corridor row;
    struct uuid own; /* zero: the hub has no site of its own yet */
    uint64_t models;
    struct event event[2];
    uint32_t nevents, replies;
    int rc;
};

/* ---- what is news ---- */

static bool differs(uint64_t now, uint64_t before, uint64_t part)
{
    const uint64_t more = now > before ? now - before : before - now;
    return now > 0 && more > before / part;
}

bool measure_news(const struct row_corridor *row, const struct event_corridor_measure *told, int64_t now_ms,
                  struct event_corridor_measure *out)
{
    const bool soon = row->measured_ms > 0 && now_ms - row->measured_ms < MEASURE_AGAIN_MS;
    const uint32_t rtt = row->measured_rtt, more = told->rtt > rtt ? told->rtt - rtt : rtt - told->rtt;
    *out = (struct event_corridor_measure){.corridor = row->id};
    if (differs(told->there_bits_s, row->there_bits_s, MEASURE_RATE_PART) &&
        (!soon || row->there_bits_s == 0))
        out->there_bits_s = told->there_bits_s;
    if (differs(told->back_bits_s, row->back_bits_s, MEASURE_RATE_PART) && (!soon || row->back_bits_s == 0))
        out->back_bits_s = told->back_bits_s;
    if (rtt == 0 || (!soon && differs(told->rtt, rtt, MEASURE_RTT_PART) && more >= MEASURE_RTT_US))
        out->rtt = told->rtt;
    return out->there_bits_s > 0 || out->back_bits_s > 0 || out->rtt > 0;
}

/* ---- what a site tells ---- */

static void look(struct visit *visit, const struct core *core)
{
    struct told *t = visit->data;
    const struct row_corridor *row = view_corridor_to(core, &visit->site);
    const struct row_site *own = view_site_own(core);
    t->known = row != NULL;
    if (row)
        t->row = *row;
    if (own)
        t->own = own->id;
}

/* The same for the same two sites, so that it is made once, whoever asks when. */
static struct uuid corridor_id(const struct uuid *a, const struct uuid *b)
{
    static const char words[] = "busbar/corridor";
    char text[sizeof words + 2 * sizeof a->b];
    uint8_t digest[DIGEST_LEN];
    struct uuid id;
    memcpy(text, words, sizeof words);
    memcpy(text + sizeof words, a->b, sizeof a->b);
    memcpy(text + sizeof words + sizeof a->b, b->b, sizeof b->b);
    digest_sha256(digest, text, sizeof text);
    memcpy(id.b, digest, sizeof id.b);
    id.b[6] = 0x80 | (id.b[6] & 0x0f); /* version 8 (RFC 9562, 5.8) */
    id.b[8] = 0x80 | (id.b[8] & 0x3f);
    return id;
}

static void make(struct told *t, const struct uuid *site)
{
    struct event *event = &t->event[t->nevents++];
    event->kind = EVENT_KIND_corridor_add;
    event->u.corridor_add = (struct event_corridor_add){.corridor = corridor_id(&t->own, site),
                                                        .a = t->own,
                                                        .b = *site,
                                                        .bits_s = MEASURE_ASSUMED_BITS_S,
                                                        .flags = CORRIDOR_ASSUMED};
    t->row = (struct row_corridor){.id = event->u.corridor_add.corridor};
}

/* Of a corridor that somebody named the other way round. */
static void turn(struct event_corridor_measure *figures)
{
    const uint64_t there = figures->there_bits_s;
    figures->there_bits_s = figures->back_bits_s;
    figures->back_bits_s = there;
}

static void judge(struct visit *visit)
{
    struct told *t = visit->data;
    struct desk *desk = visit_desk(visit);
    struct event_corridor_measure news;
    if (!t->known)
        make(t, &visit->site);
    else if (uuid_eq(&t->row.a, &visit->site))
        turn(&t->figures);
    t->models = desk_models(desk, &visit->site);
    const bool any = measure_news(&t->row, &t->figures, runtime_now_ms(desk_config(desk)->runtime), &news);
    news.models = t->models;
    if (any || t->models > 0)
        t->event[t->nevents++] =
            (struct event){.kind = EVENT_KIND_corridor_measure, .u.corridor_measure = news};
}

static void finish(struct visit *visit)
{
    const struct told *t = visit->data;
    const bool rated = t->row.there_bits_s > 0 || t->row.back_bits_s > 0 || t->figures.there_bits_s > 0 ||
                       t->figures.back_bits_s > 0;
    struct buf out;
    if (t->rc != 0 && t->rc != ERR_EXISTS) {
        hub_refuse(visit->request, t->rc, "");
        visit->request = NULL;
        return;
    }
    visit_begin(visit, &out);
    buf_addf(&out, ",\"probe\":%zu", rated ? (size_t)0 : SURVEY_PROBE_MAX);
    visit_end(visit, &out);
}

static void on_reply(void *ctx, const struct effect *reply)
{
    struct visit *visit = ctx;
    struct told *t = visit->data;
    t->rc = t->rc ? t->rc : reply->code;
    if (++t->replies < t->nevents)
        return;
    if (t->rc == 0)
        desk_models_told(visit_desk(visit), &visit->site, t->models);
    if (visit->request)
        finish(visit);
    visit_free(visit);
}

/* The site's round trips are those of calls that change nothing: what is to be recorded is not waited for. */
static void answer(struct visit *visit)
{
    struct told *t = visit->data;
    const struct desk_config *config = desk_config(visit_desk(visit));
    if (!uuid_zero(&t->own))
        judge(visit);
    if (t->nevents == 0) {
        finish(visit);
        return;
    }
    for (uint32_t i = 0; i < t->nevents; i++) {
        t->event[i].token = mailbox_token(config->box);
        asks_add(config->asks, t->event[i].token, on_reply, visit);
    }
    visit->kept = true;
    if (runtime_post_all(config->runtime, t->event, t->nevents) == 0)
        return;
    for (uint32_t i = 0; i < t->nevents; i++)
        asks_forget(config->asks, t->event[i].token);
    visit->kept = false;
    hub_refuse(visit->request, ERR_UNAVAILABLE, "");
    visit->request = NULL;
}

static bool take(yyjson_val *root, const char *name, uint64_t max, uint64_t *out)
{
    yyjson_val *v = yyjson_obj_get(root, name);
    *out = yyjson_get_uint(v);
    return yyjson_is_uint(v) && *out <= max;
}

int desk_take_path(struct visit *visit, yyjson_val *root, struct err *err)
{
    struct told *t = calloc(1, sizeof *t);
    uint64_t rtt;
    if (!t)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = t;
    visit->drop = free;
    visit->look = look;
    visit->answer = answer;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!take(root, "rtt_us", CORRIDOR_RTT_MAX, &rtt) ||
        !take(root, "there_bits_s", CORRIDOR_BITS_MAX, &t->figures.there_bits_s) ||
        !take(root, "back_bits_s", CORRIDOR_BITS_MAX, &t->figures.back_bits_s))
        return err_set(err, ERR_INVALID,
                       "rtt_us, there_bits_s and back_bits_s must be whole numbers; 0: not known");
    t->figures.rtt = (uint32_t)rtt;
    visit_ask(visit);
    return 0;
}

/* ---- a probe ---- */

static void answer_probe(struct visit *visit)
{
    const size_t bytes = *(const size_t *)visit->data;
    char *zeros = calloc(1, bytes + 1);
    if (zeros)
        http_respond(visit->request, 200, "application/octet-stream", "", zeros, bytes);
    else
        hub_refuse(visit->request, ERR_NO_MEMORY, "");
    visit->request = NULL;
    free(zeros);
}

int desk_take_probe(struct visit *visit, yyjson_val *root, struct err *err)
{
    size_t *bytes = calloc(1, sizeof *bytes);
    uint64_t n;
    if (!bytes)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    visit->data = bytes;
    visit->drop = free;
    visit->answer = answer_probe;
    if (!visit_know(visit, err))
        return ERR_FORBIDDEN;
    if (!take(root, "bytes", SURVEY_PROBE_MAX, &n))
        return err_set(err, ERR_INVALID, "bytes: a whole number of at most %zu", SURVEY_PROBE_MAX);
    *bytes = (size_t)n;
    visit_ask(visit);
    return 0;
}
