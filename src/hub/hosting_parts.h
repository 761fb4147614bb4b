/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of hub/hosting.h. */
#ifndef BUSBAR_HUB_HOSTING_PARTS_H
#define BUSBAR_HUB_HOSTING_PARTS_H

#include "hub/hosting.h"
#include "hub/tunnels.h"

struct tunnels *hosting_tunnels(const struct hosting *hosting);
struct peers *hosting_peers(const struct hosting *hosting);
const struct hosting_config *hosting_config(const struct hosting *hosting);
/* What should be served is not as it was. */
void hosting_changed(struct hosting *hosting);
/* The object's opening brace and which replica it is about. */
void hosting_add_target(struct buf *out, const struct uuid *deployment, uint32_t ordinal, uint32_t epoch);

#endif
