/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of a network whose root is elsewhere: files only, no hub is asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "hub/authority.h"
#include "network/decimal.h"

#define JSON_MAX ((size_t)64 << 10)

static const struct column columns[] = {{"FILE", "/file"}, {"NAME", "/name"},    {"SIGNED BY", "/signed_by"},
                                        {"FROM", "/from"}, {"UNTIL", "/until"},  {"DAYS", "/days_left"},
                                        {"URI", "/uri"},   {"SHA256", "/sha256"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static int days_of(const struct cli *cli, uint32_t *days)
{
    int rc = cli_count(cli, "days", days);
    if (rc == 0 && (*days == 0 || *days > AUTHORITY_ROOT_DAYS)) {
        fprintf(stderr, "busbar: --days: 1 to %d\n", AUTHORITY_ROOT_DAYS);
        rc = CLI_USAGE;
    }
    return rc;
}

/* An option that cannot be left out; NULL after a message. */
static const char *needed(const struct cli *cli, const char *option)
{
    const char *text = cli_option(cli, option);
    if (!text)
        fprintf(stderr, "busbar: %s: --%s is needed (busbar %s --help)\n", cli->verb->name, option,
                cli->verb->name);
    return text;
}

/* The hub's certificates: DATA/pki. */
static int pki_dir(const struct cli *cli, char out[FS_PATH_MAX], struct err *err)
{
    return fs_join(out, cli->data, "pki") ? 0 : err_set(err, ERR_INVALID, "%s is too long", cli->data);
}

/* To a file, or to standard output where none is named. */
static int give(const char *path, const struct buf *text, struct err *err)
{
    if (text->failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (path)
        return fs_write_atomic(path, text->data, text->len, 0644, err);
    return fwrite(text->data, 1, text->len, stdout) == text->len
               ? 0
               : err_set(err, ERR_IO, "the output could not be written");
}

int cli_ca_init(const struct cli *cli)
{
    struct err err = {0};
    char cert[FS_PATH_MAX], text[2 * PKI_DIGEST_SIZE + 1];
    uint8_t digest[PKI_DIGEST_SIZE];
    uint32_t days = AUTHORITY_ROOT_DAYS;
    const char *dir = needed(cli, "dir");
    if (!dir || days_of(cli, &days) != 0)
        return CLI_USAGE;
    int rc = authority_root_init(dir, days, &err);
    if (rc == 0 && !fs_join(cert, dir, "root.pem"))
        rc = err_set(&err, ERR_INVALID, "%s is too long", dir);
    if (rc == 0)
        rc = pki_root_digest(cert, digest, &err);
    if (rc == 0) {
        hex_encode(text, digest, sizeof digest);
        printf("root      %s\nsha256    %s\nnext      busbar ca request, at the hub\n", cert, text);
    }
    return print_outcome(rc, &err);
}

int cli_ca_request(const struct cli *cli)
{
    struct err err = {0};
    struct buf text;
    char dir[FS_PATH_MAX];
    buf_init(&text, PKI_PEM_MAX);
    int rc = pki_dir(cli, dir, &err);
    if (rc == 0)
        rc = authority_request(dir, &text, &err);
    if (rc == 0)
        rc = give(cli_option(cli, "out"), &text, &err);
    buf_fini(&text);
    return print_outcome(rc, &err);
}

int cli_ca_sign(const struct cli *cli)
{
    struct err err = {0};
    struct buf request, text;
    uint32_t days = AUTHORITY_ISSUER_DAYS;
    const char *dir = needed(cli, "dir"), *csr = needed(cli, "csr");
    if (!dir || !csr || days_of(cli, &days) != 0)
        return CLI_USAGE;
    buf_init(&request, PKI_PEM_MAX);
    buf_init(&text, PKI_PEM_MAX);
    int rc = fs_read(csr, &request, &err);
    if (rc == 0)
        rc = authority_sign(dir, request.data, request.len, days, &text, &err);
    if (rc == 0)
        rc = give(cli_option(cli, "out"), &text, &err);
    buf_fini(&request);
    buf_fini(&text);
    return print_outcome(rc, &err);
}

int cli_ca_install(const struct cli *cli)
{
    struct err err = {0};
    char dir[FS_PATH_MAX];
    const char *issuer = needed(cli, "issuer"), *root = needed(cli, "root");
    if (!issuer || !root)
        return CLI_USAGE;
    int rc = pki_dir(cli, dir, &err);
    if (rc == 0)
        rc = authority_install(dir, issuer, root, &err);
    if (rc == 0)
        printf("installed %s\nnext      busbar up --site-listen HOST:PORT; one that runs uses it already\n",
               dir);
    return print_outcome(rc, &err);
}

/* ---- showing ---- */

static void add_about(struct buf *out, const char *file, const struct pki_about *about)
{
    char digest[2 * PKI_DIGEST_SIZE + 1];
    int64_t left_s = about->until_s - (int64_t)time(NULL);
    hex_encode(digest, about->digest, sizeof about->digest);
    buf_addf(out, "%s{\"file\":", buf_last(out) == '[' ? "" : ",");
    buf_add_json(out, file, strlen(file));
    buf_add_text(out, ",\"name\":");
    buf_add_json(out, about->name, strlen(about->name));
    buf_add_text(out, ",\"signed_by\":");
    buf_add_json(out, about->by, strlen(about->by));
    buf_add_text(out, ",\"uri\":");
    buf_add_json(out, about->uri, strlen(about->uri));
    buf_add_text(out, ",\"from\":\"");
    date_add(out, about->from_s * 1000);
    buf_add_text(out, "\",\"until\":\"");
    date_add(out, about->until_s * 1000);
    buf_addf(out, "\",\"days_left\":%lld,\"sha256\":\"%s\"}",
             (long long)(left_s > 0 ? left_s / AUTHORITY_DAY_S : 0), digest);
}

/* Those that there are of a folder's; a file of several shows its own, since the others have files too. */
static int add_all(const char *dir, struct buf *out, struct err *err)
{
    static const char *const files[] = {"root.pem", "issuer.pem", "hub.pem", "site.pem"};
    char path[FS_PATH_MAX];
    struct pki_about about;
    unsigned n = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (!fs_join(path, dir, files[i]))
            return err_set(err, ERR_INVALID, "%s is too long", dir);
        if (!fs_exists(path))
            continue;
        int rc = pki_about(path, 0, &about, err);
        if (rc != 0)
            return rc;
        add_about(out, files[i], &about);
        n++;
    }
    return n > 0 ? 0 : err_set(err, ERR_NOT_FOUND, "%s holds no certificates", dir);
}

int cli_ca_show(const struct cli *cli)
{
    struct err err = {0};
    struct buf out;
    char data[FS_PATH_MAX];
    const char *dir = cli_option(cli, "dir");
    yyjson_doc *doc = NULL;
    buf_init(&out, JSON_MAX);
    buf_add_text(&out, "{\"data\":[");
    int rc = dir ? 0 : pki_dir(cli, data, &err);
    if (rc == 0)
        rc = add_all(dir ? dir : data, &out, &err);
    buf_add_text(&out, "]}");
    if (rc == 0 && (out.failed || (doc = yyjson_read(out.data, out.len, 0)) == NULL))
        rc = err_set(&err, ERR_NO_MEMORY, "out of memory");
    int status = rc == 0 ? print_table(cli, doc, columns, COUNT(columns)) : print_outcome(rc, &err);
    yyjson_doc_free(doc);
    buf_fini(&out);
    return status;
}
