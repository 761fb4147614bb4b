/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local site: carries out the core's replica starts and stops with engine/serve.h, and reports back. Its jobs, where
 * it runs any, are site/home.h's.
 *
 * Reports must not be lost: one that the hub could not record is sent again. Runs on the loop that it is given.
 */
#ifndef BUSBAR_SITE_LOCAL_H
#define BUSBAR_SITE_LOCAL_H

#include "engine/serve.h"
#include "runtime/runtime.h"
#include "site/home.h"

struct site;

/* config.report and config.ctx are the site's own; the rest is passed on. `busy_ctx` goes to config.busy. Locations of
 * models that are relative paths lie in `data_dir`. */
int site_new(struct site **out, struct runtime *runtime, const char *data_dir,
             const struct serve_config *config, void *busy_ctx, struct err *err);
/* From now on it runs jobs, too. Opens the engine, which blocks, up to seconds. */
int site_run_jobs(struct site *site, const struct site_home_config *config, struct err *err);
/* Stops every replica, leaves jobs to their leases; `done` runs when no replica's process is left. */
void site_shutdown(struct site *site, void (*done)(void *ctx), void *ctx);
void site_free(struct site *site); /* after done; then run the loop once more */

#endif
