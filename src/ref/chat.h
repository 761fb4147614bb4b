/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chats: messages to the text that a model was trained to go on with.
 *
 * A model's file says how in a program of Jinja's. This engine runs no programs out of files: it knows a few formats, as a
 * table of what goes before and after each role's text, and recognises which one is meant by the marks in the file's template
 * (what llama.cpp does where it has no interpreter). A template that has none of them is refused, and so is a role that it
 * has no place for. What a template adds of its own accord beyond the marks, such as a default system message, is not added.
 */
#ifndef BUSBAR_REF_CHAT_H
#define BUSBAR_REF_CHAT_H

#include <yyjson.h>

#include "base/buf.h"
#include "base/err.h"

struct chat_format;

/* NULL: none that is known. */
const struct chat_format *chat_recognise(const char *chat_template);
const struct chat_format *chat_named(const char *name);
const char *chat_name(const struct chat_format *format);
/* Names of all, one after the other. */
void chat_list(struct buf *out);
/* Appends the text of `messages`, an array of {role, content}, with the beginning of an answer. ERR_INVALID with words. */
int chat_render(const struct chat_format *format, yyjson_val *messages, struct buf *out, struct err *err);

#endif
