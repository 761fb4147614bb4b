/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration of a site's engine, from YAML: which one, where its work folder is, which chips it has.
 *
 * Loaded once at the start and never changed, so all threads may read. docs/engines.md has the keys.
 */
#ifndef BUSBAR_ENGINE_CONFIG_H
#define BUSBAR_ENGINE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/chipset.h"

enum engine_kind { ENGINE_KIND_LOCAL, ENGINE_KIND_SLURM };

struct engine_chips {
    char *chip;
    uint32_t count;    /* local: chips 0 to count - 1 */
    uint32_t *indices; /* local: or these */
    unsigned indices_count;
    char **cores; /* local: or processors, one a line: "0-15", "16-31" */
    unsigned cores_count;
    char *gres;        /* slurm: "npu:ascend910b"; absent: jobs of this kind ask for CPUs only */
    char **partitions; /* slurm: in which it is to be had; absent: those of the site */
    unsigned partitions_count;
};

struct engine_config {
    enum engine_kind engine;
    char *work;      /* an absolute path; for Slurm on a file system that all nodes see */
    char *program;   /* this program on the nodes; absent: our own path */
    char *catalogue; /* chips.yaml; absent: the one that came with the program */
    struct engine_chips *chips;
    unsigned chips_count;
    char **binds; /* read-only in every sandbox; slurm: of replicas */
    unsigned binds_count;
    char *cgroup;    /* local: parent for control groups; absent: the one we are in */
    char *bin;       /* slurm: folder of its commands; absent: PATH */
    char **accounts; /* slurm: the first is what a job without one gets */
    unsigned accounts_count;
    char **partitions;
    unsigned partitions_count;
    uint32_t command_ms; /* slurm: time for a command; 0: twice its MessageTimeout */
    uint32_t
        isolation; /* enum isolation + 1, 0 when it does not say. local: no stricter one than this; slurm: what its
                           nodes have */
    struct chipset *chipset; /* loaded with it */
};

int engine_config_load(struct engine_config **out, const char *path, struct err *err);
/* The same from text, without the catalogue; `name` is for messages. */
int engine_config_parse(struct engine_config **out, const char *text, size_t len, const char *name,
                        struct err *err);
void engine_config_free(struct engine_config *config);
const struct engine_chips *engine_config_chips(const struct engine_config *config, const char *chip);
/* "0-3,8": cores in order, at most `max`. How many, 0 if the text is not such a list. */
uint32_t engine_cores_parse(const char *text, uint32_t *cores, uint32_t max);

#endif
