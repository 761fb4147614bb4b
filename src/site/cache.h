/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache: blobs of the hub at a site, in DIR/blobs (base/blob.h). Inputs of jobs, their checkpoints, weights of models.
 *
 * Whoever needs one says so with cache_get and has it from when its function is called until it lets go with cache_drop: for
 * that time it is in use, and stays. One fetch goes on for each digest, however many want it. It comes in pieces, each
 * written and then asked for from where the file ends, so a link that breaks, an agent that is killed or a hub that is
 * away costs one piece. Before it is called by its name it has been hashed. A hub that is not reached is tried again for as
 * long as somebody wants it; what the hub will not give fails.
 *
 * The hub gives a site what it has reason to have, which `reason` says: `"job":"UUID","epoch":N`, of an epoch that runs
 * there and has it among its inputs; nothing, for weights of a model of which the site has a replica (hub/desk.h).
 *
 * A want may have a pace, that other wants may share: the pieces that are asked for on its account come at that many bits a second in the
 * mean, each of them as fast as the link can. So the way is measured by pieces, whatever the pace.
 *
 * Past `max` bytes the least recently used go that nobody uses. Runs on the loop that it is given, and its files on
 * threads. Bounds: CACHE_LINKS fetches at a time, a piece of BLOB_PIECE_MAX each; the others wait their turn.
 */
#ifndef BUSBAR_SITE_CACHE_H
#define BUSBAR_SITE_CACHE_H

#include "base/blob.h"
#include "site/link.h"

#define CACHE_LINKS 3
#define CACHE_REASON_MAX 160
#define CACHE_BYTES (UINT64_C(64) << 30) /* where nothing else is said */

struct cache_config {
    struct loop *loop;
    const char *hub;         /* HOST:PORT */
    struct tls_context *tls; /* stays the caller's */
    struct gauge *gauge;     /* is told what comes and goes; NULL: nobody is */
    const char *dir;         /* of the blobs; it outlives the cache */
    uint64_t max;
    void (*heard)(void *ctx, const struct err *err); /* each call's end; may be NULL */
    void *ctx;
};

struct cache;
struct cache_want;

/* Removes what an agent that was killed left half done, which blocks: before anybody else is at the folder. */
int cache_new(struct cache **out, const struct cache_config *config, struct err *err);

/* `path` lies in the cache until cache_drop; it must not be written to. With an error there is none: ERR_NOT_FOUND or
 * ERR_FORBIDDEN: the hub does not give it; ERR_DIGEST: what it gives is something else; ERR_LIMIT: no room. Called once,
 * never from within cache_get. */
typedef void cache_fn(void *ctx, const struct err *err, const char *path);
/* `name`: valid, the SHA-256 as text; `size` in bytes. `reason`: members of the call, or "". The want is the caller's
 * until cache_drop. */
struct cache_want *cache_get(struct cache *cache, const char *name, uint64_t size, const char *reason,
                             cache_fn *fn, void *ctx);
/* Zero: no limit. */
struct cache_pace {
    uint64_t bits_s;
    uint64_t next_ms; /* on the loop's clock: not before */
};
/* The pace outlives the want, and is on the same loop. */
void cache_pace(struct cache_want *want, struct cache_pace *pace);
/* Bytes that are here, of those that it has. */
uint64_t cache_have(const struct cache_want *want);
/* Bytes that came over the link for this want, not for another one of the same: of the blob, so that what came twice, since it
 * was damaged, counts once. */
uint64_t cache_fetched(const struct cache_want *want);
/* Not wanted any more; its function is not called after this. */
void cache_drop(struct cache_want *want);

/* Blobs that nobody may have any more, in place of those of the call before: each goes as soon as nobody uses it. A copy is made of the
 * names, which are valid. */
void cache_recall(struct cache *cache, const char (*names)[BLOB_NAME_LEN + 1], uint32_t n);

const char *cache_dir(const struct cache *cache);
/* How often a blob has come, or was found to be here. */
uint64_t cache_changes(const struct cache *cache);

/* All wants are dropped first. The memory goes once the loop has run, with cache_free. */
void cache_close(struct cache *cache);
void cache_free(struct cache *cache);

#endif
