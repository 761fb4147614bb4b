/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: submitting one, seeing them, ending them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/job.h"

static const struct column columns[] = {{"ID", "/id"},     {"NAME", "/name"},           {"STATE", "/state"},
                                        {"END", "/end"},   {"CODE", "/code"},           {"CHIPS", "/chips"},
                                        {"SITE", "/site"}, {"SUBMITTED", "/submitted"}, {"ENDED", "/ended"}};
static const struct column fields[] = {{"id", "/id"},
                                       {"name", "/name"},
                                       {"tenant", "/tenant"},
                                       {"command", "/argv"},
                                       {"state", "/state"},
                                       {"waits for", "/why/text"},
                                       {"end", "/end"},
                                       {"", "/text"},
                                       {"code", "/code"},
                                       {"chips", "/chips"},
                                       {"chip", "/chip"},
                                       {"site", "/site"},
                                       {"asks for site", "/site_asked"},
                                       {"jurisdiction", "/jurisdiction"},
                                       {"vendor", "/vendor"},
                                       {"deadline", "/deadline"},
                                       {"may wait until", "/defer_until"},
                                       {"alternatives", "/alternatives"},
                                       {"time limit s", "/time_limit_s"},
                                       {"epoch", "/epoch"},
                                       {"priority", "/priority"},
                                       {"submitted", "/submitted"},
                                       {"started", "/started"},
                                       {"ended", "/ended"},
                                       {"CPU ms", "/usage/cpu_ms"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- verbs ---- */

int cli_run(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    struct job_follow f = {.cli = cli, .quiet = cli->json};
    request_begin(&r);
    job_options_add(&r, cli);
    job_argv_add(&r, cli->args, cli->nargs);
    int rc = r.bad ? CLI_USAGE : client_call(cli, "POST", "/api/v1/jobs", request_body(&r), &doc);
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
        fprintf(stderr, "busbar: job %s\n", f.id);
    yyjson_doc_free(doc);
    return rc != CLI_OK || detach ? rc : job_follow(&f);
}

int cli_jobs(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/jobs", "tenant limit cursor", columns, COUNT(columns));
}

int cli_job_show(const struct cli *cli)
{
    yyjson_doc *doc = NULL;
    int rc = job_get(cli, cli->args[0], &doc);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, fields, COUNT(fields));
    yyjson_doc_free(doc);
    return rc;
}

int cli_job_logs(const struct cli *cli)
{
    struct job_follow f = {.cli = cli};
    yyjson_doc *doc = NULL;
    int rc = job_get(cli, cli->args[0], &doc);
    if (rc == CLI_OK) {
        const char *id = job_text(doc, "/id");
        (void)text_set(f.id, sizeof f.id, id, strlen(id));
        f.epoch = (uint32_t)yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "epoch"));
    }
    yyjson_doc_free(doc);
    if (rc != CLI_OK)
        return rc;
    return cli_option(cli, "follow") ? job_follow(&f) : f.epoch > 0 ? job_drain(&f) : CLI_OK;
}

int cli_job_cancel(const struct cli *cli)
{
    static const struct column answer[] = {{"ID", "/id"}, {"STATE", "/state"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/jobs/", cli->args[0], "");
    return request_send(&r, cli, "DELETE", NULL, answer, COUNT(answer));
}
