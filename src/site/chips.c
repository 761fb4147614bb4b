/* SPDX-License-Identifier: Apache-2.0 */
#include "site/chips.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "site/roster.h"

#define TICK_MS 250
#define PATH "/site/v1/chips"
#define CONFIRM_MS 500 /* until what is missing is looked for once more */
#define RETRY_MS 2000
#define STOP_MS 1000 /* so that the hub knows first */
#define BODY_MAX ((size_t)256 << 10)

/* Of the thread: what it is to do, and what it found. */
struct look {
    uv_work_t work;
    bool bus_only;
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
    struct buf bus; /* addresses as they were when all was asked */
    bool doubtful, others,
        more; /* something is missing; the bus has changed; the hub has no room for all at once */
    uint64_t look_ms, scan_ms, tell_ms; /* when the next one is due */
    struct buf now, told;               /* as it is; as the hub has it */
    char other[NAME_CAP];               /* a machine that the hub believes in and that is not us */
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

/* Of chips that are there; those without a name are a number. */
static void render(struct site_chips *c)
{
    char name[UNIT_NAME_CAP];
    uint32_t n = 0, nameless = c->known.dropped;
    buf_clear(&c->now);
    buf_add_text(&c->now, "{\"host\":");
    buf_add_json(&c->now, c->host, strlen(c->host));
    buf_add_text(&c->now, ",\"chips\":[");
    for (uint32_t i = 0; i < c->known.n; i++) {
        const struct probe_chip *chip = &c->known.chip[i];
        if (roster_is_missing(chip))
            continue;
        if (!roster_name(chip, name)) {
            nameless++;
            continue;
        }
        const struct {
            const char *name, *text;
        } texts[] = {{"serial", chip->serial}, {"uuid", chip->uuid},   {"kind", chip->kind},
                     {"id", chip->id},         {"model", chip->model}, {"health_text", chip->health_text}};
        buf_addf(&c->now, "%s{\"vendor\":\"%s\"", n++ ? "," : "", chip->vendor);
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
            if (!texts[k].text[0])
                continue;
            buf_addf(&c->now, ",\"%s\":", texts[k].name);
            buf_add_json(&c->now, texts[k].text, strlen(texts[k].text));
        }
        if (chip->die >= 0 && chip->die < 10)
            buf_addf(&c->now, ",\"die\":%lld", (long long)chip->die);
        buf_addf(&c->now, ",\"health\":\"%s\"}", probe_health_text(chip->health));
    }
    buf_addf(&c->now, "],\"nameless\":%u}", nameless);
}

static void on_told(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct site_chips *c = ctx;
    c->telling = false;
    if (err->code != 0) {
        bool refused = !err_retryable(err->code); /* a hub without a register, or whose register is full */
        buf_clear(&c->told);
        c->tell_ms = now_ms(c) + (refused ? CHIPS_TELL_MS : RETRY_MS);
        if (refused)
            log_error("chips", "error=\"%s\"", err->msg);
        return;
    }
    const char *next = yyjson_get_str(yyjson_obj_get(answer, "next"));
    c->tell_ms = now_ms(c) + CHIPS_TELL_MS;
    c->other[0] = 0;
    if (next && strcmp(next, c->host) != 0)
        (void)text_set(c->other, sizeof c->other, next, strlen(next));
    if (yyjson_get_bool(yyjson_obj_get(answer, "more")))
        c->tell_ms = 0;
}

/* One agent is all machines of its site: of another one, which it was called once, there is nothing. */
static void tell_other(struct site_chips *c)
{
    struct buf body;
    uint32_t nameless = 0;
    char name[UNIT_NAME_CAP];
    for (uint32_t i = 0; i < c->known.n; i++)
        nameless += !roster_is_missing(&c->known.chip[i]) && !roster_name(&c->known.chip[i], name);
    buf_init(&body, BODY_MAX);
    buf_add_text(&body, "{\"host\":");
    buf_add_json(&body, c->other, strlen(c->other));
    buf_addf(&body, ",\"chips\":[],\"nameless\":%u}", nameless + c->known.dropped);
    c->telling = outbox_call(c->config.outbox, PATH, &body, on_told, c);
    buf_fini(&body);
}

static bool is_told(const struct site_chips *c)
{
    return c->told.len > 0 && text_eq(c->told.data, c->told.len, c->now.data, c->now.len);
}

static void tell(struct site_chips *c)
{
    c->telling = outbox_call(c->config.outbox, PATH, &c->now, on_told, c);
    buf_clear(&c->told);
    c->tell_ms = 0; /* until it is taken */
    if (c->telling)
        buf_add(&c->told, c->now.data, c->now.len);
}

/* ---- what there is ---- */

static void on_look(uv_work_t *work)
{
    struct look *look = work->data;
    const struct probe_options options = {.sources = look->bus_only ? PROBE_PCI : PROBE_ALL};
    look->err = (struct err){0};
    (void)probe_run(&look->scan, &options, &look->err);
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
    render(c);
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
    if (c->telling || c->now.len == 0)
        return;
    if ((!is_told(c) && (c->told.len > 0 || now >= c->tell_ms)) || now >= c->tell_ms)
        tell(c);
    else if (c->other[0])
        tell_other(c);
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
    if (!text_set(c->file, sizeof c->file, config->file, strlen(config->file))) {
        free(c);
        return err_set(err, ERR_INVALID, "the data folder's path is too long");
    }
    (void)gethostname(c->host, sizeof c->host - 1);
    if (c->host[0] == 0)
        memcpy(c->host, "localhost", sizeof "localhost");
    buf_init(&c->bus, BODY_MAX);
    buf_init(&c->now, BODY_MAX);
    buf_init(&c->told, BODY_MAX);
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
    free(c);
}
