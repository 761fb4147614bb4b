/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger, money that is paid in, and invoices. */
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/request.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int cli_wallet_topup(const struct cli *cli)
{
    static const struct column columns[] = {{"TENANT", "/tenant/name"},
                                            {"AMOUNT", "/amount"},
                                            {"REPEATED", "/repeated"},
                                            {"BUDGET", "/tenant/budget"},
                                            {"AVAILABLE", "/tenant/available"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/tenants/", cli->args[0], "/topups");
    request_text(&r, "amount", cli->args[1]);
    request_option(&r, cli, "id", "id");
    return request_send(&r, cli, "POST", NULL, columns, COUNT(columns));
}

int cli_ledger_accounts(const struct cli *cli)
{
    static const struct column columns[] = {{"ACCOUNT", "/account"},
                                            {"DEBITS", "/debits"},
                                            {"CREDITS", "/credits"},
                                            {"DEBITS HELD", "/debits_held"},
                                            {"CREDITS HELD", "/credits_held"},
                                            {"BALANCE", "/balance"},
                                            {"SIDE", "/side"}};
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/ledger/accounts", "kind ledger limit cursor", columns,
                        COUNT(columns));
}

/* Appends &name=value for an option that is given. */
static void add_query(struct request *r, const struct cli *cli, const char *name)
{
    const char *value = cli_option(cli, name);
    if (value)
        buf_addf(&r->path, "&%s=", name);
    if (value)
        request_encode(r, value);
}

int cli_ledger_transfers(const struct cli *cli)
{
    static const struct column columns[] = {{"TIME", "/time"},     {"DEBIT", "/debit"}, {"CREDIT", "/credit"},
                                            {"FOR", "/for"},       {"STATE", "/state"}, {"AMOUNT", "/amount"},
                                            {"POSTED", "/posted"}, {"HELD", "/held"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/ledger/transfers?account=", cli->args[0], "");
    add_query(&r, cli, "limit");
    add_query(&r, cli, "cursor");
    return request_get(&r, cli, columns, COUNT(columns));
}

int cli_ledger_check(const struct cli *cli)
{
    static const struct column columns[] = {
        {"CURRENCY", "/currency"},         {"CONTROL", "/control"},
        {"ACCOUNTS", "/accounts"},         {"DEBITS", "/debits"},
        {"CREDITS", "/credits"},           {"DEBITS HELD", "/debits_held"},
        {"CREDITS HELD", "/credits_held"}, {"BILLED", "/billed"},
        {"BALANCED", "/balanced"}};
    yyjson_doc *doc = NULL;
    int rc = client_call(cli, "GET", "/api/v1/ledger/check", NULL, &doc);
    if (rc != CLI_OK)
        return rc;
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    rc = print_table(cli, doc, columns, COUNT(columns));
    bool right = yyjson_get_bool(yyjson_obj_get(root, "right"));
    yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_obj_get(root, "problems"));
    while ((item = yyjson_arr_iter_next(&it)) != NULL)
        fprintf(stderr, "busbar: %s: %s\n", yyjson_get_str(yyjson_obj_get(item, "account")),
                yyjson_get_str(yyjson_obj_get(item, "text")));
    uint64_t strays = yyjson_get_uint(yyjson_obj_get(root, "strays"));
    if (strays > 0)
        fprintf(stderr, "busbar: %llu transfers or lines name an account that is not there\n",
                (unsigned long long)strays);
    if (rc == CLI_OK && !cli->json)
        printf("%llu accounts, %llu transfers, %llu lines: %s\n",
               (unsigned long long)yyjson_get_uint(yyjson_obj_get(root, "accounts")),
               (unsigned long long)yyjson_get_uint(yyjson_obj_get(root, "transfers")),
               (unsigned long long)yyjson_get_uint(yyjson_obj_get(root, "lines")),
               right ? "the books are right" : "the books are WRONG");
    yyjson_doc_free(doc);
    return rc == CLI_OK && !right ? CLI_FAILED : rc;
}

/* ---- invoices ---- */

static const struct column heads[] = {
    {"NUMBER", "/number"},     {"TENANT", "/tenant"}, {"FROM", "/first_month"}, {"TO", "/month"},
    {"CURRENCY", "/currency"}, {"TOTAL", "/total"},   {"CLOSED", "/closed"}};

int cli_invoice_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/invoices", "tenant limit cursor", heads, COUNT(heads));
}

int cli_invoice_close(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "tenant", cli->args[0]);
    request_text(&r, "month", cli->args[1]);
    return request_send(&r, cli, "POST", "/api/v1/invoices", heads, COUNT(heads));
}

int cli_invoice_credit(const struct cli *cli)
{
    static const struct column columns[] = {{"INVOICE", "/invoice/number"},
                                            {"AMOUNT", "/amount"},
                                            {"REASON", "/reason"},
                                            {"REPEATED", "/repeated"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/invoices/", cli->args[0], "/credits");
    request_text(&r, "amount", cli->args[1]);
    request_text(&r, "reason", cli->args[2]);
    request_option(&r, cli, "id", "id");
    return request_send(&r, cli, "POST", NULL, columns, COUNT(columns));
}

static int show_lines(const struct cli *cli)
{
    static const struct column columns[] = {{"DAY", "/day"},          {"MODEL", "/model"},
                                            {"CHIP", "/chip"},        {"SITE", "/site"},
                                            {"IN", "/prompt_tokens"}, {"OUT", "/completion_tokens"},
                                            {"CHIP MS", "/chip_ms"},  {"ENERGY J", "/energy_j"},
                                            {"CO2E G", "/carbon_g"},  {"COST", "/cost"}};
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/invoices/", cli->args[0], "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    request_end(&r);
    if (rc != CLI_OK)
        return rc;
    rc = print_table(cli, doc, heads, COUNT(heads));
    yyjson_mut_doc *lines = cli->json ? NULL : yyjson_mut_doc_new(NULL);
    if (lines) { /* a list of the lines, for a table of their own */
        yyjson_mut_val *root = yyjson_mut_obj(lines);
        yyjson_mut_doc_set_root(lines, root);
        (void)yyjson_mut_obj_add_val(
            lines, root, "data",
            yyjson_val_mut_copy(lines, yyjson_obj_get(yyjson_doc_get_root(doc), "lines")));
        yyjson_doc *copy = yyjson_mut_doc_imut_copy(lines, NULL);
        printf("\n");
        rc = copy ? print_table(cli, copy, columns, COUNT(columns)) : CLI_FAILED;
        yyjson_doc_free(copy);
    }
    yyjson_mut_doc_free(lines);
    yyjson_doc_free(doc);
    return rc;
}

int cli_invoice_show(const struct cli *cli)
{
    const char *form = cli_option(cli, "form");
    struct request r;
    if (!form)
        return show_lines(cli);
    if (strcmp(form, "html") != 0 && strcmp(form, "csv") != 0 && strcmp(form, "json") != 0) {
        fprintf(stderr, "busbar: --form: html, csv or json\n");
        return CLI_USAGE;
    }
    request_begin(&r);
    buf_addf(&r.path, "/api/v1/invoices/");
    request_encode(&r, cli->args[0]);
    if (strcmp(form, "json") != 0)
        buf_addf(&r.path, "/%s", form);
    return request_print(&r, cli);
}

int cli_export_focus(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    buf_add_text(&r.path, "/api/v1/export/focus");
    request_query(&r, cli, "month tenant");
    return request_print(&r, cli);
}
