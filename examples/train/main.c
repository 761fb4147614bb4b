/* SPDX-License-Identifier: Apache-2.0 */
/*
 * busbar-train: text in, language model out.
 *
 * It makes or reads the text, learns a tokenizer from most of it, trains, measures the loss on the rest, and writes a
 * GGUF file that a llama.cpp server can serve. It is the reference training job of the network: it keeps checkpoints,
 * stops politely on SIGTERM, and continues with --resume as if nothing had happened.
 */
#include "bpe.h"
#include "checkpoint.h"
#include "corpus.h"
#include "dataset.h"
#include "gguf.h"
#include "options.h"
#include "trainer.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HELD_OUT_PARTS 50u /* one part in so many is kept to measure the loss on */
#define EVALUATE_TOKENS 32768u
#define PROGRESS_S 10

static volatile sig_atomic_t stop_wanted;

static void on_stop(int signal_number)
{
    (void)signal_number;
    stop_wanted = 1;
}

/* One BLAS thread and one kernel, so that the order of additions, and with it every bit of the result, does not depend
 * on the machine. OpenBLAS reads these when it is loaded, hence the second start. What the user has set stays. */
static void pin_blas(char **argv)
{
    const char *kernel = NULL;
    char path[PATH_MAX];
    ssize_t len = 0;

#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        kernel = "Haswell";
#endif
    if (getenv("OPENBLAS_NUM_THREADS") != NULL && (kernel == NULL || getenv("OPENBLAS_CORETYPE") != NULL))
        return;
    if (setenv("OPENBLAS_NUM_THREADS", "1", 0) != 0 ||
        (kernel != NULL && setenv("OPENBLAS_CORETYPE", kernel, 0) != 0))
        return;
    len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (len > 0) {
        path[len] = '\0';
        (void)execv(path, argv);
    }
    /* without /proc the results are as good, only not the same everywhere */
}

static int fail(const char *what, int rc)
{
    (void)fprintf(stderr, "busbar-train: %s: %s\n", what, strerror(-rc));
    return rc;
}

static int text_get(const struct options *options, struct text *text)
{
    int rc = options->text != NULL ? text_read_file(text, options->text)
                                   : corpus_generate(text, options->seed, (size_t)options->text_bytes);

    return rc == 0 ? 0 : fail(options->text != NULL ? options->text : "text", rc);
}

/* Splits the text, at an empty line, into what is learnt and what is held out. With no such line all is learnt. */
static void text_split(const struct text *text, struct text *learn, struct text *held_out)
{
    size_t cut = text->len - text->len / HELD_OUT_PARTS;

    while (cut > 1 && !(text->data[cut - 1] == '\n' && text->data[cut - 2] == '\n'))
        cut--;
    if (cut <= 1)
        cut = text->len;
    *learn = (struct text){.data = text->data, .len = cut};
    *held_out = (struct text){.data = text->len > 0 ? text->data + cut : NULL, .len = text->len - cut};
}

static struct trainer_config config_of(const struct options *o, uint32_t vocab, uint64_t data_hash)
{
    return (struct trainer_config){
        .model =
            {
                .vocab = vocab,
                .dim = (uint32_t)o->dim,
                .layers = (uint32_t)o->layers,
                .heads = (uint32_t)o->heads,
                .kv_heads = (uint32_t)o->kv_heads,
                .ffn = (uint32_t)o->ffn,
                .context = (uint32_t)o->context,
            },
        .rows = (uint32_t)o->rows,
        .seconds = (uint32_t)o->seconds,
        .steps = o->steps,
        .seed = o->seed,
        .data_hash = data_hash,
        .learning_rate = o->learning_rate,
    };
}

static void progress_print(const struct options *options, const struct trainer *trainer, uint64_t step_first,
                           double elapsed_first_s)
{
    uint64_t tokens = (trainer->step - step_first) * trainer->config.rows * trainer->config.model.context;
    double seconds = trainer->elapsed_s - elapsed_first_s;

    if (options->quiet)
        return;
    (void)printf("step %llu  loss %.4f  %.0f tokens/s  %.0f s\n", (unsigned long long)trainer->step,
                 trainer->loss, seconds > 0.0 ? (double)tokens / seconds : 0.0, trainer->elapsed_s);
    (void)fflush(stdout);
}

/* Steps until the run is done or somebody wants it to stop. Returns 0 or the error of a checkpoint. */
static int train(const struct options *options, struct trainer *trainer, const struct dataset *data)
{
    uint64_t step_first = trainer->step;
    double elapsed_first_s = trainer->elapsed_s;
    time_t shown = time(NULL);
    time_t saved = shown;

    while (!trainer_done(trainer) && stop_wanted == 0) {
        time_t now = time(NULL);

        if (now - shown >= PROGRESS_S) {
            progress_print(options, trainer, step_first, elapsed_first_s);
            shown = now;
        }
        if (options->checkpoint != NULL && (uint64_t)(now - saved) >= options->checkpoint_seconds) {
            int rc = checkpoint_save(trainer, options->checkpoint);

            if (rc != 0)
                return fail("checkpoint", rc);
            saved = now;
        }
        trainer_step(trainer, data);
        if (options->stop_after > 0 && trainer->step >= options->stop_after)
            stop_wanted = 1;
    }
    progress_print(options, trainer, step_first, elapsed_first_s);
    if (options->checkpoint != NULL) {
        int rc = checkpoint_save(trainer, options->checkpoint);

        if (rc != 0)
            return fail("checkpoint", rc);
    }
    return 0;
}

static int resume(const struct options *options, struct trainer *trainer)
{
    int rc = 0;

    if (mkdir(options->checkpoint, 0777) != 0 && errno != EEXIST)
        return fail(options->checkpoint, -errno);
    if (!options->resume)
        return 0;
    rc = checkpoint_load(trainer, options->checkpoint);
    if (rc == -EINVAL)
        (void)fprintf(stderr, "busbar-train: the checkpoint is of a run with other options, seed or text\n");
    if (rc == 0 && !options->quiet)
        (void)printf("continuing from step %llu\n", (unsigned long long)trainer->step);
    return rc == 0 || rc == -ENOENT ? 0 : fail(options->checkpoint, rc);
}

static int finish(const struct options *options, struct trainer *trainer, const struct bpe *bpe,
                  const struct dataset *held_out)
{
    const struct gguf_about about = {.name = options->name, .description = options->description};
    uint32_t batch_tokens = trainer->config.rows * trainer->config.model.context;
    int rc = 0;

    if (stop_wanted != 0 && !trainer_done(trainer)) {
        if (!options->quiet)
            (void)printf("stopped at step %llu%s\n", (unsigned long long)trainer->step,
                         options->checkpoint != NULL ? ", checkpoint written" : "");
        return 0;
    }
    if (!options->quiet && held_out->token_count > 0)
        (void)printf("loss on held-out text %.4f\n",
                     trainer_evaluate(trainer, held_out, 1 + EVALUATE_TOKENS / batch_tokens));
    rc = gguf_write(options->out, &trainer->model, bpe, &about, options->type);
    if (rc != 0)
        return fail(options->out, rc);
    if (!options->quiet)
        (void)printf("wrote %s\n", options->out);
    return 0;
}

static int run(const struct options *options, const struct text *text, struct bpe *bpe)
{
    struct dataset data = {0};
    struct dataset held_out = {0};
    struct trainer trainer = {0};
    struct trainer_config config = {0};
    struct text learn = {0};
    struct text kept = {0};
    const char *bad = NULL;
    int rc = 0;

    text_split(text, &learn, &kept);
    rc = bpe_train(bpe, learn.data, learn.len, (uint32_t)options->vocab);
    if (rc == 0)
        rc = dataset_init(&data, bpe, &learn, (uint32_t)options->context);
    if (rc != 0) {
        if (rc == -EINVAL)
            (void)fprintf(stderr, "busbar-train: the text is shorter than one row of --context tokens\n");
        else
            rc = fail("text", rc);
        goto out;
    }
    if (dataset_init(&held_out, bpe, &kept, (uint32_t)options->context) != 0)
        held_out.token_count = 0; /* too little text to measure on is no reason not to train */
    config = config_of(options, bpe->count, data.hash);
    bad = model_config_check(&config.model);
    if (bad != NULL) {
        (void)fprintf(stderr, "busbar-train: %s\n", bad);
        rc = -EINVAL;
        goto out;
    }
    rc = trainer_init(&trainer, &config);
    if (rc != 0) {
        rc = fail("model", rc);
        goto out;
    }
    if (!options->quiet)
        (void)printf("text %zu bytes, %zu tokens, vocabulary %u, parameters %zu\n", learn.len,
                     data.token_count, bpe->count, trainer.model.param_count);
    if (options->checkpoint != NULL)
        rc = resume(options, &trainer);
    if (rc == 0)
        rc = train(options, &trainer, &data);
    if (rc == 0)
        rc = finish(options, &trainer, bpe, &held_out);
out:
    trainer_fini(&trainer);
    dataset_fini(&data);
    dataset_fini(&held_out);
    return rc;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_stop};
    struct options options;
    struct text text = {0};
    struct bpe *bpe = NULL;
    int rc = 0;

    if (options_parse(&options, argc, argv) != 0)
        return 2;
    if (options.help) {
        options_help();
        return 0;
    }
    pin_blas(argv);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    rc = text_get(&options, &text);
    if (rc == 0 && options.print_text) {
        rc = fwrite(text.data, 1, text.len, stdout) == text.len ? 0 : -EIO;
    } else if (rc == 0) {
        bpe = malloc(sizeof(*bpe));
        rc = bpe != NULL ? run(&options, &text, bpe) : fail("tokenizer", -ENOMEM);
    }
    free(bpe);
    text_fini(&text);
    return rc == 0 ? 0 : 1;
}
