/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of the epochs at the hub's own site, where blobs are a folder away: they are laid into an epoch's folder, and what is
 * kept of it is taken back, on threads. What a site far away does by site/haul.h.
 *
 * An epoch whose end came before all of that was done, or that ended while the hub was away, is looked through when it is
 * said again that it is over; one that has been is left alone. Runs on the loop that it is given.
 */
#ifndef BUSBAR_SITE_HOME_DATA_H
#define BUSBAR_SITE_HOME_DATA_H

#include "engine/job.h"
#include "net/loop.h"
#include "runtime/runtime.h"

#define HOME_DATA_FLUSH_MS 10000

struct home_data;

/* `blobs`: a folder of blobs for each tenant. `work`: of the engine. Both outlive it. */
int home_data_new(struct home_data **out, struct loop *loop, struct runtime *runtime, const char *blobs,
                  const char *work, struct err *err);
/* 0: all that the epoch needs is in its folder. ERR_UNAVAILABLE: not yet. Else it cannot be brought. */
int home_data_ready(struct home_data *data, const struct job_id *id, const struct job_spec *spec,
                    struct err *err);
/* It is not to be started after all. */
void home_data_forget(struct home_data *data, const struct job_id *id);
/* It is over. True: what is to be kept of it is, or takes longer than HOME_DATA_FLUSH_MS. */
bool home_data_over(struct home_data *data, const struct job_id *id);
void home_data_close(struct home_data *data);
/* After the loop has run. */
void home_data_free(struct home_data *data);

#endif
