/* SPDX-License-Identifier: Apache-2.0 */
/* Indices of tenants, their keys, models and workers, for the files of this folder only. */
#ifndef BUSBAR_CORE_IDS_H
#define BUSBAR_CORE_IDS_H

#include <stdint.h>

struct tenant_id {
    uint32_t v;
};
struct key_id {
    uint32_t v;
};
struct model_id {
    uint32_t v;
};
struct worker_id {
    uint32_t v;
};

#endif
