/* SPDX-License-Identifier: Apache-2.0 */
/* What a deployment says of being a cluster: the member `cluster` of what is asked for, and of what is shown. */
#ifndef BUSBAR_HUB_DEPLOY_CLUSTER_H
#define BUSBAR_HUB_DEPLOY_CLUSTER_H

#include "hub/api.h"

/* Fills what is asked for; without a member `cluster` nothing. */
int deploy_cluster_parse(struct api_call *call, struct event_deploy *e);
/* Sites are found: how many workers, where none were said, and whether all of it can be. */
int deploy_cluster_prepare(struct api_call *call, const struct core *core, const struct row_model *model);
/* Adds the member `cluster`, null if it is none. */
void render_cluster(struct buf *out, const struct core *core, const struct row_deployment *row,
                    const struct hub *hub);

#endif
