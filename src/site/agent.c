/* SPDX-License-Identifier: Apache-2.0 */
#include "site/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "net/pki.h"
#include "net/spiffe.h"
#include "site/identity.h"
#include "site/machine.h"
#include "site/remote.h"
#include "site/replicas.h"

#define LOOK_MS 5000                      /* between looks at the certificate */
#define RENEW_LEFT_S (INT64_C(16) * 3600) /* of a day: a hub may be away for long before a certificate ends */

struct agent {
    struct identity identity;
    struct loop loop;
    struct tls_context *tls;
    struct engine_config *engine;
    struct remote *remote;
    struct site_replicas *replicas; /* NULL: no models are served here */
    unsigned ending;                /* parts that are */
    char programs[FS_PATH_MAX], work[FS_PATH_MAX], blobs[FS_PATH_MAX], chips[FS_PATH_MAX];
    int lock;
    uv_timer_t timer;
    uv_signal_t sigterm, sigint;
    bool in_touch, told, stopping, renewing;
    struct err end;
};

/* ---- in touch ---- */

static void on_gone(void *ctx)
{
    struct agent *a = ctx;
    if (--a->ending > 0)
        return;
    uv_close((uv_handle_t *)&a->timer, NULL);
    uv_close((uv_handle_t *)&a->sigterm, NULL);
    uv_close((uv_handle_t *)&a->sigint, NULL);
}

static void stop(struct agent *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    uv_timer_stop(&a->timer);
    a->ending = a->replicas ? 2 : 1;
    if (a->replicas)
        site_replicas_shutdown(a->replicas, on_gone, a);
    remote_shutdown(a->remote, on_gone, a);
}

/* Tells of the hub when it comes and goes, once each. */
static void note(struct agent *a, const struct err *err)
{
    bool now = err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT && err->code != ERR_UPSTREAM;
    if (a->told && now == a->in_touch)
        return;
    a->told = true;
    a->in_touch = now;
    if (now)
        log_info("in touch with the hub", "hub=%s site=%s", a->identity.hub, a->identity.name);
    else
        log_warn("out of touch with the hub", "hub=%s error=%s", a->identity.hub, err->msg);
}

/* A hub that will not have us is the end. */
static void heard(void *ctx, const struct err *err)
{
    struct agent *a = ctx;
    if (a->stopping)
        return;
    note(a, err);
    if (err->code != ERR_FORBIDDEN && err->code != ERR_UNAUTHENTICATED)
        return;
    a->end = *err;
    stop(a);
}

/* ---- the certificate ---- */

static void on_renewed(void *ctx, const struct err *err, yyjson_val *answer)
{
    struct agent *a = ctx;
    struct err why = {0};
    a->renewing = false;
    if (err->code != 0)
        return; /* the next look asks again */
    if (identity_keep(&a->identity, answer, &why) == 0 &&
        tls_member_renew(a->tls, a->identity.cert, a->identity.key, &why) == 0)
        log_info("the certificate is renewed", "site=%s", a->identity.name);
    else
        log_error("the certificate is not renewed", "site=%s error=%s", a->identity.name, why.msg);
}

static bool renewal_is_due(const struct agent *a)
{
    int64_t ends_s;
    struct err err = {0};
    return pki_expires(a->identity.cert, &ends_s, &err) != 0 || ends_s - time(NULL) < RENEW_LEFT_S;
}

static void on_timer(uv_timer_t *timer)
{
    struct agent *a = timer->data;
    struct buf body;
    struct err err = {0};
    if (a->renewing || !renewal_is_due(a))
        return;
    if (identity_ask(&a->identity, NULL, &body, &err) == 0)
        a->renewing = remote_call(a->remote, "/site/v1/renew", &body, on_renewed, a);
    else
        log_error("cannot ask for a certificate", "error=%s", err.msg);
    buf_fini(&body);
}

/* ---- the whole ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    log_info("stopping", "signal=%d", number);
    stop(handle->data);
}

static void watch(struct agent *a)
{
    uv_signal_init(&a->loop.uv, &a->sigterm);
    uv_signal_init(&a->loop.uv, &a->sigint);
    uv_timer_init(&a->loop.uv, &a->timer);
    a->sigterm.data = a->sigint.data = a->timer.data = a;
    uv_signal_start(&a->sigterm, on_signal, SIGTERM);
    uv_signal_start(&a->sigint, on_signal, SIGINT);
    uv_timer_start(&a->timer, on_timer, 0, LOOK_MS);
}

/* One agent a folder. */
static int take_lock(struct agent *a, const char *data_dir, struct err *err)
{
    char path[FS_PATH_MAX];
    if (!fs_join(path, data_dir, "lock"))
        return err_set(err, ERR_INVALID, "path is too long");
    a->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (a->lock < 0)
        return err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    return flock(a->lock, LOCK_EX | LOCK_NB) == 0
               ? 0
               : err_set(err, ERR_IN_USE, "an agent runs on %s already", data_dir);
}

static int load_engine(struct agent *a, const char *data_dir, const char *file, struct err *err)
{
    char path[FS_PATH_MAX];
    struct machine machine;
    if (!fs_join(path, data_dir, "site.yaml") || !fs_join(a->work, data_dir, "work") ||
        !fs_join(a->programs, data_dir, "jobs") || !fs_join(a->chips, data_dir, "chips.json"))
        return err_set(err, ERR_INVALID, "the data folder's path is too long");
    int rc = fs_mkdirs(a->programs, 0700, err);
    if (rc != 0)
        return rc;
    if (file || fs_exists(path))
        return engine_config_load(&a->engine, file ? file : path, err);
    return machine_find(&machine, &a->engine, a->work, err);
}

/* Where there is a batch system its nodes read weights from the cache, and the work folder is what they see of ours. */
static int place_blobs(struct agent *a, const char *data_dir, struct err *err)
{
    bool batch = a->engine->engine != ENGINE_KIND_LOCAL;
    bool fits = batch ? fs_join(a->blobs, a->engine->work, ".blobs") : fs_join(a->blobs, data_dir, "blobs");
    return fits ? 0 : err_set(err, ERR_INVALID, "the work folder's path is too long");
}

static int prepare(struct agent *a, const char *data_dir, const char *engine, struct err *err)
{
    char uri[SPIFFE_CAP];
    int rc = identity_places(&a->identity, data_dir, "site", err);
    if (rc == 0 && !fs_exists(a->identity.about))
        rc = err_set(err, ERR_NOT_FOUND, "%s belongs to no site yet: busbar site join HUB --token T",
                     data_dir);
    if (rc == 0)
        rc = identity_read(&a->identity, err);
    if (rc == 0)
        rc = take_lock(a, data_dir, err);
    if (rc == 0)
        rc = load_engine(a, data_dir, engine, err);
    if (rc == 0)
        rc = place_blobs(a, data_dir, err);
    spiffe_hub(uri, a->identity.root);
    return rc ? rc : tls_member_client_new(&a->tls, a->identity.cert, a->identity.key, uri, err);
}

/* A site that cannot serve models still runs jobs. */
static void open_replicas(struct agent *a, const struct agent_options *options)
{
    struct err err = {0};
    const struct site_replicas_config config = {.loop = &a->loop,
                                                .hub = a->identity.hub,
                                                .tls = a->tls,
                                                .cache = remote_cache(a->remote),
                                                .data_dir = options->data_dir,
                                                .threads = options->engine_threads,
                                                .engine = a->engine,
                                                .local = remote_engine(a->remote),
                                                .lease_ms = remote_lease_ms,
                                                .ctx = a->remote};
    if (site_replicas_new(&a->replicas, &config, &err) != 0)
        log_warn("no models are served here", "error=\"%s\"", err.msg);
}

static int run(struct agent *a, const struct agent_options *options, struct err *err)
{
    signal(SIGPIPE, SIG_IGN);
    if (loop_init(&a->loop) != 0)
        abort();
    const struct remote_config config = {.engine = a->engine,
                                         .blobs = a->blobs,
                                         .chips = a->chips,
                                         .outbox = {.loop = &a->loop,
                                                    .hub = a->identity.hub,
                                                    .tls = a->tls,
                                                    .programs = a->programs,
                                                    .heard = heard,
                                                    .ctx = a}};
    int rc = remote_new(&a->remote, &config, err);
    if (rc == 0) {
        open_replicas(a, options);
        remote_serve(a->remote, a->replicas);
        watch(a);
        uv_run(&a->loop.uv, UV_RUN_DEFAULT);
        remote_free(a->remote);
    }
    site_replicas_free(a->replicas);
    loop_fini(&a->loop);
    return rc;
}

int agent_run(const struct agent_options *options, struct err *err)
{
    struct agent *a = calloc(1, sizeof *a);
    if (!a)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    a->lock = -1;
    int rc = prepare(a, options->data_dir, options->engine, err);
    if (rc == 0)
        rc = run(a, options, err);
    if (rc == 0 && a->end.code != 0)
        rc = err_set(err, a->end.code, "%s", a->end.msg);
    tls_context_free(a->tls);
    engine_config_free(a->engine);
    if (a->lock >= 0)
        (void)close(a->lock);
    free(a);
    return rc;
}
