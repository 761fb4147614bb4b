/* SPDX-License-Identifier: Apache-2.0 */
#include "up.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cli/cli.h"
#include "hub/clusters.h"
#include "hub/door.h"
#include "hub/hub.h"
#include "hub/keep.h"
#include "hub/notices.h"
#include "hub/quota.h"
#include "hub/starts.h"
#include "hub/webhook.h"
#include "hub/witnesses.h"
#include "network/netfile.h"
#include "runtime/publisher.h"
#include "site/local.h"
#include "site/machine.h"

#define THREADS "16" /* for files */
#define SERVING_LIMIT_MS 120000
#define POLL_MS 20
#define SOCKET_PATH_MAX 100

struct up {
    const struct up_options *options;
    char self[FS_PATH_MAX];  /* our own binary */
    char share[FS_PATH_MAX]; /* engines.yaml, models/ */
    char engine_path[FS_PATH_MAX];
    char specs_dir[FS_PATH_MAX], work_dir[FS_PATH_MAX], blobs_dir[FS_PATH_MAX];
    struct engine_config *machine;
    char socket[FS_PATH_MAX], run_dir[FS_PATH_MAX], log_dir[FS_PATH_MAX], database[FS_PATH_MAX];
    char tlog_dir[FS_PATH_MAX], signer_dir[FS_PATH_MAX];
    char host[HTTP_HOST_CAP], site_host[HTTP_HOST_CAP];
    uint16_t port, site_port;
    int lock_fd;
    struct loop loop;
    uv_signal_t sigterm, sigint;
    uv_timer_t timer;
    struct engine_specs *engines;
    struct tls_context *tls, *upstream_tls;
    struct gateway *gateway;
    struct runtime *runtime;
    struct publisher *publisher; /* of the transparency log */
    struct witnesses *witnesses; /* of that; NULL: none is required */
    struct site *site;
    struct hub hub;
    struct netfile *catalogue; /* of chips */
    struct door *door;         /* NULL: it is closed */
    struct keep *keep;
    struct notices *notices;
    struct hub_first first;
    struct hub_pool pool;
    uint64_t started_ns, drain_ns;
    bool announced, draining, stopping;
};

/* ---- places ---- */

static int find_places(struct up *up, struct err *err)
{
    if (!fs_self(up->self) || !fs_share(up->share))
        return err_set(err, ERR_IO, "cannot find our own program's folder: %s", strerror(errno));
    char dir[FS_PATH_MAX];
    memcpy(dir, up->self, sizeof dir);
    *strrchr(dir, '/') = 0;
    const char *engine = getenv("BUSBAR_ENGINE_PATH");
    if (engine)
        (void)snprintf(up->engine_path, sizeof up->engine_path, "%s", engine);
    else if (!fs_join(up->engine_path, dir, "../.deps/llama/bin"))
        return err_set(err, ERR_INVALID, "path is too long");
    return 0;
}

static int make_folders(struct up *up, struct err *err)
{
    const char *data = up->options->data_dir;
    if (!fs_join(up->socket, data, "busbar.sock") || !fs_join(up->run_dir, data, "run") ||
        !fs_join(up->specs_dir, data, "jobs") || !fs_join(up->work_dir, data, "work") ||
        !fs_join(up->blobs_dir, data, "blobs") || !fs_join(up->log_dir, data, "logs") ||
        !fs_join(up->database, data, "busbar.db") || !fs_join(up->tlog_dir, data, "log") ||
        !fs_join(up->signer_dir, data, "signer"))
        return err_set(err, ERR_INVALID, "the data folder's path is too long");
    if (strlen(up->run_dir) > SOCKET_PATH_MAX - 20)
        return err_set(err, ERR_INVALID,
                       "the data folder's path is too long for the sockets in it; choose a shorter one");
    int rc = fs_mkdirs(data, 0700, err);
    if (rc == 0)
        rc = fs_mkdirs(up->run_dir, 0700, err);
    if (rc == 0)
        rc = fs_mkdirs(up->log_dir, 0700, err);
    if (rc == 0)
        rc = fs_mkdirs(up->specs_dir, 0700, err);
    return rc;
}

/* One process a data folder: the lock is the kernel's, so it goes away with the process. */
static int take_lock(struct up *up, struct err *err)
{
    char path[FS_PATH_MAX], text[32] = "";
    if (!fs_join(path, up->options->data_dir, "lock"))
        return err_set(err, ERR_INVALID, "path is too long");
    up->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (up->lock_fd < 0)
        return err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (flock(up->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        ssize_t n = read(up->lock_fd, text, sizeof text - 1);
        return err_set(err, ERR_IN_USE, "busbar runs on %s already (pid %.*s)", up->options->data_dir,
                       n > 0 ? (int)strcspn(text, "\n") : 1, n > 0 ? text : "?");
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(up->lock_fd, 0) < 0 || pwrite(up->lock_fd, text, (size_t)n, 0) != n)
        return err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int parse_address(const char *option, const char *text, char host[HTTP_HOST_CAP], uint16_t *port,
                         struct err *err)
{
    return http_address_parse(text, host, port)
               ? 0
               : err_set(err, ERR_INVALID, "--%s: expected HOST:PORT, got %s", option, text);
}

static int parse_listen(struct up *up, struct err *err)
{
    const struct up_options *o = up->options;
    int rc = parse_address("listen", o->listen, up->host, &up->port, err);
    if (rc == 0 && o->site_listen)
        rc = parse_address("site-listen", o->site_listen, up->site_host, &up->site_port, err);
    return rc;
}

/* ---- the parts ---- */

static int make_publisher(struct up *up, struct err *err)
{
    const struct up_options *o = up->options;
    struct publisher_config log = {.self = up->self, .dir = up->tlog_dir, .signer_dir = up->signer_dir};
    int rc =
        o->nwitnesses ? witnesses_new(&up->witnesses, up->tlog_dir, o->witnesses, o->nwitnesses, err) : 0;
    if (rc == 0 && up->witnesses)
        log.witnesses = (struct publisher_witnesses){witnesses_offer, witnesses_lines, up->witnesses};
    return rc ? rc : publisher_new(&up->publisher, &log, err);
}

static int start_gateway_parts(struct up *up, struct err *err)
{
    const struct up_options *o = up->options;
    uint32_t workers = o->workers ? o->workers : gateway_workers_default();
    struct store *store;
    struct gateway_config config = {.host = up->host,
                                    .port = up->port,
                                    .unix_path = up->socket,
                                    .workers = workers,
                                    .connections_max = gateway_connections_max(workers),
                                    .queue_max = o->queue_max,
                                    .tls = up->tls,
                                    .upstream_tls = up->upstream_tls,
                                    .engines = up->engines,
                                    .admit_other = hub_admit,
                                    .handle_other = hub_handle,
                                    .other_ctx = &up->hub};
    int rc = gateway_new(&up->gateway, &config, err);
    if (rc != 0)
        return rc;
    rc = store_sqlite_open(&store, up->database, NULL, err);
    if (rc != 0)
        return rc;
    rc = make_publisher(up, err);
    if (rc != 0) {
        store->ops->close(store);
        return rc;
    }
    struct runtime_config runtime = {.store = store,
                                     .limits = limits_default(),
                                     .routes = gateway_routes(up->gateway),
                                     .log = {publisher_grown, up->publisher},
                                     .snapshot_events = o->snapshot_every};
    rc = runtime_start(&up->runtime, &runtime, err);
    if (rc == 0 && up->witnesses)
        rc = witnesses_run(up->witnesses, up->publisher, err);
    return rc ? rc : publisher_run(up->publisher, runtime_store(up->runtime), err);
}

static int load_catalogue(struct up *up, struct err *err)
{
    char path[FS_PATH_MAX], text[PROBLEM_TEXT_CAP] = "it cannot be read";
    struct problems problems;
    problems_init(&problems);
    int rc = fs_join(path, up->share, "chips.yaml") ? netfile_load_chips(&up->catalogue, path, &problems)
                                                    : ERR_INVALID;
    if (rc != 0 && problems.n > 0)
        problem_format(text, &problems.list[0]);
    if (rc != 0)
        err_set(err, rc, "the catalogue of chips: %s", text);
    problems_fini(&problems);
    return rc;
}

static uint32_t replica_busy(void *ctx, const struct uuid *deployment, uint32_t ordinal)
{
    return gateway_replica_busy(ctx, deployment, ordinal);
}

static int open_door(struct up *up, struct err *err)
{
    char dir[FS_PATH_MAX];
    struct door_config config = {.loop = &up->loop,
                                 .runtime = up->runtime,
                                 .dir = dir,
                                 .host = up->site_host,
                                 .port = up->site_port,
                                 .data_dir = up->options->data_dir,
                                 .blobs_dir = up->blobs_dir,
                                 .specs_dir = up->specs_dir,
                                 .work_dir = up->work_dir,
                                 .run_dir = up->run_dir,
                                 .busy = replica_busy,
                                 .busy_ctx = up->gateway,
                                 .gateway = up->gateway,
                                 .engine_tls = up->upstream_tls,
                                 .lease_ms = up->options->lease_s * UINT64_C(1000)};
    if (!up->options->site_listen)
        return 0;
    if (!fs_join(dir, up->options->data_dir, "pki"))
        return err_set(err, ERR_INVALID, "the data folder's path is too long");
    int rc = load_catalogue(up, err);
    if (rc != 0)
        return rc;
    config.catalogue = up->catalogue;
    rc = door_open(&up->door, &config, err);
    if (rc != 0)
        return rc;
    up->hub.door = up->door;
    (void)snprintf(up->hub.site_listen, sizeof up->hub.site_listen, "%.40s:%u", up->site_host,
                   door_port(up->door));
    log_info("open for sites", "address=%s", up->hub.site_listen);
    return 0;
}

/* Before the gateway starts: whoever submits a job then finds the pool. */
static int find_machine(struct up *up, struct err *err)
{
    struct machine machine;
    int rc = machine_find(&machine, &up->machine, up->work_dir, err);
    if (rc != 0)
        return rc;
    up->pool = (struct hub_pool){
        .chips = machine.chips, .watts = machine.watts, .memory_mib = machine.memory_mib / machine.chips};
    memcpy(up->pool.chip, machine.chip, sizeof up->pool.chip);
    rc = hub_local_pool(&up->hub, &up->pool, err);
    return rc ? rc : hub_sweep_jobs(&up->hub, err);
}

static int start_hub(struct up *up, struct err *err)
{
    char model[FS_PATH_MAX];
    const char *path = up->options->model;
    up->hub = (struct hub){.gateway = up->gateway,
                           .publisher = up->publisher,
                           .witnesses = up->witnesses,
                           .tlog_dir = up->tlog_dir,
                           .runtime = up->runtime,
                           .engines = up->engines,
                           .data_dir = up->options->data_dir,
                           .specs_dir = up->specs_dir,
                           .blobs_dir = up->blobs_dir,
                           .work_dir = up->work_dir,
                           .started_ms = clock_wall_ms(),
                           .webhook_private = up->options->webhook_private,
                           .uid = getuid()};
    hub_choose_engine(&up->hub, up->self, up->engine_path);
    if (!path) {
        if (!fs_join(model, up->share, "models/stories.gguf"))
            return err_set(err, ERR_INVALID, "path is too long");
        path = model;
    }
    const struct limits limits = limits_default();
    up->hub.quota = quota_new(up->blobs_dir, (uint64_t)up->options->tenant_blobs_mib << 20);
    int rc = up->hub.quota ? hub_load_recipes(&up->hub, up->share, err)
                           : err_set(err, ERR_NO_MEMORY, "out of memory");
    rc = rc ? rc : starts_open(&up->hub.starts, up->runtime, &limits, err);
    rc = rc ? rc : webhook_key(up->hub.webhook_key, up->options->data_dir, err);
    rc = rc ? rc : hub_accept_mode(&up->hub, up->options->acceptance, err);
    rc = rc ? rc : hub_first_start(&up->hub, path[0] ? path : NULL, &up->first, err);
    if (rc == 0)
        rc = hub_books_open(&up->hub, err);
    if (rc == 0)
        rc = find_machine(up, err);
    if (rc != 0)
        return rc;
    rc = open_door(up, err);
    if (rc != 0)
        return rc;
    unlink(up->socket);
    struct uplink uplink = uplink_runtime(up->runtime);
    rc = gateway_start(up->gateway, &uplink, err);
    if (rc == 0)
        rc = clusters_open(&up->hub.clusters, &up->hub, up->share, err);
    (void)snprintf(up->hub.listen, sizeof up->hub.listen, "%s://%.40s:%u", up->tls ? "https" : "http",
                   up->host, gateway_port(up->gateway));
    return rc;
}

static int start_site(struct up *up, struct err *err)
{
    struct serve_config config = {.loop = &up->loop,
                                  .specs = up->engines,
                                  .socket_dir = up->run_dir,
                                  .log_dir = up->log_dir,
                                  .self = up->self,
                                  .engine_path = up->engine_path,
                                  .threads = up->options->engine_threads,
                                  .tls = up->upstream_tls,
                                  .chipset = up->machine->chipset,
                                  .busy = replica_busy};
    struct site_home_config jobs = {.engine = up->machine,
                                    .specs = up->specs_dir,
                                    .blobs = up->blobs_dir,
                                    .site = up->pool.site,
                                    .pool = up->pool.id,
                                    .lease_ms = up->options->lease_s * UINT64_C(1000)};
    memcpy(jobs.chip, up->pool.chip, sizeof jobs.chip);
    int rc = keep_start(&up->keep, &up->loop, &up->hub, up->options->keep_jobs_s, err);
    if (rc == 0)
        rc = notices_start(&up->notices, &up->loop, &up->hub, err);
    if (rc == 0)
        rc = site_new(&up->site, up->runtime, up->options->data_dir, &config, up->gateway, err);
    return rc ? rc : site_run_jobs(up->site, &jobs, err);
}

static int load_engines(struct up *up, struct err *err)
{
    char path[FS_PATH_MAX];
    if (up->options->engines)
        return engine_specs_load(&up->engines, up->options->engines, err);
    if (!fs_join(path, up->share, "engines.yaml"))
        return err_set(err, ERR_INVALID, "path is too long");
    return engine_specs_load(&up->engines, path, err);
}

static int load_tls(struct up *up, struct err *err)
{
    const struct up_options *o = up->options;
    int rc = tls_client_new(&up->upstream_tls, err);
    if (rc == 0 && (o->tls_cert || o->tls_key)) {
        if (!o->tls_cert || !o->tls_key)
            return err_set(err, ERR_INVALID, "--tls-cert and --tls-key go together");
        rc = tls_server_new(&up->tls, o->tls_cert, o->tls_key, err);
    }
    return rc;
}

/* ---- running ---- */

/* Detached, the first lines went to whoever started us; from now on everything goes to the log. */
static void leave_terminal(const struct up *up)
{
    char path[FS_PATH_MAX];
    if (!up->options->detach || !fs_join(path, up->log_dir, "hub.log"))
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    dup2(null, STDOUT_FILENO); /* closes the pipe: our starter sees the end */
}

static void announce(struct up *up)
{
    const char *url = up->hub.listen;
    up->announced = true;
    printf("address   %s\n", url);
    if (up->first.made) {
        printf("key       %s   (tenant default, shown this once)\n", up->first.key);
        printf("operator  %s   (manages everything, shown this once)\n", up->first.admin);
    }
    printf("try       curl -s %s/v1/chat/completions -H 'Authorization: Bearer %s' "
           "-d '{\"model\":\"stories\",\"messages\":[{\"role\":\"user\",\"content\":"
           "\"Tell me a story about a brave fox\"}]}'\n",
           url, up->first.made ? up->first.key : "$BUSBAR_KEY");
    fflush(stdout);
    log_info("serving", "address=%s seconds=%.2f", url, (double)(clock_mono_ns() - up->started_ns) / 1e9);
    leave_terminal(up);
}

static void on_site_stopped(void *ctx)
{
    struct up *up = ctx;
    site_free(up->site);
    uv_close((uv_handle_t *)&up->sigterm, NULL);
    uv_close((uv_handle_t *)&up->sigint, NULL);
    uv_close((uv_handle_t *)&up->timer, NULL);
}

static void stop(struct up *up)
{
    if (up->stopping)
        return;
    up->stopping = true;
    uv_timer_stop(&up->timer);
    gateway_stop(up->gateway);
    if (up->door)
        door_close(up->door);
    keep_stop(up->keep);
    notices_stop(up->notices);
    site_shutdown(up->site, on_site_stopped, up);
}

static void on_timer(uv_timer_t *timer)
{
    struct up *up = timer->data;
    uint64_t now = clock_mono_ns();
    if (up->draining) {
        if (gateway_busy(up->gateway) == 0 ||
            now - up->drain_ns > (uint64_t)up->options->drain_s * 1000000000u)
            stop(up);
        return;
    }
    if (!up->announced &&
        (gateway_serving(up->gateway) || now - up->started_ns > SERVING_LIMIT_MS * UINT64_C(1000000))) {
        announce(up);
        uv_timer_stop(timer);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct up *up = handle->data;
    if (up->draining) { /* asked twice: no more waiting */
        stop(up);
        return;
    }
    log_info("draining", "signal=%d requests=%u", number, gateway_busy(up->gateway));
    up->draining = true;
    up->drain_ns = clock_mono_ns();
    gateway_drain(up->gateway);
    uv_timer_start(&up->timer, on_timer, POLL_MS, POLL_MS);
}

static void watch(struct up *up)
{
    uv_signal_init(&up->loop.uv, &up->sigterm);
    uv_signal_init(&up->loop.uv, &up->sigint);
    uv_timer_init(&up->loop.uv, &up->timer);
    up->sigterm.data = up->sigint.data = up->timer.data = up;
    uv_signal_start(&up->sigterm, on_signal, SIGTERM);
    uv_signal_start(&up->sigint, on_signal, SIGINT);
    uv_timer_start(&up->timer, on_timer, POLL_MS, POLL_MS);
}

static int start_all(struct up *up, struct err *err)
{
    int rc = load_engines(up, err);
    if (rc == 0)
        rc = load_tls(up, err);
    if (rc == 0)
        rc = parse_listen(up, err);
    if (rc == 0)
        rc = start_gateway_parts(up, err);
    if (rc == 0)
        rc = start_hub(up, err);
    if (rc == 0)
        rc = start_site(up, err);
    return rc ? rc : hub_accept_start(&up->hub, up->self, up->share, up->options->acceptance_every_s, err);
}

static void free_all(struct up *up)
{
    if (up->gateway)
        gateway_stop(up->gateway);
    publisher_stop(up->publisher);
    witnesses_stop(up->witnesses);
    starts_stop(up->hub.starts);
    clusters_stop(up->hub.clusters);
    hub_accept_stop(&up->hub);
    if (up->runtime)
        runtime_stop(up->runtime);
    publisher_free(up->publisher);
    witnesses_free(up->witnesses);
    starts_free(up->hub.starts);
    clusters_free(up->hub.clusters);
    quota_free(up->hub.quota);
    if (up->gateway)
        gateway_free(up->gateway);
    door_free(up->door);
    keep_free(up->keep);
    notices_free(up->notices);
    netfile_free(up->catalogue);
    hub_free_recipes(&up->hub);
    tls_context_free(up->tls);
    tls_context_free(up->upstream_tls);
    if (up->engines)
        engine_specs_free(up->engines);
    engine_config_free(up->machine);
    unlink(up->socket);
}

static int serve_here(struct up *up)
{
    struct err err = {0};
    int rc = take_lock(up, &err);
    if (rc == 0) {
        signal(SIGPIPE, SIG_IGN);
        gateway_raise_limits();
        (void)setenv("UV_THREADPOOL_SIZE", THREADS,
                     0); /* large blobs are hashed there, and small questions come between */
        up->started_ns = clock_mono_ns();
        if (loop_init(&up->loop) != 0)
            abort();
        rc = start_all(up, &err);
        if (rc == 0) {
            watch(up);
            uv_run(&up->loop.uv, UV_RUN_DEFAULT);
        }
        if (rc == 0)
            loop_fini(&up->loop);
        free_all(up);
        log_info("stopped", "rc=%d", rc);
    }
    if (rc != 0)
        fprintf(stderr, "busbar: %s\n", err.msg);
    if (up->lock_fd >= 0)
        close(up->lock_fd);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

/* The parent passes on what the child prints until it serves, or until it has failed. */
static int serve_detached(struct up *up)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        perror("busbar: pipe");
        return CLI_FAILED;
    }
    pid_t pid = fork();
    if (pid < 0) {
        perror("busbar: fork");
        return CLI_FAILED;
    }
    if (pid == 0) {
        (void)setsid();
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        _exit(serve_here(up));
    }
    close(fds[1]);
    char block[4096];
    ssize_t n;
    bool any = false;
    while ((n = read(fds[0], block, sizeof block)) > 0) {
        any = true;
        fwrite(block, 1, (size_t)n, stdout);
    }
    close(fds[0]);
    if (any)
        return CLI_OK;
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
}

int up_run(const struct up_options *options)
{
    struct err err = {0};
    struct up *up = calloc(1, sizeof *up);
    if (!up)
        return CLI_FAILED;
    up->options = options;
    up->lock_fd = -1;
    log_init(STDERR_FILENO, (enum log_level)options->log_level, options->log_json);
    int rc = find_places(up, &err);
    if (rc == 0)
        rc = make_folders(up, &err);
    if (rc != 0) {
        fprintf(stderr, "busbar: %s\n", err.msg);
        free(up);
        return CLI_FAILED;
    }
    int status = options->detach ? serve_detached(up) : serve_here(up);
    free(up);
    return status;
}
