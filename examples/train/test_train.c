/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of training: derivatives against finite differences, stopping and continuing, and that it learns at all.
 */
#include "bpe.h"
#include "checkpoint.h"
#include "corpus.h"
#include "dataset.h"
#include "trainer.h"

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Grouped heads, and a context that is not a multiple of the attention block: the paths that go wrong quietly. */
static const struct model_config tiny = {
    .vocab = 40, .dim = 16, .layers = 2, .heads = 4, .kv_heads = 2, .ffn = 24, .context = 80};

#define TINY_ROWS 2u
#define TINY_TOKENS (TINY_ROWS * 80u)

struct gradient_case {
    struct model model;
    struct pass *pass;
    uint32_t inputs[TINY_TOKENS];
    uint32_t targets[TINY_TOKENS];
};

static void gradient_case_init(struct gradient_case *g)
{
    struct rng rng = {.state = 5};

    assert_null(model_config_check(&tiny));
    assert_int_equal(model_init(&g->model, &tiny, &rng), 0);
    g->pass = pass_new(&tiny, TINY_ROWS);
    assert_non_null(g->pass);
    for (uint32_t i = 0; i < TINY_TOKENS; i++) {
        g->inputs[i] = rng_below(&rng, tiny.vocab);
        g->targets[i] = rng_below(&rng, tiny.vocab);
    }
    /* gains of one and small embeddings would hide a forgotten factor */
    for (size_t i = 0; i < g->model.param_count; i++)
        g->model.params[i] += 0.3f * rng_signed_unit(&rng);
    (void)model_forward(&g->model, g->pass, g->inputs, g->targets, true);
    model_backward(&g->model, g->pass, g->inputs);
}

static void gradient_case_fini(struct gradient_case *g)
{
    pass_free(g->pass);
    model_fini(&g->model);
}

/* Moves one tensor along `direction`, there and back. Returns the change of the loss per unit of `step`. */
static double slope(struct gradient_case *g, const struct tensor *t, const float *direction, float step)
{
    size_t n = (size_t)t->rows * t->cols;
    float *p = g->model.params + t->offset;
    float *kept = malloc(n * sizeof(*kept));
    double loss[2] = {0};

    assert_non_null(kept);
    memcpy(kept, p, n * sizeof(*kept));
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++)
            p[i] = kept[i] + (side == 0 ? step : -step) * direction[i];
        loss[side] = model_forward(&g->model, g->pass, g->inputs, g->targets, false);
    }
    memcpy(p, kept, n * sizeof(*kept));
    free(kept);
    return (loss[0] - loss[1]) / (2.0 * (double)step);
}

/* The largest error of the gradient of tensor `t`, relative to what the gradient promises: along its own signs, where
 * the promise is largest, and along random signs. */
static double gradient_error(struct gradient_case *g, const struct tensor *t)
{
    struct rng rng = {.state = t->offset};
    size_t n = (size_t)t->rows * t->cols;
    const float *grad = g->model.grads + t->offset;
    float *direction = malloc(n * sizeof(*direction));
    double length = 0.0;
    double worst = 0.0;

    assert_non_null(direction);
    for (size_t i = 0; i < n; i++)
        length += fabs((double)grad[i]);
    assert_true(length > 0.0);
    for (int trial = 0; trial < 4; trial++) {
        double promised = 0.0;
        double error = 0.0;

        for (size_t i = 0; i < n; i++) {
            float random = rng_below(&rng, 2) == 0 ? 1.0f : -1.0f;

            direction[i] = trial > 0 ? random : grad[i] < 0.0f ? -1.0f : 1.0f;
            promised += (double)grad[i] * (double)direction[i];
        }
        error = fabs(slope(g, t, direction, 5e-4f) - promised) / length;
        worst = error > worst ? error : worst;
    }
    free(direction);
    return worst;
}

static void test_gradients(void **state)
{
    struct gradient_case g = {0};

    (void)state;
    gradient_case_init(&g);
    for (uint32_t i = 0; i < g.model.tensor_count; i++) {
        double error = gradient_error(&g, &g.model.tensors[i]);

        if (error > 0.01)
            fail_msg("tensor role %d of layer %u: relative error %f", (int)g.model.tensors[i].role,
                     g.model.tensors[i].layer, error);
    }
    gradient_case_fini(&g);
}

/* The check above must notice a gradient that is a little wrong. */
static void test_gradient_check_has_teeth(void **state)
{
    struct gradient_case g = {0};

    (void)state;
    gradient_case_init(&g);
    for (uint32_t i = 0; i < g.model.tensor_count; i++) {
        const struct tensor *t = &g.model.tensors[i];

        for (size_t j = 0; j < (size_t)t->rows * t->cols; j++)
            g.model.grads[t->offset + j] *= 1.03f;
        assert_true(gradient_error(&g, t) > 0.01);
    }
    gradient_case_fini(&g);
}

static void make_text(struct text *text, uint64_t seed, size_t bytes)
{
    *text = (struct text){0};
    assert_int_equal(corpus_generate(text, seed, bytes), 0);
}

static struct bpe *make_bpe(const struct text *text, uint32_t tokens)
{
    struct bpe *bpe = malloc(sizeof(*bpe));

    assert_non_null(bpe);
    assert_int_equal(bpe_train(bpe, text->data, text->len, tokens), 0);
    return bpe;
}

/* A small run on real text. */
struct small_run {
    struct text text;
    struct bpe *bpe;
    struct dataset data;
    struct trainer_config config;
    char folder[64];
};

static int small_run_setup(void **state)
{
    struct small_run *run = calloc(1, sizeof(*run));

    if (run == NULL)
        return -1;
    make_text(&run->text, 3, 200000);
    run->bpe = make_bpe(&run->text, 512);
    assert_int_equal(dataset_init(&run->data, run->bpe, &run->text, 96), 0);
    run->config = (struct trainer_config){
        .model = {.vocab = 512, .dim = 32, .layers = 2, .heads = 4, .kv_heads = 2, .ffn = 64, .context = 96},
        .rows = 2,
        .steps = 20,
        .seed = 9,
        .data_hash = run->data.hash,
        .learning_rate = 0.003,
    };
    (void)snprintf(run->folder, sizeof(run->folder), "/tmp/test_train.XXXXXX");
    if (mkdtemp(run->folder) == NULL)
        return -1;
    *state = run;
    return 0;
}

static void path_in(const struct small_run *run, const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", run->folder, name);
}

static int small_run_teardown(void **state)
{
    struct small_run *run = *state;
    char path[128];

    path_in(run, "checkpoint.bin", path);
    (void)unlink(path);
    (void)rmdir(run->folder);
    dataset_fini(&run->data);
    text_fini(&run->text);
    free(run->bpe);
    free(run);
    return 0;
}

static void train_to(struct trainer *trainer, const struct dataset *data, uint64_t step)
{
    while (trainer->step < step)
        trainer_step(trainer, data);
}

static void test_resume(void **state)
{
    struct small_run *run = *state;
    struct trainer whole;
    struct trainer first;
    struct trainer second;
    size_t bytes = 0;

    assert_int_equal(trainer_init(&whole, &run->config), 0);
    train_to(&whole, &run->data, 20);
    assert_true(trainer_done(&whole));

    assert_int_equal(trainer_init(&first, &run->config), 0);
    assert_int_equal(checkpoint_load(&first, run->folder), -ENOENT);
    train_to(&first, &run->data, 10);
    assert_int_equal(checkpoint_save(&first, run->folder), 0);

    assert_int_equal(trainer_init(&second, &run->config), 0);
    assert_int_equal(checkpoint_load(&second, run->folder), 0);
    assert_int_equal(second.step, 10);
    train_to(&second, &run->data, 20);

    bytes = whole.model.param_count * sizeof(float);
    assert_memory_not_equal(whole.model.params, first.model.params, bytes);
    assert_memory_equal(whole.model.params, second.model.params, bytes);
    assert_memory_equal(whole.adamw.mean, second.adamw.mean, bytes);
    assert_memory_equal(whole.adamw.square, second.adamw.square, bytes);
    assert_true(whole.loss == second.loss && whole.rng.state == second.rng.state);
    trainer_fini(&whole);
    trainer_fini(&first);
    trainer_fini(&second);
}

static void flip_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    int byte = 0;

    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_END), 0);
    byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_END), 0);
    assert_int_not_equal(fputc(byte ^ 1, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void test_checkpoint_refuses(void **state)
{
    struct small_run *run = *state;
    struct trainer_config other = run->config;
    struct trainer trainer;
    struct trainer stranger;
    char path[128];

    assert_int_equal(trainer_init(&trainer, &run->config), 0);
    train_to(&trainer, &run->data, 2);
    assert_int_equal(checkpoint_save(&trainer, run->folder), 0);

    other.data_hash++;
    assert_int_equal(trainer_init(&stranger, &other), 0);
    assert_int_equal(checkpoint_load(&stranger, run->folder), -EINVAL);
    assert_int_equal(stranger.step, 0);
    trainer_fini(&stranger);

    path_in(run, "checkpoint.bin", path);
    flip_byte(path, -1000);
    assert_int_equal(checkpoint_load(&trainer, run->folder), -EBADMSG);
    flip_byte(path, -1000);
    assert_int_equal(checkpoint_load(&trainer, run->folder), 0);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(checkpoint_load(&trainer, run->folder), -EBADMSG);
    assert_int_equal(checkpoint_save(&trainer, "/nonexistent"), -ENOENT);
    trainer_fini(&trainer);
}

static void test_learns(void **state)
{
    struct small_run *run = *state;
    struct trainer trainer;
    double before = 0.0;
    double after = 0.0;

    run->config.steps = 150;
    run->config.learning_rate = 0.01;
    assert_int_equal(trainer_init(&trainer, &run->config), 0);
    before = trainer_evaluate(&trainer, &run->data, 4);
    train_to(&trainer, &run->data, 150);
    after = trainer_evaluate(&trainer, &run->data, 4);
    assert_true(fabs(before - log(512.0)) < 0.5);
    assert_true(after < before - 1.0);
    trainer_fini(&trainer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_gradient_check_has_teeth),
        cmocka_unit_test_setup_teardown(test_resume, small_run_setup, small_run_teardown),
        cmocka_unit_test_setup_teardown(test_checkpoint_refuses, small_run_setup, small_run_teardown),
        cmocka_unit_test_setup_teardown(test_learns, small_run_setup, small_run_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
