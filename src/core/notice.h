/* SPDX-License-Identifier: Apache-2.0 */
/* Alarms at training compute, in 1e12 FLOP (core/notice.c). */
#ifndef BUSBAR_CORE_NOTICE_H
#define BUSBAR_CORE_NOTICE_H

#include <stdint.h>

#define COMPUTE_ALARMS 2
#define COMPUTE_ALARM_0 UINT64_C(100000000000)   /* 1e23 FLOP */
#define COMPUTE_ALARM_1 UINT64_C(10000000000000) /* 1e25 FLOP */

#endif
