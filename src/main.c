/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "accept/check.h"
#include "base/timetext.h"
#include "cli/cli.h"
#include "core/kinds.h"
#include "engine/rpc.h"
#include "engine/shim.h"
#include "hub/acceptance.h"
#include "probe/library.h"
#include "ref/server.h"
#include "runtime/signer.h"
#include "tlog/witness.h"
#include "up.h"

#define LISTEN_DEFAULT "127.0.0.1:7070"
#define DRAIN_S_DEFAULT 30
#define LEASE_S_DEFAULT 900 /* of jobs, past the last contact between hub and site */
#define KEEP_JOBS_S_DEFAULT (UINT64_C(30) * 86400)
#define LEASE_S_MIN 4
#define SNAPSHOT_EVERY_MIN 10
#define QUEUE_MAX_DEFAULT 4096
#define ACCEPTANCE_EVERY_S_MAX (UINT64_C(30) * 86400)
#define TENANT_BLOBS_MIB_DEFAULT (1u << 20)

/* Those that were given; returns how many, more than WITNESSES_MAX only by one. */
static unsigned given_witnesses(const struct cli *cli, const char *out[WITNESSES_MAX + 1])
{
    unsigned n = 0;
    for (int i = 0; i < cli->noptions && n <= WITNESSES_MAX; i++) {
        if (strcmp(cli->options[i].name, "witness") == 0)
            out[n++] = cli->options[i].value;
    }
    return n;
}

/* Whether and how often replicas are checked. Non-zero: what is wrong was said. */
static int take_acceptance(const struct cli *cli, struct up_options *options)
{
    const char *mode = cli_option(cli, "acceptance"), *every = cli_option(cli, "acceptance-every");
    for (uint32_t i = ACCEPT_OFF; mode && i < ACCEPT_MODES_END; i++) {
        if (strcmp(mode, accept_mode_text(i)) == 0) {
            options->acceptance = i;
            mode = NULL;
        }
    }
    if (mode) {
        fprintf(stderr, "busbar: --acceptance: require, warn or off\n");
        return -1;
    }
    if (every && (!span_parse(every, strlen(every), &options->acceptance_every_s) ||
                  options->acceptance_every_s == 0 || options->acceptance_every_s > ACCEPTANCE_EVERY_S_MAX)) {
        fprintf(stderr, "busbar: --acceptance-every: expected a time of at most 30d such as 6h, got %s\n",
                every);
        return -1;
    }
    return 0;
}

/* `busbar up`, its options read by the command line's own parser. */
static int run_up(const struct cli *cli)
{
    const char *level = cli_option(cli, "log-level");
    const char *listen = cli_option(cli, "listen");
    struct up_options options = {.data_dir = cli->data,
                                 .listen = listen ? listen : LISTEN_DEFAULT,
                                 .site_listen = cli_option(cli, "site-listen"),
                                 .tls_cert = cli_option(cli, "tls-cert"),
                                 .tls_key = cli_option(cli, "tls-key"),
                                 .engines = cli_option(cli, "engines"),
                                 .model = cli_option(cli, "no-model") ? "" : NULL,
                                 .engine_threads = 1,
                                 .drain_s = DRAIN_S_DEFAULT,
                                 .lease_s = LEASE_S_DEFAULT,
                                 .keep_jobs_s = KEEP_JOBS_S_DEFAULT,
                                 .acceptance = ACCEPT_REQUIRE,
                                 .acceptance_every_s = ACCEPTANCE_EVERY_S,
                                 .queue_max = QUEUE_MAX_DEFAULT,
                                 .tenant_blobs_mib = TENANT_BLOBS_MIB_DEFAULT,
                                 .webhook_private = cli_option(cli, "webhook-private") != NULL,
                                 .detach = cli_option(cli, "detach") != NULL,
                                 .log_json = cli_option(cli, "log-json") != NULL,
                                 .log_level = 1};
    const struct {
        const char *name;
        uint32_t *value;
    } counts[] = {{"workers", &options.workers},
                  {"engine-threads", &options.engine_threads},
                  {"drain", &options.drain_s},
                  {"lease", &options.lease_s},
                  {"queue", &options.queue_max},
                  {"tenant-blobs", &options.tenant_blobs_mib},
                  {"snapshot-every", &options.snapshot_every}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (cli_count(cli, counts[i].name, counts[i].value) != 0)
            return CLI_USAGE;
    }
    if (options.lease_s < LEASE_S_MIN) {
        fprintf(stderr, "busbar: --lease: at least %d seconds\n", LEASE_S_MIN);
        return CLI_USAGE;
    }
    if (options.snapshot_every > 0 && options.snapshot_every < SNAPSHOT_EVERY_MIN) {
        fprintf(
            stderr,
            "busbar: --snapshot-every: at least %d events, since a digest makes events too; 0 is as usual\n",
            SNAPSHOT_EVERY_MIN);
        return CLI_USAGE;
    }
    const char *kept = cli_option(cli, "keep-jobs");
    if (kept && !span_parse(kept, strlen(kept), &options.keep_jobs_s)) {
        fprintf(stderr, "busbar: --keep-jobs: expected a time such as 12h, 30d or 8w, got %s\n", kept);
        return CLI_USAGE;
    }
    if (level && cli_log_level(level, &options.log_level) != 0) {
        fprintf(stderr, "busbar: --log-level: debug, info, warn or error\n");
        return CLI_USAGE;
    }
    if (take_acceptance(cli, &options) != 0)
        return CLI_USAGE;
    const char *witnesses[WITNESSES_MAX + 1];
    options.nwitnesses = given_witnesses(cli, witnesses);
    options.witnesses = witnesses;
    return cli_option(cli, "check") ? up_check(&options) : up_run(&options);
}

int main(int argc, char **argv)
{
    /* What we start of our own: no verbs of the command line. */
    static const struct {
        const char *name;
        int (*main)(int argc, char **argv);
    } own[] = {{"shim", shim_main},
               {"engine-ref", ref_main},
               {"accept-check", accept_main},
               {"signer", signer_main},
               {"probe-library", probe_library_main},
               {"rpc-worker", rpc_worker_main},
               {"rpc-head", rpc_head_main}};
    for (size_t i = 0; argc > 1 && i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(argv[1], own[i].name) == 0)
            return own[i].main(argc - 1, argv + 1);
    }
    return cli_main(argc, argv, run_up);
}
