/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What engines have in common: the calls that touch nothing but work folders.
 */
#ifndef BUSBAR_ENGINE_FOLDER_H
#define BUSBAR_ENGINE_FOLDER_H

#include "engine/engine.h"
#include "engine/workdir.h"

/* Fills `status` from the folder of status->id: UNKNOWN, PENDING (not claimed), ENDED (there is an exit record) or RUNNING,
 * then with the usage so far and *claim telling whether the shim's lock is held. */
void folder_status(const char *work, struct engine_status *status, enum claim *claim);
/* Whether there is no such job in the folder. False as well where that cannot be known: what cannot be looked at is not given up. */
bool folder_gone(const char *work, const struct job_id *id);
/* Writes the exit record of a job whose shim will not, from its last usage line, and makes the status ENDED. Should the
 * shim have written one meanwhile, that one counts. */
int folder_lost(const char *work, struct engine_status *status, enum job_end end, const char *why,
                struct err *err);
/* A lease of `for_ms` from now; false when it is 0. `boot` is this machine's and outlives the lease. */
bool folder_lease(struct job_lease *lease, char *boot, uint64_t sequence, uint64_t for_ms);
/* Revokes what was not started, asks the shim of what was to stop. *revoked tells which. */
int folder_stop(const char *work, const struct job_id *id, const struct job_stop *stop, bool *revoked,
                struct err *err);
/* Room for one more status in the answer. NULL, with call->err set, when out of memory or past ENGINE_BATCH_MAX. */
struct engine_status *folder_status_add(struct engine_call *call, const struct job_id *id);

/* Whole calls. */
int folder_renew(const char *work, struct engine_call *call);
int folder_logs(const char *work, struct engine_call *call);
int folder_usage(const char *work, struct engine_call *call);
int folder_forget(const char *work, struct engine_call *call);

#endif
