/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corpus: named byte strings with what a parser should make of them, from a text file (see requests.corpus).
 *
 * The file is shared with the end-to-end tests, so that what the parser is tested with is what the real gateway is
 * sent. A file that cannot be read or understood aborts: a test without its cases must not pass.
 */
#ifndef BUSBAR_TESTS_NET_CORPUS_H
#define BUSBAR_TESTS_NET_CORPUS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define CORPUS_CASES_MAX 400

struct corpus_case {
    char name[64];
    char outcomes[64]; /* alternatives of one outcome with '|', one after another with ',' */
    char why[160];
    struct buf bytes;
};

struct corpus {
    size_t n;
    struct corpus_case cases[CORPUS_CASES_MAX];
};

struct corpus *corpus_read(const char *path);
void corpus_free(struct corpus *corpus);
/* Whether `got` ("ok,400") is one of those that the case allows. */
bool corpus_allows(const struct corpus_case *c, const char *got);

#endif
