/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets what of a charge: owners, fee, carbon, tax; grants; other networks. */
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/request.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* A member that is a whole number; what is none the hub refuses. */
static void add_number(struct request *r, const char *member, const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > 9 || strspn(text, "0123456789") < len || (len > 1 && text[0] == '0')) {
        request_text(r, member, text);
        return;
    }
    request_member(r, member);
    buf_add(&r->body, text, len);
}

static const struct column terms[] = {{"FEE PPM", "/fee_ppm"}, {"CARBON PRICE", "/carbon_price"}};

int cli_network_fee(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    if (cli->nargs == 0) {
        buf_add_text(&r.path, "/api/v1/network/terms");
        return request_get(&r, cli, terms, COUNT(terms));
    }
    add_number(&r, "fee_ppm", cli->args[0]);
    return request_send(&r, cli, "PUT", "/api/v1/network/terms", terms, COUNT(terms));
}

int cli_network_carbon(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "carbon_price", cli->args[0]);
    return request_send(&r, cli, "PUT", "/api/v1/network/terms", terms, COUNT(terms));
}

int cli_tenant_tax(const struct cli *cli)
{
    static const struct column columns[] = {{"TENANT", "/name"}, {"TAX PPM", "/tax_ppm"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/tenants/", cli->args[0], "/tax");
    add_number(&r, "tax_ppm", cli->args[1]);
    return request_send(&r, cli, "PUT", NULL, columns, COUNT(columns));
}

/* Without options what holds, else all of it anew. */
static int billing(struct request *r, const struct cli *cli)
{
    static const struct column columns[] = {
        {"NAME", "/name"}, {"ADDRESS", "/address"}, {"TAX NUMBER", "/tax_number"}};
    if (!cli_option(cli, "name") && !cli_option(cli, "address") && !cli_option(cli, "tax-number"))
        return request_get(r, cli, columns, COUNT(columns));
    request_option(r, cli, "name", "name");
    request_option(r, cli, "address", "address");
    request_option(r, cli, "tax-number", "tax_number");
    return request_send(r, cli, "PUT", NULL, columns, COUNT(columns));
}

int cli_network_billing(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    buf_add_text(&r.path, "/api/v1/network/billing");
    return billing(&r, cli);
}

int cli_tenant_billing(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/tenants/", cli->args[0], "/billing");
    return billing(&r, cli);
}

/* NAME=SHARE,...; "none": nobody. */
static int add_owners(struct request *r, const char *text)
{
    int rc = 0;
    request_member(r, "owners");
    buf_add_char(&r->body, '[');
    for (const char *p = strcmp(text, "none") == 0 ? "" : text; rc == 0 && *p;) {
        size_t n = strcspn(p, ","), name = strcspn(p, "=,");
        size_t digits = n > name ? n - name - 1 : 0;
        if (name == n || digits == 0 || digits > 9 || strspn(p + name + 1, "0123456789") < digits) {
            fprintf(stderr, "busbar: owners: NAME=SHARE,... with shares in millionths, or none\n");
            return CLI_USAGE;
        }
        buf_add_text(&r->body, p == text ? "{\"name\":" : ",{\"name\":");
        buf_add_json(&r->body, p, name);
        buf_add_text(&r->body, ",\"share_ppm\":");
        while (digits > 1 && p[n - digits] == '0') /* JSON has no leading zeros */
            digits--;
        buf_add(&r->body, p + n - digits, digits);
        buf_add_char(&r->body, '}');
        p += n + (p[n] == ',');
    }
    buf_add_char(&r->body, ']');
    return rc;
}

int cli_site_owners(const struct cli *cli)
{
    static const struct column columns[] = {{"OWNER", "/name"}, {"SHARE PPM", "/share_ppm"}};
    struct request r;
    request_begin(&r);
    request_path(&r, "/api/v1/sites/", cli->args[0], "/owners");
    if (cli->nargs == 1)
        return request_get(&r, cli, columns, COUNT(columns));
    int rc = add_owners(&r, cli->args[1]);
    if (rc != 0) {
        request_end(&r);
        return rc;
    }
    return request_send(&r, cli, "PUT", NULL, columns, COUNT(columns));
}

/* ---- grants ---- */

static const struct column grants[] = {{"ID", "/id"},
                                       {"TENANT", "/tenant"},
                                       {"SPONSOR", "/sponsor"},
                                       {"AMOUNT", "/amount"},
                                       {"LEFT", "/left"},
                                       {"HELD", "/held"},
                                       {"EXPIRES", "/expires"},
                                       {"OVER", "/over"},
                                       {"CHIPS OF", "/chips_origin"},
                                       {"JURISDICTION", "/jurisdiction"}};

static const struct column granted[] = {
    {"ID", "/id"},     {"TENANT", "/tenant"},   {"SPONSOR", "/sponsor"}, {"AMOUNT", "/amount"},
    {"LEFT", "/left"}, {"EXPIRES", "/expires"}, {"OVER", "/over"},       {"REPEATED", "/repeated"}};

int cli_grant_add(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    request_text(&r, "tenant", cli->args[0]);
    request_text(&r, "amount", cli->args[1]);
    request_option(&r, cli, "sponsor", "sponsor");
    request_option(&r, cli, "expires", "expires");
    request_option(&r, cli, "chips-origin", "chips_origin");
    request_option(&r, cli, "jurisdiction", "jurisdiction");
    request_option_list(&r, cli, "models", "models");
    request_option_list(&r, cli, "class", "kinds");
    request_option(&r, cli, "id", "id");
    return request_send(&r, cli, "POST", "/api/v1/grants", granted, COUNT(granted));
}

int cli_grant_list(const struct cli *cli)
{
    struct request r;
    request_begin(&r);
    return request_list(&r, cli, "/api/v1/grants", "tenant limit cursor", grants, COUNT(grants));
}

int cli_peer_settle(const struct cli *cli)
{
    static const struct column columns[] = {{"PEER", "/peer"},         {"DIRECTION", "/direction"},
                                            {"AMOUNT", "/amount"},     {"CURRENCY", "/currency"},
                                            {"REPEATED", "/repeated"}, {"BALANCE", "/balance"},
                                            {"SIDE", "/side"}};
    struct request r;
    bool paid = cli_option(cli, "paid"), received = cli_option(cli, "received");
    request_begin(&r);
    request_path(&r, "/api/v1/peers/", cli->args[0], "/settlements");
    request_text(&r, "amount", cli->args[1]);
    if (paid || received) /* both: that is no direction, and refused */
        request_text(&r, "direction", paid && received ? "both" : paid ? "paid" : "received");
    request_option(&r, cli, "currency", "currency");
    request_option(&r, cli, "id", "id");
    return request_send(&r, cli, "POST", NULL, columns, COUNT(columns));
}
