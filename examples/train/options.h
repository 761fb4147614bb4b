/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of busbar-train, as one table: parsing, bounds and --help all read it.
 *
 * Strings are borrowed from argv and the environment. Defaults are the settings that made data/models/stories.gguf.
 */
#ifndef TRAIN_OPTIONS_H
#define TRAIN_OPTIONS_H

#include "gguf.h"

#include <stdbool.h>
#include <stdint.h>

struct options {
    const char *out;
    const char *text;
    const char *name;
    const char *description;
    const char *type_name;
    const char *checkpoint;
    uint64_t seconds, steps, stop_after, seed;
    uint64_t vocab, dim, layers, heads, kv_heads, ffn, context, rows;
    uint64_t text_bytes, checkpoint_seconds;
    double learning_rate;
    bool resume, quiet, help, print_text;
    enum gguf_type type;
};

/* Returns 0, or -EINVAL after it has written to stderr what is wrong. */
int options_parse(struct options *options, int argc, char **argv);

void options_help(void);

#endif
