/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/engine.h"

static int slurm_open(void **self, const struct engine_config *config, struct err *err)
{
    (void)self;
    (void)config;
    return err_set(err, ERR_UNSUPPORTED, "not here");
}

const struct engine_ops engine_slurm = {.name = "slurm", .open = slurm_open};
