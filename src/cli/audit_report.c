/* SPDX-License-Identifier: Apache-2.0 */
/* The overseers' report as tables, JSON or CSV. */
#include <stdio.h>
#include <string.h>

#include "cli/request.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

/* The list `name` of the report as a table of its own. */
static int print_part(const struct cli *cli, yyjson_doc *doc, const char *name, const struct column *columns,
                      int n)
{
    yyjson_mut_doc *part = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = part ? yyjson_mut_obj(part) : NULL;
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), name);
    int rc = CLI_FAILED;
    if (root) {
        yyjson_mut_doc_set_root(part, root);
        (void)yyjson_mut_obj_add_val(part, root, "data", yyjson_val_mut_copy(part, list));
        yyjson_doc *copy = yyjson_mut_doc_imut_copy(part, NULL);
        printf("\n%s\n", name);
        rc = copy ? print_table(cli, copy, columns, n) : CLI_FAILED;
        yyjson_doc_free(copy);
    }
    yyjson_mut_doc_free(part);
    return rc;
}

static int print_report(const struct cli *cli, yyjson_doc *doc)
{
    static const struct column head[] = {{"from", "/from"}, {"to", "/to"}, {"home", "/home"}};
    static const struct column volumes[] = {{"CHIP", "/chip"},
                                            {"ORIGIN", "/origin"},
                                            {"JURISDICTION", "/jurisdiction"},
                                            {"CHIP HOURS", "/chip_hours"},
                                            {"ENERGY MJ", "/energy_mj"},
                                            {"REQUESTS", "/requests"},
                                            {"TOKENS IN", "/prompt_tokens"},
                                            {"TOKENS OUT", "/completion_tokens"}};
    static const struct column evictions[] = {{"WHAT", "/what"}, {"REASON", "/reason"}, {"COUNT", "/count"}};
    static const struct column denials[] = {
        {"RULE", "/rule"}, {"WHAT", "/what"}, {"HOW", "/how"}, {"COUNT", "/count"}, {"CITE", "/cite"}};
    static const struct column drills[] = {{"LOST", "/what"},       {"NAME", "/name"},
                                           {"AT", "/at"},           {"FIRM SHARE", "/firm_share"},
                                           {"COVERED", "/covered"}, {"RESERVE", "/reserve"}};
    static const struct column supply[] = {{"MONTH", "/month"},
                                           {"CHIP MS", "/chip_ms"},
                                           {"AT HOME", "/home_site_chip_ms"},
                                           {"ON HOME CHIPS", "/home_chip_chip_ms"},
                                           {"TOKENS", "/tokens"},
                                           {"AT HOME", "/home_site_tokens"}};
    static const struct column recalls[] = {{"DIGEST", "/digest"},
                                            {"REASON", "/reason"},
                                            {"ASKED", "/asked"},
                                            {"GONE", "/gone"},
                                            {"LIFTED", "/lifted"}};
    static const struct column chips[] = {
        {"SITE", "/site"},       {"CHIP", "/chip"},     {"VENDOR", "/vendor"}, {"ORIGIN", "/origin"},
        {"PRESENT", "/present"}, {"FAILED", "/failed"}, {"ABSENT", "/absent"}, {"LICENSED", "/licensed"}};
    static const struct column nameless[] = {{"SITE", "/site"}, {"COUNT", "/count"}};
    static const struct column alarms[] = {{"CHIP", "/chip"},   {"SITE", "/site"},   {"ALSO AT", "/also_at"},
                                           {"STATE", "/state"}, {"SINCE", "/since"}, {"NOTE", "/note"}};
    int rc = print_object(cli, doc, head, COUNT(head));
    if (cli->json || rc != CLI_OK)
        return rc;
    rc = print_part(cli, doc, "volumes", volumes, COUNT(volumes));
    if (rc == CLI_OK)
        rc = print_part(cli, doc, "evictions", evictions, COUNT(evictions));
    if (rc == CLI_OK)
        rc = print_part(cli, doc, "refused_records", evictions, COUNT(evictions));
    if (rc == CLI_OK)
        rc = print_part(cli, doc, "denials", denials, COUNT(denials));
    if (rc == CLI_OK)
        rc = print_part(cli, doc, "drills", drills, COUNT(drills));
    if (rc == CLI_OK)
        rc = print_part(cli, doc, "self_supply", supply, COUNT(supply));
    if (rc == CLI_OK)
        rc = print_part(cli, doc, "recalls", recalls, COUNT(recalls));
    if (rc == CLI_OK)
        rc = print_part(cli, doc, "chips", chips, COUNT(chips));
    if (rc == CLI_OK)
        rc = print_part(cli, doc, "chips_nameless", nameless, COUNT(nameless));
    return rc == CLI_OK ? print_part(cli, doc, "chip_alarms", alarms, COUNT(alarms)) : rc;
}

int cli_audit_report(const struct cli *cli)
{
    const char *form = cli_option(cli, "form");
    struct request r;
    yyjson_doc *doc = NULL;
    if (form && strcmp(form, "csv") != 0 && strcmp(form, "json") != 0) {
        fprintf(stderr, "busbar: --form: csv or json\n");
        return CLI_USAGE;
    }
    request_begin(&r);
    buf_add_text(&r.path,
                 form && strcmp(form, "csv") == 0 ? "/api/v1/audit/report/csv" : "/api/v1/audit/report");
    request_query(&r, cli, "month since home");
    if (form)
        return request_print(&r, cli);
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    request_end(&r);
    if (rc == CLI_OK)
        rc = print_report(cli, doc);
    yyjson_doc_free(doc);
    return rc;
}
