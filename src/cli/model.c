/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/request.h"
#include "network/models.h"

static const struct column columns[] = {{"NAME", "/name"},
                                        {"KIND", "/kind"},
                                        {"CONTEXT", "/context"},
                                        {"QUANT", "/variants/0/quantisation"},
                                        {"ENGINE", "/variants/0/engine"},
                                        {"BYTES", "/variants/0/size_bytes"},
                                        {"PROMPT/M", "/price/prompt"},
                                        {"COMPLETION/M", "/price/completion"},
                                        {"DEPLOYED", "/deployed"},
                                        {"LICENCE", "/licence"},
                                        {"OF", "/catalogue/origin"}};
static const struct column fields[] = {{"name", "/name"},
                                       {"id", "/id"},
                                       {"kind", "/kind"},
                                       {"context", "/context"},
                                       {"licence", "/licence"},
                                       {"origin", "/origin"},
                                       {"engine", "/variants/0/engine"},
                                       {"format", "/variants/0/format"},
                                       {"quantisation", "/variants/0/quantisation"},
                                       {"chips", "/variants/0/chips"},
                                       {"sha256", "/variants/0/sha256"},
                                       {"size", "/variants/0/size_bytes"},
                                       {"memory", "/variants/0/memory_bytes"},
                                       {"price of 1M prompt tokens", "/price/prompt"},
                                       {"price of 1M cached tokens", "/price/cached"},
                                       {"price of 1M completion tokens", "/price/completion"},
                                       {"price of 1M reasoning tokens", "/price/reasoning"},
                                       {"deployed", "/deployed"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static void add_prices(struct request *r, const struct cli *cli)
{
    request_option(r, cli, "price-prompt", "price_prompt");
    request_option(r, cli, "price-cached", "price_cached");
    request_option(r, cli, "price-completion", "price_completion");
    request_option(r, cli, "price-reasoning", "price_reasoning");
}

/* Lines of JSON: progress, and at last the result or an error. */
struct adding {
    struct buf line;
    struct buf last;
    bool bar; /* standard error is a terminal */
};

static void draw_bar(uint64_t bytes, uint64_t total)
{
    if (total)
        fprintf(stderr, "\r%3u %%  %.1f of %.1f MB", (unsigned)(bytes * 100 / total), (double)bytes / 1e6,
                (double)total / 1e6);
    else
        fprintf(stderr, "\r%.1f MB", (double)bytes / 1e6);
}

static void take_line(struct adding *a)
{
    yyjson_doc *doc = yyjson_read(a->line.data, a->line.len, 0);
    yyjson_val *bytes = yyjson_obj_get(yyjson_doc_get_root(doc), "bytes");
    if (bytes && a->bar)
        draw_bar(yyjson_get_uint(bytes), yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "total")));
    if (!bytes) {
        buf_clear(&a->last);
        buf_add(&a->last, a->line.data, a->line.len);
    }
    yyjson_doc_free(doc);
    buf_clear(&a->line);
}

static bool on_data(void *ctx, const char *data, size_t len)
{
    struct adding *a = ctx;
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n')
            take_line(a);
        else
            buf_add_char(&a->line, data[i]);
    }
    return true;
}

static int finish(const struct cli *cli, struct adding *a)
{
    if (a->line.len > 0)
        take_line(a);
    if (a->bar)
        fprintf(stderr, "\r\033[K");
    yyjson_doc *doc = yyjson_read(a->last.data ? a->last.data : "", a->last.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    int rc;
    if (!root || yyjson_obj_get(root, "error")) {
        rc = client_error(500, a->last.data ? a->last.data : "", a->last.len);
    } else {
        yyjson_val *result = yyjson_obj_get(root, "result");
        yyjson_mut_doc *copy = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(copy, yyjson_val_mut_copy(copy, result ? result : root));
        yyjson_doc *plain = yyjson_mut_doc_imut_copy(copy, NULL);
        rc = print_object(cli, plain, fields, COUNT(fields));
        yyjson_doc_free(plain);
        yyjson_mut_doc_free(copy);
    }
    yyjson_doc_free(doc);
    return rc;
}

int cli_model_add(const struct cli *cli)
{
    struct request r;
    char path[FS_PATH_MAX], cwd[FS_PATH_MAX];
    const char *source = cli->args[1];
    struct adding a = {.bar = isatty(STDERR_FILENO) && !cli->json};
    long status;
    /* The hub has its own working folder. */
    if (!strstr(source, "://") && source[0] != '/' && getcwd(cwd, sizeof cwd) && fs_join(path, cwd, source))
        source = path;
    buf_init(&a.line, 1 << 20);
    buf_init(&a.last, 1 << 20);
    request_begin(&r);
    request_text(&r, "name", cli->args[0]);
    request_text(&r, "source", source);
    request_option(&r, cli, "sha256", "sha256");
    request_option(&r, cli, "engine", "engine");
    request_option(&r, cli, "kind", "kind");
    request_option_count(&r, cli, "context", "context");
    request_option(&r, cli, "licence", "licence");
    add_prices(&r, cli);
    buf_add_text(&r.body, ",\"progress\":true");
    int rc = r.bad ? CLI_USAGE
                   : client_stream(cli, "POST", "/api/v1/models", request_body(&r), cli->key, on_data, &a,
                                   &status);
    if (rc == CLI_OK)
        rc = finish(cli, &a);
    buf_fini(&a.line);
    buf_fini(&a.last);
    request_end(&r);
    return rc;
}

/* What the catalogue knows of a model of that name: its own member; for people its licence too, where nobody gave one. */
static void add_catalogue(const struct cli *cli, const struct models *models, yyjson_mut_doc *doc,
                          yyjson_mut_val *row)
{
    const char *name = yyjson_mut_get_str(yyjson_mut_obj_get(row, "name"));
    const struct net_model *m = name ? models_find(models, name) : NULL;
    yyjson_mut_val *licence = yyjson_mut_obj_get(row, "licence"), *of = m ? yyjson_mut_obj(doc) : NULL;
    if (!m)
        return;
    yyjson_mut_obj_add_strcpy(doc, of, "licence", m->licence);
    yyjson_mut_obj_add_strcpy(doc, of, "origin", m->origin);
    yyjson_mut_obj_add_str(doc, of, "use", m->use == MODEL_FREE ? "free" : "limited");
    yyjson_mut_obj_add_val(doc, row, "catalogue", of);
    if (!cli->json && yyjson_mut_get_len(licence) == 0)
        yyjson_mut_obj_put(row, yyjson_mut_str(doc, "licence"), yyjson_mut_strcpy(doc, m->licence));
}

/* The document with that; the same where there is no catalogue. */
static yyjson_doc *with_catalogue(const struct cli *cli, yyjson_doc *doc)
{
    char share[FS_PATH_MAX], path[FS_PATH_MAX];
    struct problems problems;
    struct models *models = NULL;
    problems_init(&problems);
    bool known =
        fs_share(share) && fs_join(path, share, "models.yaml") && models_load(&models, path, &problems) == 0;
    problems_fini(&problems);
    if (!known)
        return doc;
    yyjson_mut_doc *more = yyjson_doc_mut_copy(doc, NULL);
    yyjson_mut_val *data = yyjson_mut_obj_get(yyjson_mut_doc_get_root(more), "data"), *row;
    yyjson_mut_arr_iter it = yyjson_mut_arr_iter_with(data);
    while ((row = yyjson_mut_arr_iter_next(&it)) != NULL)
        add_catalogue(cli, models, more, row);
    yyjson_doc *out = yyjson_mut_doc_imut_copy(more, NULL);
    yyjson_mut_doc_free(more);
    models_free(models);
    if (!out)
        return doc;
    yyjson_doc_free(doc);
    return out;
}

int cli_model_list(const struct cli *cli)
{
    yyjson_doc *doc = NULL;
    int rc = client_call(cli, "GET", "/api/v1/models", NULL, &doc);
    if (rc == CLI_OK) {
        doc = with_catalogue(cli, doc);
        rc = print_table(cli, doc, columns, COUNT(columns));
    }
    yyjson_doc_free(doc);
    return rc;
}

int cli_model_show(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/models/", cli->args[0], "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, fields, COUNT(fields));
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

int cli_model_rm(const struct cli *cli)
{
    static const struct column removed[] = {{"REMOVED", "/removed"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/models/", cli->args[0], "");
    return request_send(&r, cli, "DELETE", NULL, removed, COUNT(removed));
}

int cli_model_price(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/models/", cli->args[0], "/price");
    add_prices(&r, cli);
    return request_send(&r, cli, "PUT", NULL, columns, COUNT(columns));
}
