/* SPDX-License-Identifier: Apache-2.0 */
/* What a hub says of one replica in its list (hub/hosting.h). */
#ifndef BUSBAR_SITE_REPLICA_LIST_H
#define BUSBAR_SITE_REPLICA_LIST_H

#include <yyjson.h>

#include "base/blob.h"
#include "engine/job.h"
#include "engine/serve.h"
#include "net/tunnel.h"

struct replica_wanted {
    struct serve_order order; /* of a head's workers the layers, and no sockets yet */
    char digest[BLOB_NAME_LEN + 1];
    uint64_t size;
    bool stop;
    struct tunnel_target worker[CLUSTER_MEMBERS_MAX]; /* a head's, as many as order.nworkers */
};

/* False: it is not understood. */
bool replica_list_read(yyjson_val *v, struct replica_wanted *out);

#endif
