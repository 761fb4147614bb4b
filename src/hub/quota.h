/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quota: how many bytes of blobs a tenant may have at the hub (DATA/blobs/<tenant>).
 *
 * All that lies there counts: what the tenant sent, in whole or in part, and what was kept of its jobs. Only what it sends
 * is refused, since results of a job that has run would be lost. A folder is counted again when that was QUOTA_FRESH_MS
 * ago, and before anything is refused; in between, what is sent is added. Of QUOTA_TENANTS_MAX tenants that is remembered.
 * For threads that may block.
 */
#ifndef BUSBAR_HUB_QUOTA_H
#define BUSBAR_HUB_QUOTA_H

#include "base/blob.h"

#define QUOTA_FRESH_MS 30000
#define QUOTA_TENANTS_MAX 64

struct quota;

/* NULL: out of memory. `root`: the folder of folders, which outlives it. */
struct quota *quota_new(const char *root, uint64_t bytes_max);
void quota_free(struct quota *quota); /* NULL is fine */
uint64_t quota_max(const struct quota *quota);
/* What the tenant has. */
uint64_t quota_used(struct quota *quota, const struct uuid *tenant);
/* Whether the tenant may send the rest of the blob. ERR_LIMIT with words. */
int quota_allows(struct quota *quota, const struct uuid *tenant, const struct blob_piece *piece,
                 struct err *err);
/* So many bytes were taken. */
void quota_add(struct quota *quota, const struct uuid *tenant, uint64_t bytes);

#endif
