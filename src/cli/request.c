/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/request.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define BODY_MAX ((size_t)8 << 20)

void request_begin(struct request *r)
{
    r->bad = false;
    buf_init(&r->body, BODY_MAX);
    buf_init(&r->path, 4096);
    buf_init(&r->inputs, BODY_MAX);
    r->tenant[0] = 0;
    buf_add_char(&r->body, '{');
}

void request_end(struct request *r)
{
    buf_fini(&r->body);
    buf_fini(&r->path);
    buf_fini(&r->inputs);
}

void request_member(struct request *r, const char *member)
{
    buf_addf(&r->body, "%s\"%s\":", r->body.len > 1 ? "," : "", member);
}

void request_text(struct request *r, const char *member, const char *text)
{
    request_member(r, member);
    buf_add_json(&r->body, text, strlen(text));
}

void request_option(struct request *r, const struct cli *cli, const char *option, const char *member)
{
    const char *text = cli_option(cli, option);
    if (text)
        request_text(r, member, text);
}

void request_option_count(struct request *r, const struct cli *cli, const char *option, const char *member)
{
    const char *text = cli_option(cli, option);
    uint64_t v;
    if (!text)
        return;
    if (!u64_parse(text, strlen(text), INT64_MAX, &v)) {
        fprintf(stderr, "busbar: --%s: expected a whole number, got %s\n", option, text);
        r->bad = true;
        return;
    }
    request_member(r, member);
    buf_addf(&r->body, "%llu", (unsigned long long)v);
}

void request_option_list(struct request *r, const struct cli *cli, const char *option, const char *member)
{
    const char *p = cli_option(cli, option);
    if (!p)
        return;
    request_member(r, member);
    buf_add_char(&r->body, '[');
    for (const char *start = p; *p;) {
        size_t n = strcspn(p, ",");
        if (p != start)
            buf_add_char(&r->body, ',');
        buf_add_json(&r->body, p, n);
        p += n + (p[n] == ',');
    }
    buf_add_char(&r->body, ']');
}

static void add_encoded(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                     *p == '-' || *p == '_' || *p == '.';
        if (plain)
            buf_add_char(out, *p);
        else
            buf_addf(out, "%%%02X", (unsigned char)*p);
    }
}

void request_encode(struct request *r, const char *text)
{
    add_encoded(&r->path, text);
}

void request_path(struct request *r, const char *before, const char *part, const char *after)
{
    buf_clear(&r->path);
    buf_add_text(&r->path, before);
    add_encoded(&r->path, part);
    buf_add_text(&r->path, after);
}

void request_query(struct request *r, const struct cli *cli, const char *options)
{
    char sep = '?';
    for (const char *p = options; *p;) {
        char name[32];
        size_t n = strcspn(p, " ");
        (void)text_set(name, sizeof name, p, n);
        const char *value = cli_option(cli, name);
        if (value) {
            buf_addf(&r->path, "%c%s=", sep, name);
            add_encoded(&r->path, value);
            sep = '&';
        }
        p += n + strspn(p + n, " ");
    }
}

const char *request_body(struct request *r)
{
    buf_add_char(&r->body, '}');
    buf_add_char(&r->body, 0);
    return r->body.failed ? "" : r->body.data;
}

const char *request_path_text(struct request *r)
{
    buf_add_char(&r->path, 0);
    return r->path.failed ? "/" : r->path.data;
}

static int send(struct request *r, const struct cli *cli, const char *method, bool body,
                const struct column *columns, int n)
{
    yyjson_doc *doc = NULL;
    int rc = r->bad ? CLI_USAGE
                    : client_call(cli, method, request_path_text(r), body ? request_body(r) : NULL, &doc);
    if (rc == CLI_OK)
        rc = print_table(cli, doc, columns, n);
    yyjson_doc_free(doc);
    request_end(r);
    return rc;
}

int request_send(struct request *r, const struct cli *cli, const char *method, const char *path,
                 const struct column *columns, int n)
{
    if (path)
        buf_add_text(&r->path, path);
    bool body = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0;
    return send(r, cli, method, body, columns, n);
}

int request_get(struct request *r, const struct cli *cli, const struct column *columns, int n)
{
    return send(r, cli, "GET", false, columns, n);
}

int request_list(struct request *r, const struct cli *cli, const char *path, const char *options,
                 const struct column *columns, int n)
{
    buf_add_text(&r->path, path);
    request_query(r, cli, options);
    return request_get(r, cli, columns, n);
}

static bool print_piece(void *ctx, const char *data, size_t len)
{
    return fwrite(data, 1, len, ctx) == len;
}

int request_print(struct request *r, const struct cli *cli)
{
    long status = 0;
    int rc = client_stream(cli, "GET", request_path_text(r), NULL, cli->key, print_piece, stdout, &status);
    request_end(r);
    return rc == CLI_OK && fflush(stdout) != 0 ? CLI_FAILED : rc;
}
