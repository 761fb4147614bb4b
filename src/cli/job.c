/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: submitting one, seeing them, ending them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/job.h"
#include "cli/job_data.h"

static const struct column columns[] = {{"ID", "/id"},       {"INDEX", "/index"}, {"NAME", "/name"},
                                        {"STATE", "/state"}, {"END", "/end"},     {"CODE", "/code"},
                                        {"CHIPS", "/chips"}, {"SITE", "/site"},   {"SUBMITTED", "/submitted"},
                                        {"ENDED", "/ended"}};
static const struct column fields[] = {{"id", "/id"},
                                       {"name", "/name"},
                                       {"tenant", "/tenant"},
                                       {"array", "/array"},
                                       {"index", "/index"},
                                       {"command", "/argv"},
                                       {"state", "/state"},
                                       {"waits for", "/why/text"},
                                       {"rule", "/why/rule/id"},
                                       {"because", "/why/rule/because"},
                                       {"may start", "/eta/start"},
                                       {"  from", "/eta/low"},
                                       {"  until", "/eta/high"},
                                       {"end", "/end"},
                                       {"", "/text"},
                                       {"code", "/code"},
                                       {"chips", "/chips"},
                                       {"chip", "/chip"},
                                       {"site", "/site"},
                                       {"asks for site", "/site_asked"},
                                       {"jurisdiction", "/jurisdiction"},
                                       {"vendor", "/vendor"},
                                       {"isolation", "/isolation"},
                                       {"deadline", "/deadline"},
                                       {"may wait until", "/defer_until"},
                                       {"alternatives", "/alternatives"},
                                       {"time limit s", "/time_limit_s"},
                                       {"epoch", "/epoch"},
                                       {"priority", "/priority"},
                                       {"submitted", "/submitted"},
                                       {"started", "/started"},
                                       {"expected end", "/expected_end"},
                                       {"on disconnect", "/on_disconnect"},
                                       {"out of touch", "/out_of_touch"},
                                       {"ended", "/ended"},
                                       {"CPU ms", "/usage/cpu_ms"},
                                       {"bytes in", "/data/bytes_in"},
                                       {"bytes out", "/data/bytes_out"},
                                       {"chip ms", "/chip_ms"},
                                       {"cost", "/cost"},
                                       {"transfers", "/cost_transfers"},
                                       {"unpaid", "/unpaid"}};
static const struct column array_fields[] = {{"id", "/id"},
                                             {"name", "/name"},
                                             {"tenant", "/tenant"},
                                             {"command", "/argv"},
                                             {"state", "/state"},
                                             {"first index", "/array/first"},
                                             {"last index", "/array/last"},
                                             {"at a time", "/array/at_once"},
                                             {"queued", "/array/tasks/queued"},
                                             {"running", "/array/tasks/running"},
                                             {"ended", "/array/tasks/ended"},
                                             {"cancelled", "/array/tasks/cancelled"},
                                             {"unmet", "/array/tasks/unmet"},
                                             {"failed", "/array/failed"},
                                             {"waits for", "/why/text"},
                                             {"rule", "/why/rule/id"},
                                             {"because", "/why/rule/because"},
                                             {"submitted", "/submitted"},
                                             {"over", "/ended"}};
static const struct column place_columns[] = {{"SITE", "/site"},
                                              {"CHIP", "/chip"},
                                              {"CHIPS", "/chips"},
                                              {"FREE", "/chips_free"},
                                              {"OF", "/chips_all"},
                                              {"CHIP-HOUR", "/price_chip_hour"},
                                              {"SECONDS", "/time_s"},
                                              {"CHIPS COST", "/cost_chips"},
                                              {"ENERGY COST", "/cost_energy"},
                                              {"NOW", "/starts_now"},
                                              {"IN THE WAY", "/in_the_way"}};
static const struct column epoch_columns[] = {
    {"EPOCH", "/epoch"},     {"SITE", "/site"},       {"CHIPS", "/chips"},   {"END", "/end"},
    {"MS", "/ms"},           {"CHIP MS", "/chip_ms"}, {"CPU MS", "/cpu_ms"}, {"JOULES", "/energy_j"},
    {"CHIP-HOUR", "/price"}, {"COST", "/cost"}};
static const struct column input_columns[] = {{"INPUT", "/name"}, {"SIZE", "/size"}, {"SHA256", "/sha256"}};
static const struct column output_columns[] = {{"OUTPUT", "/name"}, {"SIZE", "/size"}, {"SHA256", "/sha256"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- verbs ---- */

/* Sends and prints the new id. */
static int post(const struct cli *cli, struct request *r, const char *path)
{
    yyjson_doc *doc = NULL;
    int rc = client_call(cli, "POST", path, request_body(r), &doc);
    if (rc == CLI_OK && cli->json)
        rc = job_print(doc);
    else if (rc == CLI_OK)
        puts(job_text(doc, "/id"));
    yyjson_doc_free(doc);
    return rc;
}

/* Where it could run, and a line on what would become of it. */
static int dry_run(const struct cli *cli, struct request *r)
{
    yyjson_doc *doc = NULL;
    int rc = client_call(cli, "POST", "/api/v1/dry-run?eta=true", request_body(r), &doc);
    if (rc == CLI_OK)
        rc = print_table(cli, doc, place_columns, COUNT(place_columns));
    const char *why = job_text(doc, "/why/text");
    if (rc == CLI_OK && !cli->json)
        fprintf(stderr, "busbar: it would %s%s; nothing was submitted\n", why[0] ? "wait: " : "start at once",
                why);
    if (rc == CLI_OK && !cli->json && job_text(doc, "/eta/start")[0])
        fprintf(stderr, "busbar: it may start at %s, most likely from %s to %s\n",
                job_text(doc, "/eta/start"), job_text(doc, "/eta/low"), job_text(doc, "/eta/high"));
    if (rc == CLI_OK && !cli->json &&
        !yyjson_get_bool(yyjson_ptr_get(yyjson_doc_get_root(doc), "/time_known")))
        fprintf(stderr, "busbar: without --time its cost is a guess, as long as jobs like it took\n");
    yyjson_doc_free(doc);
    return rc;
}

int cli_run(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    struct job_follow f = {.cli = cli, .quiet = cli->json, .ours = true};
    request_begin(&r);
    job_options_add(&r, cli, false);
    job_argv_add(&r, cli->args, cli->nargs);
    int rc = r.bad ? CLI_USAGE : job_data_add(&r, cli, !cli_option(cli, "dry-run"));
    if (cli_option(cli, "dry-run")) {
        rc = rc == CLI_OK ? dry_run(cli, &r) : rc;
        request_end(&r);
        return rc;
    }
    if (rc == CLI_OK)
        rc = client_call(cli, "POST", "/api/v1/jobs", request_body(&r), &doc);
    request_end(&r);
    if (rc == CLI_OK) {
        const char *id = job_text(doc, "/id");
        (void)text_set(f.id, sizeof f.id, id, strlen(id));
    }
    bool detach = cli_option(cli, "detach") != NULL;
    if (rc == CLI_OK && detach && cli->json)
        rc = job_print(doc);
    else if (rc == CLI_OK && detach)
        puts(f.id);
    else if (rc == CLI_OK && !cli->json)
        fprintf(stderr, "busbar: %s %s\n", cli_option(cli, "array") ? "array" : "job", f.id);
    yyjson_doc_free(doc);
    return rc != CLI_OK || detach ? rc : job_follow(&f);
}

/* Adds the rows of a page to those of the pages before; false: there are no more, or *rc is an error. */
static bool add_page(const struct cli *cli, yyjson_mut_doc *all, yyjson_mut_val *rows, char cursor[64],
                     int *rc)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/jobs", "", "");
    request_query(&r, cli, "state array tenant");
    buf_addf(&r.path, "%climit=1000%s%s", strchr(r.path.data, '?') ? '&' : '?', cursor[0] ? "&cursor=" : "",
             cursor);
    *rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    request_end(&r);
    yyjson_val *root = yyjson_doc_get_root(doc), *row;
    yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_obj_get(root, "data"));
    while ((row = yyjson_arr_iter_next(&it)) != NULL)
        yyjson_mut_arr_append(rows, yyjson_val_mut_copy(all, row));
    const char *next = yyjson_get_str(yyjson_obj_get(root, "next"));
    bool more = *rc == CLI_OK && next && text_set(cursor, 64, next, strlen(next));
    yyjson_doc_free(doc);
    return more;
}

/* Page after page, told as one. */
static int list_all(const struct cli *cli)
{
    yyjson_mut_doc *all = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(all), *rows = yyjson_mut_arr(all);
    yyjson_doc *doc = NULL;
    char cursor[64] = "";
    int rc;
    yyjson_mut_doc_set_root(all, root);
    yyjson_mut_obj_add_val(all, root, "data", rows);
    yyjson_mut_obj_add_null(all, root, "next");
    while (add_page(cli, all, rows, cursor, &rc))
        continue;
    if (rc == CLI_OK)
        doc = yyjson_mut_doc_imut_copy(all, NULL);
    if (rc == CLI_OK)
        rc = doc ? print_table(cli, doc, columns, COUNT(columns)) : CLI_FAILED;
    yyjson_doc_free(doc);
    yyjson_mut_doc_free(all);
    return rc;
}

int cli_submit(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    int rc = job_file_add(&r, cli);
    if (rc == CLI_OK)
        rc = job_data_add(&r, cli, !cli_option(cli, "dry-run"));
    if (rc == CLI_OK)
        rc = cli_option(cli, "dry-run") ? dry_run(cli, &r) : post(cli, &r, "/api/v1/jobs");
    request_end(&r);
    return rc;
}

int cli_job_retry(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/jobs/", cli->args[0], "/retry");
    int rc = post(cli, &r, request_path_text(&r));
    request_end(&r);
    return rc;
}

int cli_jobs(const struct cli *cli)
{
    struct request r;
    if (cli_option(cli, "all"))
        return list_all(cli);
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/jobs", "state array tenant limit cursor", columns, COUNT(columns));
}

/* Each in a line, below the rest. */
static int print_rows(const struct cli *cli, yyjson_doc *job, const char *member, const struct column *list,
                      int n)
{
    yyjson_val *rows = yyjson_obj_get(yyjson_doc_get_root(job), member);
    if (cli->json || yyjson_arr_size(rows) == 0)
        return CLI_OK;
    yyjson_mut_doc *table = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(table);
    yyjson_mut_doc_set_root(table, root);
    yyjson_mut_obj_add_val(table, root, "data", yyjson_val_mut_copy(table, rows));
    yyjson_doc *doc = yyjson_mut_doc_imut_copy(table, NULL);
    yyjson_mut_doc_free(table);
    putchar('\n');
    int rc = doc ? print_table(cli, doc, list, n) : CLI_FAILED;
    yyjson_doc_free(doc);
    return rc;
}

int cli_job_show(const struct cli *cli)
{
    yyjson_doc *doc = NULL;
    int rc = job_get(cli, cli->args[0], true, &doc);
    if (rc == CLI_OK && job_is_array(doc))
        rc = print_object(cli, doc, array_fields, COUNT(array_fields));
    else if (rc == CLI_OK)
        rc = print_object(cli, doc, fields, COUNT(fields));
    if (rc == CLI_OK)
        rc = print_rows(cli, doc, "epochs", epoch_columns, COUNT(epoch_columns));
    if (rc == CLI_OK)
        rc = print_rows(cli, doc, "inputs", input_columns, COUNT(input_columns));
    if (rc == CLI_OK)
        rc = print_rows(cli, doc, "outputs", output_columns, COUNT(output_columns));
    yyjson_doc_free(doc);
    return rc;
}

int cli_job_logs(const struct cli *cli)
{
    struct job_follow f = {.cli = cli};
    yyjson_doc *doc = NULL;
    int rc = job_get(cli, cli->args[0], false, &doc);
    if (rc == CLI_OK) {
        const char *id = job_text(doc, "/id");
        (void)text_set(f.id, sizeof f.id, id, strlen(id));
        f.epoch = (uint32_t)yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "epoch"));
    }
    if (rc == CLI_OK && job_is_array(doc) && !cli_option(cli, "follow")) {
        fprintf(stderr, "busbar: %s is an array: name a task, ARRAY_INDEX\n", f.id);
        rc = CLI_FAILED;
    }
    yyjson_doc_free(doc);
    if (rc != CLI_OK)
        return rc;
    return cli_option(cli, "follow") ? job_follow(&f) : f.epoch > 0 ? job_drain(&f) : CLI_OK;
}

int cli_job_cancel(const struct cli *cli)
{
    static const struct column answer[] = {{"ID", "/id"}, {"INDEX", "/index"}, {"STATE", "/state"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/jobs/", cli->args[0], "");
    return request_send(&r, cli, "DELETE", NULL, answer, COUNT(answer));
}
