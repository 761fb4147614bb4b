/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clusters were measured to do, in a file, and what that says of their chips.
 *
 *   hop_us: 210
 *   measured:
 *     - {tokens_s: 41.2, stages: [{chip: mtt-s4000, layers: 32, head: yes}]}
 *     - {tokens_s: 17.9, batch: 4, context: 1024, model: qwen3-8b, format: q8_0, stages: [{chip: a, layers: 20}, {chip: b, layers: 16, head: yes}]}
 *
 * A row is a replica that ran: its stages, how many tokens a second it made in all. A row that names no model is of the one that is
 * planned. With `check: yes` it teaches nothing and is only held against the prediction. From the others each chip gets two
 * factors (core/calibrate.h), of its memory and of its computing: which of them a row is about the roofline says, as it is the longer
 * that a stage waits for. What a chip delivers is then its data sheet's figure times the share that is assumed of any, over that factor.
 */
#ifndef BUSBAR_NETWORK_MEASURED_H
#define BUSBAR_NETWORK_MEASURED_H

#include "core/calibrate.h"
#include "network/models.h"

#define MEASURED_MAX 256u
#define MEASURED_CHIPS_MAX 32u /* kinds */

enum measured_of { MEASURED_MEMORY, MEASURED_COMPUTING, MEASURED_OF };

struct measured_stage {
    char chip[CHIP_CAP];
    struct figure chips, layers; /* chips: a group; 1 if it is not said */
    uint32_t head;               /* enum model_yes */
};

struct measured_row {
    char model[MODEL_NAME_CAP], format[NAME_CAP];
    struct figure tokens_s; /* thousandths */
    struct figure batch, context;
    uint32_t check; /* enum model_yes */
    uint32_t stages;
    struct measured_stage stage[CLUSTER_STAGES_MAX];
    struct where where;
    uint64_t predicted_e3, corrected_e3; /* tokens a second: without the file, and with it */
};

struct measured_chip {
    char name[CHIP_CAP];
    bool learnt[MEASURED_OF];
    int64_t factor[MEASURED_OF]; /* CALIBRATE_ONE: as believed */
};

struct measured {
    struct figure hop_us; /* between stages */
    uint32_t n, chips;
    struct measured_row row[MEASURED_MAX];
    struct measured_chip chip[MEASURED_CHIPS_MAX];
};

/* 0, or ERR_INVALID (see `problems`), ERR_NOT_FOUND, ERR_IO. */
int measured_load(struct measured *out, const char *path, struct problems *problems);
/* Learns the chips' factors, and holds each row against the prediction. `own`: the model of rows that name none, in `format` (NULL: computed as 16 bits). ERR_INVALID (see
 * `problems`): a chip, model or format that is not in the catalogues, layers that do not add up. ERR_NO_MEMORY. */
int measured_learn(struct measured *m, const struct models *models, const struct netfile *chips,
                   const struct model_delivered *delivered, const struct cluster_model *own,
                   const struct model_format *format, struct problems *problems);
/* What was learnt, put on the pool of a chip; of one that was not measured nothing changes. */
void measured_correct(const struct measured *m, const char *chip, struct cluster_pool *pool);

#endif
