/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs written down in YAML: the members of `POST /api/v1/jobs`, beside a few that are easier to write.
 *
 *   command: a text for /bin/sh, in place of argv        time, checkpoint_every, checkpoint_cost: 90s, 45m, 12h
 *   in, out: --in and --out, one or a list
 *   env: a mapping, or a list of NAME=VALUE              green: true, for defer_until: +24h
 */
#ifndef BUSBAR_CLI_JOB_YAML_H
#define BUSBAR_CLI_JOB_YAML_H

#include "cli/request.h"

/* Adds the members that `given`, NULL-terminated, does not name: those are the command line's. False after messages, with all
 * that is wrong in the file. *tenant: whether the file names one. */
bool job_yaml_add(struct request *r, const char *file, const char *text, size_t len, const char *const *given,
                  bool *tenant);

#endif
