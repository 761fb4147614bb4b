/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule file as the events that put it in force, and whose tenants its rules are told of.
 *
 * A file that does not parse never gets to the core: its first errors are words for the user. Tenants of a simulation are
 * anonymous; with rules each is given a jurisdiction, drawn from the seed in proportion to the chips there, and its data lie
 * at home.
 */
#ifndef BUSBAR_SIM_RULEFILE_H
#define BUSBAR_SIM_RULEFILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/schema.h"

struct rulefile {
    struct buf text; /* empty: no rules */
};

/* `path` NULL: no rules. ERR_INVALID, ERR_IO, ERR_NOT_FOUND, ERR_NO_MEMORY, with words. */
int rulefile_open(struct rulefile *file, const char *path, struct err *err);
void rulefile_close(struct rulefile *file);
/* Event i of those that put it in force, in order; false past the last. */
bool rulefile_event(const struct rulefile *file, uint32_t i, struct event *out);

#endif
