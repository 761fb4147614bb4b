/* SPDX-License-Identifier: Apache-2.0 */
/* The role `busbar up`: hub and local site in one process. Wiring only. */
#ifndef BUSBAR_UP_H
#define BUSBAR_UP_H

#include <stdbool.h>
#include <stdint.h>

struct up_options {
    const char *data_dir;
    const char *listen;      /* HOST:PORT */
    const char *site_listen; /* the same for sites; NULL: for none */
    const char *tls_cert, *tls_key;
    const char *engines;          /* file; NULL: the bundled one */
    const char *const *witnesses; /* of our log, VKEY=URL each */
    unsigned nwitnesses;
    const char *model; /* of the first start; NULL: the bundled one; "": none */
    uint32_t workers;  /* 0: one a core, at most four */
    uint32_t engine_threads;
    uint32_t drain_s;
    uint32_t acceptance;         /* enum accept_mode */
    uint64_t acceptance_every_s; /* between checks of one replica */
    uint32_t lease_s;            /* how long jobs outlive us, or a site's last contact with us */
    uint64_t keep_jobs_s;        /* how long what is over is kept */
    uint32_t queue_max;
    uint32_t snapshot_every;   /* events between two digests of the state; 0: as usual */
    uint32_t tenant_blobs_mib; /* of blobs that a tenant may have at the hub */
    bool webhook_private;      /* webhooks may lead to addresses that are not public */
    bool detach;
    bool log_json;
    int log_level;
};

/* Both return the exit status. The second only looks, and prints what would hold (up_check.c). */
int up_check(const struct up_options *options);
int up_run(const struct up_options *options);

#endif
