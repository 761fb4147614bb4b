/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core: the network as a state machine. core_step is the only thing that decides.
 *
 * core_step(core, event, effects) is a pure transition: no clock, no input or output, no randomness but the state's
 * own seeded generator, no allocation. The same state and the same event give the same effects and the same rows.
 * An event that is refused changes nothing but counters of events seen; its reply carries the code.
 *
 * The caller gives one zeroed block of core_size bytes, 16-byte aligned, and keeps it as long as the core. Between
 * two batches the caller asks core_collect for the rows that changed and makes them durable together with the
 * events. After a restart it feeds the rows back through core_load and ends with core_load_done.
 */
#ifndef BUSBAR_CORE_CORE_H
#define BUSBAR_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/effect.h"
#include "core/schema.h"

struct core;

size_t core_size(const struct limits *limits);
struct core *core_init(void *block, size_t size, const struct limits *limits);

/* Returns 0 or the code with which the event was refused (also in its reply, if it has a token). `effects` is
 * appended to. At most BATCH_EVENTS_MAX steps between two core_collect; asserted. */
int core_step(struct core *core, const struct event *event, struct effects *effects);

enum row_op { ROW_PUT, ROW_DELETE, ROW_ADD };
/* `row` is the struct of that kind (core/schema.h), valid during the call only. */
typedef void row_fn(void *ctx, enum row_kind kind, enum row_op op, const void *row);
/* Hands out every row changed since the last call, parents before children. */
void core_collect(struct core *core, row_fn *fn, void *ctx);
/* Hands out every row of the state, in the order that core_load wants: for a copy. Changes nothing. Of usage and of what is
 * over the state has no rows. */
void core_dump(const struct core *core, row_fn *fn, void *ctx);

/* Whether the state has rows of the kind. Others are books, which only the store keeps. */
bool core_has_rows(enum row_kind kind);
/* Takes one row back; kinds must come in ascending order. ERR_CORRUPT or ERR_LIMIT. */
int core_load(struct core *core, enum row_kind kind, const void *row);
/* Checks what was loaded as a whole: every reference resolves, debits equal credits, holds match. ERR_CORRUPT. */
int core_load_done(struct core *core);

/* When the next tick is due, Unix ms; INT64_MAX when nothing waits for time. */
int64_t core_deadline_ms(const struct core *core);

/* For tests and debug builds: checks the invariants of the whole state. Returns 0 or ERR_CORRUPT. */
int core_check(const struct core *core);

#endif
