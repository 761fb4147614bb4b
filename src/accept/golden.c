/* SPDX-License-Identifier: Apache-2.0 */
#include "accept/golden.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <yyjson.h>

#include "base/fs.h"
#include "base/str.h"
#include "ref/model.h"
#include "ref/sampler.h"

#define FILE_MAX ((size_t)8 << 20)
#define LEAST_WORK (UINT64_C(1) << 21) /* as the engine's own (ref/server.c): less is not worth a thread */
#define VERSION 1
#define TOO_SLOW "the reference engine is too slow for a model of this size"

/* ---- the file ---- */

/* Of all that the answers follow from but the weights. */
static void prompts_digest(const struct accept_terms *terms, char out[2 * DIGEST_LEN + 1])
{
    struct digest_stream *stream = digest_stream_new();
    uint8_t digest[DIGEST_LEN] = {0};
    if (stream) {
        digest_stream_add(stream, &terms->tokens, sizeof terms->tokens);
        for (uint32_t i = 0; i < terms->nprompts; i++)
            digest_stream_add(stream, terms->prompt[i], strlen(terms->prompt[i]) + 1);
        digest_stream_get(stream, digest);
        digest_stream_free(stream);
    }
    hex_encode(out, digest, sizeof digest);
}

static long long millionths(double logprob)
{
    return (long long)(logprob * 1e6 - 0.5);
}

static void write_answer(const struct golden_answer *a, struct buf *out)
{
    buf_add_text(out, "{\"prompt\":[");
    for (uint32_t i = 0; i < a->nprompt; i++)
        buf_addf(out, "%s%u", i ? "," : "", a->prompt[i]);
    buf_add_text(out, "],\"places\":[");
    for (uint32_t i = 0; i < a->n; i++) {
        const struct answer_place *p = &a->place[i];
        buf_addf(out, "%s[%u", i ? "," : "", p->token);
        for (uint32_t k = 0; k < p->ntop; k++)
            buf_addf(out, ",%u,%lld", p->top[k].token, millionths(p->top[k].logprob));
        buf_add_char(out, ']');
    }
    buf_add_text(out, "]}");
}

void golden_write(const struct golden *golden, const struct accept_terms *terms, struct buf *out)
{
    char digest[2 * DIGEST_LEN + 1];
    prompts_digest(terms, digest);
    buf_addf(out, "{\"version\":%d,\"prompts\":\"%s\",\"vocabulary\":%u,\"answers\":[", VERSION, digest,
             golden->vocabulary);
    for (uint32_t i = 0; i < golden->n; i++) {
        buf_add_text(out, i ? ",\n" : "\n");
        write_answer(&golden->answer[i], out);
    }
    buf_add_text(out, "]}\n");
}

static bool read_place(struct answer_place *p, yyjson_val *list, uint32_t vocabulary)
{
    size_t n = yyjson_arr_size(list);
    if (n < 3 || n % 2 == 0 || n > 1 + 2 * PLACE_TOP)
        return false;
    p->token = (uint32_t)yyjson_get_uint(yyjson_arr_get(list, 0));
    p->ntop = (uint32_t)(n / 2);
    for (uint32_t k = 0; k < p->ntop; k++) {
        yyjson_val *token = yyjson_arr_get(list, 1 + 2 * k), *logprob = yyjson_arr_get(list, 2 + 2 * k);
        if (!yyjson_is_uint(token) || !yyjson_is_int(logprob) || yyjson_get_uint(token) >= vocabulary)
            return false;
        p->top[k].token = (uint32_t)yyjson_get_uint(token);
        p->top[k].logprob = (double)yyjson_get_sint(logprob) / 1e6;
    }
    return p->token < vocabulary;
}

static bool read_answer(struct golden_answer *a, yyjson_val *item, uint32_t vocabulary)
{
    yyjson_val *prompt = yyjson_obj_get(item, "prompt"), *places = yyjson_obj_get(item, "places"), *v;
    if (yyjson_arr_size(prompt) > GOLDEN_PROMPT_MAX + 2 || yyjson_arr_size(places) > TERMS_TOKENS_MAX)
        return false;
    yyjson_arr_iter it = yyjson_arr_iter_with(prompt);
    while ((v = yyjson_arr_iter_next(&it)) != NULL) {
        if (!yyjson_is_uint(v) || yyjson_get_uint(v) >= vocabulary)
            return false;
        a->prompt[a->nprompt++] = (uint32_t)yyjson_get_uint(v);
    }
    it = yyjson_arr_iter_with(places);
    while ((v = yyjson_arr_iter_next(&it)) != NULL) {
        if (!read_place(&a->place[a->n++], v, vocabulary))
            return false;
    }
    return a->nprompt > 0 && a->n > 0;
}

static bool read_whole(struct golden *golden, const struct accept_terms *terms, yyjson_val *root)
{
    char digest[2 * DIGEST_LEN + 1];
    const char *of = yyjson_get_str(yyjson_obj_get(root, "prompts"));
    yyjson_val *answers = yyjson_obj_get(root, "answers"), *item;
    uint64_t vocabulary = yyjson_get_uint(yyjson_obj_get(root, "vocabulary"));
    prompts_digest(terms, digest);
    if (yyjson_get_int(yyjson_obj_get(root, "version")) != VERSION || !of || strcmp(of, digest) != 0 ||
        vocabulary == 0 || vocabulary > VOCAB_MAX || yyjson_arr_size(answers) > terms->nprompts)
        return false;
    golden->vocabulary = (uint32_t)vocabulary;
    yyjson_arr_iter it = yyjson_arr_iter_with(answers);
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        if (!read_answer(&golden->answer[golden->n++], item, golden->vocabulary))
            return false;
    }
    return golden->n >= (terms->nprompts < GOLDEN_MIN ? terms->nprompts : GOLDEN_MIN);
}

int golden_parse(struct golden *golden, const struct accept_terms *terms, const char *text, size_t len)
{
    yyjson_doc *doc = yyjson_read(text, len, 0);
    memset(golden, 0, sizeof *golden);
    bool whole = doc && read_whole(golden, terms, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    digest_sha256(golden->digest, text, len);
    return whole ? 0 : ERR_CORRUPT;
}

/* That there are none, with words; of the same prompts only. */
static void write_none(const struct accept_terms *terms, const char *why, struct buf *out)
{
    char digest[2 * DIGEST_LEN + 1];
    prompts_digest(terms, digest);
    buf_addf(out, "{\"version\":%d,\"prompts\":\"%s\",\"none\":", VERSION, digest);
    buf_add_json(out, why, strlen(why));
    buf_add_text(out, "}\n");
}

static int read_none(const struct accept_terms *terms, const struct buf *text, struct err *err)
{
    char digest[2 * DIGEST_LEN + 1];
    yyjson_doc *doc = yyjson_read(text->data, text->len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *of = yyjson_get_str(yyjson_obj_get(root, "prompts"));
    const char *why = yyjson_get_str(yyjson_obj_get(root, "none"));
    int rc = 0;
    prompts_digest(terms, digest);
    if (of && why && strcmp(of, digest) == 0)
        rc = err_set(err, ERR_UNSUPPORTED, "%s", why);
    yyjson_doc_free(doc);
    return rc;
}

/* ---- making them ---- */

struct making {
    const struct model *model;
    struct model_state *state;
    float *logits;
    uint64_t until_ns;
};

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool is_late(const struct making *m)
{
    return cpu_ns() > m->until_ns;
}

static void take_place(const struct making *m, struct answer_place *p)
{
    struct sampler_candidate best[PLACE_TOP];
    uint32_t vocabulary = m->model->vocab.count;
    double level = sampler_level(m->logits, vocabulary);
    p->ntop = sampler_best(m->logits, vocabulary, best, PLACE_TOP);
    p->token = best[0].token;
    for (uint32_t k = 0; k < p->ntop; k++)
        p->top[k] = (struct place_token){best[k].token, (double)best[k].logit - level};
}

/* False: its time is over, or an answer has no tokens. */
static bool make_answer(const struct making *m, struct golden_answer *a, uint32_t tokens)
{
    uint32_t at = 0;
    while (at < a->nprompt && !is_late(m)) {
        struct model_row row[MODEL_ROWS];
        uint32_t n = 0;
        for (; n < MODEL_ROWS && at < a->nprompt; n++, at++)
            row[n] = (struct model_row){
                .token = a->prompt[at], .position = at, .logits = at + 1 == a->nprompt ? m->logits : NULL};
        model_step(m->state, row, n);
    }
    while (a->n < tokens && !is_late(m)) {
        struct answer_place *p = &a->place[a->n++];
        take_place(m, p);
        if (m->model->vocab.tokens[p->token].ends || a->n == tokens)
            return true;
        model_step(
            m->state,
            &(struct model_row){.token = p->token, .position = a->nprompt + a->n - 1, .logits = m->logits},
            1);
    }
    return false;
}

static bool encode(const struct model *model, const char *text, struct golden_answer *a)
{
    struct tokens_list list;
    tokens_list_init(&list, GOLDEN_PROMPT_MAX + 2);
    vocab_encode(&model->vocab, text, strlen(text), true, false, &list);
    bool fits = !list.failed && list.n > 0;
    a->nprompt = fits ? list.n : 0;
    for (uint32_t i = 0; i < a->nprompt; i++)
        a->prompt[i] = list.at[i];
    tokens_list_fini(&list);
    return fits;
}

static int make_answers(struct golden *golden, const struct accept_terms *terms, const struct making *m,
                        struct err *err)
{
    uint32_t least = terms->nprompts < GOLDEN_MIN ? terms->nprompts : GOLDEN_MIN;
    memset(golden, 0, sizeof *golden);
    golden->vocabulary = m->model->vocab.count;
    for (uint32_t i = 0; i < terms->nprompts; i++) {
        struct golden_answer *a = &golden->answer[golden->n];
        memset(a, 0, sizeof *a);
        if (!encode(m->model, terms->prompt[i], a))
            return err_set(err, ERR_UNSUPPORTED, "a prompt is no text for this model");
        if (!make_answer(m, a, terms->tokens))
            break;
        golden->n++;
    }
    return golden->n >= least ? 0 : err_set(err, ERR_TIMEOUT, TOO_SLOW);
}

static int open_and_make(struct golden *golden, const struct accept_terms *terms,
                         const struct golden_config *config, struct err *err)
{
    struct model *model = NULL;
    struct making m = {.until_ns = cpu_ns() + config->cpu_s * UINT64_C(1000000000)};
    struct team *team = team_new(config->threads, LEAST_WORK);
    uint32_t context = GOLDEN_PROMPT_MAX + TERMS_TOKENS_MAX + 2;
    int rc = team ? model_open(&model, config->model, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0) {
        model_unpack(model, MODEL_UNPACK_MAX);
        rc = model_state_new(&m.state, model, team, 1, context, err);
    }
    m.model = model;
    m.logits = rc == 0 ? calloc(model->vocab.count, sizeof *m.logits) : NULL;
    if (rc == 0)
        rc = m.logits ? make_answers(golden, terms, &m, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
    free(m.logits);
    model_state_free(m.state);
    model_free(model);
    team_free(team);
    return rc;
}

int golden_get(struct golden *golden, const struct accept_terms *terms, const struct golden_config *config,
               struct err *err)
{
    struct stat st;
    struct buf text;
    struct err ignored = {0};
    buf_init(&text, FILE_MAX);
    if (fs_exists(config->path) && fs_read(config->path, &text, &ignored) == 0) {
        bool known = golden_parse(golden, terms, text.data, text.len) == 0;
        int none = known ? 0 : read_none(terms, &text, err);
        if (known || none != 0) {
            buf_fini(&text);
            return none;
        }
    }
    text.len = 0;
    int rc = stat(config->model, &st) == 0 ? 0 : err_set(err, ERR_IO, "the model's file cannot be read");
    if (rc == 0 && (uint64_t)st.st_size > config->bytes_max)
        rc = err_set(err, ERR_UNSUPPORTED, "the weights are too large for the reference engine");
    if (rc == 0)
        rc = open_and_make(golden, terms, config, err);
    if (rc == ERR_TIMEOUT) { /* remembered: else each check would spend as long for nothing */
        write_none(terms, TOO_SLOW, &text);
        (void)fs_write_atomic(config->path, text.data, text.len, 0600, &ignored);
        rc = err_set(err, ERR_UNSUPPORTED, TOO_SLOW);
    }
    if (rc == 0) {
        golden_write(golden, terms, &text);
        rc = fs_write_atomic(config->path, text.data, text.len, 0600, err);
    }
    if (rc == 0) /* as it is read later, so that the first check is as the others */
        rc = golden_parse(golden, terms, text.data, text.len);
    buf_fini(&text);
    return rc;
}
