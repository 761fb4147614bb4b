/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/osrandom.h"
#include "net/json.h"

#define TEMPERATURE_DEFAULT 0.8f
#define TOP_K_DEFAULT 40u
#define TOP_P_DEFAULT 0.95f
#define MIN_P_DEFAULT 0.05f

struct parsing {
    struct ask *ask;
    const struct ask_model *model;
    struct task *task;
    yyjson_val *text; /* messages or prompt */
    struct err *err;
};

static int bad(struct parsing *p, const char *name, const char *words)
{
    return err_set(p->err, ERR_INVALID, "%s: %s", name, words);
}

/* ---- fields ---- */

static int take_stop(struct parsing *p, const char *name, yyjson_val *value)
{
    struct task *t = p->task;
    yyjson_val *one = value;
    size_t n = yyjson_is_arr(value) ? yyjson_arr_size(value) : yyjson_is_str(value);
    if (yyjson_is_null(value))
        return 0;
    if ((!yyjson_is_arr(value) && n == 0) || n > TASK_STOPS)
        return bad(p, name, "must be a text, or a list of at most 16");
    for (size_t i = 0; i < n; i++) {
        if (yyjson_is_arr(value))
            one = yyjson_arr_get(value, i);
        size_t len = yyjson_get_len(one);
        if (!yyjson_is_str(one) || len == 0 || len > TASK_STOP_MAX || strlen(yyjson_get_str(one)) != len)
            return bad(p, name, "must be texts of 1 to 256 bytes");
        t->stops[t->nstops] = strndup(yyjson_get_str(one), len);
        if (!t->stops[t->nstops])
            return err_set(p->err, ERR_NO_MEMORY, "out of memory");
        t->nstops++;
    }
    return 0;
}

static int take_seed(struct parsing *p, const char *name, yyjson_val *value)
{
    if (yyjson_is_null(value))
        return 0;
    if (!yyjson_is_int(value))
        return bad(p, name, "must be a whole number");
    if (!yyjson_is_sint(value) || yyjson_get_sint(value) >= 0) /* -1 is llama.cpp's word for none */
        p->task->sampling.seed = yyjson_get_uint(value);
    return 0;
}

static int take_logprobs(struct parsing *p, const char *name, yyjson_val *value)
{
    struct task *t = p->task;
    if (yyjson_is_null(value))
        return 0;
    if (p->ask->chat) {
        if (!yyjson_is_bool(value))
            return bad(p, name, "must be true or false");
        t->logprobs = yyjson_get_bool(value);
        return 0;
    }
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) > TASK_TOP)
        return bad(p, name, "must be 0 to 20");
    t->top = (uint32_t)yyjson_get_uint(value);
    t->logprobs = true;
    return 0;
}

static int take_top_logprobs(struct parsing *p, const char *name, yyjson_val *value)
{
    if (yyjson_is_null(value))
        return 0;
    if (!p->ask->chat || !yyjson_is_uint(value) || yyjson_get_uint(value) > TASK_TOP)
        return bad(p, name, "must be 0 to 20, of a chat");
    p->task->top = (uint32_t)yyjson_get_uint(value);
    return 0;
}

static int take_max(struct parsing *p, const char *name, yyjson_val *value)
{
    if (yyjson_is_null(value) || (yyjson_is_sint(value) && yyjson_get_sint(value) == -1))
        return 0;
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) == 0)
        return bad(p, name, "must be at least 1");
    p->task->max_tokens =
        (uint32_t)(yyjson_get_uint(value) < MODEL_CONTEXT_MAX ? yyjson_get_uint(value) : MODEL_CONTEXT_MAX);
    return 0;
}

static int take_n(struct parsing *p, const char *name, yyjson_val *value)
{
    return yyjson_is_null(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) == 1)
               ? 0
               : bad(p, name, "this engine writes one answer a request");
}

static int take_top_k(struct parsing *p, const char *name, yyjson_val *value)
{
    if (yyjson_is_null(value))
        return 0;
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) > VOCAB_MAX)
        return bad(p, name, "must be 0 (all) or more");
    p->task->sampling.top_k = (uint32_t)yyjson_get_uint(value);
    return 0;
}

static int take_text(struct parsing *p, const char *name, yyjson_val *value)
{
    if (strcmp(name, p->ask->chat ? "messages" : "prompt") != 0)
        return bad(p, name, "has no meaning here");
    p->text = value;
    return 0;
}

static int take_stream_options(struct parsing *p, const char *name, yyjson_val *value)
{
    if (!yyjson_is_obj(value) && !yyjson_is_null(value))
        return bad(p, name, "must be an object");
    p->ask->include_usage = yyjson_get_bool(yyjson_obj_get(value, "include_usage"));
    return 0;
}

static int take_model(struct parsing *p, const char *name, yyjson_val *value)
{
    return yyjson_is_str(value) ? 0 : bad(p, name, "must be a text"); /* a process serves one model */
}

static const struct {
    const char *name;
    int (*take)(struct parsing *p, const char *name, yyjson_val *value);
} fields[] = {{"model", take_model},
              {"messages", take_text},
              {"prompt", take_text},
              {"stream_options", take_stream_options},
              {"max_tokens", take_max},
              {"max_completion_tokens", take_max},
              {"n", take_n},
              {"seed", take_seed},
              {"stop", take_stop},
              {"top_k", take_top_k},
              {"logprobs", take_logprobs},
              {"top_logprobs", take_top_logprobs}};

static const struct {
    const char *name;
    float least, most;
    size_t offset; /* in struct sampler_options */
} numbers[] = {{"temperature", 0.0f, 100.0f, offsetof(struct sampler_options, temperature)},
               {"top_p", 0.0f, 1.0f, offsetof(struct sampler_options, top_p)},
               {"min_p", 0.0f, 1.0f, offsetof(struct sampler_options, min_p)},
               {"frequency_penalty", -2.0f, 2.0f, offsetof(struct sampler_options, frequency)},
               {"presence_penalty", -2.0f, 2.0f, offsetof(struct sampler_options, presence)}};

static int take_number(struct parsing *p, size_t i, yyjson_val *value)
{
    double n = yyjson_get_num(value);
    if (yyjson_is_null(value))
        return 0;
    if (!yyjson_is_num(value) || !(n >= (double)numbers[i].least && n <= (double)numbers[i].most))
        return err_set(p->err, ERR_INVALID, "%s: must be %g to %g", numbers[i].name, (double)numbers[i].least,
                       (double)numbers[i].most);
    *(float *)(void *)((char *)&p->task->sampling + numbers[i].offset) = (float)n;
    return 0;
}

static int take_flag(struct parsing *p, const char *name, yyjson_val *value, bool *known)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"stream", &p->ask->stream},
                 {"timings_per_token", &p->ask->timings},
                 {"ignore_eos", &p->task->ignores_end}};
    *known = false;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(name, flags[i].name) != 0)
            continue;
        *known = true;
        if (!yyjson_is_bool(value) && !yyjson_is_null(value))
            return bad(p, name, "must be true or false");
        *flags[i].flag = yyjson_get_bool(value);
    }
    return 0;
}

static int take_field(struct parsing *p, const char *name, yyjson_val *value)
{
    bool known;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(name, fields[i].name) == 0)
            return fields[i].take(p, name, value);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0)
            return take_number(p, i, value);
    }
    int rc = take_flag(p, name, value, &known);
    return rc == 0 && !known
               ? err_set(p->err, ERR_INVALID, "%.64s: this engine does not know this field", name)
               : rc;
}

/* ---- the prompt ---- */

static int take_token_list(struct parsing *p, yyjson_val *list)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    yyjson_val *token;
    while ((token = yyjson_arr_iter_next(&it)) != NULL) {
        if (!yyjson_is_uint(token) || yyjson_get_uint(token) >= p->model->model->vocab.count)
            return bad(p, "prompt", "a list must be of this model's tokens");
        tokens_list_add(&p->task->prompt, (uint32_t)yyjson_get_uint(token));
    }
    return 0;
}

bool ask_could_fit(const struct ask_model *model, size_t len)
{
    return len <= VOCAB_TEXT_MAX && len / model->model->vocab.longest < model->context;
}

static int encode(struct parsing *p, const char *text, size_t len)
{
    const struct vocab *v = &p->model->model->vocab;
    if (!ask_could_fit(p->model, len))
        return err_set(p->err, ERR_INVALID, "the prompt is longer than a slot's context of %u tokens",
                       p->model->context);
    vocab_encode(v, text, len, true, true, &p->task->prompt);
    return 0;
}

static int take_prompt(struct parsing *p)
{
    yyjson_val *first = yyjson_arr_get_first(p->text);
    if (yyjson_is_str(p->text))
        return encode(p, yyjson_get_str(p->text), yyjson_get_len(p->text));
    if (yyjson_arr_size(p->text) == 1 && yyjson_is_str(first))
        return encode(p, yyjson_get_str(first), yyjson_get_len(first));
    if (yyjson_arr_size(p->text) == 1 && yyjson_is_arr(first))
        return take_token_list(p, first);
    if (yyjson_is_arr(p->text) && first && !yyjson_is_str(first))
        return take_token_list(p, p->text);
    return bad(p, "prompt", "must be a text, or a list of tokens; one a request");
}

static int take_messages(struct parsing *p)
{
    struct buf text, known;
    int rc;
    buf_init(&text, VOCAB_TEXT_MAX);
    buf_init(&known, 256);
    if (p->model->format) {
        rc = chat_render(p->model->format, p->text, &text, p->err);
    } else {
        chat_list(&known);
        buf_add_char(&known, 0);
        rc = err_set(p->err, ERR_INVALID,
                     "messages: this model's chat template is none that this engine knows (%s); "
                     "/v1/completions takes a prompt "
                     "as it is",
                     known.failed ? "" : known.data);
    }
    if (rc == 0)
        rc = encode(p, text.data ? text.data : "", text.len);
    buf_fini(&known);
    buf_fini(&text);
    return rc;
}

static int check_prompt(struct parsing *p)
{
    const struct tokens_list *prompt = &p->task->prompt;
    uint32_t context = p->model->context;
    if (prompt->failed || prompt->n >= context)
        return err_set(p->err, ERR_INVALID,
                       "the prompt has %s%u tokens; a slot's context has %u, and needs one for an answer",
                       prompt->failed ? "more than " : "", prompt->n, context);
    return prompt->n > 0 ? 0 : err_set(p->err, ERR_INVALID, "the prompt is empty");
}

static int parse(struct parsing *p, yyjson_val *root)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    yyjson_val *key;
    int rc = 0;
    while (rc == 0 && (key = yyjson_obj_iter_next(&it)) != NULL)
        rc = take_field(p, yyjson_get_str(key), yyjson_obj_iter_get_val(key));
    if (rc == 0 && !p->text)
        rc = bad(p, p->ask->chat ? "messages" : "prompt", "is missing");
    if (rc == 0)
        rc = p->ask->chat ? take_messages(p) : take_prompt(p);
    if (rc == 0 && p->task->top > 0 && !p->task->logprobs)
        rc = bad(p, "top_logprobs", "needs logprobs");
    return rc ? rc : check_prompt(p);
}

int ask_parse(struct ask *ask, const struct ask_model *model, bool chat, const char *body, size_t len,
              struct err *err)
{
    struct parsing p = {.ask = ask, .model = model, .task = task_new(model->context), .err = err};
    *ask = (struct ask){.chat = chat};
    if (!p.task)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    p.task->sampling = (struct sampler_options){.temperature = TEMPERATURE_DEFAULT,
                                                .top_k = TOP_K_DEFAULT,
                                                .top_p = TOP_P_DEFAULT,
                                                .min_p = MIN_P_DEFAULT};
    os_random(&p.task->sampling.seed, sizeof p.task->sampling.seed);
    yyjson_doc *doc = json_parse_object(body, len, err);
    int rc = doc ? parse(&p, yyjson_doc_get_root(doc)) : ERR_INVALID;
    yyjson_doc_free(doc);
    if (rc != 0)
        task_free(p.task);
    else
        ask->task = p.task;
    return rc;
}
