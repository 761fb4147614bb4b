/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/request.h"

static const struct column columns[] = {{"A", "/a"},           {"B", "/b"},
                                        {"STATE", "/state"},   {"BITS/S", "/bits_s"},
                                        {"RTT US", "/rtt_us"}, {"MEASURED", "/measured/at"},
                                        {"GB", "/price"},      {"WH/GB", "/energy_wh"},
                                        {"ID", "/id"}};
static const struct column whole[] = {{"a", "/a"},
                                      {"b", "/b"},
                                      {"state", "/state"},
                                      {"a GB costs", "/price"},
                                      {"Wh for a GB", "/energy_wh"},
                                      {"planned with, bits/s", "/bits_s"},
                                      {"and round trip, us", "/rtt_us"},
                                      {"granted now, bits/s", "/granted_bits_s"},
                                      {"given, bits/s", "/given/bits_s"},
                                      {"assumed, bits/s", "/assumed_bits_s"},
                                      {"measured a to b, bits/s", "/measured/there_bits_s"},
                                      {"measured b to a, bits/s", "/measured/back_bits_s"},
                                      {"measured round trip, us", "/measured/rtt_us"},
                                      {"measured at", "/measured/at"},
                                      {"bytes of jobs", "/bytes_jobs"},
                                      {"bytes of models", "/bytes_models"},
                                      {"id", "/id"}};
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int cli_corridor_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/corridors", "", columns, COUNT(columns));
}

int cli_corridor_show(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/corridors/", cli->args[0], "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, whole, COUNT(whole));
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

int cli_corridor_set(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/corridors/", cli->args[0], "");
    request_option(&r, cli, "price", "price");
    request_option_count(&r, cli, "energy", "energy_wh");
    request_option_count(&r, cli, "rate", "bits_s");
    return request_send(&r, cli, "PUT", NULL, columns, COUNT(columns));
}

static int act(const struct cli *cli, const char *after)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/corridors/", cli->args[0], after);
    return request_send(&r, cli, "POST", NULL, columns, COUNT(columns));
}

int cli_corridor_cordon(const struct cli *cli)
{
    return act(cli, "/cordon");
}

int cli_corridor_close(const struct cli *cli)
{
    return act(cli, "/close");
}

int cli_corridor_resume(const struct cli *cli)
{
    return act(cli, "/resume");
}
