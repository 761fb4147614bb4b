/* SPDX-License-Identifier: Apache-2.0 */
#include "site/holdings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"

#define TICK_MS 500

struct holdings {
    struct loop *loop;
    struct cache *cache;
    struct outbox *outbox;
    uv_timer_t timer;
    uv_work_t work;
    bool looking, telling, ending, known; /* the hub has `told` */
    uint64_t changes, next_ms;
    struct buf now, told;
    /* of the thread */
    struct blob_info largest[HOLDINGS_MAX];
    uint32_t n, looks;
    struct timespec changed;
    struct err err;
};

/* ---- what there is ---- */

static bool before(const struct blob_info *a, const struct blob_info *b)
{
    return a->size != b->size ? a->size > b->size : strcmp(a->name, b->name) < 0;
}

static void take(void *ctx, const struct blob_info *info)
{
    struct holdings *h = ctx;
    if (h->n == HOLDINGS_MAX && !before(info, &h->largest[HOLDINGS_MAX - 1]))
        return;
    uint32_t i = h->n < HOLDINGS_MAX ? h->n++ : HOLDINGS_MAX - 1;
    for (; i > 0 && before(info, &h->largest[i - 1]); i--)
        h->largest[i] = h->largest[i - 1];
    h->largest[i] = *info;
}

static void on_look(uv_work_t *work)
{
    struct holdings *h = work->data;
    struct stat st = {0};
    (void)stat(cache_dir(h->cache), &st); /* no folder, no blobs */
    if (h->looks++ % HOLDINGS_WHOLE != 0 && st.st_mtim.tv_sec == h->changed.tv_sec &&
        st.st_mtim.tv_nsec == h->changed.tv_nsec)
        return;
    h->changed = st.st_mtim;
    h->n = 0;
    h->err = (struct err){0};
    (void)blob_each(cache_dir(h->cache), take, h, &h->err);
}

/* ---- and is told ---- */

static void on_told(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct holdings *h = ctx;
    (void)answer;
    h->telling = false;
    h->known =
        err->code == 0 || !err_retryable(err->code); /* a hub that will not have it is told no more of it */
    if (err->code != 0 && h->known)
        log_error("cached", "error=\"%s\"", err->msg);
}

static void tell(struct holdings *h)
{
    buf_clear(&h->told);
    buf_add(&h->told, h->now.data, h->now.len);
    h->telling = outbox_call(h->outbox, HOLDINGS_PATH, &h->told, on_told, h);
    h->known = false;
}

static void after_look(uv_work_t *work, int status)
{
    struct holdings *h = work->data;
    (void)status;
    h->looking = false;
    if (h->ending || h->err.code != 0) {
        if (h->err.code != 0)
            log_warn("cached", "error=\"%s\"", h->err.msg);
        return;
    }
    buf_clear(&h->now);
    buf_add_text(&h->now, "{\"cached\":[");
    for (uint32_t i = 0; i < h->n; i++)
        buf_addf(&h->now, "%s{\"sha256\":\"%s\",\"size\":%llu}", i ? "," : "", h->largest[i].name,
                 (unsigned long long)h->largest[i].size);
    buf_add_text(&h->now, "]}");
}

static bool is_news(const struct holdings *h)
{
    return h->now.len > 0 && !(h->known && text_eq(h->told.data, h->told.len, h->now.data, h->now.len));
}

static void on_tick(uv_timer_t *timer)
{
    struct holdings *h = timer->data;
    uint64_t now_ms = uv_now(&h->loop->uv), changes = cache_changes(h->cache);
    if (h->looking || h->telling)
        return;
    if (now_ms >= h->next_ms || changes != h->changes) {
        h->next_ms = now_ms + HOLDINGS_MS;
        h->changes = changes;
        h->looking = uv_queue_work(&h->loop->uv, &h->work, on_look, after_look) == 0;
    } else if (is_news(h)) {
        tell(h);
    }
}

/* ---- the whole ---- */

int holdings_new(struct holdings **out, struct loop *loop, struct cache *cache, struct outbox *outbox,
                 struct err *err)
{
    struct holdings *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    h->loop = loop;
    h->cache = cache;
    h->outbox = outbox;
    h->work.data = h->timer.data = h;
    buf_init(&h->now, LINK_BODY_MAX);
    buf_init(&h->told, LINK_BODY_MAX);
    uv_timer_init(&loop->uv, &h->timer);
    uv_timer_start(&h->timer, on_tick, TICK_MS, TICK_MS);
    *out = h;
    return 0;
}

void holdings_forgotten(struct holdings *h)
{
    h->known = false;
}

void holdings_close(struct holdings *h)
{
    h->ending = true;
    uv_close((uv_handle_t *)&h->timer, NULL);
}

void holdings_free(struct holdings *h)
{
    if (!h)
        return;
    buf_fini(&h->now);
    buf_fini(&h->told);
    free(h);
}
