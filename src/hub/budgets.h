/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets with a period, and projects, as members of what the API tells. For the files of this folder. */
#ifndef BUSBAR_HUB_BUDGETS_H
#define BUSBAR_HUB_BUDGETS_H

#include "hub/api.h"

/* ,"budgets":[...]: those of a tenant, project or key; nothing, if it has none. */
void render_budgets(struct buf *out, const struct core *core, const struct uuid *owner, uint32_t scope);
/* ,"project":NAME of a key, or null. */
void render_project_of(struct buf *out, const struct core *core, const struct row_key *key);
/* ,"compute":{...} of a tenant whose jobs were metered. */
void render_compute(struct buf *out, const struct core *core, const struct uuid *tenant);
/* The tenant that the body's member, or else the query's parameter `tenant` names; without one the caller's own. NULL with words. */
const struct row_tenant *call_owner(struct api_call *call, const struct core *core);
/* A project of that tenant, by name or id; NULL with words. */
const struct row_project *call_project(struct api_call *call, const struct core *core,
                                       const struct row_tenant *tenant, const char *text);

#endif
