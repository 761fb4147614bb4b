/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

#define ANSWER_MAX ((size_t)256 << 20)
#define CONNECT_S 10L

struct receiver {
    struct buf buf;
    client_data_fn *on_data;
    void *ctx;
    CURL *curl;
};

static size_t on_write(char *data, size_t size, size_t n, void *ctx)
{
    struct receiver *r = ctx;
    long status = 0;
    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    if (r->on_data && status < 400)
        return r->on_data(r->ctx, data, size * n) ? size * n : 0;
    buf_add(&r->buf, data, size * n);
    return r->buf.failed ? 0 : size * n;
}

int client_error(long status, const char *body, size_t len)
{
    yyjson_doc *doc = yyjson_read(body, len, 0);
    const char *message = yyjson_get_str(yyjson_ptr_get(yyjson_doc_get_root(doc), "/error/message"));
    fprintf(stderr, "busbar: %s (HTTP %ld)\n", message ? message : "the hub refused", status);
    yyjson_doc_free(doc);
    return status == 404 ? CLI_NOT_FOUND : status == 401 || status == 403 ? CLI_NOT_ALLOWED : CLI_FAILED;
}

/* Over the socket the URL's host is a placeholder. */
static bool set_target(const struct cli *cli, CURL *curl, const char *path, const char *key,
                       struct curl_slist **headers)
{
    char url[2048], socket[FS_PATH_MAX], auth[256];
    const char *hub = cli->hub ? cli->hub : "http://localhost";
    if (snprintf(url, sizeof url, "%s%s", hub, path) >= (int)sizeof url)
        return false;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (!cli->hub) {
        if (!fs_join(socket, cli->data, "busbar.sock"))
            return false;
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    }
    *headers = curl_slist_append(NULL, "Content-Type: application/json");
    *headers = curl_slist_append(*headers, "Expect:");
    if (key && snprintf(auth, sizeof auth, "Authorization: Bearer %s", key) < (int)sizeof auth)
        *headers = curl_slist_append(*headers, auth);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    return *headers != NULL;
}

static int unreachable(const struct cli *cli, CURLcode rc)
{
    if (cli->hub)
        fprintf(stderr, "busbar: cannot reach %s: %s\n", cli->hub, curl_easy_strerror(rc));
    else
        fprintf(stderr, "busbar: no hub runs on %s (start one: busbar up; another folder: --data)\n",
                cli->data);
    return CLI_UNREACHABLE;
}

static int perform(const struct cli *cli, const char *method, const char *path, const char *body, size_t len,
                   const char *key, struct receiver *r, long *status)
{
    struct curl_slist *headers = NULL;
    CURL *curl = curl_easy_init();
    if (!curl || !set_target(cli, curl, path, key, &headers)) {
        fprintf(stderr, "busbar: out of memory, or a path is too long\n");
        curl_easy_cleanup(curl);
        return CLI_FAILED;
    }
    r->curl = curl;
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    if (getenv("SSL_CERT_FILE")) /* a hub with a certificate of its own authority */
        curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (rc == CURLE_WRITE_ERROR && r->on_data)
        return CLI_OK; /* the receiver had enough */
    if (rc != CURLE_OK && *status == 0)
        return unreachable(cli, rc);
    if (rc != CURLE_OK) {
        fprintf(stderr, "busbar: the answer broke off: %s\n", curl_easy_strerror(rc));
        return CLI_FAILED;
    }
    return CLI_OK;
}

int client_stream(const struct cli *cli, const char *method, const char *path, const char *body,
                  const char *key, client_data_fn *on_data, void *ctx, long *status)
{
    struct receiver r = {.on_data = on_data, .ctx = ctx};
    buf_init(&r.buf, ANSWER_MAX);
    *status = 0;
    int rc = perform(cli, method, path, body, body ? strlen(body) : 0, key, &r, status);
    if (rc == CLI_OK && *status >= 400)
        rc = client_error(*status, r.buf.data ? r.buf.data : "", r.buf.len);
    buf_fini(&r.buf);
    return rc;
}

int client_fetch(const struct cli *cli, const char *path, struct buf *out, long *status)
{
    struct receiver r = {.on_data = NULL};
    buf_init(&r.buf, ANSWER_MAX);
    *status = 0;
    int rc = perform(cli, "GET", path, NULL, 0, cli->key, &r, status);
    buf_add(out, r.buf.data, r.buf.len);
    buf_fini(&r.buf);
    return rc == CLI_OK && out->failed ? CLI_FAILED : rc;
}

static int call(const struct cli *cli, const char *method, const char *path, const char *body, size_t len,
                yyjson_doc **doc)
{
    struct receiver r = {.on_data = NULL};
    long status = 0;
    buf_init(&r.buf, ANSWER_MAX);
    int rc = perform(cli, method, path, body, len, cli->key, &r, &status);
    const char *text = r.buf.data ? r.buf.data : "";
    if (rc == CLI_OK && status >= 400)
        rc = client_error(status, text, r.buf.len);
    if (rc == CLI_OK && doc) {
        *doc = yyjson_read(text, r.buf.len, 0);
        if (!*doc) {
            fprintf(stderr, "busbar: the hub's answer is not JSON\n");
            rc = CLI_FAILED;
        }
    }
    buf_fini(&r.buf);
    return rc;
}

int client_call(const struct cli *cli, const char *method, const char *path, const char *body,
                yyjson_doc **doc)
{
    return call(cli, method, path, body, body ? strlen(body) : 0, doc);
}

int client_put(const struct cli *cli, const char *path, const void *data, size_t len, yyjson_doc **doc)
{
    return call(cli, "PUT", path, data, len, doc);
}
