/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An auditor's copy (docs/log.md): the log, checked as it is copied, and what the caller may open of it. Of a data folder or a backup
 * that is everything, the journal and all rows; of a hub, the receipts of what the key is entitled to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/str.h"
#include "cli/audit.h"
#include "cli/request.h"
#include "store/store.h"

#define IDS_MAX 1000000u
#define FILE_BYTES_MAX ((size_t)64 << 20)

/* ---- the log ---- */

/* What is read of a log is also written down. */
struct copy {
    struct log_source from;
    char dir[FS_PATH_MAX];
};

static int write_below(const char *dir, const char *name, const void *data, size_t len, struct err *err)
{
    char path[FS_PATH_MAX], parent[FS_PATH_MAX];
    if (!fs_join(path, dir, name))
        return err_set(err, ERR_INVALID, "the folder's path is too long");
    memcpy(parent, path, sizeof parent);
    *strrchr(parent, '/') = 0;
    int rc = fs_mkdirs(parent, 0755, err);
    return rc ? rc : fs_write_atomic(path, data, len, 0644, err);
}

static int copy_get(void *ctx, const char *path, struct buf *out, struct err *err)
{
    struct copy *copy = ctx;
    size_t before = out->len;
    int rc = copy->from.get(copy->from.ctx, path, out, err);
    return rc ? rc : write_below(copy->dir, path, out->data + before, out->len - before, err);
}

static int copy_log(const struct cli *cli, const char *place, const char *dir, uint64_t *leaves)
{
    struct audit_log log;
    struct log_found found = {.leaves = 0};
    struct err err = {0};
    struct copy copy;
    struct buf key;
    int status = audit_open(&log, cli, place);
    if (status != CLI_OK)
        return status;
    copy.from = log.source;
    struct log_verify config = {.source = {copy_get, &copy}};
    buf_init(&key, 4096);
    int rc = fs_join(copy.dir, dir, "log") ? copy_get(&copy, "vkey", &key, &err) : ERR_INVALID;
    if (rc == 0) {
        rc = log_verify(&config, &found, &err);
        buf_fini(&found.note);
    }
    buf_fini(&key);
    audit_close(&log);
    *leaves = found.leaves;
    if (rc == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: the log: %s\n", err.msg[0] ? err.msg : err_text(rc));
    return audit_status(rc);
}

/* ---- a data folder ---- */

static int copy_database(const char *from, const char *dir, const char **what)
{
    char path[FS_PATH_MAX], to[FS_PATH_MAX];
    struct store *store = NULL;
    struct err err = {0};
    *what = "all: the journal, the log's salts, every row (busbar.db)";
    if (!fs_join(path, from, "busbar.db") || !fs_join(to, dir, "busbar.db"))
        return CLI_USAGE;
    if (!fs_exists(path)) {
        fprintf(stderr, "busbar: %s has no busbar.db: it is no data folder and no backup\n", from);
        return CLI_NOT_FOUND;
    }
    int rc = store_sqlite_open_read(&store, path, &err);
    if (rc == 0) {
        rc = store->ops->backup(store, to, &err);
        store->ops->close(store);
    }
    return print_outcome(rc, &err);
}

/* ---- a hub ---- */

struct ids {
    char (*id)[UUID_TEXT_LEN + 1];
    uint32_t n;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* It becomes a file's name, so only an id in its own form will do. */
static bool add_id(struct ids *ids, const char *text)
{
    struct uuid id;
    if (!text || !uuid_parse(&id, text, strlen(text)) || ids->n == IDS_MAX)
        return false;
    if ((ids->n & (ids->n - 1)) == 0) { /* room for twice as many */
        void *more = realloc(ids->id, (ids->n ? 2 * (size_t)ids->n : 1) * sizeof *ids->id);
        if (!more)
            return false;
        ids->id = more;
    }
    uuid_format(ids->id[ids->n++], &id);
    return true;
}

/* Where the next page begins, after one of `rows`; empty: there is none. False: the listing does not go on from there. */
static bool turn_page(char *cursor, size_t cap, yyjson_val *next, size_t rows)
{
    const char *text = yyjson_get_str(next);
    if (!text) {
        cursor[0] = 0;
        return true;
    }
    return rows > 0 && text[0] && strcmp(text, cursor) != 0 &&
           text_set(cursor, cap, text, yyjson_get_len(next));
}

static int listing_fails(const char *path, const char *what)
{
    fprintf(stderr, "busbar: %s: %s\n", path, what);
    return CLI_FAILED;
}

/* All pages of a listing; `pointer` is where a row has the id. */
static int read_ids(const struct cli *cli, const char *path, const char *pointer, struct ids *ids)
{
    char cursor[160] = "";
    int rc = CLI_OK;
    do {
        struct request r;
        yyjson_doc *doc = NULL;
        request_begin(&r);
        buf_addf(&r.path, "%s?limit=1000%s", path, cursor[0] ? "&cursor=" : "");
        request_encode(&r, cursor);
        rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
        request_end(&r);
        yyjson_val *root = yyjson_doc_get_root(doc), *row, *next = yyjson_obj_get(root, "next");
        yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_obj_get(root, "data"));
        while (rc == CLI_OK && (row = yyjson_arr_iter_next(&it)) != NULL) {
            if (!add_id(ids, yyjson_get_str(yyjson_ptr_get(row, pointer))))
                rc = listing_fails(path, "it has what is no id, or too many");
        }
        if (rc == CLI_OK &&
            !turn_page(cursor, sizeof cursor, next, yyjson_arr_size(yyjson_obj_get(root, "data"))))
            rc = listing_fails(path, "its pages do not go on");
        yyjson_doc_free(doc);
    } while (rc == CLI_OK && cursor[0]);
    return rc;
}

/* One that is not there, as of a job that waits, is none. */
static int copy_receipt(const struct cli *cli, const char *id, const char *dir, uint32_t *n)
{
    char path[80], name[80];
    struct err err = {0};
    struct buf text;
    long status = 0;
    buf_init(&text, FILE_BYTES_MAX);
    (void)snprintf(path, sizeof path, "/v1/receipts/%s", id);
    (void)snprintf(name, sizeof name, "receipts/%s.json", id);
    int rc = client_fetch(cli, path, &text, &status);
    if (rc == CLI_OK && status == 200) {
        rc = print_outcome(write_below(dir, name, text.data, text.len, &err), &err);
        ++*n;
    } else if (rc == CLI_OK && status != 404) {
        rc = client_error(status, text.data ? text.data : "", text.len);
    }
    buf_fini(&text);
    return rc;
}

static int copy_receipts(const struct cli *cli, const char *dir, uint32_t *n)
{
    struct ids ids = {.n = 0};
    int records = read_ids(cli, "/api/v1/usage/records", "/request", &ids);
    int jobs = records == CLI_OK || records == CLI_NOT_ALLOWED ? read_ids(cli, "/api/v1/jobs", "/id", &ids)
                                                               : records;
    /* A key may see one of the two and not the other. */
    int rc = records == CLI_OK || jobs == CLI_OK ? CLI_OK : jobs;
    if ((records != CLI_OK && records != CLI_NOT_ALLOWED) || (jobs != CLI_OK && jobs != CLI_NOT_ALLOWED))
        rc = records != CLI_OK && records != CLI_NOT_ALLOWED ? records : jobs;
    if (ids.n > 1)
        qsort(ids.id, ids.n, sizeof *ids.id, by_text);
    for (uint32_t i = 0; i < ids.n && rc == CLI_OK; i++) {
        if (i == 0 || strcmp(ids.id[i], ids.id[i - 1]) != 0)
            rc = copy_receipt(cli, ids.id[i], dir, n);
    }
    free(ids.id);
    return rc;
}

/* ---- both ---- */

static void print_done(const struct cli *cli, const char *dir, uint64_t leaves, const char *what)
{
    struct buf out;
    buf_init(&out, 65536);
    if (cli->json) {
        buf_add_text(&out, "{\"folder\":");
        buf_add_json(&out, dir, strlen(dir));
        buf_addf(&out, ",\"leaves\":%llu,\"opened\":", (unsigned long long)leaves);
        buf_add_json(&out, what, strlen(what));
        buf_add_char(&out, '}');
    } else {
        buf_addf(&out, "log     %llu leaves, in %s/log\nopened  %s", (unsigned long long)leaves, dir, what);
    }
    printf("%.*s\n", (int)out.len, out.data ? out.data : "");
    buf_fini(&out);
}

int cli_audit_export(const struct cli *cli)
{
    const char *place = cli->nargs > 0 ? cli->args[0] : NULL, *dir = cli_option(cli, "out"), *what = "";
    bool hub = place ? strstr(place, "://") != NULL : cli->hub != NULL;
    char log[FS_PATH_MAX], receipts[64];
    uint64_t leaves = 0;
    uint32_t n = 0;
    struct err err = {0};
    if (!dir || !dir[0] || (!hub && !fs_join(log, place ? place : cli->data, "log"))) {
        fprintf(stderr, "busbar: audit export: --out DIR names a new folder\n");
        return CLI_USAGE;
    }
    if (fs_exists(dir)) {
        fprintf(stderr, "busbar: %s is there already\n", dir);
        return CLI_FAILED;
    }
    struct cli there = *cli;
    there.hub = hub && place ? place : cli->hub;
    int rc = print_outcome(fs_mkdirs(dir, 0700, &err), &err);
    /* What is opened first: then the log has at least its leaves. */
    if (rc == CLI_OK)
        rc = hub ? copy_receipts(&there, dir, &n) : copy_database(place ? place : cli->data, dir, &what);
    if (rc == CLI_OK)
        rc = copy_log(cli, hub ? there.hub : log, dir, &leaves);
    if (rc != CLI_OK)
        return rc;
    (void)snprintf(receipts, sizeof receipts, "%u receipts, in receipts/", n);
    print_done(cli, dir, leaves, hub ? receipts : what);
    return CLI_OK;
}
