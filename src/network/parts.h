/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a netfile: what the files of network/ that read, check and answer share.
 *
 * While files are read, entries carry which fields were given so far and which file named them last; a file on a base
 * changes entries or marks them dropped. net_finish then takes the dropped ones out, so that indices are dense, resolves
 * chips and prices, and orders the changes by time.
 */
#ifndef BUSBAR_NETWORK_PARTS_H
#define BUSBAR_NETWORK_PARTS_H

#include "base/fs.h"
#include "network/netfile.h"
#include "network/profile.h"
#include "network/tree.h"

#define NET_FILES_MAX (NET_BASES_MAX + 2u) /* with the catalogue */
#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

/* How an entry came about. */
struct draft {
    uint32_t given; /* fields, as fields_read returns them */
    uint32_t file;  /* that named it last */
    bool dropped;
};

struct site_entry {
    struct net_site site;
    struct draft draft;
    uint32_t version; /* pools of an older one were replaced */
};

struct pool_entry {
    struct net_pool pool;
    uint32_t version; /* of the site */
    uint32_t order;   /* in which they were read */
};

struct corridor_entry {
    struct net_corridor corridor;
    struct draft draft;
};

struct price_entry {
    char chip[CHIP_CAP];
    struct figure usd_chip_hour;
    struct where where;
    uint32_t file;
};

struct goal_entry {
    struct net_goal goal;
    uint32_t file;
};

/* A change as it is written: one of site, corridor, vendor, and what happens to it. */
struct change {
    int64_t at_ms;
    uint32_t site, corridor; /* NET_NONE: not that */
    char vendor[NAME_CAP];   /* "": not that */
    char jurisdiction[CODE_CAP];
    uint32_t state; /* as in words_state: index + 1 */
    uint32_t pool;  /* NET_NONE: none is delivered */
    struct figure cap_mw, price_usd_mwh, carbon_g_kwh, gbit_s, over_days;
    struct where where;
    uint32_t order;
    bool dropped;
};

/* From then on the means of a site are others. */
struct step {
    int64_t at_ms;
    uint32_t site;
    struct figure price, carbon;
};

/* One event of a change. */
struct dated {
    int64_t at_ms;
    uint32_t kind;   /* enum event_kind */
    uint32_t target; /* site, pool or corridor */
    uint32_t node, state;
    uint64_t value; /* watts, bit/s */
    uint32_t order;
};

struct netfile {
    char about[TEXT_CAP];
    char file[NET_FILES_MAX][FS_PATH_MAX];
    uint32_t nfiles;
    char catalogue[FS_PATH_MAX];
    struct where catalogue_where;
    struct net_chip chip[NET_CHIPS_MAX];
    uint32_t nchips;
    bool chip_used[NET_CHIPS_MAX]; /* by a pool */
    struct price_entry price[NET_CHIPS_MAX];
    uint32_t nprices;
    struct site_entry site[NET_SITES_MAX];
    uint32_t nsites;
    struct pool_entry pool[NET_POOLS_MAX];
    uint32_t npools;
    struct corridor_entry corridor[NET_CORRIDORS_MAX];
    uint32_t ncorridors;
    struct change change[NET_CHANGES_MAX];
    uint32_t nchanges;
    struct goal_entry goal[NET_GOALS_MAX];
    uint32_t ngoals;
    int64_t from_ms, until_ms; /* of `simulate`; 0: not given */
    struct profile *profile[NET_SITES_MAX];
    int64_t price_mean[NET_SITES_MAX], carbon_mean[NET_SITES_MAX]; /* of the profile */
    struct step step[NET_CHANGES_MAX];
    uint32_t nsteps;
    struct dated *dated;
    uint32_t ndated, dated_cap;
    netfile_read_fn *read;
    void *read_ctx;
    bool unread; /* a file that is no YAML or is not there: what would follow from it is not told */
    struct problems *problems; /* only while it is loaded */
};

extern const struct tree_field net_site_fields[], net_pool_fields[], net_corridor_fields[];
extern const uint32_t net_site_nfields, net_pool_nfields, net_corridor_nfields;

/* The file beside `file`; false when the path is too long. */
bool net_path_beside(char dst[FS_PATH_MAX], const char *file, const char *name);
/* Sites by name, of those that are not dropped. */
uint32_t net_find_site(const struct netfile *nf, const char *name);
uint32_t net_find_corridor(const struct netfile *nf, uint32_t a, uint32_t b);
uint32_t net_find_chip(const struct netfile *nf, const char *name);

/* Lists of a file, in this order; each tells its problems. */
void net_read_sites(struct netfile *nf, const struct at *list, uint32_t file);
void net_read_corridors(struct netfile *nf, const struct at *list, uint32_t file);
void net_read_changes(struct netfile *nf, const struct at *list);
void net_read_goals(struct netfile *nf, const struct at *list, uint32_t file);
void net_read_period(struct netfile *nf, const struct at *at);
void net_check_goals(struct netfile *nf);
/* A pool of a site; NET_NONE after a problem that leaves none. */
uint32_t net_read_pool(struct netfile *nf, const struct at *at, uint32_t site, int64_t from_ms);
void net_drop_site(struct netfile *nf, uint32_t site);
void net_drop_corridor(struct netfile *nf, uint32_t corridor);

/* The catalogue's text. */
void net_read_chips(struct netfile *nf, const char *file, const char *text, size_t len);
/* A real series over a site's profile. Sets what it has: bit 0 prices, bit 1 carbon. `profile` NULL: only checks. */
uint32_t net_read_signals(struct problems *problems, const char *file, const char *text, size_t len,
                          struct profile *profile);

/* Checks what can only be checked when all is read, and makes what answers are given from. 0, or ERR_NO_MEMORY; problems
 * apart. */
int net_finish(struct netfile *nf);
int net_date_changes(struct netfile *nf);

#endif
