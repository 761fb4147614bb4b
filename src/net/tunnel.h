/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels: what is said on a connection from a site to its hub before it carries bytes of somebody else.
 *
 *   site  POST /site/v1/tunnel, with Upgrade: busbar-tunnel
 *   hub   101, and from then on nothing, until it has use for the connection
 *   hub   one line, DEPLOYMENT ORDINAL EPOCH: the replica that is asked; what follows is what a client sends to it
 *   site  what the replica answers
 *
 * A gateway reaches replicas through the hub over a passage, the same with the ends changed: POST /gateway/v1/passage, 101, and
 * then it is the gateway that sends the line and what a client sends.
 *
 * The head of a cluster reaches workers of other sites in the same way: its site sends POST /site/v1/peer with the worker's deployment,
 * ordinal and epoch, the hub answers 101, and what follows is what the head sends to it; or the hub refuses, with words.
 *
 * A site that does not serve that replica closes the connection. A hub that has no such replica, no slot of it or no way to it answers
 * 503 with the field PASSAGE_REFUSED: nothing has reached the replica. Bounds: TUNNEL_HEAD_MAX bytes to the end of the hub's
 * head, TUNNEL_LINE_MAX of a line.
 */
#ifndef BUSBAR_NET_TUNNEL_H
#define BUSBAR_NET_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define TUNNEL_PATH "/site/v1/tunnel"
#define TUNNEL_PROTOCOL "busbar-tunnel"
#define PEER_PATH "/site/v1/peer"
#define PEER_PROTOCOL "busbar-peer"
#define PASSAGE_PATH "/gateway/v1/passage"
#define PASSAGE_PROTOCOL "busbar-passage"
#define PASSAGE_REFUSED "busbar-passage-refused"
#define TUNNEL_HEAD_MAX 2048
#define TUNNEL_LINE_MAX 64
/* An idle one whose link has died without a word is found after so long; in use it is cut when the other end is not heard
 * of elsewhere. */
#define TUNNEL_SILENCE_MS 10000

struct tunnel_target {
    struct uuid deployment;
    uint32_t ordinal;
    uint32_t epoch;
};

enum tunnel_read { TUNNEL_BAD = -1, TUNNEL_MORE = 0, TUNNEL_WHOLE = 1 };

/* Whether data begins with the head of an answer that switches protocols; then *used is its length. */
enum tunnel_read tunnel_read_head(const char *data, size_t len, size_t *used);
/* Whether data begins with a whole line; then *used is its length with the newline. */
enum tunnel_read tunnel_read_line(const char *data, size_t len, struct tunnel_target *out, size_t *used);
/* Returns the length of the line. */
size_t tunnel_write_line(char dst[TUNNEL_LINE_MAX], const struct tunnel_target *target);

#endif
