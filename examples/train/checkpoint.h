/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A training run on disk, so that it can be stopped, moved and continued.
 *
 * The file "checkpoint.bin" in a folder holds the settings of the run, where it was, the parameters and both moments
 * of the optimizer, and a hash of it all. It is replaced whole (atomic_file.h). Loading accepts only a checkpoint of
 * the same settings and the same data: another seed, shape or text is an error, not a surprise. Numbers are in the
 * byte order of the host.
 */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "trainer.h"

/* Returns 0 or a negative errno value, with the old checkpoint in place. */
int checkpoint_save(const struct trainer *trainer, const char *folder);

/* Returns 0; -ENOENT when there is none; -EINVAL when it is of another run; -EBADMSG when it is damaged; or another
 * negative errno value. On an error the trainer's state is undefined, except after -ENOENT and -EINVAL. */
int checkpoint_load(struct trainer *trainer, const char *folder);

#endif
