/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts that say what they need: `#BUSBAR --option value` and `#SBATCH` lines, as options of `submit`.
 *
 * As Slurm does, lines are read up to the first that is neither empty nor a comment. A line may have several options, values
 * in quotes, and a comment after them. #BUSBAR lines are taken as they are. Of #SBATCH lines those that have a meaning here are
 * translated: chips from gpus, gres, nodes and tasks, time, memory, array, dependency, name and folder. All others are named
 * to the caller, who tells the user. Pure: no allocation; what is read points into `struct script`.
 */
#ifndef BUSBAR_CLI_JOB_SCRIPT_H
#define BUSBAR_CLI_JOB_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SCRIPT_WORDS_MAX 256
#define SCRIPT_TEXT_MAX 32768 /* bytes of all words */

struct script_words {
    char *word[SCRIPT_WORDS_MAX];
    uint32_t n;
};

/* What #SBATCH lines say of sizes: known together, chips follow from it. 0: not said. */
struct script_sizes {
    uint64_t nodes, tasks, tasks_node, cpus_task;
    uint64_t gpus, gpus_node, gpus_task;
    char kind[32];
};

struct script {
    struct script_words options; /* as on a command line: --name, value */
    struct script_words ignored; /* options of #SBATCH without a meaning here, "--partition" */
    struct script_sizes sizes;
    char text[SCRIPT_TEXT_MAX];
    size_t used;
};

/* Reads the lines of a script. ERR_INVALID with words that name the line. */
int script_read(struct script *script, const char *text, size_t len, struct err *err);

#endif
