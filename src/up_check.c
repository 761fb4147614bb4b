/* SPDX-License-Identifier: Apache-2.0 */
/* `busbar up --check`: what would hold, as a hub.yaml, once all of it was seen that can be seen without running. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/kinds.h"
#include "engine/spec.h"
#include "hub/witnesses.h"
#include "net/http_server.h"
#include "net/tls.h"
#include "up.h"

static int check_address(const char *option, const char *text, struct err *err)
{
    char host[HTTP_HOST_CAP];
    uint16_t port;
    return !text || http_address_parse(text, host, &port)
               ? 0
               : err_set(err, ERR_INVALID, "--%s: expected HOST:PORT, got %s", option, text);
}

static int check_files(const struct up_options *o, struct err *err)
{
    struct engine_specs *engines = NULL;
    struct tls_context *tls = NULL;
    struct witnesses *witnesses = NULL;
    int rc = o->engines ? engine_specs_load(&engines, o->engines, err) : 0;
    if (engines)
        engine_specs_free(engines);
    if (rc == 0 && !o->tls_cert != !o->tls_key)
        rc = err_set(err, ERR_INVALID, "--tls-cert and --tls-key go together");
    if (rc == 0 && o->tls_cert)
        rc = tls_server_new(&tls, o->tls_cert, o->tls_key, err);
    tls_context_free(tls);
    if (rc == 0 && o->nwitnesses > 0)
        rc = witnesses_new(&witnesses, o->data_dir, o->witnesses, o->nwitnesses, err);
    witnesses_free(witnesses);
    return rc;
}

/* In quotes, in which only they themselves mean something. */
static void print_quoted(const char *value, size_t len)
{
    putchar('\'');
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '\'')
            putchar('\'');
        putchar(value[i]);
    }
    printf("'\n");
}

static void print_text(const char *name, const char *value)
{
    if (!value)
        return;
    printf("%s: ", name);
    print_quoted(value, strlen(value));
}

/* VKEY=URL, of the form that was seen. */
static void print_witness(const char *given, bool first)
{
    const char *id = strchr(strchr(given, '+') + 1, '+'), *equal = strchr(id, '=');
    printf("%s  - vkey: ", first ? "witnesses:\n" : "");
    print_quoted(given, (size_t)(equal - given));
    printf("    url: ");
    print_quoted(equal + 1, strlen(equal + 1));
}

static void print_flag(const char *name, bool value)
{
    if (value)
        printf("%s: yes\n", name);
}

static void print_options(const struct up_options *o)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const struct {
        const char *name;
        unsigned long long value;
        bool zero_is_chosen; /* 0 is left to us; of the others it is a value like any */
    } counts[] = {{"workers", o->workers, true},
                  {"engine-threads", o->engine_threads, true},
                  {"drain", o->drain_s, false},
                  {"lease", o->lease_s, false},
                  {"queue", o->queue_max, false},
                  {"tenant-blobs", o->tenant_blobs_mib, false},
                  {"snapshot-every", o->snapshot_every, true}};
    print_text("data", o->data_dir);
    print_text("listen", o->listen);
    print_text("site-listen", o->site_listen);
    print_text("tls-cert", o->tls_cert);
    print_text("tls-key", o->tls_key);
    print_text("engines", o->engines);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i].value > 0 || !counts[i].zero_is_chosen)
            printf("%s: %llu\n", counts[i].name, counts[i].value);
    }
    printf("keep-jobs: %llus\n", (unsigned long long)o->keep_jobs_s);
    print_text("acceptance", accept_mode_text(o->acceptance));
    printf("acceptance-every: %llus\n", (unsigned long long)o->acceptance_every_s);
    print_flag("detach", o->detach);
    print_flag("webhook-private", o->webhook_private);
    print_flag("no-model", o->model != NULL);
    print_flag("log-json", o->log_json);
    print_text("log-level", levels[o->log_level]);
    for (unsigned i = 0; i < o->nwitnesses; i++)
        print_witness(o->witnesses[i], i == 0);
}

int up_check(const struct up_options *options)
{
    struct err err = {0};
    int rc = check_address("listen", options->listen, &err);
    if (rc == 0)
        rc = check_address("site-listen", options->site_listen, &err);
    if (rc == 0)
        rc = check_files(options, &err);
    if (rc != 0) {
        fprintf(stderr, "busbar: %s\n", err.msg);
        return CLI_FAILED;
    }
    print_options(options);
    return CLI_OK;
}
