/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published figures that the cluster planner is held against: data/predictions.yaml, or somebody's own measurements.
 *
 * Each is of one group of equal chips that holds a whole model, or over which its experts are spread: tokens a second and chip of a batch that is
 * read and answered as a whole, of answers or of prompts alone where other chips do the rest, or milliseconds to the first token of one prompt.
 * Every mistake is told at once (network/problems.h).
 */
#ifndef BUSBAR_NETWORK_PREDICTIONS_H
#define BUSBAR_NETWORK_PREDICTIONS_H

#include "network/models.h"

#define PREDICTIONS_MAX 256u

enum prediction_what {
    PREDICT_TOKENS_S_CHIP = 1,
    PREDICT_FIRST_MS,
    PREDICT_ANSWERS_S_CHIP,
    PREDICT_PROMPTS_S_CHIP
};

struct prediction {
    char model[MODEL_NAME_CAP], format[NAME_CAP], chip[CHIP_CAP];
    char note[TEXT_CAP];
    uint32_t what;                           /* enum prediction_what */
    struct figure chips, batch, prompt, out; /* tokens of each request's prompt and answer */
    struct figure attention; /* chips that divide a request's attention; given: its experts are spread */
    struct figure kv;        /* bits of keys and values; 16 unless given */
    struct figure draft, accepted; /* tokens guessed in a step, and gained by it, thousandths */
    struct figure hop_gbit_s;      /* of the site, if the published figure says it; thousandths */
    struct figure published;       /* thousandths */
};

struct predictions {
    uint32_t n;
    struct prediction row[PREDICTIONS_MAX];
};

/* 0, or ERR_INVALID (see `problems`), ERR_NOT_FOUND, ERR_IO. */
int predictions_load(struct predictions *out, const char *path, struct problems *problems);
/* What the planner says of it, thousandths; 0: chip, model or format is not in the catalogues, or what it needs is not published. */
int64_t prediction_made(const struct prediction *row, const struct models *models,
                        const struct model_delivered *delivered, const struct net_chip *chip);

#endif
