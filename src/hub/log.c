/* SPDX-License-Identifier: Apache-2.0 */
/* The transparency log's files, for anybody (docs/log.md). A tile that is there never changes, so it may be kept for ever. */
#include <stdio.h>

#include "base/fs.h"
#include "hub/api.h"
#include "runtime/log_files.h"

#define NEVER_CHANGES "Cache-Control: public, max-age=31536000, immutable\r\n"
#define CHANGES "Cache-Control: no-cache\r\n"

static int read_text(struct api_call *call, const char *name)
{
    char path[FS_PATH_MAX];
    if (!fs_join(path, call->hub->tlog_dir, name))
        return ERR_INVALID;
    int rc = fs_read(path, &call->out, &call->err);
    return rc == ERR_NOT_FOUND ? err_set(&call->err, rc, "The log has no checkpoint yet.") : rc;
}

static int checkpoint_work(struct api_call *call)
{
    return read_text(call, LOG_CHECKPOINT);
}

static int vkey_work(struct api_call *call)
{
    return read_text(call, "vkey");
}

static int tile_work(struct api_call *call)
{
    char path[CALL_PARAM_MAX + 8];
    struct tile tile;
    int n = snprintf(path, sizeof path, "tile/%s", call->param);
    int rc = ERR_NOT_FOUND;
    if (tile_path_parse(&tile, path, (size_t)n))
        rc = log_files_read(call->hub->tlog_dir, &tile, &call->out, &call->err);
    return rc == ERR_NOT_FOUND ? err_set(&call->err, rc, "The log has no such tile.") : rc;
}

const struct api_handler api_log_checkpoint = {
    .work = checkpoint_work, .type = "text/plain; charset=utf-8", .fields = CHANGES};
const struct api_handler api_log_vkey = {
    .work = vkey_work, .type = "text/plain; charset=utf-8", .fields = CHANGES};
const struct api_handler api_log_tile = {
    .work = tile_work, .type = "application/octet-stream", .fields = NEVER_CHANGES};
