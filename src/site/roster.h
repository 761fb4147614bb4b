/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roster: the chips that this machine is known to have, and which of the engine's are out of use (docs/register.md).
 *
 * It is a scan (probe/probe.h) that remembers: a chip that a tool does not name any more, at the address where it was, keeps its
 * name, and one that is gone stays as missing while the engine's configuration still counts on it. So it is known after a start that
 * one is gone. One that has failed stays so until a tool or library speaks of it again. A chip that is missing or has failed is a fault
 * if the engine would give it to somebody: by its number where the maker's tool has told one; else, or where another chip has that
 * number now, if fewer chips of its kind work than the configuration says, or a number of its list is on none that works. One that
 * was put in its place, or a configuration that says fewer, ends it. Nothing here allocates, or asks anything of the machine.
 */
#ifndef BUSBAR_SITE_ROSTER_H
#define BUSBAR_SITE_ROSTER_H

#include "core/registry.h"
#include "engine/engine.h"
#include "probe/probe.h"

/* Whether the chip is not there any more. */
bool roster_is_missing(const struct probe_chip *chip);
/* The name by which the hub knows it; false: it has none. */
bool roster_name(const struct probe_chip *chip, char dst[UNIT_NAME_CAP]);
/* What was known goes into what is there now: names, and what is missing. Returns how many are missing that were there. */
uint32_t roster_take(const struct probe_scan *known, struct probe_scan *now,
                     const struct engine_config *config);
/* Fills out[0..PROBE_CHIPS_MAX). Returns how many. */
uint32_t roster_faults(const struct probe_scan *known, const struct engine_config *config,
                       struct engine_fault *out);

#endif
