/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published figures that the cluster planner is held against: data/predictions.yaml, or somebody's own measurements.
 *
 * Each is of one group of equal chips that holds a whole model: tokens a second and chip of a batch that is read and answered as a
 * whole, or milliseconds to the first token of one prompt. Every mistake is told at once (network/problems.h).
 */
#ifndef BUSBAR_NETWORK_PREDICTIONS_H
#define BUSBAR_NETWORK_PREDICTIONS_H

#include "network/models.h"

#define PREDICTIONS_MAX 256u

enum prediction_what { PREDICT_TOKENS_S_CHIP = 1, PREDICT_FIRST_MS };

struct prediction {
    char model[MODEL_NAME_CAP], format[NAME_CAP], chip[CHIP_CAP];
    char note[TEXT_CAP];
    uint32_t what;                           /* enum prediction_what */
    struct figure chips, batch, prompt, out; /* tokens of each request's prompt and answer */
    struct figure published;                 /* thousandths */
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
