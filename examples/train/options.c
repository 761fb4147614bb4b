/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "bpe.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind {
    OPTION_FLAG,
    OPTION_NUMBER,
    OPTION_REAL,
    OPTION_STRING,
};

struct option_spec {
    const char *name;
    enum option_kind kind;
    size_t offset;
    uint64_t min, max; /* of a number; a real has to be above 0 and below 1 */
    const char *help;
};

#define AT(field) offsetof(struct options, field)

static const struct option_spec specs[] = {
    {"--out", OPTION_STRING, AT(out), 0, 0, "write the model to this GGUF file (stories.gguf)"},
    {"--seconds", OPTION_NUMBER, AT(seconds), 1, 1000000, "train for this long"},
    {"--steps", OPTION_NUMBER, AT(steps), 1, 100000000,
     "train for so many steps: the same bytes every time (6000)"},
    {"--seed", OPTION_NUMBER, AT(seed), 0, UINT64_MAX, "seed of the text and of the model (1)"},
    {"--text", OPTION_STRING, AT(text), 0, 0, "learn from this file, documents apart by an empty line"},
    {"--text-bytes", OPTION_NUMBER, AT(text_bytes), 10000, 500000000,
     "or from this much made-up text (24000000)"},
    {"--print-text", OPTION_FLAG, AT(print_text), 0, 0, "print the text and stop"},
    {"--vocab", OPTION_NUMBER, AT(vocab), BPE_TOKENS_MIN, BPE_TOKENS_MAX,
     "tokens in the vocabulary, at most (1024)"},
    {"--dim", OPTION_NUMBER, AT(dim), 8, 4096, "width of the model (96)"},
    {"--layers", OPTION_NUMBER, AT(layers), 1, MODEL_LAYERS_MAX, "blocks (4)"},
    {"--heads", OPTION_NUMBER, AT(heads), 1, 256, "attention heads (4)"},
    {"--kv-heads", OPTION_NUMBER, AT(kv_heads), 1, 256, "key/value heads (4)"},
    {"--ffn", OPTION_NUMBER, AT(ffn), 8, 16384, "width of the feed-forward (256)"},
    {"--context", OPTION_NUMBER, AT(context), 2, 4096,
     "tokens in a row, and the model's context length (512)"},
    {"--rows", OPTION_NUMBER, AT(rows), 1, 1024, "rows in a step (2)"},
    {"--learning-rate", OPTION_REAL, AT(learning_rate), 0, 0, "at its highest (0.005)"},
    {"--type", OPTION_STRING, AT(type_name), 0, 0, "matrices in the file: f32, f16 or q8_0 (q8_0)"},
    {"--name", OPTION_STRING, AT(name), 0, 0, "general.name in the file (stories)"},
    {"--description", OPTION_STRING, AT(description), 0, 0, "general.description in the file"},
    {"--checkpoint", OPTION_STRING, AT(checkpoint), 0, 0, "folder for checkpoints ($BUSBAR_CHECKPOINT_DIR)"},
    {"--checkpoint-seconds", OPTION_NUMBER, AT(checkpoint_seconds), 1, 86400,
     "time between checkpoints (60)"},
    {"--resume", OPTION_FLAG, AT(resume), 0, 0, "continue from the checkpoint, if there is one"},
    {"--stop-after", OPTION_NUMBER, AT(stop_after), 1, 100000000,
     "checkpoint and stop at this step, as on SIGTERM"},
    {"--quiet", OPTION_FLAG, AT(quiet), 0, 0, "no progress"},
    {"--help", OPTION_FLAG, AT(help), 0, 0, "this text"},
};

#define SPEC_COUNT (sizeof(specs) / sizeof(specs[0]))

static const struct {
    const char *name;
    enum gguf_type type;
} types[] = {{"f32", GGUF_F32}, {"f16", GGUF_F16}, {"q8_0", GGUF_Q8_0}};

void options_help(void)
{
    static const char *const arguments[] = {
        [OPTION_FLAG] = "", [OPTION_NUMBER] = " N", [OPTION_REAL] = " X", [OPTION_STRING] = " S"};

    (void)printf("busbar-train: trains a small llama-architecture language model and writes it as GGUF.\n\n"
                 "usage: busbar-train [--out FILE] [--seconds N | --steps N] [options]\n\n");
    for (size_t i = 0; i < SPEC_COUNT; i++) {
        char left[40];

        (void)snprintf(left, sizeof(left), "%s%s", specs[i].name, arguments[specs[i].kind]);
        (void)printf("  %-24s %s\n", left, specs[i].help);
    }
    (void)printf(
        "\nOn SIGTERM or SIGINT it writes a checkpoint, if it has a folder for one, and exits with 0;\n"
        "the model file is written only when training is complete. Start it again with the same\n"
        "options and --resume to continue.\n");
}

static int parse_number(const struct option_spec *spec, const char *value, uint64_t *out)
{
    char *end = NULL;

    errno = 0;
    *out = strtoull(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || value[0] == '-' || *out < spec->min ||
        *out > spec->max) {
        (void)fprintf(stderr, "busbar-train: %s takes a number from %llu to %llu, not '%s'\n", spec->name,
                      (unsigned long long)spec->min, (unsigned long long)spec->max, value);
        return -EINVAL;
    }
    return 0;
}

static int parse_real(const struct option_spec *spec, const char *value, double *out)
{
    char *end = NULL;

    *out = strtod(value, &end);
    if (end == value || *end != '\0' || !(*out > 0.0 && *out < 1.0)) {
        (void)fprintf(stderr, "busbar-train: %s takes a number between 0 and 1, not '%s'\n", spec->name,
                      value);
        return -EINVAL;
    }
    return 0;
}

static int option_set(struct options *options, const struct option_spec *spec, const char *value)
{
    void *field = (char *)options + spec->offset;

    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case OPTION_NUMBER:
        return parse_number(spec, value, field);
    case OPTION_REAL:
        return parse_real(spec, value, field);
    case OPTION_STRING:
        *(const char **)field = value;
        return 0;
    }
    return -EINVAL;
}

static const struct option_spec *spec_find(const char *name)
{
    for (size_t i = 0; i < SPEC_COUNT; i++)
        if (strcmp(specs[i].name, name) == 0)
            return &specs[i];
    return NULL;
}

static int options_check(struct options *options)
{
    if (options->steps > 0 && options->seconds > 0) {
        (void)fprintf(stderr, "busbar-train: --steps and --seconds exclude each other\n");
        return -EINVAL;
    }
    if (options->steps == 0 && options->seconds == 0)
        options->steps = 6000;
    if ((options->resume || options->stop_after > 0) && options->checkpoint == NULL) {
        (void)fprintf(stderr, "busbar-train: --resume and --stop-after need --checkpoint\n");
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, options->type_name) != 0)
            continue;
        options->type = types[i].type;
        if (options->type == GGUF_Q8_0 &&
            (options->dim % GGUF_BLOCK != 0 || options->ffn % GGUF_BLOCK != 0)) {
            (void)fprintf(stderr, "busbar-train: q8_0 needs --dim and --ffn to be multiples of %u\n",
                          GGUF_BLOCK);
            return -EINVAL;
        }
        return 0;
    }
    (void)fprintf(stderr, "busbar-train: --type is f32, f16 or q8_0, not '%s'\n", options->type_name);
    return -EINVAL;
}

int options_parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){
        .out = "stories.gguf",
        .name = "stories",
        .description = "A small storyteller, trained on made-up stories and chats by busbar-train.",
        .type_name = "q8_0",
        .checkpoint = getenv("BUSBAR_CHECKPOINT_DIR"),
        .seed = 1,
        .vocab = 1024,
        .dim = 96,
        .layers = 4,
        .heads = 4,
        .kv_heads = 4,
        .ffn = 256,
        .context = 512,
        .rows = 2,
        .text_bytes = 24000000,
        .checkpoint_seconds = 60,
        .learning_rate = 0.005,
    };
    for (int i = 1; i < argc; i++) {
        const struct option_spec *spec = spec_find(argv[i]);
        const char *value = NULL;

        if (spec == NULL) {
            (void)fprintf(stderr, "busbar-train: no option '%s'; see --help\n", argv[i]);
            return -EINVAL;
        }
        if (spec->kind != OPTION_FLAG) {
            if (i + 1 == argc) {
                (void)fprintf(stderr, "busbar-train: %s needs a value\n", spec->name);
                return -EINVAL;
            }
            value = argv[++i];
        }
        if (option_set(options, spec, value) != 0)
            return -EINVAL;
    }
    return options_check(options);
}
