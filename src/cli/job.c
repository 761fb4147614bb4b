/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: submitting one and following it, seeing them, ending them. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/request.h"

#define QUEUED_LOOK_MS 200
#define TIME_S_MAX (UINT64_C(400) * 86400)

/* Exit statuses of a job that did not exit by itself, as shells and timeout(1) have them. */
#define EXIT_TIMED_OUT 124
#define EXIT_SIGNAL 128
#define EXIT_INTERRUPTED 130

static const struct column columns[] = {{"ID", "/id"},     {"NAME", "/name"},           {"STATE", "/state"},
                                        {"END", "/end"},   {"CODE", "/code"},           {"CHIPS", "/chips"},
                                        {"SITE", "/site"}, {"SUBMITTED", "/submitted"}, {"ENDED", "/ended"}};
static const struct column fields[] = {{"id", "/id"},
                                       {"name", "/name"},
                                       {"tenant", "/tenant"},
                                       {"command", "/argv"},
                                       {"state", "/state"},
                                       {"waits for", "/why/text"},
                                       {"end", "/end"},
                                       {"", "/text"},
                                       {"code", "/code"},
                                       {"chips", "/chips"},
                                       {"chip", "/chip"},
                                       {"site", "/site"},
                                       {"epoch", "/epoch"},
                                       {"priority", "/priority"},
                                       {"submitted", "/submitted"},
                                       {"started", "/started"},
                                       {"ended", "/ended"},
                                       {"CPU ms", "/usage/cpu_ms"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- the request ---- */

/* "90", "45s", "90m", "36h", "3d", "8w". 0: it is no such time. */
static uint64_t read_seconds(const char *text)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    size_t len = strlen(text);
    uint64_t n, scale = 1;
    for (size_t i = 0; len > 1 && i < sizeof units / sizeof units[0]; i++) {
        if (text[len - 1] != units[i].unit)
            continue;
        scale = units[i].seconds;
        len--;
        break;
    }
    return u64_parse(text, len, TIME_S_MAX / scale, &n) ? n * scale : 0;
}

static void begin_member(struct request *r, const char *name)
{
    buf_addf(&r->body, "%s\"%s\":", r->body.len > 1 ? "," : "", name);
}

static void add_time_limit(struct request *r, const struct cli *cli)
{
    const char *text = cli_option(cli, "time");
    uint64_t seconds = text ? read_seconds(text) : 0;
    if (!text)
        return;
    if (seconds == 0) {
        fprintf(stderr, "busbar: --time: expected a time such as 90s, 45m or 36h, got %s\n", text);
        r->bad = true;
        return;
    }
    begin_member(r, "time_limit_s");
    buf_addf(&r->body, "%" PRIu64, seconds);
}

static void add_priority(struct request *r, const struct cli *cli)
{
    const char *text = cli_option(cli, "priority");
    uint64_t n;
    if (!text)
        return;
    if (!u64_parse(text + (text[0] == '-'), strlen(text + (text[0] == '-')), 100, &n)) {
        fprintf(stderr, "busbar: --priority: expected a whole number from -100 to 100, got %s\n", text);
        r->bad = true;
        return;
    }
    begin_member(r, "priority");
    buf_addf(&r->body, "%s%" PRIu64, text[0] == '-' && n > 0 ? "-" : "", n);
}

static void add_flag(struct request *r, const struct cli *cli, const char *name)
{
    if (!cli_option(cli, name))
        return;
    begin_member(r, name);
    buf_add_text(&r->body, "true");
}

/* Each --env; one without a value is taken from our own environment. */
static void add_env(struct request *r, const struct cli *cli)
{
    const char *sep = "";
    if (!cli_option(cli, "env"))
        return;
    begin_member(r, "env");
    buf_add_char(&r->body, '[');
    for (int i = 0; i < cli->noptions; i++) {
        const char *text = cli->options[i].value;
        const char *ours = strchr(text, '=') ? NULL : getenv(text);
        if (strcmp(cli->options[i].name, "env") != 0)
            continue;
        struct buf pair;
        buf_init(&pair, 1 << 20);
        buf_addf(&pair, "%s%s%s", text, ours ? "=" : "", ours ? ours : "");
        buf_add_text(&r->body, sep);
        buf_add_json(&r->body, pair.data ? pair.data : "", pair.len);
        buf_fini(&pair);
        sep = ",";
    }
    buf_add_char(&r->body, ']');
}

static void add_terms(struct request *r, const struct cli *cli)
{
    if (!cli_option(cli, "tenant") && !cli->key)
        request_text(r, "tenant", "default");
    request_option(r, cli, "tenant", "tenant");
    request_option(r, cli, "name", "name");
    request_option(r, cli, "chip", "chip");
    request_option_count(r, cli, "chips", "chips");
    request_option_count(r, cli, "memory", "memory_mib");
    request_option_list(r, cli, "after", "after");
    add_time_limit(r, cli);
    add_priority(r, cli);
    add_flag(r, cli, "interruptible");
    add_flag(r, cli, "network");
    add_env(r, cli);
    begin_member(r, "argv");
    for (int i = 0; i < cli->nargs; i++) {
        buf_add_char(&r->body, i ? ',' : '[');
        buf_add_json(&r->body, cli->args[i], strlen(cli->args[i]));
    }
    buf_add_char(&r->body, ']');
}

/* ---- following ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

struct follow {
    const struct cli *cli;
    char id[64];
    uint32_t epoch;
    uint64_t offset[2]; /* of what it printed, and of its errors */
    bool quiet;
    char told[64]; /* why it waits, as last told */
};

struct piece {
    FILE *to;
    uint64_t bytes;
};

static bool on_log(void *ctx, const char *data, size_t len)
{
    struct piece *piece = ctx;
    piece->bytes += len;
    fwrite(data, 1, len, piece->to);
    fflush(piece->to);
    return true;
}

/* One look; *bytes: how many there were. */
static int read_log(struct follow *f, int stream, int wait_s, uint64_t *bytes)
{
    char path[256];
    long status;
    struct piece piece = {.to = stream ? stderr : stdout};
    (void)snprintf(path, sizeof path, "/api/v1/jobs/%s/logs?stream=%s&epoch=%u&offset=%" PRIu64 "&wait=%d",
                   f->id, stream ? "err" : "out", f->epoch, f->offset[stream], wait_s);
    int rc = client_stream(f->cli, "GET", path, NULL, f->cli->key, on_log, &piece, &status);
    f->offset[stream] += piece.bytes;
    *bytes = piece.bytes;
    return rc;
}

/* All that is there now, of both. */
static int drain(struct follow *f)
{
    int rc = CLI_OK;
    for (int stream = 0; stream < 2; stream++) {
        uint64_t bytes = 1;
        while (rc == CLI_OK && bytes > 0)
            rc = read_log(f, stream, 0, &bytes);
    }
    return rc;
}

static int get_job(const struct cli *cli, const char *id, yyjson_doc **doc)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/jobs/", id, "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, doc);
    request_end(&r);
    return rc;
}

static const char *text_of(yyjson_doc *doc, const char *pointer)
{
    const char *text = yyjson_get_str(yyjson_ptr_get(yyjson_doc_get_root(doc), pointer));
    return text ? text : "";
}

static void tell_why(struct follow *f, yyjson_doc *doc)
{
    const char *why = text_of(doc, "/why/bar");
    if (f->quiet || !why[0] || strcmp(why, f->told) == 0)
        return;
    (void)text_set(f->told, sizeof f->told, why, strlen(why));
    fprintf(stderr, "busbar: job %s waits: %s\n", f->id, text_of(doc, "/why/text"));
}

static bool is_over(yyjson_doc *doc)
{
    const char *state = text_of(doc, "/state");
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

/* A look at the job, and then at what it printed: when the first says that it is over, the second is the whole. */
static int follow_step(struct follow *f, yyjson_doc **doc)
{
    uint64_t bytes;
    int rc = get_job(f->cli, f->id, doc);
    if (rc != CLI_OK)
        return rc;
    uint32_t epoch = (uint32_t)yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(*doc), "epoch"));
    bool running = strcmp(text_of(*doc, "/state"), "running") == 0;
    if (f->epoch > 0 && !f->quiet)
        rc = drain(f);
    if (epoch != f->epoch) {
        f->epoch = epoch;
        f->offset[0] = f->offset[1] = 0;
        if (rc == CLI_OK && epoch > 0 && !f->quiet)
            rc = drain(f);
    }
    if (rc != CLI_OK || is_over(*doc))
        return rc;
    tell_why(f, *doc);
    if (running && !f->quiet)
        return read_log(f, 0, 1, &bytes);
    nanosleep(&(struct timespec){.tv_nsec = QUEUED_LOOK_MS * 1000000L}, NULL);
    return CLI_OK;
}

/* The status of the job as ours, and words about an end that was not its own. */
static int exit_status(const struct follow *f, yyjson_doc *doc)
{
    const char *state = text_of(doc, "/state"), *end = text_of(doc, "/end");
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (strcmp(end, "exited") == 0)
        return (int)yyjson_get_uint(yyjson_obj_get(root, "code"));
    if (end[0])
        fprintf(stderr, "busbar: job %s: %s\n", f->id, text_of(doc, "/text"));
    else
        fprintf(stderr, "busbar: job %s: %s\n", f->id,
                strcmp(state, "unmet") == 0 ? "it was not started: what it comes after ended otherwise"
                                            : "it was cancelled");
    if (strcmp(end, "signalled") == 0)
        return EXIT_SIGNAL + (int)yyjson_get_uint(yyjson_obj_get(root, "signal"));
    return strcmp(end, "timed-out") == 0 ? EXIT_TIMED_OUT : CLI_FAILED;
}

static int print_doc(yyjson_doc *doc)
{
    char *text = yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
    puts(text ? text : "");
    int rc = text ? CLI_OK : CLI_FAILED;
    free(text);
    return rc;
}

static void tell_detached(const struct follow *f, const char *why)
{
    fprintf(stderr,
            "busbar: %s; job %s goes on\n"
            "  see it: busbar job logs %s --follow\n"
            "  end it: busbar job cancel %s\n",
            why, f->id, f->id, f->id);
}

static int follow(struct follow *f)
{
    const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    yyjson_doc *doc = NULL;
    int rc = CLI_OK;
    bool over = false;
    (void)sigaction(SIGINT, &action, NULL);
    while (rc == CLI_OK && !over && !interrupted) {
        yyjson_doc_free(doc);
        doc = NULL;
        rc = follow_step(f, &doc);
        over = rc == CLI_OK && is_over(doc);
    }
    if (over) {
        rc = f->cli->json ? print_doc(doc) : CLI_OK;
        rc = rc ? rc : exit_status(f, doc);
    } else if (interrupted) {
        tell_detached(f, "detached");
        rc = EXIT_INTERRUPTED;
    } else {
        tell_detached(f, "the hub does not tell any more");
    }
    yyjson_doc_free(doc);
    return rc;
}

/* ---- verbs ---- */

int cli_run(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    struct follow f = {.cli = cli, .quiet = cli->json};
    request_begin(&r);
    add_terms(&r, cli);
    int rc = r.bad ? CLI_USAGE : client_call(cli, "POST", "/api/v1/jobs", request_body(&r), &doc);
    request_end(&r);
    if (rc == CLI_OK) {
        const char *id = text_of(doc, "/id");
        (void)text_set(f.id, sizeof f.id, id, strlen(id));
    }
    bool detach = cli_option(cli, "detach") != NULL;
    if (rc == CLI_OK && detach && cli->json)
        rc = print_doc(doc);
    else if (rc == CLI_OK && detach)
        puts(f.id);
    else if (rc == CLI_OK && !cli->json)
        fprintf(stderr, "busbar: job %s\n", f.id);
    yyjson_doc_free(doc);
    return rc != CLI_OK || detach ? rc : follow(&f);
}

int cli_jobs(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/jobs", "tenant limit cursor", columns, COUNT(columns));
}

int cli_job_show(const struct cli *cli)
{
    yyjson_doc *doc = NULL;
    int rc = get_job(cli, cli->args[0], &doc);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, fields, COUNT(fields));
    yyjson_doc_free(doc);
    return rc;
}

int cli_job_logs(const struct cli *cli)
{
    struct follow f = {.cli = cli};
    yyjson_doc *doc = NULL;
    int rc = get_job(cli, cli->args[0], &doc);
    if (rc == CLI_OK) {
        const char *id = text_of(doc, "/id");
        (void)text_set(f.id, sizeof f.id, id, strlen(id));
        f.epoch = (uint32_t)yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "epoch"));
    }
    yyjson_doc_free(doc);
    if (rc != CLI_OK)
        return rc;
    return cli_option(cli, "follow") ? follow(&f) : f.epoch > 0 ? drain(&f) : CLI_OK;
}

int cli_job_cancel(const struct cli *cli)
{
    static const struct column answer[] = {{"ID", "/id"}, {"STATE", "/state"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/jobs/", cli->args[0], "");
    return request_send(&r, cli, "DELETE", NULL, answer, COUNT(answer));
}
