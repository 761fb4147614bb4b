/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: settings of one dispatcher. */
#include "core/kinds.h"
#include "sim/sim.h"

const struct sim_policy sim_policies[SIM_POLICIES] = {
    {"busbar", ORDER_SIZE, FIT_BACKFILL, PACK_BEST_FIT, false},
    {"fifo", ORDER_FIFO, FIT_STRICT, PACK_EMPTIEST, false},
    {"sjf", ORDER_SJF, FIT_STRICT, PACK_EMPTIEST, false},
    {"easy", ORDER_FIFO, FIT_BACKFILL, PACK_BEST_FIT, true}};
