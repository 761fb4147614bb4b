/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This machine as a site of its own: its processors are chips of the kind `cpu`, each one or more cores, in one node.
 *
 * Only cores that this process may run on count. A node has MACHINE_CHIPS_MAX chips at most; where there are more cores,
 * a chip is several.
 */
#ifndef BUSBAR_SITE_MACHINE_H
#define BUSBAR_SITE_MACHINE_H

#include "core/limits.h"
#include "engine/config.h"

#define MACHINE_CHIPS_MAX 16 /* core's bound on the chips of a node */

struct machine {
    char chip[CHIP_CAP];
    uint32_t chips;
    uint32_t watts; /* of one, as the catalogue has it */
    uint32_t memory_mib;
};

/* `config`, of a local engine with that work folder, is the caller's: engine_config_free. */
int machine_find(struct machine *out, struct engine_config **config, const char *work, struct err *err);

#endif
