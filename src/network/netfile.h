/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network as files: chips, sites, pools, corridors, and what changes when; turned into events for core.
 *
 * A file may stand on another (`base`), which it changes: docs/network.md has the format. Everything is checked at
 * loading, and every mistake is told at once; what is loaded does not change and is owned by the netfile, on the heap.
 * Ids are made from names (net_uuid), so the same file gives the same events in every process. Money is USD. Bounds:
 * the constants below. Files are read through a function, so that a test or a fuzzer needs none.
 */
#ifndef BUSBAR_NETWORK_NETFILE_H
#define BUSBAR_NETWORK_NETFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/schema.h"
#include "network/figure.h"
#include "network/problems.h"

#define NET_CHIPS_MAX 256u
#define NET_SITES_MAX 256u
#define NET_POOLS_MAX 2048u
#define NET_SITE_POOLS_MAX 64u
#define NET_CORRIDORS_MAX 2048u
#define NET_CHANGES_MAX 1024u
#define NET_DATED_MAX 100000u
#define NET_GOALS_MAX 64u
#define NET_BASES_MAX 4u /* files under a file */
#define NET_NODE_CHIPS_MAX 16
#define NET_POOL_NODES_MAX 4096 /* core's bound on the nodes of a pool */

#define NET_NONE UINT32_MAX

/* A chip kind. What is not published is not given. */
struct net_chip {
    char name[CHIP_CAP];
    char title[TEXT_CAP];
    char vendor[NAME_CAP];
    char origin[CODE_CAP];
    struct figure fp16_tflops; /* GFLOPS, dense */
    struct figure fp8_tflops, int8_tflops;
    struct figure fp16_share, fp8_share,
        int8_share;               /* of those that products of matrices deliver, thousandths */
    struct figure memory_gib;     /* thousandths */
    struct figure bandwidth_tb_s; /* GB/s */
    struct figure tdp_w;
    struct figure server_share;  /* watts of the chip and its part of the server, beside tdp_w; thousandths */
    struct figure idle_share;    /* watts when idle, beside those at full load; thousandths */
    struct figure tpp, die_mm2;  /* tpp: 16 x fp16_tflops unless given */
    struct figure scale_up;      /* chips of one scale-up network */
    struct figure link_gb_s;     /* of a chip in it, both ways */
    struct figure usd_chip_hour; /* price in this network, nano-units, power not included */
    struct where where;
};

struct net_site {
    char name[NAME_CAP];
    char title[TEXT_CAP];
    char jurisdiction[CODE_CAP];
    char region[NAME_CAP];
    char owner[NAME_CAP];
    struct uuid uuid;
    struct figure lat, lon;           /* millionths of a degree */
    struct figure price_usd_mwh;      /* nano-units for a kWh; means over the year, as all that follow */
    struct figure carbon_g_kwh;       /* mg for a kWh */
    struct figure renewable;          /* thousandths */
    struct figure solar, wind, hydro; /* parts of it, thousandths */
    struct figure pue;                /* thousandths */
    struct figure cap_mw;             /* facility watts; not given: none */
    char signals[PATH_CAP];           /* file with a real series */
    uint32_t pool, pools;             /* its pools at the start, as indices */
    uint32_t chips;                   /* in them */
    uint64_t gflops;
    uint64_t it_watts; /* at full load, before PUE */
    struct where where;
};

struct net_pool {
    char name[NAME_CAP]; /* the chip's unless the file says another */
    char chip_name[CHIP_CAP];
    struct uuid uuid;
    uint32_t site, chip;
    struct figure chips;
    struct figure node_chips;    /* chips of a node */
    struct figure domain;        /* nodes of one scale-up network */
    struct figure usd_chip_hour; /* nano-units */
    uint32_t nodes;
    int64_t from_ms; /* when a change delivers it; INT64_MIN: it is there at the start */
    struct where where;
};

struct net_corridor {
    uint32_t a, b; /* sites */
    struct uuid uuid;
    struct figure gbit_s; /* Mbit/s */
    struct figure rtt_ms; /* microseconds */
    struct figure usd_gb; /* nano-units */
    struct figure kwh_gb; /* millionths of a kWh */
    uint32_t lawful;      /* enum net_lawful: what crosses it where no rule says otherwise */
    struct where where;
};

/* A share of chips that are to come from within: a target for a date. */
struct net_goal {
    char jurisdiction[CODE_CAP]; /* "": of the whole network */
    struct figure target;        /* thousandths */
    int64_t by_ms;
    bool by_gflops; /* counted by throughput, not by chips */
    struct where where;
};

enum net_lawful { LAWFUL_ALLOW = 1, LAWFUL_DENY = 2 };

struct netfile;

/* 0, or ERR_INVALID (see `problems`), ERR_NOT_FOUND, ERR_IO when `path` itself cannot be read, ERR_NO_MEMORY. */
int netfile_load(struct netfile **out, const char *path, struct problems *problems);
/* Appends the file to `out`; 0 or ERR_* with words. */
typedef int netfile_read_fn(void *ctx, const char *path, struct buf *out, struct err *err);
int netfile_load_with(struct netfile **out, const char *path, netfile_read_fn *read, void *ctx,
                      struct problems *problems);
/* The catalogue of chips alone. */
int netfile_load_chips(struct netfile **out, const char *path, struct problems *problems);
void netfile_free(struct netfile *nf);

const char *netfile_about(const struct netfile *nf);
uint32_t netfile_sites(const struct netfile *nf);
const struct net_site *netfile_site(const struct netfile *nf, uint32_t i);
/* Pools of the start first, those of a site side by side; then those that changes deliver. */
uint32_t netfile_pools(const struct netfile *nf);
const struct net_pool *netfile_pool(const struct netfile *nf, uint32_t i);
uint32_t netfile_corridors(const struct netfile *nf);
const struct net_corridor *netfile_corridor(const struct netfile *nf, uint32_t i);
/* The whole catalogue, also chips that no pool has. */
uint32_t netfile_chips(const struct netfile *nf);
const struct net_chip *netfile_chip(const struct netfile *nf, uint32_t i);

/* The event that adds a chip kind of the catalogue; false: it has none of that name. */
bool netfile_chip_event(const struct netfile *nf, const char *name, struct event *out);

/* Targets of self-supply. */
uint32_t netfile_goals(const struct netfile *nf);
const struct net_goal *netfile_goal(const struct netfile *nf, uint32_t i);
/* Over which time the network is meant to be simulated, Unix ms; false when the file does not say. */
bool netfile_period(const struct netfile *nf, int64_t *from_ms, int64_t *until_ms);

/* How many events set the network up as it was written, and event i of them: every chip kind that a pool has, then sites
 * with cap, signal (in force at at_ms) and pools, then corridors. Dated changes are not in it. */
uint32_t netfile_events(const struct netfile *nf, int64_t at_ms);
void netfile_event(const struct netfile *nf, uint32_t i, int64_t at_ms, struct event *out);
/* What holds at a site from the full hour before at_ms on, changes until then included. */
void netfile_signal(const struct netfile *nf, uint32_t site, int64_t at_ms, struct event_site_signal *out);
/* The dated change at *pos, in order of time, and moves on; begin with *pos = 0. False when there are no more. Those before
 * the time at which a simulation starts are steps of its start. */
bool netfile_dated(const struct netfile *nf, uint32_t *pos, int64_t *at_ms, struct event *out);

/* Watts of one chip of a pool with its part of the server, before PUE. */
uint32_t net_chip_watts(const struct net_chip *chip);
/* Version 8 (RFC 9562): the first 16 bytes of SHA-256 of "busbar/KIND/NAME", version and variant set. */
struct uuid net_uuid(const char *kind, const char *name);

#endif
