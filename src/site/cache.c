/* SPDX-License-Identifier: Apache-2.0 */
#include "site/cache.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"

#define RETRY_MS 1000
#define TICK_MS 200
#define DIGEST_TRIES 3
#define PART_KEEP_S 86400 /* what has come of a blob is kept that long while nobody fetches on */

enum fetch_state {
    FETCH_LOOK,   /* what there is here is to be looked at */
    FETCH_FILES,  /* a thread looks, or writes */
    FETCH_WAITS,  /* for a link, or for its next try */
    FETCH_LINK,   /* a piece is on its way */
    FETCH_DONE,   /* it is here */
    FETCH_FAILED, /* on this disk: `err` */
};

struct fetch {
    struct list node;
    struct cache *cache;
    char name[BLOB_NAME_LEN + 1];
    uint64_t size, have;
    enum fetch_state state;
    struct list wants;
    struct link *link;        /* while a piece is on its way */
    struct cache_want *asker; /* whose reason that call had; NULL: it has gone */
    uint64_t next_ms;
    uint32_t digests; /* that did not match */
    /* of the thread */
    uv_work_t work;
    struct buf piece; /* empty: only a look */
    bool whole;
    struct err err;
    char (*kept)[BLOB_NAME_LEN + 1]; /* names in use, as the thread began */
    uint32_t nkept;
};

struct cache_want {
    struct list node;
    struct fetch *fetch;
    char reason[CACHE_REASON_MAX];
    cache_fn *fn;
    void *ctx;
    struct cache_pace *pace; /* NULL: none */
    uint64_t fetched;
    bool told;
};

struct cache {
    struct cache_config config;
    struct list fetches;
    struct link *links[CACHE_LINKS];
    uv_timer_t timer;
    uint64_t changes;
    bool closed;
    char (*recalled)[BLOB_NAME_LEN + 1]; /* that are still to go */
    uint32_t nrecalled;
};

static void pump(struct cache *cache);

static uint64_t now_ms(const struct cache *cache)
{
    return uv_now(&cache->config.loop->uv);
}

/* ---- who wants it ---- */

static void fetch_free(struct fetch *f)
{
    list_remove(&f->node);
    buf_fini(&f->piece);
    free(f->kept);
    free(f);
}

/* Nobody wants it, and nothing of it is under way. */
static bool is_idle(const struct fetch *f)
{
    return !list_first(&f->wants) && f->state != FETCH_FILES && f->state != FETCH_LINK;
}

static struct cache_want *first_waiting(struct fetch *f)
{
    list_for_each_safe (it, next, &f->wants) {
        struct cache_want *want = list_entry(it, struct cache_want, node);
        if (!want->told)
            return want;
    }
    return NULL;
}

/* The first whose pace lets it ask now. */
static struct cache_want *first_due(struct fetch *f)
{
    list_for_each_safe (it, next, &f->wants) {
        struct cache_want *want = list_entry(it, struct cache_want, node);
        if (!want->told &&
            (!want->pace || want->pace->bits_s == 0 || now_ms(f->cache) >= want->pace->next_ms))
            return want;
    }
    return NULL;
}

/* The piece that is asked for uses its part of the pace, from when it was due. */
static void use_pace(const struct fetch *f, struct cache_pace *pace)
{
    const uint64_t left = f->size - f->have, bytes = left < BLOB_PIECE_MAX ? left : BLOB_PIECE_MAX;
    const uint64_t now = now_ms(f->cache);
    if (pace && pace->bits_s > 0)
        pace->next_ms = (pace->next_ms > now ? pace->next_ms : now) + bytes * 8000 / pace->bits_s;
}

/* A function may drop any want, and want more. */
static void tell(struct cache_want *want, const struct err *err, const char *path)
{
    want->told = true;
    want->fn(want->ctx, err, path);
}

static void tell_all(struct fetch *f, const struct err *err)
{
    struct cache_want *want;
    char path[FS_PATH_MAX];
    bool fits = blob_path(path, f->cache->config.dir, f->name);
    assert(fits);
    while ((want = first_waiting(f)) != NULL)
        tell(want, err, err->code == 0 ? path : NULL);
}

/* ---- files ---- */

static bool is_kept(void *ctx, const char *name)
{
    const struct fetch *f = ctx;
    for (uint32_t i = 0; i < f->nkept; i++) {
        if (strcmp(f->kept[i], name) == 0)
            return true;
    }
    return false;
}

static void on_files(uv_work_t *work)
{
    struct fetch *f = list_entry(work, struct fetch, work);
    const char *dir = f->cache->config.dir;
    const uint64_t max = f->cache->config.max;
    uint64_t left;
    int rc = blob_look(dir, f->name, &f->have, &f->whole, &f->err);
    if (rc == 0 && f->whole && f->have != f->size)
        rc = err_set(&f->err, ERR_INVALID, "%s has %llu bytes, not %llu", f->name,
                     (unsigned long long)f->have, (unsigned long long)f->size);
    /* One that is here already makes others go too: jobs put their checkpoints here past the cache (engine/data.h). */
    const uint64_t more = f->whole ? 0 : f->size;
    if (rc == 0 && f->piece.len == 0)
        rc = blob_evict(dir, max > more ? max - more : 0, is_kept, f, &left, &f->err);
    if (rc != 0 || f->whole)
        return;
    const struct blob_piece piece = {f->name, f->size, f->have, f->piece.data, f->piece.len};
    if (rc == 0)
        (void)blob_put(dir, &piece, &f->have, &f->whole, &f->err);
}

/* Names that are in use now; the thread does not look at our lists. */
static void note_kept(struct fetch *f)
{
    uint32_t n = 0;
    list_for_each_safe (it, next, &f->cache->fetches)
        n++;
    free(f->kept);
    f->kept = calloc(n + 1, sizeof *f->kept);
    f->nkept = 0;
    if (!f->kept)
        abort(); /* a few bytes for each blob in use */
    list_for_each_safe (it, next, &f->cache->fetches)
        memcpy(f->kept[f->nkept++], list_entry(it, struct fetch, node)->name, sizeof f->kept[0]);
}

static void after_files(uv_work_t *work, int status)
{
    struct fetch *f = list_entry(work, struct fetch, work);
    struct cache *cache = f->cache;
    (void)status;
    buf_clear(&f->piece);
    f->state = f->whole && f->err.code == 0 ? FETCH_DONE : FETCH_WAITS;
    f->next_ms = 0;
    if (f->err.code == ERR_DIGEST && ++f->digests < DIGEST_TRIES) {
        log_warn("blob", "name=%s error=\"%s\"", f->name, f->err.msg);
        f->next_ms = now_ms(cache) + RETRY_MS;
    } else if (f->err.code == ERR_UNAVAILABLE) {
        f->state = FETCH_LOOK; /* somebody else writes it: what there is then is looked at */
        f->next_ms = now_ms(cache) + RETRY_MS;
    } else if (f->err.code != 0) {
        f->state = FETCH_FAILED;
    }
    cache->changes += f->state == FETCH_DONE;
    if (cache->closed)
        return;
    if (f->state == FETCH_DONE || f->state == FETCH_FAILED)
        tell_all(f, &f->err);
    if (is_idle(f))
        fetch_free(f);
    pump(cache);
}

static void look(struct fetch *f)
{
    note_kept(f);
    f->state = FETCH_FILES;
    f->err = (struct err){0};
    int rc = uv_queue_work(&f->cache->config.loop->uv, &f->work, on_files, after_files);
    assert(rc == 0);
    (void)rc;
}

/* ---- pieces ---- */

static void refuse(struct fetch *f, const struct err *err)
{
    struct cache_want *want = f->asker;
    if (want)
        tell(want, err, NULL);
}

static void on_piece(void *ctx, const struct err *err, const char *data, size_t len)
{
    struct fetch *f = ctx;
    struct cache *cache = f->cache;
    bool away = err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT || err->code == ERR_UPSTREAM ||
                err->code == ERR_CORRIDOR;
    f->link = NULL;
    f->state = FETCH_WAITS;
    if (cache->config.heard)
        cache->config.heard(cache->config.ctx, err);
    if (cache->closed)
        return;
    if (err->code == 0 && len > 0 && len <= f->size - f->have) {
        buf_add(&f->piece, data, len);
        if (f->asker && f->asker->fetched < f->size)
            f->asker->fetched += len < f->size - f->asker->fetched ? len : f->size - f->asker->fetched;
        look(f);
    } else if (away || err->code == 0) {
        f->next_ms = now_ms(cache) + RETRY_MS; /* the hub is away, or has less than it should have */
    } else {
        refuse(f, err);
    }
    f->asker = NULL;
    if (is_idle(f))
        fetch_free(f);
    pump(cache);
}

static void ask(struct fetch *f, struct link *link, struct cache_want *want)
{
    struct buf body;
    buf_init(&body, 1024);
    buf_addf(&body, "{\"sha256\":\"%s\",\"offset\":%llu%s%s}", f->name, (unsigned long long)f->have,
             want->reason[0] ? "," : "", want->reason);
    use_pace(f, want->pace);
    f->asker = want;
    f->link = link;
    f->state = FETCH_LINK;
    link_fetch(link, "/site/v1/blob", &body, on_piece, f);
    buf_fini(&body);
}

static struct link *free_link(struct cache *cache)
{
    for (int i = 0; i < CACHE_LINKS; i++) {
        if (!link_busy(cache->links[i]))
            return cache->links[i];
    }
    return NULL;
}

static void pump(struct cache *cache)
{
    struct link *link;
    list_for_each_safe (it, next, &cache->fetches) {
        struct fetch *f = list_entry(it, struct fetch, node);
        struct cache_want *want = first_due(f);
        if (f->state == FETCH_LOOK && now_ms(cache) >= f->next_ms)
            look(f);
        else if (f->state == FETCH_WAITS && want && now_ms(cache) >= f->next_ms &&
                 (link = free_link(cache)) != NULL)
            ask(f, link, want);
    }
}

/* ---- recalls ---- */

static bool is_in_use(const struct cache *cache, const char *name)
{
    list_for_each_safe (it, next, (struct list *)&cache->fetches) {
        if (strcmp(list_entry(it, struct fetch, node)->name, name) == 0)
            return true;
    }
    return false;
}

/* Those that nobody uses go; the others with the tick after their last user has let go. */
static void drop_recalled(struct cache *cache)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < cache->nrecalled; i++) {
        if (is_in_use(cache, cache->recalled[i])) {
            memmove(cache->recalled[left++], cache->recalled[i], sizeof cache->recalled[0]);
            continue;
        }
        blob_remove(cache->config.dir, cache->recalled[i]);
        log_info("blob_recalled", "name=%s", cache->recalled[i]);
    }
    cache->nrecalled = left;
}

void cache_recall(struct cache *cache, const char (*names)[BLOB_NAME_LEN + 1], uint32_t n)
{
    free(cache->recalled);
    cache->recalled = calloc(n + 1, sizeof *cache->recalled);
    if (!cache->recalled)
        abort(); /* a few bytes for each recall */
    memcpy(cache->recalled, names, n * sizeof *cache->recalled);
    cache->nrecalled = n;
    drop_recalled(cache);
}

static void on_tick(uv_timer_t *timer)
{
    struct cache *cache = timer->data;
    list_for_each_safe (it, next, &cache->fetches) {
        struct fetch *f = list_entry(it, struct fetch, node);
        if (is_idle(f))
            fetch_free(f);
    }
    drop_recalled(cache);
    pump(cache);
}

/* ---- wants ---- */

static struct fetch *fetch_of(struct cache *cache, const char *name, uint64_t size)
{
    list_for_each_safe (it, next, &cache->fetches) {
        struct fetch *f = list_entry(it, struct fetch, node);
        if (strcmp(f->name, name) == 0)
            return f;
    }
    struct fetch *f = calloc(1, sizeof *f);
    if (!f)
        abort(); /* a few bytes for each blob in use */
    *f = (struct fetch){.cache = cache, .size = size, .state = FETCH_LOOK};
    memcpy(f->name, name, sizeof f->name);
    list_init(&f->wants);
    buf_init(&f->piece, LINK_ANSWER_MAX);
    list_push(&cache->fetches, &f->node);
    return f;
}

struct cache_want *cache_get(struct cache *cache, const char *name, uint64_t size, const char *reason,
                             cache_fn *fn, void *ctx)
{
    struct cache_want *want = calloc(1, sizeof *want);
    assert(blob_name_valid(name, strlen(name)) && !cache->closed);
    if (!want)
        abort();
    want->fetch = fetch_of(cache, name, size);
    want->fn = fn;
    want->ctx = ctx;
    bool fits = text_set(want->reason, sizeof want->reason, reason, strlen(reason));
    assert(fits);
    list_push(&want->fetch->wants, &want->node);
    /* One that is here is looked at again: somebody may have removed the file. The tick does, so not from in here. */
    if (want->fetch->state == FETCH_DONE || want->fetch->state == FETCH_FAILED)
        want->fetch->state = FETCH_LOOK;
    uv_timer_start(&cache->timer, on_tick, 0, TICK_MS);
    return want;
}

void cache_pace(struct cache_want *want, struct cache_pace *pace)
{
    want->pace = pace;
}

uint64_t cache_have(const struct cache_want *want)
{
    return want->fetch->state == FETCH_FILES ? 0 : want->fetch->have;
}

uint64_t cache_fetched(const struct cache_want *want)
{
    return want->fetched;
}

void cache_drop(struct cache_want *want)
{
    struct fetch *f = want->fetch;
    if (f->asker == want)
        f->asker = NULL;
    list_remove(&want->node);
    free(want);
    /* Within one of its functions it is freed by who called that. */
    uv_timer_start(&f->cache->timer, on_tick, 0, TICK_MS);
}

const char *cache_dir(const struct cache *cache)
{
    return cache->config.dir;
}

uint64_t cache_changes(const struct cache *cache)
{
    return cache->changes;
}

/* ---- the whole ---- */

int cache_new(struct cache **out, const struct cache_config *config, struct err *err)
{
    struct cache *cache = calloc(1, sizeof *cache);
    int rc = cache ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc != 0)
        return rc;
    cache->config = *config;
    blob_sweep(config->dir, clock_wall_ms() / 1000 - PART_KEEP_S);
    list_init(&cache->fetches);
    for (int i = 0; i < CACHE_LINKS && rc == 0; i++) {
        rc = link_open(&cache->links[i], config->loop, config->hub, config->tls, err);
        if (rc == 0)
            link_watch(cache->links[i], config->gauge);
    }
    if (rc != 0) {
        for (int i = 0; i < CACHE_LINKS; i++)
            link_close(cache->links[i]);
        free(cache);
        return rc;
    }
    uv_timer_init(&config->loop->uv, &cache->timer);
    cache->timer.data = cache;
    uv_timer_start(&cache->timer, on_tick, TICK_MS, TICK_MS);
    *out = cache;
    return 0;
}

void cache_close(struct cache *cache)
{
    cache->closed = true;
    uv_close((uv_handle_t *)&cache->timer, NULL);
    for (int i = 0; i < CACHE_LINKS; i++)
        link_close(cache->links[i]);
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    list_for_each_safe (it, next, &cache->fetches) {
        struct fetch *f = list_entry(it, struct fetch, node);
        assert(!list_first(&f->wants));
        fetch_free(f);
    }
    free(cache->recalled);
    free(cache);
}
