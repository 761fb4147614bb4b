/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation on the terminal. Without a key of its own it makes one that lives an hour, and revokes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/request.h"
#include "net/sse.h"

#define KEY_LIFE_S 3600
#define LINE_MAX_BYTES 65536

struct chat {
    const struct cli *cli;
    const char *key;
    struct buf messages; /* JSON objects, comma-separated */
    struct sse sse;
    struct buf answer;
    bool failed;
};

static void add_message(struct chat *c, const char *role, const char *text, size_t len)
{
    buf_addf(&c->messages, "%s{\"role\":\"%s\",\"content\":", c->messages.len ? "," : "", role);
    buf_add_json(&c->messages, text, len);
    buf_add_char(&c->messages, '}');
}

static int on_event(void *ctx, const char *data, size_t len)
{
    struct chat *c = ctx;
    yyjson_doc *doc = yyjson_read(data, len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *text = yyjson_ptr_get(root, "/choices/0/delta/content");
    const char *error = yyjson_get_str(yyjson_ptr_get(root, "/error/message"));
    if (yyjson_is_str(text)) {
        fwrite(yyjson_get_str(text), 1, yyjson_get_len(text), stdout);
        fflush(stdout);
        buf_add(&c->answer, yyjson_get_str(text), yyjson_get_len(text));
    }
    if (error) {
        fprintf(stderr, "\nbusbar: %s\n", error);
        c->failed = true;
    }
    yyjson_doc_free(doc);
    return 0;
}

static bool on_data(void *ctx, const char *data, size_t len)
{
    struct chat *c = ctx;
    return sse_feed(&c->sse, data, len, on_event, c) == 0;
}

static int turn(struct chat *c)
{
    struct buf body;
    long status;
    const char *temperature = cli_option(c->cli, "temperature");
    uint32_t max_tokens = 0;
    if (cli_count(c->cli, "max-tokens", &max_tokens) != 0)
        return CLI_USAGE;
    buf_init(&body, 8 << 20);
    buf_add_text(&body, "{\"model\":");
    buf_add_json(&body, c->cli->args[0], strlen(c->cli->args[0]));
    buf_addf(&body, ",\"stream\":true,\"messages\":[%.*s]", (int)c->messages.len, c->messages.data);
    if (temperature)
        buf_addf(&body, ",\"temperature\":%g", strtod(temperature, NULL));
    if (max_tokens)
        buf_addf(&body, ",\"max_tokens\":%u", max_tokens);
    buf_add(&body, "}", 2); /* with its NUL */
    sse_init(&c->sse);
    buf_init(&c->answer, 8 << 20);
    int rc = client_stream(c->cli, "POST", "/v1/chat/completions", body.data, c->key, on_data, c, &status);
    if (rc == CLI_OK) {
        putchar('\n');
        add_message(c, "assistant", c->answer.data ? c->answer.data : "", c->answer.len);
    }
    sse_fini(&c->sse);
    buf_fini(&c->answer);
    buf_fini(&body);
    return rc == CLI_OK && c->failed ? CLI_FAILED : rc;
}

/* Reads lines until the end of input. */
static int converse(struct chat *c)
{
    char *line = malloc(LINE_MAX_BYTES);
    bool terminal = isatty(STDIN_FILENO);
    int rc = line ? CLI_OK : CLI_FAILED;
    while (rc == CLI_OK) {
        if (terminal)
            fprintf(stderr, "> ");
        if (!fgets(line, LINE_MAX_BYTES, stdin))
            break;
        size_t len = strcspn(line, "\n");
        if (len == 0)
            continue;
        add_message(c, "user", line, len);
        rc = turn(c);
    }
    free(line);
    return rc;
}

static int borrow_key(const struct cli *cli, yyjson_doc **doc)
{
    char body[160];
    (void)snprintf(body, sizeof body, "{\"name\":\"chat\",\"tenant\":\"default\",\"expires\":%lld}",
                   (long long)time(NULL) + KEY_LIFE_S);
    return client_call(cli, "POST", "/api/v1/keys", body, doc);
}

int cli_chat(const struct cli *cli)
{
    struct chat c = {.cli = cli, .key = cli->key};
    yyjson_doc *key = NULL;
    const char *system = cli_option(cli, "system");
    int rc = CLI_OK;
    if (!c.key) {
        rc = borrow_key(cli, &key);
        c.key = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(key), "key"));
    }
    buf_init(&c.messages, 8 << 20);
    if (system)
        add_message(&c, "system", system, strlen(system));
    if (rc == CLI_OK && cli->nargs == 2) {
        add_message(&c, "user", cli->args[1], strlen(cli->args[1]));
        rc = turn(&c);
    } else if (rc == CLI_OK) {
        rc = converse(&c);
    }
    if (key) {
        char path[128];
        const char *id = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(key), "public_id"));
        (void)snprintf(path, sizeof path, "/api/v1/keys/%s", id ? id : "");
        (void)client_call(cli, "DELETE", path, NULL, NULL);
    }
    buf_fini(&c.messages);
    yyjson_doc_free(key);
    return rc;
}
