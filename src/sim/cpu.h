/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulation costs: nanoseconds of CPU that this process has used so far. Never decides anything. */
#ifndef BUSBAR_SIM_CPU_H
#define BUSBAR_SIM_CPU_H

#include <stdint.h>

uint64_t cpu_ns(void);

#endif
