/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts for a fuzz input, drawn from a generator that is seeded with a hash of the input: same input, same cuts. */
#ifndef BUSBAR_TESTS_FUZZ_SPLIT_H
#define BUSBAR_TESTS_FUZZ_SPLIT_H

#include <stddef.h>
#include <stdint.h>

struct split {
    uint64_t state;
};

void split_init(struct split *split, const uint8_t *data, size_t len);
/* Length of the next piece, 1 to `left`. Most pieces are short. */
size_t split_next(struct split *split, size_t left);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
