/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs about recipes share: catalogues, a network as a file, and models by their names or those of their families.
 *
 * Nothing here asks a hub; `model where` without --network does, and then needs the catalogues alone.
 */
#ifndef BUSBAR_CLI_RECIPES_H
#define BUSBAR_CLI_RECIPES_H

#include "base/fs.h"
#include "cli/plan.h"
#include "network/lineup.h"

struct recipe_case {
    struct plan_case catalogues; /* chips, models, shares */
    struct recipes *recipes;
    struct fitter fitter;
    char network[FS_PATH_MAX]; /* the file */
    struct netfile *net;       /* NULL: none was asked for */
    struct lineup *lineup;     /* its kinds; as it */
    const char *format;        /* --format; NULL: whichever there is a recipe for */
    uint32_t n;
    const struct net_model *model[LINEUP_MAX];
};

/* Options and files; an exit status, after a message unless it is 0. recipe_close in any case. net: with --network, or else ours. */
int recipe_open(struct recipe_case *rc, const struct cli *cli, bool net);
void recipe_close(struct recipe_case *rc);
/* Models of the catalogue, or families for what stands for them; "all", or no name: every family. CLI_NOT_FOUND after a message. */
int recipe_models(struct recipe_case *rc, const char *const *name, uint32_t n);
/* "all" or names with commas. */
int recipe_models_of(struct recipe_case *rc, const char *text);
/* The line-up of those models by --share (percent, 30 if not given) or --replicas. */
int recipe_lineup(struct recipe_case *rc, const struct cli *cli);
/* Their services, for a simulation; *n of at most LINEUP_MAX. */
void recipe_services(const struct recipe_case *rc, struct event_service_set *set, uint32_t *n);
/* JSON in lines to standard output; ends `json`. An exit status. */
int recipe_print(struct buf *json);
/* Engine and build. */
void recipe_name(const struct recipe_case *rc, const struct recipe *recipe, char *dst, size_t cap);

#endif
