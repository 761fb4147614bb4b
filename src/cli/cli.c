/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/str.h"

/* Options of every verb. */
#define COMMON "data=DIR hub=URL key=KEY json help"

/* Of every verb that submits jobs. */
#define JOB_OPTIONS \
    "chips=N chip=KIND[:N],... time=TIME name=NAME priority=N interruptible on-disconnect=WHAT after=JOBS " \
    "env=NAME=VALUE " \
    "memory=MIB network site=NAME near=DATA jurisdiction=CODE vendor=NAME isolation=LEVEL deadline=WHEN " \
    "data-class=CLASS data-home=CODE kind=KIND " \
    "defer=WHEN green " \
    "checkpoint-every=TIME checkpoint-cost=TIME array=A-B[%C] cwd=DIR in=[NAME=]PATH out=PATH dry-run " \
    "tenant=NAME"

const struct verb cli_verbs[] = {
    {"up", "", 0, 0,
     "config=FILE check listen=HOST:PORT site-listen=HOST:PORT detach workers=N engine-threads=N "
     "drain=SECONDS lease=SECONDS "
     "keep-jobs=TIME "
     "queue=N tenant-blobs=MIB snapshot-every=EVENTS acceptance=MODE acceptance-every=TIME webhook-private "
     "witness=VKEY=URL "
     "tls-cert=FILE tls-key=FILE "
     "engines=FILE no-model log-json log-level=LEVEL",
     "run hub and local site; serves the bundled model on first start", NULL},
    {"down", "", 0, 0, "", "stop the hub that runs on the data folder", cli_down},
    {"status", "", 0, 0, "", "is it well, and what does it hold", cli_status},
    {"tenant add", "NAME", 1, 1, "budget=AMOUNT currency=CODE jurisdiction=CODE licence=NUMBER",
     "add a tenant", cli_tenant_add},
    {"tenant set", "NAME", 1, 1, "jurisdiction=CODE licence=NUMBER",
     "set what rules are told of a tenant; what is not given stays", cli_tenant_set},
    {"tenant list", "", 0, 0, "limit=N cursor=C", "list tenants and their budgets", cli_tenant_list},
    {"tenant show", "NAME", 1, 1, "", "show one tenant", cli_tenant_show},
    {"tenant budget", "NAME AMOUNT", 2, 2, "per=PERIOD soft at=PERCENT",
     "set a tenant's whole budget, or one for a day, week or month", cli_tenant_budget},
    {"tenant tax", "NAME PPM", 2, 2, "",
     "set the tax that a tenant's charges include, millionths of what is net", cli_tenant_tax},
    {"tenant billing", "NAME", 1, 1, "name=TEXT address=TEXT tax-number=TEXT",
     "show or set what invoices say of a tenant", cli_tenant_billing},
    {"project add", "NAME", 1, 1, "tenant=NAME", "add a project to a tenant, for keys to belong to",
     cli_project_add},
    {"project list", "", 0, 0, "tenant=NAME limit=N cursor=C", "list projects and their budgets",
     cli_project_list},
    {"project remove", "NAME", 1, 1, "tenant=NAME", "remove a project whose keys are all revoked",
     cli_project_remove},
    {"project budget", "NAME AMOUNT", 2, 2, "tenant=NAME per=PERIOD soft at=PERCENT",
     "set what all keys of a project may spend in a period", cli_project_budget},
    {"webhook set", "URL", 1, 1, "tenant=NAME",
     "tell a URL when budgets are used up; its secret is shown once", cli_webhook_set},
    {"webhook show", "", 0, 0, "tenant=NAME", "where a tenant's notices go, and how the last one fared",
     cli_webhook_show},
    {"webhook test", "", 0, 0, "tenant=NAME", "send a notice that says nothing", cli_webhook_test},
    {"webhook remove", "", 0, 0, "tenant=NAME", "tell nobody any more", cli_webhook_remove},
    {"wallet topup", "TENANT AMOUNT", 2, 2, "id=TEXT", "add money that a tenant paid to its budget",
     cli_wallet_topup},
    {"grant add", "TENANT AMOUNT", 2, 2,
     "sponsor=NAME expires=DATE chips-origin=CODE jurisdiction=CODE models=LIST class=LIST id=TEXT",
     "a sponsor pays so much of a tenant's work", cli_grant_add},
    {"grant list", "", 0, 0, "tenant=NAME limit=N cursor=C", "list grants and what is left of them",
     cli_grant_list},
    {"peer settle", "NAME AMOUNT", 2, 2, "paid received id=TEXT currency=CODE",
     "book money that was paid to another network, or received from it", cli_peer_settle},
    {"ledger accounts", "", 0, 0, "kind=KIND ledger=money|usage limit=N cursor=C",
     "list accounts and their balances", cli_ledger_accounts},
    {"ledger transfers", "ACCOUNT", 1, 1, "limit=N cursor=C",
     "list transfers from and to an account, such as wallet/default/USD", cli_ledger_transfers},
    {"ledger check", "", 0, 0, "",
     "whether debits equal credits and every balance is the sum of its transfers", cli_ledger_check},
    {"invoice list", "", 0, 0, "tenant=NAME limit=N cursor=C", "list closed bills", cli_invoice_list},
    {"invoice show", "INVOICE", 1, 1, "form=html|csv|json", "print an invoice with its lines",
     cli_invoice_show},
    {"invoice close", "TENANT MONTH", 2, 2, "",
     "close a tenant's bill of all that is not billed yet, to the end of a month such as 2026-11",
     cli_invoice_close},
    {"invoice credit", "INVOICE AMOUNT REASON", 3, 3, "id=TEXT",
     "give back a part of what an invoice asked for", cli_invoice_credit},
    {"tariff show", "", 0, 0, "tenant=NAME at=TIME", "prices and terms in force, as a tariff's file",
     cli_tariff_show},
    {"tariff check", "FILE", 1, 1, "", "check a tariff; every mistake at once", cli_tariff_check},
    {"tariff diff", "FILE", 1, 1, "", "which prices a tariff would change", cli_tariff_diff},
    {"tariff apply", "FILE", 1, 1, "", "put a tariff in force, from its date on", cli_tariff_apply},
    {"export focus", "", 0, 0, "month=MONTH tenant=NAME", "a month of charges as FOCUS 1.2, in CSV",
     cli_export_focus},
    {"key add", "NAME", 1, 1,
     "tenant=NAME project=NAME scopes=LIST models=LIST rpm=N tpm=N expires=SECONDS budget=AMOUNT",
     "make an API key; it is shown once", cli_key_add},
    {"key budget", "ID AMOUNT", 2, 2, "per=PERIOD soft at=PERCENT", "set what a key may spend in a period",
     cli_key_budget},
    {"key list", "", 0, 0, "tenant=NAME limit=N cursor=C", "list keys", cli_key_list},
    {"key revoke", "ID", 1, 1, "", "revoke a key at once", cli_key_revoke},
    {"model add", "NAME URL|PATH", 2, 2,
     "sha256=HEX engine=NAME kind=KIND context=N licence=ID price-prompt=AMOUNT price-cached=AMOUNT "
     "price-completion=AMOUNT price-reasoning=AMOUNT",
     "download or copy a GGUF model, or name an engine's URL", cli_model_add},
    {"model list", "", 0, 0, "", "list models", cli_model_list},
    {"model show", "NAME", 1, 1, "", "show one model, its variants and price", cli_model_show},
    {"model rm", "NAME", 1, 1, "", "remove a model and its file", cli_model_rm},
    {"model price", "NAME", 1, 1,
     "price-prompt=AMOUNT price-cached=AMOUNT price-completion=AMOUNT price-reasoning=AMOUNT",
     "set the price of a million tokens", cli_model_price},
    {"model where", "MODEL", 1, 1,
     "network=FILE rules=FILE format=F context=N untested recipes=FILE chips=FILE models=FILE "
     "efficiency=LIST",
     "which chips, at which sites, can serve a model, by which recipe and how fast; of the others why not",
     cli_model_where},
    {"model without", "vendor=NAME|site=NAME|origin=CC [MODEL]...", 1, CLI_ARGS_MAX,
     "network=FILE rules=FILE share=PERCENT replicas=N format=F context=N untested recipes=FILE chips=FILE "
     "models=FILE efficiency=LIST",
     "which models outlive a loss on a network, on what, and how much of their throughput",
     cli_model_without},
    {"model catalogue", "[FAMILY|MODEL]", 0, 1, "format=F recipes=FILE chips=FILE models=FILE",
     "list families of open-weight models, or the sizes of one in each format", cli_model_catalogue},
    {"model recall", "DIGEST", 1, 1, "reason=TEXT lift",
     "stop these weights everywhere, and let nobody use them until it is lifted", cli_model_recall},
    {"model recalls", "", 0, 0, "",
     "list recalls: when each was asked for, and when the last replica was gone", cli_model_recalls},
    {"deploy", "MODEL", 1, 1,
     "site=SITES near=PLACE replicas=N|MIN:MAX chips=N chip=KIND slots=N hold=TIME idle=TIME engine=NAME "
     "cluster members=N "
     "on=KIND:N,... memory-mib=M corridors",
     "serve a model, here or at sites that joined", cli_deploy},
    {"deployments", "", 0, 0, "", "list deployments and their replicas", cli_deployments},
    {"accept", "[SITE|MODEL]", 0, 1, "quick lift site=SITE",
     "check replicas against the reference engine, or show what was found; --lift ends a bar", cli_accept},
    {"undeploy", "MODEL", 1, 1, "", "drain and stop a model's replicas", cli_undeploy},
    {"site list", "", 0, 0, "", "list sites, whether they have joined, and when they were last heard of",
     cli_site_list},
    {"site show", "NAME", 1, 1, "", "show one site", cli_site_show},
    {"site add", "NAME", 1, 1, "jurisdiction=CODE region=NAME owner=NAME", "add a site to the network",
     cli_site_add},
    {"site set", "NAME", 1, 1, "jurisdiction=CODE region=NAME owner=NAME",
     "set what rules are told of a site; what is not given stays", cli_site_set},
    {"site owners", "NAME [OWNER=SHARE,...]", 1, 2, "",
     "show or set who owns the site, with shares of its revenue in millionths", cli_site_owners},
    {"site token", "NAME", 1, 1, "minutes=N", "make a token with which somebody may join as the site, once",
     cli_site_token},
    {"site cordon", "NAME", 1, 1, "", "give the site no more work", cli_site_cordon},
    {"site drain", "NAME", 1, 1, "", "the same, and move what may be stopped to other sites", cli_site_drain},
    {"site resume", "NAME", 1, 1, "", "give it work again", cli_site_resume},
    {"site remove", "NAME", 1, 1, "", "the site is no member any more, at once", cli_site_remove},
    {"site join", "HUB", 1, 1, "token=T", "at the site: join the network of the hub at HOST:PORT",
     cli_site_join},
    {"site run", "", 0, 0, "engine=FILE engine-threads=N",
     "at the site: run its agent, and the hub's jobs on its engine", cli_site_run},
    {"ca init", "", 0, 0, "dir=DIR days=N", "on a machine without a network: make the root of a network",
     cli_ca_init},
    {"ca request", "", 0, 0, "out=FILE", "at the hub: ask for an issuer's certificate", cli_ca_request},
    {"ca sign", "", 0, 0, "dir=DIR csr=FILE out=FILE days=N", "with the root: sign a hub's request",
     cli_ca_sign},
    {"ca install", "", 0, 0, "issuer=FILE root=FILE", "at the hub: take over what the root has signed",
     cli_ca_install},
    {"ca show", "", 0, 0, "dir=DIR", "certificates of the hub, or of a folder: names, validity, digests",
     cli_ca_show},
    {"gateway list", "", 0, 0, "", "list gateways: doors of their own, and whether they have joined",
     cli_gateway_list},
    {"gateway add", "NAME", 1, 1, "", "add a gateway to the network", cli_gateway_add},
    {"gateway token", "NAME", 1, 1, "minutes=N",
     "make a token with which somebody may join as the gateway, once", cli_gateway_token},
    {"gateway remove", "NAME", 1, 1, "", "the gateway is no member any more, at once", cli_gateway_remove},
    {"gateway join", "HUB", 1, 1, "token=T", "at the gateway: join the network of the hub at HOST:PORT",
     cli_gateway_join},
    {"gateway run", "", 0, 0,
     "listen=HOST:PORT workers=N drain=SECONDS queue=N tls-cert=FILE tls-key=FILE engines=FILE log-json "
     "log-level=LEVEL",
     "at the gateway: serve tenants there, through the hub", cli_gateway_run},
    {"pool list", "", 0, 0, "", "list pools: equal nodes of a site, what of them is in use, and their price",
     cli_pool_list},
    {"pool price", "POOL AMOUNT", 2, 2, "", "set what a chip-hour of a pool costs from now on",
     cli_pool_price},
    {"chip list", "", 0, 0,
     "site=NAME vendor=NAME kind=CHIP state=STATE licence=declared|none alarm=true limit=N cursor=C",
     "list single chips, each with its site, health, origin and licence", cli_chip_list},
    {"chip show", "CHIP", 1, 1, "", "show one, named VENDOR:SERIAL, and what became of it", cli_chip_show},
    {"chip declare", "[CHIP|FIRST..LAST]...", 0, 256,
     "licence=NUMBER origin=CODE site=NAME vendor=NAME kind=CHIP",
     "declare under which licence chips were exported, or where they were made", cli_chip_declare},
    {"chip alarms", "", 0, 0, "all", "list chips that are seen at two places", cli_chip_alarms},
    {"chip resolve", "CHIP SITE NOTE", 3, 3, "", "say what was found of a chip that is at that site, too",
     cli_chip_resolve},
    {"corridor list", "", 0, 0, "", "list corridors between the hub's own site and the others",
     cli_corridor_list},
    {"corridor show", "CORRIDOR", 1, 1, "", "show one: what was given and measured, and what came over it",
     cli_corridor_show},
    {"corridor set", "CORRIDOR", 1, 1, "price=AMOUNT energy=WH rate=BITS",
     "set what a GB over it costs and uses, and how much it carries", cli_corridor_set},
    {"corridor cordon", "CORRIDOR", 1, 1, "", "nothing new comes over it", cli_corridor_cordon},
    {"corridor close", "CORRIDOR", 1, 1, "", "nothing comes over it; what still did is stopped",
     cli_corridor_close},
    {"corridor resume", "CORRIDOR", 1, 1, "", "data comes over it again", cli_corridor_resume},
    {"usage", "", 0, 0, "by=tenant|project|key|model|hour|corridor tenant=NAME from=SECONDS to=SECONDS",
     "what was used, by tenant, key, model or hour; or what jobs' data moved, by corridor", cli_usage_report},
    {"records", "", 0, 0, "tenant=NAME limit=N cursor=C", "single meter records with their leaf hashes",
     cli_usage_records},
    {"chat", "MODEL [MESSAGE]", 1, 2, "max-tokens=N temperature=T system=TEXT",
     "talk to a model; the answer streams", cli_chat},
    {"run", "[--] COMMAND...", 1, 4096, JOB_OPTIONS " detach",
     "run a command as a job, show what it prints, exit as it does", cli_run},
    {"submit", "FILE [ARGUMENT...]", 1, 4096, JOB_OPTIONS,
     "submit a script or a job in YAML, print its id, and leave it", cli_submit},
    {"jobs", "", 0, 0, "state=STATES array=JOB tenant=NAME limit=N cursor=C all",
     "list jobs, the newest first", cli_jobs},
    {"job show", "JOB", 1, 1, "",
     "show a job: its state, where it is, why it waits, how it ended; or an array: its tasks by state",
     cli_job_show},
    {"job logs", "JOB", 1, 1, "follow", "what a job printed", cli_job_logs},
    {"job retry", "JOB", 1, 1, "", "submit what is over again, on the same terms; prints the new id",
     cli_job_retry},
    {"job cp", "JOB[:NAME] TARGET", 2, 2, "",
     "copy what was kept of a job to here, or one file or folder of it", cli_job_cp},
    {"job cancel", "JOB", 1, 1, "", "end a job, or all tasks of an array", cli_job_cancel},
    {"logs", "JOB", 1, 1, "follow", "the same as job logs", cli_job_logs},
    {"cancel", "JOB", 1, 1, "", "the same as job cancel", cli_job_cancel},
    {"sim", "", 0, 0,
     "trace=FILES pools=FILE network=FILE chips-per-node=N policy=NAME ageing=N copies=N days=N start=DATE "
     "until=TIME seed=N faults drill=DRILLS traits=TRAITS rules=FILE requests=FILES serve=REPLICA time-zones "
     "carbon-price=N plan=WHAT plan-every=TIME preempt=WHAT reserve=WHAT durations=WHAT tenants=WHAT free "
     "eta=N standing=MODELS share=PERCENT replicas=N report=FILE",
     "run a network and traces of jobs on virtual time; --report writes a page about it", cli_sim},
    {"predictions", "[FILE]", 0, 1, "efficiency=SHARES chips=FILE models=FILE",
     "hold the cluster planner's predictions against published figures", cli_predictions},
    {"plan", "MODEL", 1, 1,
     "on=CHIPS goal=GOALS quant=FORMAT kv=BITS context=N prompt=N batch=N groups=N draft=N:GAINED corridors "
     "overlap reference=CHIP efficiency=SHARES measured=FILE chips=FILE models=FILE",
     "plan how given chips serve a model: groups, stages, replicas, and how fast that will be", cli_plan},
    {"chips", "", 0, 0, "watch every=SECONDS from=DIR",
     "which chips this machine has, and how they are; no hub is asked", cli_chips},
    {"bench-chip", "", 0, 0, "quick",
     "measure this machine's processors: products of matrices, copies, sums over threads; no hub is asked",
     cli_bench_chip},
    {"backup", "DIR", 1, 1, "blobs", "copy the running hub's data to a new folder", cli_backup},
    {"restore", "DIR", 1, 1, "", "fill a new data folder from a backup", cli_restore},
    {"rules apply", "FILE", 1, 1, "dry-run",
     "put a rule file in force, all of it or nothing; --dry-run: only tell what it would stop",
     cli_rules_apply},
    {"rules show", "", 0, 0, "text", "the rules in force; --text: as their file was written", cli_rules_show},
    {"rules diff", "FILE", 1, 1, "", "how a rule file differs from the rules in force", cli_rules_diff},
    {"rules none", "", 0, 0, "", "lift all rules", cli_rules_none},
    {"rules check", "FILE", 1, 1, "", "check a rule file: every error with its line and column",
     cli_rules_check},
    {"rules explain", "FILE ATTR=VALUE...", 1, 32, "at=DATE",
     "judge given facts by a rule file, and tell what became of each rule", cli_rules_explain},
    {"drill", "site=NAME|vendor=NAME|corridor=A/B", 1, 1, "",
     "play a loss on a copy: what work would stop, and what of it would run again", cli_drill},
    {"audit verify", "[URL|DIR]", 0, 1, "checkpoint=FILE keep=FILE witness=VKEY quorum=N",
     "check a transparency log from its entries; --key is the log's", cli_audit_verify},
    {"audit replay", "[DATA]", 0, 1, "from=BACKUP",
     "decide a stopped hub's journal again: the same placements and bills, or what differs first",
     cli_audit_replay},
    {"audit export", "[URL|DATA]", 0, 1, "out=DIR",
     "an auditor's copy: the log, checked, with all that the caller may open of it", cli_audit_export},
    {"audit report", "", 0, 0, "month=MONTH since=DAY home=CODE form=csv|json",
     "what the network did, without a word of any tenant", cli_audit_report},
    {"receipt get", "ID", 1, 1, "out=FILE", "fetch the proof of a response or a job that was recorded",
     cli_receipt_get},
    {"receipt verify", "FILE...", 1, CLI_ARGS_MAX, "witness=VKEY quorum=N",
     "check receipts; --key is the log's. No hub is asked", cli_receipt_verify},
    {"witness", "[URL|DIR]", 0, 1, "dir=DIR every=SECONDS listen=HOST:PORT",
     "cosign a log's checkpoints as long as each extends the last; --key is the log's", cli_witness},
    {"network billing", "", 0, 0, "name=TEXT address=TEXT tax-number=TEXT",
     "show or set what invoices say of who bills", cli_network_billing},
    {"network fee", "[PPM]", 0, 1, "", "show or set what the network keeps of each charge, millionths",
     cli_network_fee},
    {"network carbon", "AMOUNT", 1, 1, "", "set what a tonne of CO2e costs", cli_network_carbon},
    {"network check", "FILE", 1, 1, "", "check a network's files; every mistake at once", cli_network_check},
    {"network show", "[FILE]", 0, 1, "map=FILE", "show a network's sites; draw its map", cli_network_show},
    {"completion", "", 0, 0, "", "print completion for bash", cli_completion},
    {"version", "", 0, 0, "", "print the version", cli_version},
    {NULL, NULL, 0, 0, NULL, NULL, NULL},
};

/* ---- options ---- */

int cli_log_level(const char *text, int *level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *level = i;
            return 0;
        }
    }
    return -1;
}

/* Whether the list has the option; *value tells whether it takes a value. */
static bool has_option(const char *list, const char *name, size_t len, bool *value)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, "= ");
        if (n == len && memcmp(p, name, len) == 0) {
            *value = p[n] == '=';
            return true;
        }
        p += strcspn(p, " ");
        p += strspn(p, " ");
    }
    return false;
}

/* The last one prevails. */
const char *cli_option(const struct cli *cli, const char *name)
{
    for (int i = cli->noptions - 1; i >= 0; i--) {
        if (strcmp(cli->options[i].name, name) == 0)
            return cli->options[i].value;
    }
    return NULL;
}

int cli_count(const struct cli *cli, const char *name, uint32_t *value)
{
    const char *text = cli_option(cli, name);
    uint64_t v;
    if (!text)
        return 0;
    if (!u64_parse(text, strlen(text), UINT32_MAX, &v)) {
        fprintf(stderr, "busbar: --%s: expected a whole number, got %s\n", name, text);
        return CLI_USAGE;
    }
    *value = (uint32_t)v;
    return 0;
}

static void print_verb(FILE *out, const struct verb *verb)
{
    fprintf(out, "usage: busbar %s %s", verb->name, verb->args);
    for (const char *p = verb->options; *p;) {
        size_t n = strcspn(p, " ");
        fprintf(out, "%s[--%.*s]", p == verb->options && !verb->args[0] ? "" : " ", (int)n, p);
        p += n + strspn(p + n, " ");
    }
    const char *more = cli_help(verb->name);
    fprintf(out, "\n\n%s\n\n%s%sEvery verb takes --data DIR, --hub URL, --key KEY, --json, --help.\n",
            verb->help, more, more[0] ? "\n" : "");
}

/* Whether the verb is `group` or has two words of which that is the first. */
static bool is_of(const struct verb *v, const char *group)
{
    size_t len = strlen(group);
    return strncmp(v->name, group, len) == 0 && (v->name[len] == 0 || v->name[len] == ' ');
}

static bool is_group(const char *word)
{
    const struct verb *v = cli_verbs;
    while (v->name && !is_of(v, word))
        v++;
    return v->name != NULL;
}

/* `group`: only verbs that begin with this word; NULL: all. */
static void print_usage(FILE *out, const char *group)
{
    fprintf(out, "usage: busbar %s%s [ARGUMENTS] [OPTIONS]\n\n", group ? group : "VERB",
            group ? " VERB" : "");
    for (const struct verb *v = cli_verbs; v->name; v++) {
        if (!group || is_of(v, group))
            fprintf(out, "  %-14s %-16s %s\n", v->name, v->args, v->help);
    }
    fprintf(out, "\n`busbar VERB --help` shows a verb's options; busbar(1) the whole.\n");
}

/* Takes one option from argv[*i]. */
static int take_option(struct cli *cli, int argc, char **argv, int *i)
{
    char *name = argv[*i] + 2;
    char *eq = strchr(name, '=');
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    bool value;
    if (!has_option(COMMON, name, len, &value) && !has_option(cli->verb->options, name, len, &value)) {
        fprintf(stderr, "busbar: %s has no option --%.*s (busbar %s --help)\n", cli->verb->name, (int)len,
                name, cli->verb->name);
        return CLI_USAGE;
    }
    const char *text = "";
    if (value) {
        text = eq ? eq + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    } else if (eq) {
        text = NULL;
    }
    if (!text || cli->noptions == CLI_OPTIONS_MAX) {
        fprintf(stderr, "busbar: --%.*s %s\n", (int)len, name, value ? "needs a value" : "takes no value");
        return CLI_USAGE;
    }
    if (eq)
        *eq = 0;
    cli->options[cli->noptions].name = name;
    cli->options[cli->noptions++].value = text;
    return 0;
}

int cli_take_options(struct cli *cli, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        bool value, plain = strncmp(argv[i], "--", 2) != 0;
        const char *name = argv[i] + (plain ? 0 : 2);
        if (plain || !has_option(cli->verb->options, name, strcspn(name, "="), &value)) {
            fprintf(stderr, "busbar: the file has `%s`, which is no option of %s\n", argv[i],
                    cli->verb->name);
            return CLI_USAGE;
        }
        int rc = take_option(cli, argc, argv, &i);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The letters that everybody types: each for an option of the verb, and for help before the first argument, since what comes after it
 * may be a command with letters of its own. Else the word as it is. */
static char *spelt_out(const struct cli *cli, char *word)
{
    static char follow[] = "--follow", help[] = "--help";
    bool value;
    if (strcmp(word, "-f") == 0 && has_option(cli->verb->options, follow + 2, strlen(follow + 2), &value))
        return follow;
    return strcmp(word, "-h") == 0 && cli->nargs == 0 ? help : word;
}

static int parse(struct cli *cli, int argc, char **argv)
{
    bool plain = false;
    for (int i = 0; i < argc; i++) {
        if (!plain)
            argv[i] = spelt_out(cli, argv[i]);
        if (!plain && strcmp(argv[i], "--") == 0) {
            plain = true;
        } else if (!plain && argv[i][0] == '-' && argv[i][1] == '-') {
            int rc = take_option(cli, argc, argv, &i);
            if (rc != 0)
                return rc;
        } else if (cli->nargs < CLI_ARGS_MAX) {
            cli->args[cli->nargs++] = argv[i];
        } else {
            fprintf(stderr, "busbar: more than %d arguments\n", CLI_ARGS_MAX);
            return CLI_USAGE;
        }
    }
    if (cli_option(cli, "help"))
        return 0;
    if (cli->nargs < cli->verb->min || cli->nargs > cli->verb->max) {
        print_verb(stderr, cli->verb);
        return CLI_USAGE;
    }
    return 0;
}

/* --data, else $XDG_DATA_HOME/busbar, else ~/.local/share/busbar; made absolute. */
static int find_data(struct cli *cli)
{
    const char *given = cli_option(cli, "data");
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    char path[FS_PATH_MAX], cwd[FS_PATH_MAX] = "";
    bool fits;
    if (given)
        fits = snprintf(path, sizeof path, "%s", given) < (int)sizeof path;
    else if (xdg && xdg[0] == '/')
        fits = fs_join(path, xdg, "busbar");
    else
        fits = fs_join(path, home ? home : "/", ".local/share/busbar");
    if (fits && path[0] != '/')
        fits = getcwd(cwd, sizeof cwd) && fs_join(cli->data, cwd, path);
    else if (fits)
        memcpy(cli->data, path, sizeof cli->data);
    if (!fits)
        fprintf(stderr, "busbar: the data folder's path is too long\n");
    return fits ? 0 : CLI_USAGE;
}

static const struct verb *find_verb(int argc, char **argv, int *words)
{
    for (const struct verb *v = cli_verbs; v->name; v++) {
        const char *second = strchr(v->name, ' ');
        size_t first = second ? (size_t)(second - v->name) : strlen(v->name);
        if (argc < 1 || strlen(argv[0]) != first || memcmp(argv[0], v->name, first) != 0)
            continue;
        if (second && (argc < 2 || strcmp(argv[1], second + 1) != 0))
            continue;
        *words = second ? 2 : 1;
        return v;
    }
    return NULL;
}

int cli_main(int argc, char **argv, cli_fn *up)
{
    struct cli cli = {.hub = getenv("BUSBAR_HUB"), .key = getenv("BUSBAR_KEY")};
    int words = 0;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(argc < 2 ? stderr : stdout, NULL);
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        return cli_version(&cli);
    cli.verb = find_verb(argc - 1, argv + 1, &words);
    bool alone = argc == 2 || strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0;
    if (!cli.verb && alone && is_group(argv[1])) {
        print_usage(argc == 2 ? stderr : stdout, argv[1]);
        return argc == 2 ? CLI_USAGE : CLI_OK;
    }
    if (!cli.verb) {
        fprintf(stderr, "busbar: there is no verb `%s%s%s` (busbar --help)\n", argv[1], argc > 2 ? " " : "",
                argc > 2 ? argv[2] : "");
        return CLI_USAGE;
    }
    int rc = parse(&cli, argc - 1 - words, argv + 1 + words);
    if (rc == 0 && !cli.verb->run && !cli_option(&cli, "help"))
        rc = cli_hub_file(&cli);
    if (rc == 0)
        rc = find_data(&cli);
    if (rc != 0)
        return rc;
    if (cli_option(&cli, "help")) {
        print_verb(stdout, cli.verb);
        return CLI_OK;
    }
    cli.json = cli_option(&cli, "json") != NULL;
    cli.hub = cli_option(&cli, "hub") ? cli_option(&cli, "hub") : cli.hub;
    cli.key = cli_option(&cli, "key") ? cli_option(&cli, "key") : cli.hub ? cli.key : NULL;
    rc = cli.verb->run ? cli.verb->run(&cli) : up(&cli);
    if (rc == CLI_OK &&
        (fflush(stdout) != 0 || ferror(stdout))) { /* a key is shown once: it must have been */
        fprintf(stderr, "busbar: the output could not be written\n");
        rc = CLI_FAILED;
    }
    return rc;
}
