/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/chat.h"

#include <string.h>

#include "base/str.h"

#define MARKS 2

struct role {
    const char *before, *after; /* before NULL: this format has no such role */
};

struct chat_format {
    const char *name;
    const char *marks[MARKS]; /* all of them are in the template */
    bool trims;               /* white space around a text is taken off */
    struct role system, user, assistant;
    const char *answer; /* what an answer begins with */
};

/* In this order: the first one whose marks are all there. */
static const struct chat_format formats[] = {
    {"busbar",
     {"<|user|>{{ message['content'] | trim }}", "<|assistant|>"},
     true,
     {"<|system|>", ""},
     {"<|user|>", ""},
     {"<|assistant|>", "</s>"},
     "<|assistant|>"},
    {"chatml",
     {"<|im_start|>", "<|im_end|>"},
     false,
     {"<|im_start|>system\n", "<|im_end|>\n"},
     {"<|im_start|>user\n", "<|im_end|>\n"},
     {"<|im_start|>assistant\n", "<|im_end|>\n"},
     "<|im_start|>assistant\n"},
    {"llama3",
     {"<|start_header_id|>", "<|eot_id|>"},
     true,
     {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
     {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
     {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"},
     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"zephyr",
     {"<|user|>\n", "eos_token"},
     false,
     {"<|system|>\n", "</s>\n"},
     {"<|user|>\n", "</s>\n"},
     {"<|assistant|>\n", "</s>\n"},
     "<|assistant|>\n"},
    {"zephyr",
     {"<|user|>\\n", "eos_token"},
     false,
     {"<|system|>\n", "</s>\n"},
     {"<|user|>\n", "</s>\n"},
     {"<|assistant|>\n", "</s>\n"},
     "<|assistant|>\n"},
    {"mistral", {"[INST]", "[/INST]"}, true, {NULL, NULL}, {"[INST] ", " [/INST]"}, {" ", "</s>"}, ""},
    {"plain",
     {"{% for m in messages %}{{ m['content'] }}{% endfor %}", ""},
     false,
     {"", ""},
     {"", ""},
     {"", ""},
     ""},
};
#define FORMATS (sizeof formats / sizeof formats[0])

const struct chat_format *chat_recognise(const char *text)
{
    for (size_t i = 0; text && i < FORMATS; i++) {
        int found = 0;
        while (found < MARKS && strstr(text, formats[i].marks[found]))
            found++;
        if (found == MARKS)
            return &formats[i];
    }
    return NULL;
}

const struct chat_format *chat_named(const char *name)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    }
    return NULL;
}

const char *chat_name(const struct chat_format *format)
{
    return format->name;
}

void chat_list(struct buf *out)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (i == 0 || strcmp(formats[i].name, formats[i - 1].name) != 0)
            buf_addf(out, "%s%s", i ? " " : "", formats[i].name);
    }
}

/* ---- messages ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A text, or a list of parts of type "text". */
static int add_content(yyjson_val *content, struct buf *out, struct err *err)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(content);
    yyjson_val *part;
    if (yyjson_is_str(content)) {
        buf_add(out, yyjson_get_str(content), yyjson_get_len(content));
        return 0;
    }
    if (!yyjson_is_arr(content))
        return err_set(err, ERR_INVALID, "messages: content must be a text, or a list of parts");
    while ((part = yyjson_arr_iter_next(&it)) != NULL) {
        yyjson_val *text = yyjson_obj_get(part, "text");
        if (!yyjson_equals_str(yyjson_obj_get(part, "type"), "text") || !yyjson_is_str(text))
            return err_set(err, ERR_INVALID, "messages: this model understands parts of type text only");
        buf_add(out, yyjson_get_str(text), yyjson_get_len(text));
    }
    return 0;
}

static int add_message(const struct chat_format *f, yyjson_val *message, struct buf *out, struct err *err)
{
    const struct {
        const char *name;
        const struct role *role;
    } roles[] = {
        {"system", &f->system}, {"developer", &f->system}, {"user", &f->user}, {"assistant", &f->assistant}};
    yyjson_val *name = yyjson_obj_get(message, "role");
    const struct role *role = NULL;
    struct buf text;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (yyjson_equals_str(name, roles[i].name))
            role = roles[i].role;
    }
    if (!role || !role->before)
        return err_set(err, ERR_INVALID,
                       "messages: the role %.32s has no place in this model's chats (format %s)",
                       yyjson_is_str(name) ? yyjson_get_str(name) : "that is missing", f->name);
    buf_init(&text, out->max);
    int rc = add_content(yyjson_obj_get(message, "content"), &text, err);
    const char *at = text.data ? text.data : "";
    size_t len = text.len;
    while (f->trims && len > 0 && is_space(at[len - 1]))
        len--;
    for (; f->trims && len > 0 && is_space(*at); at++)
        len--;
    if (rc == 0) {
        buf_add_text(out, role->before);
        buf_add(out, at, len);
        buf_add_text(out, role->after);
        if (text.failed || out->failed)
            rc = err_set(err, ERR_TOO_LARGE, "messages: too large");
    }
    buf_fini(&text);
    return rc;
}

int chat_render(const struct chat_format *f, yyjson_val *messages, struct buf *out, struct err *err)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(messages);
    yyjson_val *message;
    int rc = 0;
    if (!yyjson_is_arr(messages) || yyjson_arr_size(messages) == 0)
        return err_set(err, ERR_INVALID, "messages: must be a list with at least one message");
    while (rc == 0 && (message = yyjson_arr_iter_next(&it)) != NULL)
        rc = add_message(f, message, out, err);
    if (rc == 0)
        buf_add_text(out, f->answer);
    return rc;
}
