/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets with a period, projects, and the webhook that is told of them. */
#include <string.h>

#include "cli/client.h"
#include "cli/request.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const struct column budgets[] = {{"SOFT", "/soft"},    {"PER", "/per"},   {"BUDGET", "/budget"},
                                        {"SPENT", "/spent"},  {"HELD", "/held"}, {"AVAILABLE", "/available"},
                                        {"RESETS", "/resets"}};

/* The budgets of the answer, a line each; the whole of it with --json. */
static int print_budgets(const struct cli *cli, yyjson_doc *doc)
{
    if (cli->json)
        return print_object(cli, doc, budgets, COUNT(budgets));
    yyjson_mut_doc *lines = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = lines ? yyjson_mut_obj(lines) : NULL;
    if (!root || !yyjson_mut_obj_add_val(
                     lines, root, "data",
                     yyjson_val_mut_copy(lines, yyjson_obj_get(yyjson_doc_get_root(doc), "budgets")))) {
        yyjson_mut_doc_free(lines);
        return CLI_FAILED;
    }
    yyjson_mut_doc_set_root(lines, root);
    yyjson_doc *copy = yyjson_mut_doc_imut_copy(lines, NULL);
    int rc = copy ? print_table(cli, copy, budgets, COUNT(budgets)) : CLI_FAILED;
    yyjson_doc_free(copy);
    yyjson_mut_doc_free(lines);
    return rc;
}

/* PUT /api/v1/budgets for what `member` names; NONE takes it away. */
static int set_budget(const struct cli *cli, const char *member)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_text(&r, member, cli->args[0]);
    if (strcmp(member, "project") == 0)
        request_option(&r, cli, "tenant", "tenant");
    request_member(&r, "budget");
    if (strcmp(cli->args[1], "none") == 0)
        buf_add_text(&r.body, "null");
    else
        buf_add_json(&r.body, cli->args[1], strlen(cli->args[1]));
    request_option(&r, cli, "per", "per");
    if (cli_option(cli, "soft")) {
        request_member(&r, "soft");
        buf_add_text(&r.body, "true");
    }
    request_option_count(&r, cli, "at", "at");
    int rc = r.bad ? CLI_USAGE : client_call(cli, "PUT", "/api/v1/budgets", request_body(&r), &doc);
    if (rc == CLI_OK)
        rc = print_budgets(cli, doc);
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

int cli_tenant_limit(const struct cli *cli)
{
    return set_budget(cli, "tenant");
}

int cli_project_budget(const struct cli *cli)
{
    return set_budget(cli, "project");
}

int cli_key_budget(const struct cli *cli)
{
    return set_budget(cli, "key");
}

/* ---- projects ---- */

static const struct column projects[] = {
    {"NAME", "/name"},         {"TENANT", "/tenant"},         {"BUDGET", "/budgets/0/budget"},
    {"PER", "/budgets/0/per"}, {"SPENT", "/budgets/0/spent"}, {"REMOVED", "/removed"}};

int cli_project_add(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "name", cli->args[0]);
    request_option(&r, cli, "tenant", "tenant");
    return request_send(&r, cli, "POST", "/api/v1/projects", projects, COUNT(projects));
}

int cli_project_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/projects", "tenant limit cursor", projects, COUNT(projects));
}

int cli_project_remove(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/projects/", cli->args[0], "");
    request_query(&r, cli, "tenant");
    return request_send(&r, cli, "DELETE", NULL, projects, COUNT(projects));
}

/* ---- webhooks ---- */

static const struct column webhooks[] = {{"TENANT", "/tenant"},
                                         {"URL", "/url"},
                                         {"TRIED", "/tried"},
                                         {"STATUS", "/status"},
                                         {"PENDING", "/pending"}};

int cli_webhook_set(const struct cli *cli)
{
    static const struct column set[] = {{"url", "/url"}, {"secret", "/secret"}};
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_text(&r, "url", cli->args[0]);
    request_option(&r, cli, "tenant", "tenant");
    int rc = r.bad ? CLI_USAGE : client_call(cli, "PUT", "/api/v1/webhook", request_body(&r), &doc);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, set, COUNT(set));
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

int cli_webhook_show(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    buf_add_text(&r.path, "/api/v1/webhook");
    request_query(&r, cli, "tenant");
    return request_get(&r, cli, webhooks, COUNT(webhooks));
}

int cli_webhook_test(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_option(&r, cli, "tenant", "tenant");
    return request_send(&r, cli, "POST", "/api/v1/webhook/test", webhooks, COUNT(webhooks));
}

int cli_webhook_remove(const struct cli *cli)
{
    static const struct column removed[] = {{"REMOVED", "/removed"}};
    struct request r;
    request_begin(&r);
    buf_add_text(&r.path, "/api/v1/webhook");
    request_query(&r, cli, "tenant");
    return request_send(&r, cli, "DELETE", NULL, removed, COUNT(removed));
}
