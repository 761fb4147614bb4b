/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: settings of one dispatcher. */
#include "core/kinds.h"
#include "sim/sim.h"

const struct sim_policy sim_policies[] = {
    {"fifo", "in order of submission, nobody passes", ORDER_FIFO, FIT_STRICT, PACK_EMPTIEST, false},
    {"sjf", "least duration first, nobody passes", ORDER_SJF, FIT_STRICT, PACK_EMPTIEST, false},
    {"easy", "in order of submission, with backfilling", ORDER_FIFO, FIT_BACKFILL, PACK_BEST_FIT, true},
    {"busbar", "least chip-seconds with ageing, with backfilling", ORDER_SIZE, FIT_BACKFILL, PACK_BEST_FIT,
     false},
    {NULL, NULL, 0, 0, 0, false}};
