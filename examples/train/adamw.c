/* SPDX-License-Identifier: Apache-2.0 */
#include "adamw.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define BETA_MEAN 0.9f
#define BETA_SQUARE 0.98f
#define WEIGHT_DECAY 0.05f
#define CLIP_LENGTH 1.0
#define EPSILON 1e-8f

int adamw_init(struct adamw *adamw, size_t param_count)
{
    adamw->mean = calloc(param_count, sizeof(*adamw->mean));
    adamw->square = calloc(param_count, sizeof(*adamw->square));
    return adamw->mean != NULL && adamw->square != NULL ? 0 : -ENOMEM;
}

void adamw_fini(struct adamw *adamw)
{
    free(adamw->mean);
    free(adamw->square);
    *adamw = (struct adamw){0};
}

static float clip_factor(const float *grads, size_t n)
{
    double square = 0.0;

    for (size_t i = 0; i < n; i++)
        square += (double)grads[i] * (double)grads[i];
    return square > CLIP_LENGTH * CLIP_LENGTH ? (float)(CLIP_LENGTH / sqrt(square)) : 1.0f;
}

void adamw_step(struct adamw *adamw, struct model *model, uint64_t step, float learning_rate)
{
    float clip = clip_factor(model->grads, model->param_count);
    float mean_unbias = 1.0f / (float)(1.0 - pow((double)BETA_MEAN, (double)step));
    float square_unbias = 1.0f / (float)(1.0 - pow((double)BETA_SQUARE, (double)step));

    for (uint32_t t = 0; t < model->tensor_count; t++) {
        const struct tensor *tensor = &model->tensors[t];
        float decay = tensor->rows > 1 ? WEIGHT_DECAY : 0.0f;
        size_t end = tensor->offset + (size_t)tensor->rows * tensor->cols;

        for (size_t i = tensor->offset; i < end; i++) {
            float g = model->grads[i] * clip;
            float m = adamw->mean[i] = BETA_MEAN * adamw->mean[i] + (1.0f - BETA_MEAN) * g;
            float v = adamw->square[i] = BETA_SQUARE * adamw->square[i] + (1.0f - BETA_SQUARE) * g * g;
            float update = m * mean_unbias / (sqrtf(v * square_unbias) + EPSILON);

            model->params[i] -= learning_rate * (update + decay * model->params[i]);
        }
    }
}
