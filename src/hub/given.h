/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Given: which blobs of a tenant a site may name for an epoch, and how it shows that it has another one.
 *
 * A name is no right to read (base/blob.h), and a site that was taken over must not come by a file of the job's tenant by
 * naming its digest as the job's checkpoint, which the next epoch reads. So an epoch may name what it was given, the job's
 * inputs and the checkpoint that it starts from, and what its site has sent byte for byte, whatever the tenant has
 * already. What is sent comes to the folder `put` of the epoch first, and is the tenant's too when it is whole.
 *
 * The checkpoint that an epoch starts from is settled when its site is first told of it (the file `given`): one that
 * comes late does not take from it what it is fetching.
 *
 * `dir` is the epoch's folder at the hub. All of it blocks.
 */
#ifndef BUSBAR_HUB_GIVEN_H
#define BUSBAR_HUB_GIVEN_H

#include "engine/data.h"

/* What it starts from: settled, or what data_prior says. */
int given_prior(const char *work, const struct job_id *id, struct data_list *out, bool *pending,
                struct err *err);
/* From now on it is that. */
int given_settle(const char *dir, const struct data_list *prior, struct err *err);

/* What an epoch may name. Zero and ended by given_fini in any case. */
struct given {
    struct job_spec spec;
    struct data_list prior;
    struct data_kept kept; /* that its site was heard to keep before */
};
int given_load(struct given *given, const char *specs, const char *work, const struct job_id *id,
               struct err *err);
bool given_has(const struct given *given, const char *name);
void given_fini(struct given *given);

/* Bytes that a site sends of what it was not given: as blob_put. Once they are whole they are the tenant's as well, in `blobs`. */
int given_put(const char *dir, const char *blobs, const struct blob_piece *piece, uint64_t *have, bool *whole,
              struct err *err);
/* Whether it has sent all of it. */
bool given_sent(const char *dir, const char *name);
/* Bytes that came of what `kept` names: each blob once, however often it was sent or the site has started meanwhile. Only before given_done. */
uint64_t given_received(const char *dir, const struct data_kept *kept);
/* What it sent is named now: nothing of that is needed any more. */
void given_done(const char *dir);

#endif
