/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: how a site's report that a job is over reaches the hub where the way between them is not perfect.
 *
 * Of a thousand reports some come late, some come twice, and some are lost and sent again later; delays are uniform. All of
 * it is assumed. What becomes of a report is drawn from the seed, the job and its epoch, so it is the same whatever else
 * happens. In the meantime the hub may have given the site up and started the job somewhere else: it must then refuse
 * what comes, and the second of two as well.
 */
#ifndef BUSBAR_SIM_MESSAGES_H
#define BUSBAR_SIM_MESSAGES_H

#include <stdbool.h>
#include <stdint.h>

#define MESSAGES_LATE 20 /* of 1000 */
#define MESSAGES_TWICE 10
#define MESSAGES_LOST 10
#define MESSAGE_LATE_MS INT64_C(600000)  /* at most; that of the second of two as well */
#define MESSAGE_LOST_MS INT64_C(7200000) /* at most, until it is sent again */

struct message {
    int64_t delay_ms; /* 0: it is there at once */
    int64_t again_ms; /* that much later it comes again; 0: it does not */
    bool lost;        /* it is late because it was lost */
};

struct message message_draw(uint64_t seed, uint32_t job, uint32_t epoch);

#endif
