/* SPDX-License-Identifier: Apache-2.0 */
/* The reference engine's command line. Texts stay argv's. */
#ifndef BUSBAR_REF_OPTIONS_H
#define BUSBAR_REF_OPTIONS_H

#include <stdint.h>

struct ref_options {
    const char *model, *host, *alias;
    const char *chat; /* NULL: as the model's file says */
    uint32_t slots, threads;
    uint32_t context; /* of a slot; 0: as the model's file says */
};

/* Non-zero: they make no sense, and what is wrong was said. */
int ref_options_parse(struct ref_options *options, int argc, char **argv);

#endif
