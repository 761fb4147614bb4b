/* SPDX-License-Identifier: Apache-2.0 */
/* The makers' command lines, a table each (tools.c). */
#ifndef BUSBAR_PROBE_TOOLS_H
#define BUSBAR_PROBE_TOOLS_H

#include "probe/parts.h"

/* The last has no program. */
extern const struct tool_step nvidia_steps[], amd_steps[], intel_steps[], habana_steps[], huawei_steps[],
    cambricon_steps[], mthreads_steps[], hygon_steps[], iluvatar_steps[], metax_steps[], biren_steps[],
    enflame_steps[], kunlun_steps[], thead_steps[];

#endif
