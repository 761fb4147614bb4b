/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbours: chips of the site's other machines, which each writes down for the agent (docs/register.md).
 *
 * A machine of which the agent is not on writes what `busbar chips --json` says to WORK/.chips/HOST.json, as often as it likes, by a
 * health check of the batch system or a timer. A file that is older than NEIGHBOUR_MS is of a machine that is not there any more. The folder
 * is looked through on a thread that may block; everything else belongs to the loop, while no look is under way. Bounds:
 * NEIGHBOURS_MAX machines, PROBE_JSON_MAX bytes of a file; one that cannot be read is as it was, and told in the log. So are all while the
 * folder cannot be read: that it is not there is one thing, that the machines' shared disk has a hiccup another.
 */
#ifndef BUSBAR_SITE_NEIGHBOURS_H
#define BUSBAR_SITE_NEIGHBOURS_H

#include "base/buf.h"
#include "base/fs.h"
#include "core/limits.h"
#include "probe/probe.h"

#define NEIGHBOURS_MAX 4096
#define NEIGHBOUR_NAMELESS_MAX 1024   /* whatever a file says */
#define NEIGHBOURS_NAMELESS_MAX 32768 /* with the agent's own fewer than the hub takes */
#define NEIGHBOUR_MS (INT64_C(15) * 60000)

struct neighbour {
    char host[NAME_CAP];
    int64_t written_ns;
    struct buf chips; /* the list, as the hub is told; empty: it has none */
    uint32_t nameless;
    bool fresh; /* its file is there, and new enough */
    bool told;
};

struct neighbours {
    char dir[FS_PATH_MAX];
    struct neighbour *list;
    uint32_t n;
};

/* `work`: the engine's work folder. ERR_INVALID: its path is too long. */
int neighbours_init(struct neighbours *n, const char *work, struct err *err);
void neighbours_fini(struct neighbours *n);
/* Blocks. `own`: the agent's machine, whose file does not count. */
void neighbours_look(struct neighbours *n, const char *own);
bool neighbours_have(const struct neighbours *n, const char *host);
/* Chips without a name of all of them. */
uint32_t neighbours_nameless(const struct neighbours *n);
/* The first that the hub is to be told of; NULL: there is none. */
struct neighbour *neighbours_untold(struct neighbours *n);
/* The hub has this list of it; one that is not there any more is forgotten. */
void neighbours_told(struct neighbours *n, const char *host, const struct buf *chips);
/* All are told anew. */
void neighbours_again(struct neighbours *n);

/* The chips of a scan that are there and have a name, as the hub takes them: [...]. Returns how many have none. */
uint32_t chips_render(struct buf *out, const struct probe_scan *scan);

#endif
