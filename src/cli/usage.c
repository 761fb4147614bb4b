/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/request.h"

int cli_usage_report(const struct cli *cli)
{
    struct column columns[] = {{"MODEL", "/model"},
                               {"REQUESTS", "/requests"},
                               {"PROMPT", "/prompt_tokens"},
                               {"CACHED", "/cached_tokens"},
                               {"COMPLETION", "/completion_tokens"},
                               {"ENERGY J", "/energy_j"},
                               {"CO2E G", "/carbon_g"},
                               {"COST", "/cost"}};
    const char *by = cli_option(cli, "by");
    if (by && strcmp(by, "tenant") == 0)
        columns[0] = (struct column){"TENANT", "/tenant"};
    else if (by && strcmp(by, "key") == 0)
        columns[0] = (struct column){"KEY", "/key"};
    else if (by && strcmp(by, "hour") == 0)
        columns[0] = (struct column){"HOUR", "/hour"};
    static const struct column moved[] = {{"SITE", "/site"},
                                          {"BYTES IN", "/bytes_in"},
                                          {"BYTES OUT", "/bytes_out"},
                                          {"COST", "/cost"},
                                          {"UNPAID", "/unpaid"}};
    const bool corridors = by && strcmp(by, "corridor") == 0;
    struct request r;
    request_begin(&r);
    return request_list(
        &r, cli, "/api/v1/usage", "by tenant from to", corridors ? moved : columns,
        (int)(corridors ? sizeof moved / sizeof moved[0] : sizeof columns / sizeof columns[0]));
}

int cli_usage_records(const struct cli *cli)
{
    static const struct column columns[] = {{"EVENT", "/event"},
                                            {"TIME", "/time"},
                                            {"REQUEST", "/request"},
                                            {"PROMPT", "/prompt_tokens"},
                                            {"COMPLETION", "/completion_tokens"},
                                            {"STATUS", "/status"},
                                            {"FLAGS", "/flags"},
                                            {"COST", "/cost"}};
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/usage/records", "tenant limit cursor", columns,
                        (int)(sizeof columns / sizeof columns[0]));
}
