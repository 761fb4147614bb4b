/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent of a site that has joined a hub's network (site/identity.h): stays in touch, keeps its certificate fresh, and
 * runs what the hub wants to run there on the site's engine, and serves the models that it wants served there.
 */
#ifndef BUSBAR_SITE_AGENT_H
#define BUSBAR_SITE_AGENT_H

#include <stdint.h>

#include "base/err.h"

struct agent_options {
    const char *data_dir;
    const char *
        engine; /* file that describes the site's engine (docs/engines.md); NULL: site.yaml in the data folder,
                           or if there is none this machine's processors */
    uint32_t engine_threads; /* of each engine that serves a model */
};

/* Runs until SIGTERM or SIGINT. Returns 0, or ERR_FORBIDDEN when the hub will not have
 * this site any more; a hub that is not reached is tried again and again. */
int agent_run(const struct agent_options *options, struct err *err);

#endif
