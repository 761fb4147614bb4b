/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define WARMUP_STEPS 100u
#define LOSS_BLEND 0.02

static double now_s(void)
{
    struct timespec t = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int trainer_init(struct trainer *trainer, const struct trainer_config *config)
{
    size_t tokens = (size_t)config->rows * config->model.context;
    int rc = 0;

    *trainer = (struct trainer){.config = *config, .rng = {.state = config->seed}};
    rc = model_init(&trainer->model, &config->model, &trainer->rng);
    if (rc != 0)
        return rc;
    rc = adamw_init(&trainer->adamw, trainer->model.param_count);
    if (rc != 0)
        return rc;
    trainer->pass = pass_new(&config->model, config->rows);
    trainer->inputs = calloc(tokens, sizeof(*trainer->inputs));
    trainer->targets = calloc(tokens, sizeof(*trainer->targets));
    return trainer->pass != NULL && trainer->inputs != NULL && trainer->targets != NULL ? 0 : -ENOMEM;
}

void trainer_fini(struct trainer *trainer)
{
    model_fini(&trainer->model);
    adamw_fini(&trainer->adamw);
    pass_free(trainer->pass);
    free(trainer->inputs);
    free(trainer->targets);
    trainer->pass = NULL;
    trainer->inputs = NULL;
    trainer->targets = NULL;
}

/* How far the run has come, 0 to 1. */
static double progress(const struct trainer *trainer)
{
    const struct trainer_config *c = &trainer->config;

    return c->steps > 0 ? (double)trainer->step / (double)c->steps : trainer->elapsed_s / (double)c->seconds;
}

bool trainer_done(const struct trainer *trainer)
{
    return progress(trainer) >= 1.0;
}

static float learning_rate(const struct trainer *trainer)
{
    double warmup = (double)(trainer->step + 1) / WARMUP_STEPS;

    return (float)(trainer->config.learning_rate * (warmup < 1.0 ? warmup : 1.0) * (1.0 - progress(trainer)));
}

void trainer_step(struct trainer *trainer, const struct dataset *data)
{
    const struct trainer_config *c = &trainer->config;
    double start_s = now_s();
    float rate = learning_rate(trainer);
    double loss = 0.0;

    dataset_batch(data, &trainer->rng, c->rows, c->model.context, trainer->inputs, trainer->targets);
    loss = model_forward(&trainer->model, trainer->pass, trainer->inputs, trainer->targets, true);
    model_backward(&trainer->model, trainer->pass, trainer->inputs);
    trainer->step++;
    adamw_step(&trainer->adamw, &trainer->model, trainer->step, rate);
    trainer->loss = trainer->step == 1 ? loss : trainer->loss + LOSS_BLEND * (loss - trainer->loss);
    trainer->elapsed_s += now_s() - start_s;
}

double trainer_evaluate(struct trainer *trainer, const struct dataset *data, uint32_t batches)
{
    const struct trainer_config *c = &trainer->config;
    struct rng rng = {.state = c->seed};
    double sum = 0.0;

    for (uint32_t i = 0; i < batches; i++) {
        dataset_batch(data, &rng, c->rows, c->model.context, trainer->inputs, trainer->targets);
        sum += model_forward(&trainer->model, trainer->pass, trainer->inputs, trainer->targets, false);
    }
    return sum / (double)batches;
}
