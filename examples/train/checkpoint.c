/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint.h"

#include "atomic_file.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define CHECKPOINT_NAME "checkpoint.bin"

/* Fixed widths and no padding, so that equal heads are equal bytes. */
struct checkpoint_head {
    char magic[8];
    struct model_config model;
    uint32_t rows;
    uint64_t steps;
    uint64_t seconds;
    uint64_t seed;
    uint64_t data_hash;
    double learning_rate;
    uint64_t param_count;
    /* from here on: where the run is */
    uint64_t step;
    uint64_t rng_state;
    double elapsed_s;
    double loss;
};

_Static_assert(sizeof(struct checkpoint_head) == 8 + 8 * 4 + 6 * 8 + 4 * 8, "the head has no padding");

#define SETTINGS_BYTES offsetof(struct checkpoint_head, step)

static struct checkpoint_head head_of(const struct trainer *trainer)
{
    const struct trainer_config *c = &trainer->config;

    return (struct checkpoint_head){
        .magic = {'B', 'B', 'T', 'R', 'A', 'I', 'N', '1'},
        .model = c->model,
        .rows = c->rows,
        .steps = c->steps,
        .seconds = c->seconds,
        .seed = c->seed,
        .data_hash = c->data_hash,
        .learning_rate = c->learning_rate,
        .param_count = trainer->model.param_count,
        .step = trainer->step,
        .rng_state = trainer->rng.state,
        .elapsed_s = trainer->elapsed_s,
        .loss = trainer->loss,
    };
}

static int checkpoint_path(char path[PATH_MAX], const char *folder)
{
    int n = snprintf(path, PATH_MAX, "%s/" CHECKPOINT_NAME, folder);

    return n > 0 && n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int checkpoint_save(const struct trainer *trainer, const char *folder)
{
    struct checkpoint_head head = head_of(trainer);
    struct atomic_file file;
    size_t bytes = trainer->model.param_count * sizeof(float);
    uint64_t hash = 0;
    char path[PATH_MAX];
    int rc = checkpoint_path(path, folder);

    if (rc == 0)
        rc = atomic_file_open(&file, path);
    if (rc != 0)
        return rc;
    atomic_file_write(&file, &head, sizeof(head));
    atomic_file_write(&file, trainer->model.params, bytes);
    atomic_file_write(&file, trainer->adamw.mean, bytes);
    atomic_file_write(&file, trainer->adamw.square, bytes);
    hash = file.hash;
    atomic_file_write(&file, &hash, sizeof(hash));
    return atomic_file_commit(&file);
}

static int read_exactly(FILE *stream, void *out, size_t len, uint64_t *hash)
{
    if (fread(out, 1, len, stream) != len)
        return -EBADMSG;
    *hash = atomic_file_hash(*hash, out, len);
    return 0;
}

static int state_read(struct trainer *trainer, FILE *stream, uint64_t hash)
{
    size_t bytes = trainer->model.param_count * sizeof(float);
    float *parts[] = {trainer->model.params, trainer->adamw.mean, trainer->adamw.square};
    uint64_t expected = 0;
    uint64_t ignored = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (read_exactly(stream, parts[i], bytes, &hash) != 0)
            return -EBADMSG;
    if (read_exactly(stream, &expected, sizeof(expected), &ignored) != 0 || expected != hash)
        return -EBADMSG;
    return 0;
}

int checkpoint_load(struct trainer *trainer, const char *folder)
{
    const struct checkpoint_head mine = head_of(trainer);
    struct checkpoint_head head = {0};
    uint64_t hash = ATOMIC_FILE_HASH_SEED;
    char path[PATH_MAX];
    FILE *stream = NULL;
    int rc = checkpoint_path(path, folder);

    if (rc != 0)
        return rc;
    stream = fopen(path, "rb");
    if (stream == NULL)
        return -errno;
    rc = read_exactly(stream, &head, sizeof(head), &hash);
    if (rc == 0 && memcmp(&head, &mine, SETTINGS_BYTES) != 0)
        rc = -EINVAL;
    if (rc == 0)
        rc = state_read(trainer, stream, hash);
    (void)fclose(stream);
    if (rc != 0)
        return rc;
    trainer->step = head.step;
    trainer->rng.state = head.rng_state;
    trainer->elapsed_s = head.elapsed_s;
    trainer->loss = head.loss;
    return 0;
}
