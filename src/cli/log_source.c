/* SPDX-License-Identifier: Apache-2.0 */
/* Where a log is read from: a web server, or a folder. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/audit.h"

#define CONNECT_S 10L
#define STALL_S 60L

static size_t on_write(char *data, size_t size, size_t n, void *ctx)
{
    struct audit_log *web = ctx;
    buf_add(web->out, data, size * n);
    return web->out->failed ? 0 : size * n;
}

static int web_get(void *ctx, const char *path, struct buf *out, struct err *err)
{
    struct audit_log *web = ctx;
    char url[2048];
    long status = 0;
    size_t before = out->len;
    web->out = out;
    (void)snprintf(url, sizeof url, "%s/%s", web->base, path);
    curl_easy_setopt(web->curl, CURLOPT_URL, url);
    CURLcode rc = curl_easy_perform(web->curl);
    curl_easy_getinfo(web->curl, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK)
        return out->failed ? err_set(err, ERR_TOO_LARGE, "%s is too large", url)
                           : err_set(err, status == 0 ? ERR_UNAVAILABLE : ERR_IO, "cannot read %s: %s", url,
                                     curl_easy_strerror(rc));
    if (status == 200)
        return 0;
    out->len = before;
    return status == 404 ? ERR_NOT_FOUND : err_set(err, ERR_IO, "cannot read %s: HTTP %ld", url, status);
}

/* A URL without a path is that of a hub, whose log is at /log. */
static bool web_open(struct audit_log *web, const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    const char *path = strchr(host, '/');
    const char *tail = path && path < url + len ? "" : "/log";
    web->curl = curl_easy_init();
    if (!web->curl ||
        snprintf(web->base, sizeof web->base, "%.*s%s", (int)len, url, tail) >= (int)sizeof web->base)
        return false;
    curl_easy_setopt(web->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(web->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(web->curl, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(web->curl, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(web->curl, CURLOPT_WRITEDATA, web);
    if (getenv("SSL_CERT_FILE"))
        curl_easy_setopt(web->curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    return true;
}

int audit_open(struct audit_log *log, const struct cli *cli, const char *place)
{
    *log = (struct audit_log){.curl = NULL};
    if (place && strstr(place, "://")) {
        log->source = (struct log_source){web_get, log};
        if (web_open(log, place))
            return CLI_OK;
        fprintf(stderr, "busbar: out of memory, or the URL is too long\n");
        return CLI_FAILED;
    }
    log->source = (struct log_source){log_source_folder, log->base};
    if (place ? text_set(log->base, sizeof log->base, place, strlen(place))
              : fs_join(log->base, cli->data, "log"))
        return CLI_OK;
    fprintf(stderr, "busbar: the folder's path is too long\n");
    return CLI_USAGE;
}

void audit_close(struct audit_log *log)
{
    curl_easy_cleanup(log->curl);
}

int audit_status(int rc)
{
    return rc == 0                 ? CLI_OK
           : rc == ERR_NOT_FOUND   ? CLI_NOT_FOUND
           : rc == ERR_UNAVAILABLE ? CLI_UNREACHABLE
                                   : CLI_FAILED;
}
