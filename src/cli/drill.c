/* SPDX-License-Identifier: Apache-2.0 */
/* Drills: a loss played on a copy of the hub's state. */
#include <stdio.h>
#include <string.h>

#include "cli/request.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const struct column fields[] = {{"lost", "/what"},
                                       {"name", "/name"},
                                       {"as of", "/as_of"},
                                       {"firm work stopped", "/firm/jobs"},
                                       {"  chips", "/firm/chips"},
                                       {"  runs again", "/firm/again"},
                                       {"  chips of that", "/firm/chips_again"},
                                       {"interruptible stopped", "/interruptible/jobs"},
                                       {"  chips", "/interruptible/chips"},
                                       {"  runs again", "/interruptible/again"},
                                       {"gave way elsewhere", "/gave_way"},
                                       {"reserve", "/reserve"},
                                       {"covers the loss", "/covered"},
                                       {"may run nowhere else", "/counted/tied_jobs"},
                                       {"models without replica", "/models_gone"},
                                       {"recorded as", "/id"}};
static const struct column columns[] = {{"MODEL", "/model"},
                                        {"REPLICAS", "/replicas"},
                                        {"LOST", "/lost"},
                                        {"AGAIN", "/again"},
                                        {"LEFT", "/left"}};

int cli_drill(const struct cli *cli)
{
    static const char *const kinds[] = {"site", "vendor", "corridor"};
    const char *name = strchr(cli->args[0], '=');
    struct request r;
    yyjson_doc *doc = NULL;
    int kind = 0;
    while (name && kind < COUNT(kinds) &&
           (strncmp(cli->args[0], kinds[kind], (size_t)(name - cli->args[0])) != 0 ||
            kinds[kind][name - cli->args[0]] != 0))
        kind++;
    if (!name || !name[1] || kind == COUNT(kinds)) {
        fprintf(stderr, "busbar: drill: site=NAME, vendor=NAME or corridor=A/B, not %s\n", cli->args[0]);
        return CLI_USAGE;
    }
    request_begin(&r);
    request_text(&r, kinds[kind], name + 1);
    int rc = client_call(cli, "POST", "/api/v1/drills", request_body(&r), &doc);
    request_end(&r);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, fields, COUNT(fields));
    if (rc == CLI_OK && !cli->json && yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "data")) > 0) {
        putchar('\n');
        rc = print_table(cli, doc, columns, COUNT(columns));
    }
    yyjson_doc_free(doc);
    return rc;
}
