/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hub: the API beside the gateway, and what is set up when the data folder is new.
 */
#ifndef BUSBAR_HUB_HUB_H
#define BUSBAR_HUB_HUB_H

#include <stdbool.h>

#include "gateway/gateway.h"
#include "runtime/runtime.h"

struct door;
struct publisher;
struct quota;
struct acceptance_hub;
struct starts;
struct witnesses;
struct clusters_maker;

#define HUB_LOCAL_SITE "local" /* the site of the hub's own machine */

struct recipes;

struct hub {
    struct gateway *gateway;
    struct runtime *runtime;
    const struct engine_specs *engines;
    const char *engine;        /* of models that name none */
    const char *engine_reason; /* why it is not llama-server; "": it is */
    struct recipes *recipes;   /* NULL: there are none, and all is untested */
    const char *data_dir;
    struct publisher *publisher; /* of the transparency log, whose files are in tlog_dir */
    const char *tlog_dir;
    struct witnesses *witnesses; /* of that log; NULL: none is required */
    const char *blobs_dir;       /* a folder of blobs for each tenant (base/blob.h) */
    struct quota *quota;         /* of those */
    const char *specs_dir;       /* what jobs run, by id (site/job_file.h) */
    const char *work_dir;        /* of the local site's engine; NULL: it runs no jobs */
    char listen[64];
    struct starts *starts; /* when jobs will start */
    struct clusters_maker *clusters;
    struct acceptance_hub *acceptance; /* checks of replicas; NULL: there are none */
    uint32_t accept_mode;              /* of these */
    struct door *door;                 /* for sites; NULL: there is none */
    char site_listen[64];              /* where it is */
    int64_t started_ms;
    uint8_t webhook_key[32]; /* WEBHOOK_KEY_LEN */
    bool webhook_private;    /* webhooks may lead to addresses that are not public, and be without TLS */
    uint32_t uid;            /* who may use the unix socket as operator */
};

/* For struct gateway_config. `ctx` is the hub. */
int64_t hub_admit(struct http_request *request, void *ctx);
void hub_handle(struct http_request *request, struct worker *worker, void *ctx);

/* Of models that name none: llama.cpp's server where it is had, in the folders or on PATH, else our own. So a hub that was just made
 * answers in any case. Static texts. `engines` is set. */
void hub_choose_engine(struct hub *hub, const char *self, const char *folders);

/* Reads recipes.yaml of that folder (hub/recipes.h); without one all is untested. ERR_INVALID with words. */
int hub_load_recipes(struct hub *hub, const char *share, struct err *err);
void hub_free_recipes(struct hub *hub);

struct hub_first {
    bool made;      /* the data folder was new */
    char key[80];   /* of tenant `default`, shown once */
    char admin[80]; /* operator key */
};
/* On a new data folder: the site, tenant `default` with a budget and its keys, the model `stories` deployed. Before the
 * gateway starts; blocks until it is durable. `model_path` NULL: no model. */
int hub_first_start(struct hub *hub, const char *model_path, struct hub_first *out, struct err *err);

/* Once in the life of a data folder: gives the books what they lack of older data. After hub_first_start, as that. */
int hub_books_open(struct hub *hub, struct err *err);

#define HUB_SETTLE_MAX 20
/* Before the gateway starts: runs the query, then posts the events that it left, up to HUB_SETTLE_MAX, as one, and waits
 * until they are durable. */
int hub_settle(struct hub *hub, query_fn *fn, void *ctx, const struct event *events, const uint32_t *n);

/* Whether replicas are checked before they take requests, enum accept_mode. Before anything is deployed; blocks. */
int hub_accept_mode(struct hub *hub, uint32_t mode, struct err *err);
/* Checks them (hub/acceptance.h), as that mode says. Stopped before the runtime is. */
int hub_accept_start(struct hub *hub, const char *self, const char *share, uint64_t every_s, struct err *err);
void hub_accept_stop(struct hub *hub);

/* This machine as a pool of the local site: one node. */
struct hub_pool {
    char chip[CHIP_CAP];
    uint32_t chips;
    uint32_t watts; /* of a chip */
    uint32_t memory_mib;
    struct uuid id, site; /* found; the pool, or made */
};
/* Sees that the core has that pool. A pool of another size, from before the machine changed, is told to be lost: its jobs are
 * placed again. Before the gateway starts; blocks. */
int hub_local_pool(struct hub *hub, struct hub_pool *pool, struct err *err);

/* Removes files of jobs that were never recorded. Before the gateway starts. */
int hub_sweep_jobs(struct hub *hub, struct err *err);

/* Fills the events that add a model file: model, variant and, if `price` is set, its price. Reads the file's header. */
struct model_source {
    char name[NAME_CAP];
    char path[PATH_CAP];     /* file to describe; empty for an engine at a URL */
    char location[PATH_CAP]; /* as stored: relative to the data folder, or the engine's URL */
    char engine[NAME_CAP];
    char origin[PATH_CAP];
    char licence[NAME_CAP];
    uint32_t kind;    /* 0: as the file says */
    uint32_t context; /* 0: as the file says */
    uint8_t digest[DIGEST_BYTES];
    struct price price;
    bool priced;
};
int hub_model_events(const struct model_source *source, struct event events[3], struct err *err);

#endif
