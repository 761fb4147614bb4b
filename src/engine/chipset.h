/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chip kinds as an engine needs them, from data/chips.yaml: power, and how their vendor's programs are told which
 * chips are theirs. Loaded once at the start and never changed.
 */
#ifndef BUSBAR_ENGINE_CHIPSET_H
#define BUSBAR_ENGINE_CHIPSET_H

#include "engine/job.h"

struct chipset;

/* ERR_INVALID or ERR_NOT_FOUND with words. */
int chipset_load(struct chipset **out, const char *path, struct err *err);
int chipset_parse(struct chipset **out, const char *text, size_t len, const char *name, struct err *err);
void chipset_free(struct chipset *chipset);
bool chipset_has(const struct chipset *chipset, const char *kind);
/* Fills watts, variable and, for the indices that are there, device nodes. What was there before is freed. */
int chipset_fill(const struct chipset *chipset, struct job_chips *chips, struct err *err);

#endif
