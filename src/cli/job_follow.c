/* SPDX-License-Identifier: Apache-2.0 */
/* A job while it waits and runs: what it prints, why it waits, and its end as ours. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/job.h"

#define QUEUED_LOOK_MS 200

/* Exit statuses of a job that did not exit by itself, as shells and timeout(1) have them. */
#define EXIT_TIMED_OUT 124
#define EXIT_SIGNAL 128
#define EXIT_INTERRUPTED 130

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

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
static int read_log(struct job_follow *f, int stream, int wait_s, uint64_t *bytes)
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
int job_drain(struct job_follow *f)
{
    int rc = CLI_OK;
    for (int stream = 0; stream < 2; stream++) {
        uint64_t bytes = 1;
        while (rc == CLI_OK && bytes > 0)
            rc = read_log(f, stream, 0, &bytes);
    }
    return rc;
}

int job_get(const struct cli *cli, const char *id, bool eta, yyjson_doc **doc)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/jobs/", id, eta ? "?eta=true" : "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, doc);
    request_end(&r);
    return rc;
}

const char *job_text(yyjson_doc *doc, const char *pointer)
{
    const char *text = yyjson_get_str(yyjson_ptr_get(yyjson_doc_get_root(doc), pointer));
    return text ? text : "";
}

bool job_is_array(yyjson_doc *doc)
{
    return yyjson_ptr_get(yyjson_doc_get_root(doc), "/array/first") != NULL;
}

static bool is_news(struct job_follow *f, const char *text)
{
    if (f->quiet || !text[0] || strcmp(text, f->told) == 0)
        return false;
    (void)text_set(f->told, sizeof f->told, text, text_len(text, sizeof f->told - 1));
    return true;
}

static void tell_why(struct job_follow *f, yyjson_doc *doc)
{
    const char *why = job_text(doc, "/why/bar");
    if (is_news(f, why))
        fprintf(stderr, "busbar: job %s waits: %s\n", f->id, job_text(doc, "/why/text"));
}

static bool is_over(yyjson_doc *doc)
{
    const char *state = job_text(doc, "/state");
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

/* "3 queued, 1 running, 4 ended, 1 of them badly" */
static void tell_tasks(struct job_follow *f, yyjson_doc *doc)
{
    yyjson_val *tasks = yyjson_ptr_get(yyjson_doc_get_root(doc), "/array/tasks"), *key;
    const uint64_t failed = yyjson_get_uint(yyjson_ptr_get(yyjson_doc_get_root(doc), "/array/failed"));
    yyjson_obj_iter it = yyjson_obj_iter_with(tasks);
    struct buf line;
    buf_init(&line, sizeof f->told - 1);
    while ((key = yyjson_obj_iter_next(&it)) != NULL)
        buf_addf(&line, "%s%" PRIu64 " %s", line.len ? ", " : "",
                 yyjson_get_uint(yyjson_obj_iter_get_val(key)), yyjson_get_str(key));
    if (failed > 0)
        buf_addf(&line, "; %" PRIu64 " not well", failed);
    if (job_text(doc, "/why/text")[0] && !yyjson_obj_get(tasks, "running"))
        buf_addf(&line, "; waits: %s", job_text(doc, "/why/text"));
    char *text = buf_take(&line);
    if (text && is_news(f, text))
        fprintf(stderr, "busbar: array %s: %s\n", f->id, text);
    free(text);
}

/* Of an array it is told how many tasks are in which state; what each printed is in its own log. The hub counts them each time:
 * for a tenth of the time at most. */
static int follow_array(struct job_follow *f, yyjson_doc *doc, uint64_t answer_ns)
{
    const uint64_t pause_ns = answer_ns * 9 > QUEUED_LOOK_MS * UINT64_C(1000000)
                                  ? answer_ns * 9
                                  : QUEUED_LOOK_MS * UINT64_C(1000000);
    const struct timespec pause = {(time_t)(pause_ns / 1000000000), (long)(pause_ns % 1000000000)};
    tell_tasks(f, doc);
    if (!is_over(doc))
        nanosleep(&pause, NULL);
    return CLI_OK;
}

/* A look at the job, and then at what it printed: when the first says that it is over, the second is the whole. */
static int follow_step(struct job_follow *f, yyjson_doc **doc)
{
    uint64_t bytes;
    const uint64_t asked_ns = clock_mono_ns();
    int rc = job_get(f->cli, f->id, false, doc);
    if (rc != CLI_OK)
        return rc;
    if (job_is_array(*doc))
        return follow_array(f, *doc, clock_mono_ns() - asked_ns);
    uint32_t epoch = (uint32_t)yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(*doc), "epoch"));
    bool running = strcmp(job_text(*doc, "/state"), "running") == 0;
    if (f->epoch > 0 && !f->quiet)
        rc = job_drain(f);
    if (epoch != f->epoch) {
        f->epoch = epoch;
        f->offset[0] = f->offset[1] = 0;
        if (rc == CLI_OK && epoch > 0 && !f->quiet)
            rc = job_drain(f);
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
static int exit_status(const struct job_follow *f, yyjson_doc *doc)
{
    const char *state = job_text(doc, "/state"), *end = job_text(doc, "/end");
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (job_is_array(doc) && strcmp(state, "ended") == 0)
        return yyjson_get_uint(yyjson_ptr_get(root, "/array/failed")) == 0 ? CLI_OK : CLI_FAILED;
    if (strcmp(end, "exited") == 0)
        return (int)yyjson_get_uint(yyjson_obj_get(root, "code"));
    if (end[0])
        fprintf(stderr, "busbar: job %s: %s\n", f->id, job_text(doc, "/text"));
    else
        fprintf(stderr, "busbar: job %s: %s\n", f->id,
                strcmp(state, "unmet") == 0 ? "it was not started: what it comes after ended otherwise"
                                            : "it was cancelled");
    if (strcmp(end, "signalled") == 0)
        return EXIT_SIGNAL + (int)yyjson_get_uint(yyjson_obj_get(root, "signal"));
    return strcmp(end, "timed-out") == 0 ? EXIT_TIMED_OUT : CLI_FAILED;
}

int job_print(yyjson_doc *doc)
{
    char *text = yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
    puts(text ? text : "");
    int rc = text ? CLI_OK : CLI_FAILED;
    free(text);
    return rc;
}

static void tell_detached(const struct job_follow *f, const char *why)
{
    fprintf(stderr,
            "busbar: %s; job %s goes on\n"
            "  see it: busbar job logs %s --follow\n"
            "  end it: busbar job cancel %s\n",
            why, f->id, f->id, f->id);
}

/* Ctrl-C at a terminal: what is to become of the job. */
enum choice { GO_ON, DETACH, CANCEL };

static enum choice ask(const struct job_follow *f)
{
    char answer[16] = "";
    if (!f->ours || !isatty(STDIN_FILENO))
        return DETACH;
    fprintf(stderr, "\nbusbar: job %s runs on without us. d: leave it; c: cancel it; Enter: stay with it? ",
            f->id);
    fflush(stderr);
    if (!fgets(answer, sizeof answer, stdin)) /* a second Ctrl-C, or the end of input */
        return DETACH;
    return answer[0] == 'd' ? DETACH : answer[0] == 'c' ? CANCEL : GO_ON;
}

static int cancel(const struct job_follow *f)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/jobs/", f->id, "");
    int rc = client_call(f->cli, "DELETE", request_path_text(&r), NULL, NULL);
    request_end(&r);
    return rc;
}

/* Without SA_RESTART: a second one ends the question. */
static void catch_interrupt(void)
{
    const struct sigaction action = {.sa_handler = on_interrupt};
    interrupted = 0;
    (void)sigaction(SIGINT, &action, NULL);
}

static void forget_interrupt(void)
{
    const struct sigaction action = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGINT, &action, NULL);
}

/* True: the job was left alone. */
static bool on_ctrl_c(struct job_follow *f, int *rc)
{
    const enum choice choice = ask(f);
    catch_interrupt();
    if (choice == CANCEL)
        *rc = cancel(f);
    if (choice == DETACH)
        tell_detached(f, "detached");
    return choice == DETACH;
}

int job_follow(struct job_follow *f)
{
    yyjson_doc *doc = NULL;
    int rc = CLI_OK;
    bool over = false, detached = false;
    catch_interrupt();
    while (rc == CLI_OK && !over && !detached) {
        yyjson_doc_free(doc);
        doc = NULL;
        rc = follow_step(f, &doc);
        over = rc == CLI_OK && is_over(doc);
        if (interrupted && !over)
            detached = on_ctrl_c(f, &rc);
    }
    forget_interrupt();
    if (over) {
        rc = f->cli->json ? job_print(doc) : CLI_OK;
        rc = rc ? rc : exit_status(f, doc);
    } else if (detached) {
        rc = EXIT_INTERRUPTED;
    } else {
        tell_detached(f, "the hub does not tell any more");
    }
    yyjson_doc_free(doc);
    return rc;
}
