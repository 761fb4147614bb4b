/* SPDX-License-Identifier: Apache-2.0 */
#include "site/chips.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "site/neighbours.h"
#include "site/roster.h"

#define TICK_MS 250
#define PATH "/site/v1/chips"
#define CONFIRM_MS 500 /* until what is missing is looked for once more */
#define RETRY_MS 2000
#define STOP_MS 1000 /* so that the hub knows first */
#define BODY_MAX ((size_t)512 << 10)

/* Of the thread: what it is to do, and what it found. */
struct look {
    uv_work_t work;
    bool bus_only;
    struct neighbours *neighbours;
    const char *host;
    struct probe_scan scan;
    struct err err;
};

struct site_chips {
    struct site_chips_config config;
    char file[FS_PATH_MAX], host[NAME_CAP];
    uv_timer_t timer;
    bool looking, telling, marking, closing;
    struct look look;
    struct probe_scan known;
    struct buf bus;                     /* addresses as they were when all was asked */
    bool doubtful;                      /* something is missing */
    uint64_t look_ms, scan_ms, tell_ms; /* when the next one is due */
    uint64_t pause_ms;                  /* the hub is told nothing before that */
    struct buf now, told, sent;         /* as it is; as the hub has it; of the last call */
    uint32_t nameless;
    char about[NAME_CAP]; /* the last call was about this machine */
    char done[NAME_CAP];  /* which is another one's, and the hub has it */
    char next[NAME_CAP];  /* one that the hub knows of besides */
    struct neighbours neighbours;
    struct engine_fault fault[PROBE_CHIPS_MAX];
    uint32_t nfaults;
    bool unmarked;    /* the engine has not been told */
    uint64_t stop_ms; /* when it is to stop what has them */
};

static uint64_t now_ms(const struct site_chips *c)
{
    return uv_now(&c->config.loop->uv);
}

/* ---- what the engine is told ---- */

static void on_marked(void *ctx, struct engine_call *call)
{
    struct site_chips *c = ctx;
    c->marking = false;
    c->unmarked |= call->err.code != 0;
    if (!c->closing && call->err.code == 0)
        c->config.changed(c->config.ctx);
}

/* First that nobody gets them, so that the hub knows of it when jobs that have one end. */
static void mark(struct site_chips *c, bool stop_work)
{
    struct engine_call *call = engine_call_new(ENGINE_MARK, 0);
    struct engine_fault *faults = call ? calloc(c->nfaults + 1, sizeof *faults) : NULL;
    if (!faults) {
        if (call)
            engine_call_free(call);
        return;
    }
    memcpy(faults, c->fault, c->nfaults * sizeof *faults);
    call->faults = faults;
    call->faults_count = c->nfaults;
    call->stop_work = stop_work;
    c->marking = engine_call(c->config.engine, call, on_marked, c) == 0;
    if (!c->marking) {
        engine_call_free(call);
        return;
    }
    c->unmarked = false;
    c->stop_ms = stop_work || c->nfaults == 0 ? UINT64_MAX : now_ms(c) + STOP_MS;
}

static void find_faults(struct site_chips *c)
{
    struct engine_fault found[PROBE_CHIPS_MAX];
    memset(found, 0, sizeof found);
    uint32_t n = roster_faults(&c->known, c->config.config, found);
    if (n == c->nfaults && memcmp(found, c->fault, n * sizeof found[0]) == 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        log_warn("chip_out_of_use", "chip=%s index=%d why=\"%s\"", found[i].kind, found[i].index,
                 found[i].why);
    if (n == 0)
        log_info("chips_in_use", "all that the engine has are there");
    memcpy(c->fault, found, sizeof found);
    c->nfaults = n;
    c->unmarked = true;
}

/* ---- what the hub is told ---- */

static void on_told(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct site_chips *c = ctx;
    const bool own = strcmp(c->about, c->host) == 0;
    c->telling = false;
    if (err->code != 0)
        c->pause_ms = now_ms(c) + RETRY_MS;
    if (err->code != 0 && err_retryable(err->code))
        return;
    if (err->code != 0) { /* as if it were told, until the next round: the others are not to wait for it */
        log_error("chips", "host=%s error=\"%s\"", c->about, err->msg);
    } else {
        const char *next = yyjson_get_str(yyjson_obj_get(answer, "next"));
        c->next[0] = 0;
        if (next && strcmp(next, c->host) != 0)
            (void)text_set(c->next, sizeof c->next, next, strlen(next));
        if (yyjson_get_bool(yyjson_obj_get(answer, "more")))
            return; /* it had no room for all: it is told again */
    }
    if (own) {
        c->tell_ms = now_ms(c) + CHIPS_TELL_MS;
        buf_clear(&c->told);
        buf_add(&c->told, c->sent.data, c->sent.len);
    } else {
        memcpy(c->done, c->about, sizeof c->done);
    }
}

/* `chips`: as chips_render has them; empty: none. */
static void tell(struct site_chips *c, const char *host, const struct buf *chips)
{
    struct buf body;
    buf_init(&body, BODY_MAX);
    buf_add_text(&body, "{\"host\":");
    buf_add_json(&body, host, strlen(host));
    buf_add_text(&body, ",\"chips\":");
    if (chips->len > 0)
        buf_add(&body, chips->data, chips->len);
    else
        buf_add_text(&body, "[]");
    buf_addf(&body, ",\"nameless\":%u}", c->nameless);
    (void)text_set(c->about, sizeof c->about, host, strlen(host));
    buf_clear(&c->sent);
    if (chips->len > 0)
        buf_add(&c->sent, chips->data, chips->len);
    c->telling = outbox_call(c->config.outbox, PATH, &body, on_told, c);
    buf_fini(&body);
}

static bool is_told(const struct site_chips *c)
{
    return c->told.len > 0 && text_eq(c->told.data, c->told.len, c->now.data, c->now.len);
}

/* Other machines of the site; no look is under way. One that the hub believes in and nobody writes of any more has nothing. */
static void tell_others(struct site_chips *c)
{
    const struct buf none = {0};
    char host[NAME_CAP];
    if (c->done[0])
        neighbours_told(&c->neighbours, c->done, &c->sent);
    c->done[0] = 0;
    const struct neighbour *one = neighbours_untold(&c->neighbours);
    memcpy(host, c->next, sizeof host);
    c->next[0] = 0;
    if (host[0] && !neighbours_have(&c->neighbours, host))
        tell(c, host, &none);
    else if (one)
        tell(c, one->host, &one->chips);
}

static void tell_next(struct site_chips *c)
{
    if (c->telling || c->now.len == 0 || now_ms(c) < c->pause_ms)
        return;
    bool again = now_ms(c) >= c->tell_ms;
    if (again && !c->looking)
        neighbours_again(&c->neighbours);
    if (!c->looking && c->done[0] == 0 && (again || !is_told(c)))
        tell(c, c->host, &c->now);
    else if (!c->looking)
        tell_others(c);
}

/* ---- what there is ---- */

static void on_look(uv_work_t *work)
{
    struct look *look = work->data;
    const struct probe_options options = {.sources = look->bus_only ? PROBE_PCI : PROBE_ALL};
    look->err = (struct err){0};
    (void)probe_run(&look->scan, &options, &look->err);
    if (!look->bus_only)
        neighbours_look(look->neighbours, look->host);
}

static void list_bus(struct buf *out, const struct probe_scan *scan)
{
    buf_clear(out);
    for (uint32_t i = 0; i < scan->n; i++) {
        if (scan->chip[i].sources & PROBE_PCI)
            buf_addf(out, "%s %s\n", scan->chip[i].pci, scan->chip[i].id);
    }
}

static void keep(const struct site_chips *c)
{
    struct buf text;
    struct err err = {0};
    buf_init(&text, PROBE_JSON_MAX);
    probe_json(&text, &c->known);
    if (text.failed || fs_write_atomic(c->file, text.data, text.len, 0600, &err) != 0)
        log_warn("chips", "cannot keep what is known: %s", err.msg);
    buf_fini(&text);
}

/* Readings move all the time and are nobody's business here. */
static bool is_other(const struct site_chips *c)
{
    struct probe_change *changes = calloc(2 * PROBE_CHIPS_MAX, sizeof *changes);
    bool other = !changes || probe_compare(&c->known, &c->look.scan, changes) > 0;
    for (uint32_t i = 0; !other && i < c->known.n && i < c->look.scan.n; i++)
        other = c->known.chip[i].sources != c->look.scan.chip[i].sources;
    free(changes);
    return other || c->known.n != c->look.scan.n;
}

static void take_scan(struct site_chips *c)
{
    struct probe_scan *scan = &c->look.scan;
    list_bus(&c->bus, scan);
    uint32_t missing = roster_take(&c->known, scan, c->config.config);
    if (missing > 0 && !c->doubtful) {
        c->doubtful = true;
        c->scan_ms = now_ms(c) + CONFIRM_MS;
        return;
    }
    c->doubtful = false;
    c->scan_ms = now_ms(c) + CHIPS_SCAN_MS;
    bool other = is_other(c);
    c->known = *scan;
    if (other)
        keep(c);
    find_faults(c);
    buf_clear(&c->now);
    c->nameless = chips_render(&c->now, &c->known) + neighbours_nameless(&c->neighbours);
}

static void after_look(uv_work_t *work, int status)
{
    struct look *look = work->data;
    struct site_chips *c = list_entry(look, struct site_chips, look);
    struct buf bus;
    c->looking = false;
    c->look_ms = now_ms(c) + CHIPS_LOOK_MS;
    if (c->closing || status != 0)
        return;
    if (look->err.code != 0) {
        log_warn("chips", "error=\"%s\"", look->err.msg);
        c->scan_ms = now_ms(c) + CHIPS_SCAN_MS;
        return;
    }
    if (!look->bus_only) {
        take_scan(c);
        return;
    }
    buf_init(&bus, BODY_MAX);
    list_bus(&bus, &look->scan);
    if (!text_eq(bus.data ? bus.data : "", bus.len, c->bus.data ? c->bus.data : "", c->bus.len))
        c->scan_ms = 0;
    buf_fini(&bus);
}

static void on_tick(uv_timer_t *timer)
{
    struct site_chips *c = timer->data;
    const uint64_t now = now_ms(c);
    if (!c->looking && (now >= c->scan_ms || now >= c->look_ms)) {
        c->look.bus_only = now < c->scan_ms;
        c->looking = uv_queue_work(&c->config.loop->uv, &c->look.work, on_look, after_look) == 0;
    }
    if (!c->marking && (c->unmarked || now >= c->stop_ms))
        mark(c, !c->unmarked);
    tell_next(c);
}

/* ---- the whole ---- */

static void remember(struct site_chips *c)
{
    struct buf text;
    struct err err = {0};
    if (!fs_exists(c->file))
        return;
    buf_init(&text, PROBE_JSON_MAX);
    if (fs_read(c->file, &text, &err) != 0 || probe_read(&c->known, text.data, text.len, &err) != 0) {
        log_warn("chips", "what was known cannot be read: %s", err.msg);
        memset(&c->known, 0, sizeof c->known);
    }
    buf_fini(&text);
    find_faults(c);
    if (c->unmarked)
        mark(c, false);
}

int site_chips_new(struct site_chips **out, const struct site_chips_config *config, struct err *err)
{
    struct site_chips *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    c->config = *config;
    int rc = text_set(c->file, sizeof c->file, config->file, strlen(config->file))
                 ? neighbours_init(&c->neighbours, config->config->work, err)
                 : err_set(err, ERR_INVALID, "the data folder's path is too long");
    if (rc != 0) {
        free(c);
        return rc;
    }
    (void)gethostname(c->host, sizeof c->host - 1);
    if (c->host[0] == 0)
        memcpy(c->host, "localhost", sizeof "localhost");
    buf_init(&c->bus, BODY_MAX);
    buf_init(&c->now, BODY_MAX);
    buf_init(&c->told, BODY_MAX);
    buf_init(&c->sent, BODY_MAX);
    c->look.neighbours = &c->neighbours;
    c->look.host = c->host;
    c->look.work.data = &c->look;
    uv_timer_init(&config->loop->uv, &c->timer);
    c->timer.data = c;
    c->stop_ms = UINT64_MAX;
    remember(c);
    uv_timer_start(&c->timer, on_tick, 0, TICK_MS);
    *out = c;
    return 0;
}

void site_chips_close(struct site_chips *c)
{
    c->closing = true;
    uv_close((uv_handle_t *)&c->timer, NULL);
    if (c->looking)
        (void)uv_cancel((uv_req_t *)&c->look.work);
}

void site_chips_free(struct site_chips *c)
{
    if (!c)
        return;
    buf_fini(&c->bus);
    buf_fini(&c->now);
    buf_fini(&c->told);
    buf_fini(&c->sent);
    neighbours_fini(&c->neighbours);
    free(c);
}
