/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training text: little stories and little chats, made from a grammar and a seed.
 *
 * A document is a story ("Once upon a time, there was a brave fox named Lily. ..."), or a chat in which a user asks
 * for a story or says hello and the assistant answers. Documents are separated by an empty line. Inside a chat the
 * roles are marked with the same literal strings that the model's chat template writes, so what the server sends is
 * what the model has seen. A request and its story share their slots: who asks for a fox is told about a fox. Some
 * names and words are invented from syllables, so that the model learns to copy a word that it has never met.
 *
 * The grammar itself is data, in corpus_words.c. The same seed gives the same bytes on every machine.
 */
#ifndef TRAIN_CORPUS_H
#define TRAIN_CORPUS_H

#include "text.h"

#include <stdint.h>

#define CORPUS_MARK_SYSTEM "<|system|>"
#define CORPUS_MARK_USER "<|user|>"
#define CORPUS_MARK_ASSISTANT "<|assistant|>"
#define CORPUS_MARK_END "</s>"

/* Appends documents to `out` until it holds at least `bytes` bytes. Returns 0 or -ENOMEM. */
int corpus_generate(struct text *out, uint64_t seed, size_t bytes);

#endif
