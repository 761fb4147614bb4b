/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line: a client of the hub's API. One table of verbs drives dispatch, usage and completion.
 *
 * A verb names its options; the parser refuses any other. The hub is reached over the unix socket in the data folder,
 * as its operator, or with --hub URL --key K (or BUSBAR_HUB, BUSBAR_KEY) from anywhere.
 */
#ifndef BUSBAR_CLI_CLI_H
#define BUSBAR_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Exit statuses; documented in man/busbar.1.scd. */
enum {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* the hub refused, or something broke */
    CLI_USAGE = 2,       /* the command line is wrong */
    CLI_UNREACHABLE = 3, /* no hub answers */
    CLI_NOT_FOUND = 4,   /* what was named does not exist */
    CLI_NOT_ALLOWED = 5, /* the key is missing, wrong, or may not do this */
};

#define CLI_ARGS_MAX 4096 /* `run` passes on a whole command line */
#define CLI_OPTIONS_MAX 256

struct cli {
    char data[1024]; /* data folder */
    const char *hub; /* URL; NULL: the unix socket */
    const char *key;
    bool json;
    const char *args[CLI_ARGS_MAX];
    int nargs;
    const struct verb *verb;
    struct {
        const char *name, *value;
    } options[CLI_OPTIONS_MAX];
    int noptions;
};

typedef int cli_fn(const struct cli *cli);

struct verb {
    const char *name;    /* one or two words */
    const char *args;    /* for the usage, e.g. "NAME [PATH]" */
    int min, max;        /* arguments */
    const char *options; /* "name=VALUE name ...": those with = take a value */
    const char *help;
    cli_fn *run; /* NULL: the role given to cli_main */
};

int cli_main(int argc, char **argv, cli_fn *up);
/* Value of an option, the last one's if it was given several times; "" for one without, NULL if it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
/* Takes options of the verb that a file has, which argv belongs to as well. Non-zero after a message. */
int cli_take_options(struct cli *cli, int argc, char **argv);
/* Puts the options of the file that --config names in front of those that were given. An exit status, after a message unless it is 0. */
int cli_hub_file(struct cli *cli);
/* A whole number; *value is left alone if the option was not given. Non-zero after a message. */
int cli_count(const struct cli *cli, const char *name, uint32_t *value);

/* debug, info, warn or error, as enum log_level. Non-zero: it is another. */
int cli_log_level(const char *text, int *level);

extern const struct verb cli_verbs[];
/* What a verb's --help says beside its options; "" if that is all. */
const char *cli_help(const char *verb);

/* Every verb's function. */
/* Money. */
cli_fn cli_network_billing, cli_tenant_billing;
cli_fn cli_tenant_tax, cli_grant_add, cli_grant_list, cli_peer_settle, cli_network_fee, cli_network_carbon,
    cli_site_owners;
cli_fn cli_wallet_topup, cli_ledger_accounts, cli_ledger_transfers, cli_ledger_check, cli_invoice_list,
    cli_invoice_show, cli_invoice_close, cli_invoice_credit, cli_export_focus, cli_tariff_check,
    cli_tariff_diff, cli_tariff_apply, cli_tariff_show;
cli_fn cli_project_add, cli_project_list, cli_project_remove, cli_project_budget, cli_key_budget,
    cli_tenant_limit, cli_webhook_set, cli_webhook_show, cli_webhook_test, cli_webhook_remove;
cli_fn cli_down, cli_status, cli_tenant_add, cli_tenant_list, cli_tenant_show, cli_tenant_budget, cli_key_add,
    cli_key_list, cli_key_revoke, cli_model_add, cli_model_list, cli_model_show, cli_model_rm,
    cli_model_price, cli_deploy, cli_deployments, cli_undeploy, cli_usage_report, cli_usage_records, cli_chat,
    cli_sim, cli_backup, cli_restore, cli_version, cli_completion, cli_rules_check, cli_rules_explain,
    cli_rules_apply, cli_rules_show, cli_rules_diff, cli_rules_none, cli_drill, cli_site_set, cli_tenant_set,
    cli_network_check, cli_network_show, cli_site_list, cli_site_show, cli_site_add, cli_site_token,
    cli_site_cordon, cli_site_drain, cli_site_resume, cli_site_remove, cli_site_join, cli_site_run,
    cli_gateway_list, cli_gateway_add, cli_gateway_token, cli_gateway_remove, cli_gateway_join,
    cli_gateway_run, cli_pool_list, cli_pool_price, cli_corridor_list, cli_corridor_show, cli_corridor_set,
    cli_corridor_cordon, cli_corridor_close, cli_corridor_resume, cli_run, cli_submit, cli_jobs, cli_job_show,
    cli_job_logs, cli_job_cancel, cli_job_retry, cli_job_cp, cli_ca_init, cli_ca_request, cli_ca_sign,
    cli_ca_install, cli_ca_show, cli_model_recall, cli_model_recalls, cli_accept, cli_audit_verify,
    cli_audit_replay, cli_audit_report, cli_audit_export, cli_receipt_get, cli_receipt_verify, cli_witness,
    cli_plan, cli_chips, cli_bench_chip, cli_predictions, cli_model_where, cli_model_without,
    cli_model_catalogue;
cli_fn cli_chip_list, cli_chip_show, cli_chip_declare, cli_chip_alarms, cli_chip_resolve;

#endif
