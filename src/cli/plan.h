/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of `busbar plan` share: a case as it was asked, its plan, and what a chip of another kind would do.
 *
 * Nothing here asks a hub. The catalogues of chips and models are files; the planner is core's (core/cluster.h).
 */
#ifndef BUSBAR_CLI_PLAN_H
#define BUSBAR_CLI_PLAN_H

#include "base/buf.h"
#include "cli/cli.h"
#include "network/measured.h"

#define PLAN_REFERENCE "h100"

struct plan_pool {
    const struct net_chip *chip;
    char site[NAME_CAP]; /* "": none was said */
};

struct plan_case {
    struct netfile *chips;
    struct models *models;
    struct model_delivered delivered; /* the catalogue's, or --efficiency */
    struct measured *measured;        /* --measured; NULL: nothing was */
    void *block;                      /* the planner's room */

    const char *name; /* of the model: the catalogue's, or a path */
    char title[TEXT_CAP];
    const struct net_model *model;     /* NULL: a GGUF file */
    const struct model_format *format; /* NULL: as the file is */
    char quantisation[NAME_CAP];
    struct cluster_model shape;
    uint64_t weights; /* bytes */

    struct plan_pool of[CLUSTER_POOLS_MAX]; /* side by side with the problem's pools */
    struct cluster_pool pool[CLUSTER_POOLS_MAX];
    struct cluster_site site[CLUSTER_SITES_MAX];
    struct cluster_problem problem;
    struct cluster_plan plan;

    const struct net_chip *reference;
    uint32_t reference_chips; /* 0: no number of them holds the model and meets the goal */
    uint64_t reference_token_s_e3;
};

/* Reads options and files; an exit status, after a message unless it is 0. plan_close in any case. */
int plan_open(struct plan_case *pc, const struct cli *cli);
void plan_close(struct plan_case *pc);
/* The catalogues alone, with the shares that --efficiency names. */
int plan_catalogues(struct plan_case *pc, const struct cli *cli);
const struct net_chip *plan_chip(const struct plan_case *pc, const char *name);
/* Prints every problem, or that `path` could not be read; CLI_FAILED. */
int plan_tell(const char *path, int rc, const struct problems *problems);
/* What a chip of the reference does at its best: of 1, 2, 4, ... 64 of them as many as give the most tokens a second each. */
void plan_reference(struct plan_case *pc);
/* The chips of the plan that do nothing, of a pool. */
uint32_t plan_idle(const struct plan_case *pc, uint32_t pool);
void plan_print(const struct plan_case *pc);
void plan_json(const struct plan_case *pc, struct buf *out);
/* How an engine is started for a replica, in lines; the last may be a remark that begins with "# ". */
void plan_command(const struct plan_case *pc, const struct cluster_replica *r, struct buf *out);
/* Reads --measured and corrects the case's chips and hops by it; an exit status, after a message. */
int plan_measured(struct plan_case *pc, const struct cli *cli);
void plan_measured_print(const struct plan_case *pc);
void plan_measured_json(const struct plan_case *pc, struct buf *out);
/* "did you mean a, b, c?" for what is not in a catalogue; "" if nothing is near. */
void plan_nearest(struct buf *out, const char *name, const char *(*get)(const void *ctx, uint32_t i),
                  const void *ctx, uint32_t n);

#endif
