/* SPDX-License-Identifier: Apache-2.0 */
#include "site/survey.h"

#include <stdlib.h>

#define TICK_MS 250
#define SOON_MS 500   /* while something is not known */
#define MOVED_MS 5000 /* while blobs move */

struct survey {
    struct loop *loop;
    struct link *link;
    struct gauge *gauge;
    uv_timer_t timer;
    uint64_t calls, told_ms;
    uint64_t told_pieces;
    bool told_rtt, told_rate; /* known by then */
    uint64_t sent_us;
    uint64_t probe; /* bytes that the hub asked for */
    bool warm;      /* the link is open: a call is one round trip */
    bool closed;
};

static uint64_t pieces(const struct survey *s)
{
    return s->gauge->pieces[GAUGE_HERE] + s->gauge->pieces[GAUGE_BACK];
}

static void on_told(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct survey *s = ctx;
    if (s->closed)
        return;
    if (err->code == 0 && s->warm)
        gauge_round(s->gauge, uv_hrtime() / 1000 - s->sent_us);
    s->warm = err->code == 0;
    const uint64_t probe = err->code == 0 ? yyjson_get_uint(yyjson_obj_get(answer, "probe")) : 0;
    s->probe = probe <= SURVEY_PROBE_MAX ? probe : SURVEY_PROBE_MAX;
}

static void tell(struct survey *s)
{
    struct buf body;
    buf_init(&body, 256);
    buf_addf(&body, "{\"rtt_us\":%u,\"there_bits_s\":%llu,\"back_bits_s\":%llu}", gauge_rtt_us(s->gauge),
             (unsigned long long)gauge_bits_s(s->gauge, GAUGE_HERE),
             (unsigned long long)gauge_bits_s(s->gauge, GAUGE_BACK));
    s->calls++;
    s->told_ms = uv_now(&s->loop->uv);
    s->told_pieces = pieces(s);
    s->told_rtt = gauge_rtt_us(s->gauge) > 0;
    s->told_rate = pieces(s) > 0;
    s->sent_us = uv_hrtime() / 1000;
    link_post(s->link, "/site/v1/path", &body, on_told, s);
    buf_fini(&body);
}

static void on_probed(void *ctx, const struct err *err, const char *data, size_t len)
{
    (void)ctx;
    (void)err;
    (void)data;
    (void)len; /* the gauge has seen it come */
}

static void probe(struct survey *s)
{
    struct buf body;
    buf_init(&body, 64);
    buf_addf(&body, "{\"bytes\":%llu}", (unsigned long long)s->probe);
    s->probe = 0;
    link_fetch(s->link, "/site/v1/probe", &body, on_probed, s);
    buf_fini(&body);
}

/* How long after one call the next one is due. */
static uint64_t pause_ms(const struct survey *s)
{
    const bool rated = gauge_bits_s(s->gauge, GAUGE_HERE) > 0 || gauge_bits_s(s->gauge, GAUGE_BACK) > 0;
    const bool moved = pieces(s) != s->told_pieces;
    if (!s->told_rtt || (rated && !s->told_rate))
        return SOON_MS;
    return moved ? MOVED_MS : SURVEY_MS;
}

static void on_tick(uv_timer_t *timer)
{
    struct survey *s = timer->data;
    if (link_busy(s->link))
        return;
    if (s->probe > 0)
        probe(s);
    else if (s->calls == 0 || uv_now(&s->loop->uv) - s->told_ms >= pause_ms(s))
        tell(s);
}

int survey_new(struct survey **out, struct loop *loop, const char *hub, struct tls_context *tls,
               struct gauge *gauge, struct err *err)
{
    struct survey *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    s->loop = loop;
    s->gauge = gauge;
    int rc = link_open(&s->link, loop, hub, tls, err);
    if (rc != 0) {
        free(s);
        return rc;
    }
    link_watch(s->link, gauge);
    uv_timer_init(&loop->uv, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_tick, 0, TICK_MS);
    *out = s;
    return 0;
}

void survey_close(struct survey *s)
{
    s->closed = true;
    uv_close((uv_handle_t *)&s->timer, NULL);
    link_close(s->link);
}

void survey_free(struct survey *s)
{
    free(s);
}
