/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/witnesses.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/ed25519.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/log_files.h"
#include "runtime/publisher.h"

#define CONNECT_S 5L
#define ANSWER_S 20L
#define REST_NS UINT64_C(5000000000) /* after one that failed */
#define YEAR_10000_S UINT64_C(253402300800)
#define WORDS_CAP 100
#define NOTE_MAX ((size_t)64 << 10)

struct witness {
    struct witnesses *all;
    struct note_key key;
    pthread_t thread;
    bool running;
    struct witness_state state; /* under the lock, as the next three */
    char line[NOTE_LINE_CAP];   /* of the checkpoint that is offered; none: line_len is 0 */
    size_t line_len;
    bool done; /* with that one, well or not */
    /* The thread's. */
    CURL *curl;
    struct buf answer;
    uint64_t old; /* what it cosigned last, as far as we know */
};

struct witnesses {
    char dir[FS_PATH_MAX];
    unsigned n;
    struct witness list[WITNESSES_MAX];
    struct publisher *publisher;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t offered, answered;
    struct buf note; /* the last one */
    uint64_t turn;   /* how many were offered */
    atomic_bool stopping;
};

/* ---- one call ---- */

static size_t on_write(char *data, size_t size, size_t n, void *ctx)
{
    struct witness *w = ctx;
    buf_add(&w->answer, data, size * n);
    return w->answer.failed ? 0 : size * n;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t ut, curl_off_t un)
{
    const struct witness *w = ctx;
    (void)total;
    (void)now;
    (void)ut;
    (void)un;
    return w->all->stopping;
}

static int post(struct witness *w, const struct buf *body, long *status, struct err *err)
{
    char url[WITNESS_URL_CAP + 20];
    (void)snprintf(url, sizeof url, "%s/add-checkpoint", w->state.url);
    buf_clear(&w->answer);
    curl_easy_setopt(w->curl, CURLOPT_URL, url);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDS, body->data);
    curl_easy_setopt(w->curl, CURLOPT_POSTFIELDSIZE, (long)body->len);
    CURLcode rc = curl_easy_perform(w->curl);
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, status);
    return rc == CURLE_OK ? 0 : err_set(err, ERR_UPSTREAM, "%s", curl_easy_strerror(rc));
}

/* The beginning of an answer's first line, as it can be shown: it may be anything. */
static void first_words(char dst[WORDS_CAP], const struct buf *answer)
{
    size_t n = 0;
    for (; n < WORDS_CAP - 1 && n < answer->len && answer->data[n] != '\n' && answer->data[n] != '\r'; n++)
        dst[n] = answer->data[n] >= ' ' && answer->data[n] <= '~' ? answer->data[n] : '?';
    dst[n] = 0;
}

/* Asks once. 0: 200 or 409, which has the size that it cosigned last. */
static int ask(struct witness *w, const struct checkpoint *point, const struct buf *note, long *status,
               struct err *err)
{
    char head[WITNESS_HEAD_CAP];
    struct proof proof = {.n = 0};
    struct buf body;
    struct tile_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    *reader = (struct tile_reader){
        .hash = digest_sha256, .read = log_files_read_hashes, .ctx = w->all->dir, .size = point->size};
    int rc = proof_consistency(digest_sha256, tile_subtree, reader, w->old, point->size, &proof);
    free(reader);
    if (rc != 0)
        return err_set(err, rc, "the log's tiles cannot be read for a proof");
    buf_init(&body, 2 * NOTE_MAX);
    buf_add(&body, head, witness_request_head(head, w->old, &proof));
    buf_add(&body, note->data, note->len);
    rc = body.failed ? err_set(err, ERR_NO_MEMORY, "out of memory") : post(w, &body, status, err);
    buf_fini(&body);
    if (rc == 0 && *status != 200 && *status != 409) {
        char words[WORDS_CAP];
        first_words(words, &w->answer);
        rc = err_set(err, ERR_UPSTREAM, "it answers %ld: %s", *status, words);
    }
    return rc;
}

/* The line of the answer that is this witness's signature, and holds. */
static int take_line(struct witness *w, const struct note *note, char line[NOTE_LINE_CAP], size_t *len,
                     uint64_t *time_s, struct err *err)
{
    struct buf one;
    struct note parsed;
    int rc = ERR_NOT_FOUND;
    buf_init(&one, NOTE_MAX);
    for (size_t at = 0; at < w->answer.len && rc == ERR_NOT_FOUND;) {
        const char *start = w->answer.data + at, *end = memchr(start, '\n', w->answer.len - at);
        size_t n = end ? (size_t)(end - start) + 1 : w->answer.len - at;
        at += n;
        buf_clear(&one);
        buf_add(&one, note->text, note->text_len);
        buf_add_char(&one, '\n');
        buf_add(&one, start, n);
        if (n > NOTE_LINE_CAP || one.failed || note_parse(&parsed, one.data, one.len) != 0)
            continue;
        rc = note_check(&parsed, &w->key, ed25519_verify, time_s);
        memcpy(line, start, n);
        *len = n;
    }
    buf_fini(&one);
    if (rc == 0 && *time_s > YEAR_10000_S)
        rc = ERR_INVALID;
    return rc == 0 ? 0 : err_set(err, ERR_UPSTREAM, "its answer has no cosignature of its key that holds");
}

/* Offers a checkpoint; what it knows is told by the first answer where we do not know it. */
static int offer(struct witness *w, const struct buf *text, char line[NOTE_LINE_CAP], size_t *len,
                 uint64_t *time_s, uint64_t *leaves, struct err *err)
{
    struct note note;
    struct checkpoint point;
    long status = 0;
    uint64_t size = 0;
    if (note_parse(&note, text->data, text->len) != 0 ||
        checkpoint_parse(&point, note.text, note.text_len) != 0)
        return err_set(err, ERR_CORRUPT, "the checkpoint is damaged");
    *leaves = point.size;
    int rc = ask(w, &point, text, &status, err);
    if (rc == 0 && status == 409) {
        size_t digits = w->answer.len > 0 ? w->answer.len - 1 : 0;
        if (!u64_parse(w->answer.data ? w->answer.data : "", digits, MERKLE_SIZE_MAX, &size) ||
            size == w->old)
            return err_set(err, ERR_FORBIDDEN, "it saw another log of this name: a split view");
        if (size > point.size)
            return err_set(err, ERR_FORBIDDEN, "it cosigned %llu leaves, and the log has %llu",
                           (unsigned long long)size, (unsigned long long)point.size);
        w->old = size;
        rc = ask(w, &point, text, &status, err);
    }
    if (rc == 0 && status != 200)
        rc = err_set(err, ERR_UPSTREAM, "somebody else asks it as well");
    if (rc == 0)
        rc = take_line(w, &note, line, len, time_s, err);
    if (rc == 0)
        w->old = point.size;
    return rc;
}

/* ---- a thread ---- */

/* Under the lock. */
static void tell_behind(struct witness *w)
{
    if (w->state.behind_since_ms != 0)
        return;
    w->state.behind_since_ms = clock_wall_ms();
    log_warn("witness_behind", "witness=%s leaves=%llu error=\"%s\"", w->state.name,
             (unsigned long long)w->state.leaves, w->state.error);
}

static void take_outcome(struct witness *w, int rc, uint64_t turn, const char *line, size_t len,
                         uint64_t time_s, uint64_t leaves, const struct err *err)
{
    struct witnesses *all = w->all;
    pthread_mutex_lock(&all->lock);
    bool newest = turn == all->turn;
    (void)text_set(w->state.error, sizeof w->state.error, err->msg,
                   rc == 0 ? 0 : text_len(err->msg, sizeof w->state.error - 1));
    if (rc == 0) {
        w->state.leaves = leaves;
        w->state.time_ms = (int64_t)time_s * 1000;
    } else {
        tell_behind(w);
    }
    if (rc == 0 && newest) {
        memcpy(w->line, line, len);
        w->line_len = len;
        if (w->state.behind_since_ms != 0)
            log_info("witness_back", "witness=%s leaves=%llu", w->state.name, (unsigned long long)leaves);
        w->state.behind_since_ms = 0;
    }
    w->done |= newest;
    pthread_cond_broadcast(&all->answered);
    pthread_mutex_unlock(&all->lock);
    if (rc == 0 && newest)
        publisher_cosigned(all->publisher);
}

static void *witness_main(void *arg)
{
    struct witness *w = arg;
    struct witnesses *all = w->all;
    uint64_t turn = 0, rest_until = 0;
    bool again = false; /* the last one failed */
    struct buf text;
    buf_init(&text, NOTE_MAX);
    for (;;) {
        pthread_mutex_lock(&all->lock);
        while (!all->stopping && (clock_mono_ns() < rest_until || (turn == all->turn && !again))) {
            struct timespec until = {.tv_sec = (time_t)(rest_until / 1000000000u),
                                     .tv_nsec = (long)(rest_until % 1000000000u)};
            if (clock_mono_ns() < rest_until)
                pthread_cond_timedwait(&all->offered, &all->lock, &until);
            else
                pthread_cond_wait(&all->offered, &all->lock);
        }
        turn = all->turn;
        buf_clear(&text);
        buf_add(&text, all->note.data, all->note.len);
        pthread_mutex_unlock(&all->lock);
        if (all->stopping)
            break;
        char line[NOTE_LINE_CAP];
        size_t len = 0;
        uint64_t time_s = 0, leaves = 0;
        struct err err = {0};
        int rc = offer(w, &text, line, &len, &time_s, &leaves, &err);
        again = rc != 0;
        rest_until = again ? clock_mono_ns() + REST_NS : 0;
        take_outcome(w, rc, turn, line, len, time_s, leaves, &err);
    }
    buf_fini(&text);
    return NULL;
}

/* ---- the publisher's side ---- */

void witnesses_offer(void *witnesses, const void *note, size_t len)
{
    struct witnesses *all = witnesses;
    uint64_t until_ns = clock_mono_ns() + WITNESS_WAIT_MS * UINT64_C(1000000);
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                             .tv_nsec = (long)(until_ns % 1000000000u)};
    pthread_mutex_lock(&all->lock);
    buf_clear(&all->note);
    buf_add(&all->note, note, len);
    all->turn++;
    for (unsigned i = 0; i < all->n; i++) {
        all->list[i].line_len = 0;
        all->list[i].done = all->list[i].state.behind_since_ms != 0;
    }
    pthread_cond_broadcast(&all->offered);
    for (unsigned i = 0; i < all->n && !all->stopping;) {
        if (all->list[i].done)
            i++;
        else if (pthread_cond_timedwait(&all->answered, &all->lock, &until) != 0)
            break;
    }
    for (unsigned i = 0; i < all->n; i++) {
        if (!all->list[i].done)
            tell_behind(&all->list[i]);
    }
    pthread_mutex_unlock(&all->lock);
}

void witnesses_lines(void *witnesses, struct buf *out)
{
    struct witnesses *all = witnesses;
    pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < all->n; i++)
        buf_add(out, all->list[i].line, all->list[i].line_len);
    pthread_mutex_unlock(&all->lock);
}

unsigned witnesses_state(struct witnesses *all, struct witness_state out[WITNESSES_MAX])
{
    if (!all)
        return 0;
    pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < all->n; i++)
        out[i] = all->list[i].state;
    pthread_mutex_unlock(&all->lock);
    return all->n;
}

/* ---- beginning and end ---- */

/* VKEY=URL. A key has no sign of equality behind its second plus: its bytes are a multiple of three. */
static int take_given(struct witness *w, const char *given, struct err *err)
{
    const char *first = strchr(given, '+');
    const char *id = first ? strchr(first + 1, '+') : NULL, *equal = id ? strchr(id, '=') : NULL;
    if (!equal || note_key_parse(digest_sha256, &w->key, given, (size_t)(equal - given)) != 0 ||
        w->key.type != NOTE_COSIGNATURE || strpbrk(w->key.name, "\"\\"))
        return err_set(err, ERR_INVALID, "--witness: expected VKEY=URL, with the key of a witness, got %s",
                       given);
    const char *url = equal + 1;
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) ||
        !text_set(w->state.url, sizeof w->state.url, url, len))
        return err_set(err, ERR_INVALID, "--witness: %s: expected a URL with http:// or https://, got %s",
                       w->key.name, url);
    return text_set(w->state.name, sizeof w->state.name, w->key.name, strlen(w->key.name)) ? 0 : ERR_INVALID;
}

static int open_curl(struct witness *w)
{
    w->curl = curl_easy_init();
    if (!w->curl)
        return ERR_NO_MEMORY;
    curl_easy_setopt(w->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(w->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(w->curl, CURLOPT_TIMEOUT, ANSWER_S);
    curl_easy_setopt(w->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(w->curl, CURLOPT_WRITEDATA, w);
    curl_easy_setopt(w->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(w->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(w->curl, CURLOPT_XFERINFODATA, w);
    curl_easy_setopt(w->curl, CURLOPT_USERAGENT, "busbar/" BUSBAR_VERSION);
    if (getenv("SSL_CERT_FILE"))
        curl_easy_setopt(w->curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    return 0;
}

int witnesses_new(struct witnesses **out, const char *dir, const char *const *given, unsigned n,
                  struct err *err)
{
    struct witnesses *all = calloc(1, sizeof *all);
    int rc = all ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0 && (n > WITNESSES_MAX || !text_set(all->dir, sizeof all->dir, dir, strlen(dir))))
        rc = err_set(err, ERR_INVALID, "--witness: at most %d", WITNESSES_MAX);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        struct witness *w = &all->list[i];
        w->all = all;
        rc = take_given(w, given[i], err);
        for (unsigned k = 0; rc == 0 && k < i; k++) {
            if (memcmp(all->list[k].key.key, w->key.key, sizeof w->key.key) == 0)
                rc = err_set(err, ERR_INVALID, "--witness: %s is there twice", w->key.name);
        }
    }
    if (rc != 0) {
        free(all);
        return rc;
    }
    all->n = n;
    buf_init(&all->note, NOTE_MAX);
    pthread_mutex_init(&all->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&all->offered, &attr);
    pthread_cond_init(&all->answered, &attr);
    pthread_condattr_destroy(&attr);
    *out = all;
    return 0;
}

int witnesses_run(struct witnesses *all, struct publisher *publisher, struct err *err)
{
    all->publisher = publisher;
    for (unsigned i = 0; i < all->n; i++) {
        struct witness *w = &all->list[i];
        buf_init(&w->answer, NOTE_MAX);
        if (open_curl(w) != 0 || pthread_create(&w->thread, NULL, witness_main, w) != 0)
            return err_set(err, ERR_NO_MEMORY, "cannot start a thread");
        pthread_setname_np(w->thread, "busbar-witness");
        w->running = true;
    }
    return 0;
}

void witnesses_stop(struct witnesses *all)
{
    if (!all)
        return;
    pthread_mutex_lock(&all->lock);
    all->stopping = true;
    pthread_cond_broadcast(&all->offered);
    pthread_mutex_unlock(&all->lock);
    for (unsigned i = 0; i < all->n; i++) {
        struct witness *w = &all->list[i];
        if (w->running)
            pthread_join(w->thread, NULL);
        w->running = false;
        curl_easy_cleanup(w->curl);
        w->curl = NULL;
        buf_fini(&w->answer);
    }
}

void witnesses_free(struct witnesses *all)
{
    if (!all)
        return;
    buf_fini(&all->note);
    free(all);
}
