/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/publisher.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "runtime/log_files.h"
#include "runtime/signer.h"

#define CHUNK_MAX ((size_t)4 << 20) /* of entries that are read at once; a batch more may come */
#define KEY_FILE "vkey"
#define REFUSED_WAIT_NS UINT64_C(60000000000) /* an operator has to do something first */

struct publisher {
    char self[FS_PATH_MAX], dir[FS_PATH_MAX], signer_dir[FS_PATH_MAX];
    struct publisher_witnesses witnesses;
    pthread_mutex_t lock; /* guards the next five */
    pthread_cond_t cond;
    struct merkle_edge edge; /* as committed */
    bool stopping, cosigned;
    struct publisher_state state;
    struct store *store;
    pthread_t thread;
    bool running;
    /* The thread's. */
    struct log_files files;
    struct signer signer;
    struct buf chunk, note;
    struct buf signed_note; /* the note with the cosignatures that are there */
    uint64_t target;
};

/* ---- leaves become files ---- */

static int take_row(void *ctx, const struct log_row *row)
{
    struct publisher *p = ctx;
    if (row->first >= p->target || p->chunk.len >= CHUNK_MAX)
        return 1;
    buf_add(&p->chunk, row->entries, row->entries_len);
    return 0;
}

static int add_leaves(struct publisher *p, struct err *err)
{
    int rc = 0;
    while (rc == 0 && log_files_size(&p->files) < p->target) {
        const uint8_t *entry;
        size_t at = 0, len;
        uint64_t before = log_files_size(&p->files);
        buf_clear(&p->chunk);
        rc = p->store->ops->log(p->store, before, take_row, p, err);
        if (p->chunk.failed)
            return err_set(err, ERR_NO_MEMORY, "out of memory");
        while (rc == 0 &&
               tile_entry_next((const uint8_t *)p->chunk.data, p->chunk.len, &at, &entry, &len) == 0)
            rc = log_files_add(&p->files, entry, len, err);
        if (rc == 0 && log_files_size(&p->files) == before)
            rc = err_set(err, ERR_CORRUPT, "leaf %llu is not in the store", (unsigned long long)before);
    }
    return rc;
}

static int open_files(struct publisher *p, struct err *err)
{
    bool again;
    log_files_fini(&p->files);
    int rc = log_files_open(&p->files, p->dir, &again, err);
    if (again)
        log_warn("log_written_anew", "folder=%s", p->dir);
    return rc;
}

/* Checkpoints are of whole batches, as the store's rows are, so a row is never begun in its middle. A store that is shorter
 * than the files is another one. */
static int write_files(struct publisher *p, const struct merkle_edge *edge, struct err *err)
{
    struct merkle_hash want, root;
    if (!p->files.edge || log_files_size(&p->files) > edge->size) {
        int rc = open_files(p, err);
        if (rc != 0)
            return rc;
        if (log_files_size(&p->files) > edge->size)
            return err_set(err, ERR_CORRUPT, "the published log has %llu leaves, the store %llu",
                           (unsigned long long)log_files_size(&p->files), (unsigned long long)edge->size);
    }
    p->target = edge->size;
    int rc = add_leaves(p, err);
    if (rc == 0)
        rc = log_files_sync(&p->files, err);
    if (rc != 0)
        return rc;
    tile_edge_root(digest_sha256, p->files.edge, &root);
    merkle_edge_root(digest_sha256, edge, &want);
    if (memcmp(root.b, want.b, sizeof root.b) != 0)
        return err_set(err, ERR_CORRUPT, "the tree of %llu leaves is not the one that was committed",
                       (unsigned long long)edge->size);
    return 0;
}

/* ---- checkpoints ---- */

static int start_signer(struct publisher *p, struct err *err)
{
    char path[FS_PATH_MAX], key[NOTE_KEY_TEXT_CAP + 1];
    if (p->signer.fd >= 0)
        return 0;
    int rc = signer_start(&p->signer, p->self, p->signer_dir, err);
    if (rc != 0)
        return rc;
    note_key_text(key, &p->signer.key);
    size_t len = strlen(key);
    key[len++] = '\n';
    return fs_join(path, p->dir, KEY_FILE) ? fs_write_atomic(path, key, len, LOG_FILES_MODE, err)
                                           : ERR_INVALID;
}

/* Writes the checkpoint with the cosignatures that are there; not if that is what the file has. */
static int write_checkpoint(struct publisher *p, bool anew, struct err *err)
{
    size_t before = p->signed_note.len;
    buf_clear(&p->signed_note);
    buf_add(&p->signed_note, p->note.data, p->note.len);
    if (p->witnesses.lines)
        p->witnesses.lines(p->witnesses.ctx, &p->signed_note);
    if (p->signed_note.failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!anew && p->signed_note.len == before)
        return 0;
    return log_files_checkpoint(&p->files, p->signed_note.data, p->signed_note.len, err);
}

static int sign(struct publisher *p, const struct merkle_edge *edge, struct err *err)
{
    struct checkpoint point = {.size = edge->size};
    struct proof proof = {0};
    struct tile_reader *reader = calloc(1, sizeof *reader);
    int rc = reader ? start_signer(p, err) : ERR_NO_MEMORY;
    if (rc == 0) {
        memcpy(point.origin, p->signer.key.name, sizeof point.origin);
        merkle_edge_root(digest_sha256, edge, &point.root);
        *reader = (struct tile_reader){
            .hash = digest_sha256, .read = log_files_read_hashes, .ctx = p->dir, .size = edge->size};
        if (p->signer.head.size <= edge->size) /* else the signer says what is wrong */
            rc = proof_consistency(digest_sha256, tile_subtree, reader, p->signer.head.size, edge->size,
                                   &proof);
    }
    if (rc == 0)
        rc = signer_sign(&p->signer, &point, &proof, &p->note, err);
    if (rc == ERR_IO)
        signer_stop(&p->signer);
    if (rc == 0 && p->witnesses.offer)
        p->witnesses.offer(p->witnesses.ctx, p->note.data, p->note.len);
    if (rc == 0)
        rc = write_checkpoint(p, true, err);
    free(reader);
    return rc;
}

/* ---- the thread ---- */

static void publish(struct publisher *p, const struct merkle_edge *edge)
{
    struct err err = {0};
    int rc = write_files(p, edge, &err);
    if (rc == 0)
        rc = sign(p, edge, &err);
    if (rc != 0)
        log_error(rc == ERR_FORBIDDEN ? "log_refused" : "log_failed", "leaves=%llu error=\"%s\"",
                  (unsigned long long)edge->size, err.msg[0] ? err.msg : err_text(rc));
    if (rc != 0 && rc != ERR_FORBIDDEN) { /* what is half written is read again */
        log_files_fini(&p->files);
        p->files = (struct log_files){0};
    }
    pthread_mutex_lock(&p->lock);
    p->state.refused = rc == ERR_FORBIDDEN;
    if (rc == 0)
        p->state.published = edge->size;
    pthread_mutex_unlock(&p->lock);
}

enum turn { TURN_OVER, TURN_PUBLISH, TURN_COSIGNED };

/* Waits until there is something to publish, and its time has come, or cosignatures for what is published. */
static enum turn await(struct publisher *p, uint64_t not_before, uint64_t last_tried,
                       struct merkle_edge *edge, bool *last)
{
    enum turn turn = TURN_PUBLISH;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        uint64_t now = clock_mono_ns();
        /* What failed is tried again at the interval, also if nothing came. */
        bool more = p->edge.size > last_tried || p->edge.size > p->state.published;
        if (p->stopping || (more && now >= not_before))
            break;
        if (p->cosigned) {
            turn = TURN_COSIGNED;
            break;
        }
        if (!more) {
            pthread_cond_wait(&p->cond, &p->lock);
            continue;
        }
        struct timespec until = {.tv_sec = (time_t)(not_before / 1000000000u),
                                 .tv_nsec = (long)(not_before % 1000000000u)};
        pthread_cond_timedwait(&p->cond, &p->lock, &until);
    }
    if (p->stopping && p->edge.size <= p->state.published)
        turn = TURN_OVER;
    p->cosigned = false;
    *edge = p->edge;
    *last = p->stopping; /* at one moment with the edge: what comes later is published by a turn of its own */
    pthread_mutex_unlock(&p->lock);
    return turn;
}

static void add_cosignatures(struct publisher *p)
{
    struct err err = {0};
    if (p->note.len > 0 && p->files.edge && write_checkpoint(p, false, &err) != 0)
        log_error("log_failed", "error=\"%s\"", err.msg);
}

static void *publisher_main(void *arg)
{
    struct publisher *p = arg;
    struct merkle_edge edge;
    uint64_t not_before = 0, tried = 0;
    bool last = false;
    enum turn turn;
    while (!last && (turn = await(p, not_before, tried, &edge, &last)) != TURN_OVER) {
        if (turn == TURN_COSIGNED) {
            add_cosignatures(p);
            last = false;
            continue;
        }
        publish(p, &edge);
        tried = edge.size;
        not_before = clock_mono_ns() + (publisher_state(p).refused ? REFUSED_WAIT_NS : PUBLISH_INTERVAL_NS);
    }
    signer_stop(&p->signer);
    log_files_fini(&p->files);
    buf_fini(&p->chunk);
    buf_fini(&p->note);
    buf_fini(&p->signed_note);
    return NULL;
}

int publisher_new(struct publisher **out, const struct publisher_config *config, struct err *err)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!text_set(p->self, sizeof p->self, config->self, strlen(config->self)) ||
        !text_set(p->dir, sizeof p->dir, config->dir, strlen(config->dir)) ||
        !text_set(p->signer_dir, sizeof p->signer_dir, config->signer_dir, strlen(config->signer_dir))) {
        free(p);
        return err_set(err, ERR_INVALID, "path is too long");
    }
    p->signer = (struct signer){.fd = -1, .pid = -1};
    buf_init(&p->chunk, 2 * CHUNK_MAX);
    buf_init(&p->note, SIGNER_MESSAGE_MAX);
    buf_init(&p->signed_note, 4 * SIGNER_MESSAGE_MAX);
    p->witnesses = config->witnesses;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->cond, &attr);
    pthread_condattr_destroy(&attr);
    *out = p;
    return 0;
}

void publisher_grown(void *publisher, const struct merkle_edge *edge)
{
    struct publisher *p = publisher;
    pthread_mutex_lock(&p->lock);
    p->edge = *edge;
    p->state.committed = edge->size;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

void publisher_cosigned(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    p->cosigned = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

int publisher_run(struct publisher *p, struct store *store, struct err *err)
{
    p->store = store;
    if (pthread_create(&p->thread, NULL, publisher_main, p) != 0)
        return err_set(err, ERR_NO_MEMORY, "cannot start a thread");
    pthread_setname_np(p->thread, "busbar-log");
    p->running = true;
    return 0;
}

void publisher_stop(struct publisher *p)
{
    if (!p || !p->running)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    p->running = false;
}

void publisher_free(struct publisher *p)
{
    free(p);
}

struct publisher_state publisher_state(struct publisher *p)
{
    pthread_mutex_lock(&p->lock);
    struct publisher_state state = p->state;
    pthread_mutex_unlock(&p->lock);
    return state;
}
