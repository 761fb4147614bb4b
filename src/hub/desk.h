/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Desk: where sites get their orders and tell what became of them. JSON, of members at the door (hub/door.h).
 *
 *   POST /site/v1/inventory  chips of the site: pools are made for what is new, nodes cordoned where some are down
 *   POST /site/v1/chips      single chips of one of its machines (hub/desk_chips.c)
 *   POST /site/v1/orders     answered when there is something to do, or after a while with nothing
 *   POST /site/v1/program    what a job runs, that the site has orders for
 *   POST /site/v1/log        what it printed, from an offset on; the answer tells how much the hub has
 *   POST /site/v1/usage      what epochs have used so far
 *   POST /site/v1/blob       bytes of a blob from an offset on, BLOB_PIECE_MAX at most: an input of an epoch that runs there, or
 *                            weights of a model of which the site has a replica
 *   POST /site/v1/prior      the checkpoint that an epoch starts from; `pending`: the one before may still bring it
 *   POST /site/v1/put        bytes of what is kept of an epoch, from an offset on; the answer tells how much the hub has
 *   POST /site/v1/kept       what is kept of it, once all its bytes are here
 *   POST /site/v1/end        how an epoch ended; answered when that is durable
 *
 * Orders have a session and sequence numbers. A session begins with all that should run at the site; what changes after
 * that are starts and stops, each sent until the site has acknowledged it. What models it should serve goes with them
 * (hub/hosting.h). The hub forgets sessions when it ends, and so may
 * the site: whoever knows none begins one. All of it is by job and epoch, and may be said again.
 *
 * What a job printed and how it ended is kept in the work folder of the hub's own site, so that it can be read in the same
 * way wherever a job ran.
 */
#ifndef BUSBAR_HUB_DESK_H
#define BUSBAR_HUB_DESK_H

#include "base/blob.h"
#include "hub/visit.h"
#include "runtime/asks.h"
#include "runtime/runtime.h"

#define DESK_ANSWER_MAX ((size_t)8 << 20)
#define DESK_PUT_MAX BLOB_PIECE_MAX /* bytes of one /site/v1/put */

struct netfile;
struct hosting;

struct desk_config {
    struct loop *loop;
    struct runtime *runtime;
    struct mailbox *box; /* the door's, and its asks */
    struct asks *asks;
    struct hosting *hosting;         /* what sites should serve goes with their orders */
    const char *data_dir;            /* models lie below it */
    const char *blobs_dir;           /* a folder of blobs for each tenant (base/blob.h) */
    const char *specs_dir;           /* what jobs run (site/job_file.h) */
    const char *work_dir;            /* where outputs and ends are kept */
    const struct netfile *catalogue; /* of chips */
    uint64_t lease_ms;               /* jobs run for so long past the last contact */
};

int desk_open(struct desk **out, const struct desk_config *config, struct err *err);
/* JOB_START and JOB_STOP; the others are not its business. */
void desk_effect(struct desk *desk, const struct effect *effect);
/* A site that waits for orders is answered within so long, and calls again. */
uint64_t desk_hold_ms(const struct desk *desk);
/* What sites should serve has changed: who waits for orders asks again. */
void desk_wake(struct desk *desk);
/* Answers who waits. Then the loop runs, then desk_free. */
void desk_close(struct desk *desk);
void desk_free(struct desk *desk);

/* Calls, as the door takes them: 0, and the visit goes on by itself, or an error with words. */
int desk_take_inventory(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_chips(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_orders(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_program(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_log(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_usage(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_blob(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_prior(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_put(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_kept(struct visit *visit, yyjson_val *root, struct err *err);
int desk_take_end(struct visit *visit, yyjson_val *root, struct err *err);

/* For the files of the desk. The site's pools have changed: it begins another session. */
void desk_renew(struct desk *desk, const struct uuid *site);
/* Bytes of weights that went to the site; those that its corridor is to be told of now; that it was told of so many. */
void desk_models_went(struct desk *desk, const struct uuid *site, uint64_t bytes);
uint64_t desk_models(struct desk *desk, const struct uuid *site);
void desk_models_told(struct desk *desk, const struct uuid *site, uint64_t bytes);
/* The job and epoch that a call names. */
bool desk_take_job(struct visit *visit, yyjson_val *root);
/* The folder of an epoch that runs at the site, or ran there: "WORK/<job>/<epoch>", made if need be. ERR_NOT_FOUND. */
int desk_open_folder(const struct visit *visit, char dir[FS_PATH_MAX], struct err *err);
const struct desk_config *desk_config(const struct desk *desk);

#endif
