/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits on everything that core holds. Past a limit the caller gets ERR_LIMIT, never a wrong answer.
 *
 * `struct limits` sizes one core; the caller picks it and must keep it for the life of the data, or raise it.
 * The constants bound single objects and are part of the stored formats.
 */
#ifndef BUSBAR_CORE_LIMITS_H
#define BUSBAR_CORE_LIMITS_H

#include <stdint.h>

#define NAME_CAP 64       /* a name and its NUL */
#define TEXT_CAP 128      /* a short text */
#define PATH_CAP 512      /* a path, a URL */
#define CHIP_CAP 32       /* the name of a chip kind */
#define CODE_CAP 16       /* a jurisdiction, a country */
#define KEY_MODELS_MAX 16 /* models that one key may be limited to */
#define REPLICAS_PER_DEPLOYMENT_MAX 64
#define SLOTS_MAX 1024
#define CLUSTER_MEMBERS_MAX 16 /* of one; their parts are in its row */
#define CLUSTER_KINDS_MAX 4
#define NODE_CHIPS_MAX 16
#define CONTEXT_MAX (16u << 20)
#define TOKENS_PER_METER_MAX (1u << 30)
#define MONEY_MAX INT64_C(1000000000000000000) /* 1e9 units of a currency, in nano-units */
#define PRICE_MAX INT64_C(1000000000000000)    /* nano-units for a million tokens: 1e6 units */
#define HOLD_WAIT_MS 5000                      /* design.md section 6 */
#define SITE_HOMES_MAX 16384      /* jobs whose data's home one change of a site's facts writes down */
#define BATCH_EVENTS_MAX 1024     /* events between two core_collect */
#define RULES_PART_CAP 512        /* a part of the text of a set of rules, and its NUL */
#define CITE_CAP 256              /* where a rule comes from, as files of rules have it */
#define RULES_PARTS_MAX 320       /* of a set: for RULES_TEXT_MAX bytes, cut between characters */
#define SERVICE_REPLICAS_MAX 2048 /* of one service */
/* Tokens of output a second that one slot is taken to yield before anything was measured (docs/serving.md). */
#define SLOT_TOKENS_S 20
/* A token of a prompt counts as one of output over this: docs/serving.md has 8000 a second of the one, 1500 of the other. */
#define PROMPT_WEIGHT 5
/* Keys that a site's energy for one variant is shared between at a time; what others' would be falls to nobody. */
#define ENERGY_KEYS_MAX 256
#define ENERGY_WEIGHTS_MAX 4096 /* of all sites, variants and keys */
#define ENERGY_OVER_MAX 256     /* replicas that are over, and whose last figures may still come */
#define SERVICE_TOKENS_MAX UINT64_C(1000000000000) /* a second, at one place of origin */
#define SERVICE_MS_MAX (INT64_C(30) * 86400000)
#define GATEWAYS_MAX 64
#define SITE_TOKEN_MS_MAX (INT64_C(24) * 3600000) /* that a token to join lives */
#define UNIT_ALARMS_MAX 8192                  /* of single chips at two sites, those that were resolved too */
#define RECALLS_MAX 1024                      /* of weights, those that were lifted too */
#define POOL_PRICES_MAX 2048                  /* of all pools and corridors, that are not in force yet */
#define TARIFF_PARTS_MAX 1000u                /* prices of one tariff */
#define TERMS_MAX 1024u                       /* of all tenants, in force or to come */
#define PRICE_KEPT_MS (INT64_C(24) * 3600000) /* that a price stays known when another is in force */
#define PAYMENTS_KEPT 2048     /* the newest, whose ids core knows by itself; more than events of a batch */
#define PARTIES_MAX 1024       /* owners, sponsors and other networks */
#define OWNERS_MAX 8           /* of one site */
#define GRANTS_MAX 4096        /* that are not over */
#define PROJECTS_MAX 4096      /* of all tenants, those that were removed too */
#define BUDGETS_MAX 16384      /* of all owners, beside wallets and limits of keys */
#define NOTICES_MAX 4096       /* that are to be delivered */
#define JOB_RETURNS_MAX 20     /* of one job by its sites: with the last of them it is over */
#define JOB_AFTERS_MAX 4       /* that one job or array comes after */
#define JOB_FOLLOWERS_MAX 1024 /* that come after one */
#define JOB_PRIORITY_MAX 100
#define ARRAY_TASKS_MAX 65535
#define ARRAY_EVENT_TASKS_MAX 256             /* that one event brings */
#define PLAN_PARTS_MAX 4096                   /* classes and rents of a plan */
#define DATA_BYTES_MAX (UINT64_C(1) << 50)    /* that come for a job, and go */
#define CORRIDOR_RTT_MAX 60000000u            /* microseconds: a minute */
#define CORRIDOR_BITS_MAX (UINT64_C(1) << 50) /* a petabit a second */
#define CORRIDOR_WH_MAX \
    UINT64_C(1000000000) /* for a GB: what others of these are multiplied with stays within 128 bits */
#define PLAN_NANO_MAX INT64_C(10000000000000) /* a threshold or rent, either sign: 1e4 units of a currency */

/* How long before and after it is booked something can have been used: core/event_time.c. */
#define USED_BEFORE_MS_MAX (INT64_C(35) * 86400000)
#define USED_AHEAD_MS_MAX (INT64_C(5) * 60000)

struct limits {
    uint32_t sites;
    uint32_t tenants;
    uint32_t keys;
    uint32_t models;
    uint32_t prices;
    uint32_t deployments;
    uint32_t replicas;
    uint32_t leases;
    uint32_t workers;
    uint32_t waiters;
    uint32_t chips; /* kinds */
    uint32_t pools;
    uint32_t nodes;
    uint32_t corridors;
    uint32_t jobs;   /* waiting and running */
    uint32_t shares; /* chips of one node for one job */
    uint32_t shapes; /* different requests at a time */
    uint32_t arrays; /* of jobs, not over */
    uint32_t afters; /* of jobs and arrays that are not over: what they come after */
    uint32_t services;
    uint32_t demands;          /* services x places where requests come from */
    uint32_t service_replicas; /* of all services; each is a job too */
    uint32_t units;            /* single chips in the register, those that are gone too */
    uint32_t meters;           /* epochs of jobs that are over and whose last figures may still come */
};

/* What `busbar up` and `busbar hub` use. */
struct limits limits_default(void);

_Static_assert(BATCH_EVENTS_MAX <= 1u << 16, "usage cells are indexed by 16 bits of batch position");

#endif
