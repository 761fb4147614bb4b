/* SPDX-License-Identifier: Apache-2.0 */
#include "accept/ask.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

#include "base/clock.h"

#define BODY_MAX ((size_t)64 << 10)
#define CONNECT_S 10L

int asker_init(struct asker *a, const char *endpoint, const char *model, struct err *err)
{
    bool is_unix = strncmp(endpoint, "unix:", 5) == 0;
    int n = is_unix ? snprintf(a->url, sizeof a->url, "http://engine/v1/completions")
                    : snprintf(a->url, sizeof a->url, "%s/v1/completions", endpoint);
    if (n < 0 || (size_t)n >= sizeof a->url || (is_unix && strlen(endpoint + 5) >= sizeof a->socket) ||
        (!is_unix && strncmp(endpoint, "http", 4) != 0))
        return err_set(err, ERR_INVALID, "the endpoint is none: %.100s", endpoint);
    (void)snprintf(a->socket, sizeof a->socket, "%s", is_unix ? endpoint + 5 : "");
    a->model = model;
    return 0;
}

/* ---- what is sent ---- */

void ask_write(struct buf *out, const char *model, const struct ask_text *t)
{
    buf_add_text(out, "{\"model\":");
    buf_add_json(out, model, strlen(model));
    buf_add_text(out, ",\"prompt\":");
    if (t->text) {
        buf_add_json(out, t->text, strlen(t->text));
    } else {
        for (uint32_t i = 0; i < t->nprompt; i++)
            buf_addf(out, "%s%u", i ? "," : "[", t->prompt[i]);
        buf_add_char(out, ']');
    }
    buf_addf(out, ",\"max_tokens\":%u,\"temperature\":0", t->max_tokens);
    if (t->logprobs)
        buf_addf(out, ",\"logprobs\":%u", PLACE_TOP);
    if (t->ignores_end)
        buf_add_text(out, ",\"ignore_eos\":true");
    buf_add_char(out, '}');
}

/* ---- what comes back ---- */

static bool read_token(yyjson_val *item, uint32_t vocabulary, uint32_t *out)
{
    yyjson_val *id = yyjson_obj_get(item, "id");
    *out = (uint32_t)yyjson_get_uint(id);
    return yyjson_is_uint(id) && yyjson_get_uint(id) < vocabulary;
}

static bool read_place(struct answer_place *p, yyjson_val *item, uint32_t vocabulary)
{
    yyjson_val *top = yyjson_obj_get(item, "top_logprobs"), *v;
    *p = (struct answer_place){0};
    if (!read_token(item, vocabulary, &p->token) || yyjson_arr_size(top) == 0)
        return false;
    yyjson_arr_iter it = yyjson_arr_iter_with(top);
    while ((v = yyjson_arr_iter_next(&it)) != NULL && p->ntop < PLACE_TOP) {
        struct place_token *to = &p->top[p->ntop++];
        yyjson_val *logprob = yyjson_obj_get(v, "logprob");
        to->logprob = yyjson_is_num(logprob) ? yyjson_get_num(logprob) : COMPARE_LEAST;
        if (!read_token(v, vocabulary, &to->token))
            return false;
    }
    return true;
}

static int read_places(struct ask_result *r, yyjson_val *choice, uint32_t vocabulary, struct err *err)
{
    yyjson_val *list = yyjson_obj_get(yyjson_obj_get(choice, "logprobs"), "content"), *item;
    if (!yyjson_is_arr(list))
        return err_set(err, ERR_UNSUPPORTED, "the engine does not tell how likely tokens are");
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    while ((item = yyjson_arr_iter_next(&it)) != NULL && r->nplaces < r->places) {
        if (!read_place(&r->place[r->nplaces++], item, vocabulary))
            return err_set(err, ERR_UPSTREAM, "the answer has tokens that the model does not have");
    }
    return r->nplaces > 0 ? 0 : err_set(err, ERR_UPSTREAM, "the answer has no tokens");
}

int ask_read(struct ask_result *r, const struct ask_text *t, uint32_t vocabulary, const char *body,
             size_t len, struct err *err)
{
    yyjson_doc *doc = yyjson_read(body, len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *choice = yyjson_arr_get_first(yyjson_obj_get(root, "choices"));
    yyjson_val *tokens = yyjson_obj_get(yyjson_obj_get(root, "usage"), "completion_tokens");
    int rc = 0;
    r->nplaces = 0;
    r->tokens = (uint32_t)yyjson_get_uint(tokens);
    if (!choice || !yyjson_is_uint(tokens) || yyjson_get_uint(tokens) > t->max_tokens)
        rc = err_set(err, ERR_UPSTREAM, "the answer is none of OpenAI's form");
    else if (t->ignores_end && r->tokens != t->max_tokens)
        rc = err_set(err, ERR_UPSTREAM, "the answer has %u tokens in place of %u", r->tokens, t->max_tokens);
    else if (t->logprobs)
        rc = read_places(r, choice, vocabulary, err);
    yyjson_doc_free(doc);
    return rc;
}

/* ---- over the wire ---- */

struct transfer {
    CURL *curl;
    struct buf body, answer;
};

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    buf_add(&t->answer, data, size * n);
    return t->answer.failed ? 0 : size * n;
}

static bool transfer_begin(struct transfer *t, const struct asker *a, const struct ask_text *text,
                           struct curl_slist *head)
{
    buf_init(&t->body, BODY_MAX);
    buf_init(&t->answer, ASK_ANSWER_MAX);
    ask_write(&t->body, a->model, text);
    t->curl = t->body.failed ? NULL : curl_easy_init();
    if (!t->curl)
        return false;
    curl_easy_setopt(t->curl, CURLOPT_URL, a->url);
    if (a->socket[0])
        curl_easy_setopt(t->curl, CURLOPT_UNIX_SOCKET_PATH, a->socket);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, head);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(t->curl, CURLOPT_TIMEOUT, (long)a->wait_s);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, t->body.data);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE, (long)t->body.len);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    return true;
}

static void transfer_end(struct transfer *t)
{
    curl_easy_cleanup(t->curl);
    buf_fini(&t->body);
    buf_fini(&t->answer);
}

static int transfer_read(struct transfer *t, CURLcode code, const struct asker *a,
                         const struct ask_text *text, struct ask_result *result, struct err *err)
{
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(err, ERR_TIMEOUT, "no answer within %u seconds", a->wait_s);
    if (code != CURLE_OK)
        return err_set(err, ERR_TIMEOUT, "no answer: %s", curl_easy_strerror(code));
    if (status >= 500)
        return err_set(err, ERR_TIMEOUT, "status %ld in place of an answer", status);
    if (status != 200)
        return err_set(err, ERR_UPSTREAM, "status %ld in place of an answer", status);
    return ask_read(result, text, a->vocabulary, t->answer.data, t->answer.len, err);
}

/* Until all have ended; the first that failed is told. */
static int wait_all(CURLM *multi, struct transfer *list, const struct asker *a, const struct ask_text *texts,
                    struct ask_result *results, uint32_t n, struct err *err)
{
    CURLcode code[ASK_AT_ONCE_MAX];
    int running = 1, left, rc = 0;
    CURLMsg *message;
    for (uint32_t i = 0; i < n; i++)
        code[i] = CURLE_GOT_NOTHING;
    while (running && curl_multi_perform(multi, &running) == CURLM_OK) {
        if (running && curl_multi_poll(multi, NULL, 0, 1000, NULL) != CURLM_OK)
            break;
    }
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        for (uint32_t i = 0; i < n && message->msg == CURLMSG_DONE; i++)
            code[i] = list[i].curl == message->easy_handle ? message->data.result : code[i];
    }
    for (uint32_t i = 0; i < n && rc == 0; i++)
        rc = transfer_read(&list[i], code[i], a, &texts[i], &results[i], err);
    return rc;
}

int ask_all(const struct asker *a, const struct ask_text *texts, struct ask_result *results, uint32_t n,
            uint64_t *ns, struct err *err)
{
    struct transfer list[ASK_AT_ONCE_MAX] = {0};
    char bearer[256];
    struct curl_slist *head = curl_slist_append(NULL, "Content-Type: application/json");
    CURLM *multi = curl_multi_init();
    uint32_t begun = 0;
    int rc = 0;
    if (n > ASK_AT_ONCE_MAX)
        n = ASK_AT_ONCE_MAX;
    if (a->key) {
        (void)snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", a->key);
        head = curl_slist_append(head, bearer);
    }
    while (multi && head && begun < n && transfer_begin(&list[begun], a, &texts[begun], head))
        begun++;
    uint64_t from_ns = clock_mono_ns();
    for (uint32_t i = 0; i < begun; i++)
        curl_multi_add_handle(multi, list[i].curl);
    rc = begun < n ? err_set(err, ERR_NO_MEMORY, "out of memory")
                   : wait_all(multi, list, a, texts, results, n, err);
    *ns = clock_mono_ns() - from_ns;
    for (uint32_t i = 0; i < n; i++) {
        if (i < begun)
            curl_multi_remove_handle(multi, list[i].curl);
        transfer_end(&list[i]);
    }
    curl_multi_cleanup(multi);
    curl_slist_free_all(head);
    return rc;
}
