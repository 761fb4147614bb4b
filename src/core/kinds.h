/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small vocabularies that events, rows and the API share. Numbers are stored: never reuse one.
 */
#ifndef BUSBAR_CORE_KINDS_H
#define BUSBAR_CORE_KINDS_H

#include <stdbool.h>
#include <stdint.h>

/* What a key may do. */
/* clang-format off */
#define SCOPES(S) \
    S(INFERENCE, 1u, "inference") /* call models */ \
    S(ADMIN, 2u, "admin")         /* manage keys of its own tenant, read its usage */ \
    S(OPERATOR, 4u, "operator")   /* everything, for every tenant */ \
    S(JOBS, 8u, "jobs")           /* run programs at sites, see and stop its tenant's jobs */ \
    S(OVERSEER, 16u, "overseer")  /* read the network's report, recalls and log; it goes with no other */
/* clang-format on */

enum scope {
#define S(name, bit, text) SCOPE_##name = (bit),
    SCOPES(S)
#undef S
};

/* What is counted by day and reason. */
enum tally {
    TALLY_JOB_EVICTED = 1,
    TALLY_REPLICA_EVICTED = 2,
    TALLY_METER_REFUSED = 3,
    TALLY_JOB_METER_REFUSED = 4
};

/* Work that rules denied something: requests of models are answered by gateways, so core does not see them. How: it had no place left when
 * it came, or fewer; or it was stopped where it ran. */
#define DENIED_WORKS(D) D(JOB, 1, "job") D(REPLICA, 2, "replica")
#define DENIED_HOWS(D) D(EVERYWHERE, 1, "everywhere") D(SOMEWHERE, 2, "somewhere") D(STOPPED, 3, "stopped")
enum denied_work {
#define D(name, number, text) DENIED_##name = (number),
    DENIED_WORKS(D)
#undef D
};
enum denied_how {
#define D(name, number, text) DENIED_##name = (number),
    DENIED_HOWS(D)
#undef D
};

#define KIND_TEXT_CAP 32
#define MODEL_KINDS(M) M(CHAT, 1, "chat") M(EMBEDDING, 2, "embedding") M(RERANK, 3, "rerank")

enum model_kind {
#define M(name, number, text) MODEL_##name = (number),
    MODEL_KINDS(M)
#undef M
};

/* clang-format off */
#define REPLICA_STATES(R) \
    R(WANTED, 1, "wanted")     /* decided, the engine has not begun */ \
    R(STARTING, 2, "starting") /* process started, model loading */ \
    R(READY, 3, "ready")       /* healthy, takes requests */ \
    R(BACKOFF, 4, "backoff")   /* failed, waits to start again */ \
    R(DRAINING, 5, "draining") /* takes no new requests, finishes what runs */ \
    R(STOPPED, 6, "stopped")   /* gone; the last state */
/* clang-format on */

enum replica_state {
#define R(name, number, text) REPLICA_##name = (number),
    REPLICA_STATES(R)
#undef R
};

/* Whether replicas are checked before they take requests, and whether they take any (core/accept.h). */
/* clang-format off */
#define ACCEPT_MODES(A) A(OFF, 1, "off") A(WARN, 2, "warn") A(REQUIRE, 3, "require")
#define ACCEPT_VERDICTS(A) \
    A(OPEN, 0, "open")           /* nobody asks for a check first */ \
    A(WAITING, 1, "waiting")     /* to be checked before it takes requests */ \
    A(PASSED, 2, "passed") \
    A(FAILED, 3, "failed")       /* takes no requests */ \
    A(UNCHECKED, 4, "unchecked") /* it cannot be checked, and takes requests */
/* clang-format on */
#define A(name, number, text) ACCEPT_##name = (number),
enum accept_mode { ACCEPT_MODES(A) ACCEPT_MODES_END };
enum accept_verdict { ACCEPT_VERDICTS(A) ACCEPT_VERDICTS_END };
#undef A

/* clang-format off */
/* What a replica is for. Of a cluster (core/clusters.h) only the head takes requests. */
#define REPLICA_ROLES(R) \
    R(ALL, 0, "all")       /* the whole model */ \
    R(WORKER, 1, "worker") /* holds layers for a head */ \
    R(HEAD, 2, "head")     /* takes requests, and has its workers compute */
/* clang-format on */

enum replica_role {
#define R(name, number, text) REPLICA_##name = (number),
    REPLICA_ROLES(R)
#undef R
};

#define CLUSTER_HEAD 0 /* the head's ordinal; its workers have those from 1 on */

/* clang-format off */
#define CLUSTER_FLAGS(C) C(CORRIDORS, 1u, "corridors") /* members may be at different sites */
/* clang-format on */

enum cluster_flag {
#define C(name, bit, text) CLUSTER_##name = (bit),
    CLUSTER_FLAGS(C)
#undef C
};

/* clang-format off */
#define METER_FLAGS(M) \
    M(START, 1u, "start")         /* first record of a stream */ \
    M(FINAL, 2u, "final")         /* the request is over; exactly one a request */ \
    M(ESTIMATED, 4u, "estimated") /* counted from chunks or bounds, not by the engine */ \
    M(ABORTED, 8u, "aborted")     /* the client went away */ \
    M(CUT, 16u, "cut")            /* ended early by the gateway or the engine */
/* clang-format on */

enum meter_flag {
#define M(name, bit, text) METER_##name = (bit),
    METER_FLAGS(M)
#undef M
};

/* clang-format off */
/* Whose a budget is, from the widest to the narrowest. */
#define BUDGET_SCOPES(B) B(TENANT, 1, "tenant") B(PROJECT, 2, "project") B(KEY, 3, "key")
/* Periods are UTC's: weeks begin on Monday. */
#define BUDGET_PERIODS(B) B(EVER, 0, "ever") B(DAY, 1, "day") B(WEEK, 2, "week") B(MONTH, 3, "month")
#define NOTICE_KINDS(N) \
    N(BUDGET, 1, "budget.threshold") \
    N(COMPUTE, 2, "compute.alarm") \
    N(TEST, 3, "webhook.test") \
    N(CHIP, 4, "chip.alarm")
#define NOTICE_STATES(N) N(PENDING, 1, "pending") N(DELIVERED, 2, "delivered") N(GIVEN_UP, 3, "given up")
/* clang-format on */

#define B(name, number, text) BUDGET_##name = (number),
enum budget_scope { BUDGET_SCOPES(B) BUDGET_SCOPES_END };
enum budget_period { BUDGET_PERIODS(B) BUDGET_PERIODS_END };
#undef B
#define N(name, number, text) NOTICE_##name = (number),
enum notice_kind { NOTICE_KINDS(N) NOTICE_KINDS_END };
enum notice_state { NOTICE_STATES(N) NOTICE_STATES_END };
#undef N
/* What a lease_ask that is refused with ERR_BUDGET_SPENT is told as its amount: which budget, and until when; until_ms 0: it
 * does not begin anew. */
static inline int64_t budget_refusal(uint32_t scope, uint32_t per, int64_t until_ms)
{
    return until_ms * 16 + per * 4 + scope;
}
static inline uint32_t budget_refusal_scope(int64_t refusal)
{
    return (uint32_t)refusal & 3;
}
static inline uint32_t budget_refusal_per(int64_t refusal)
{
    return (uint32_t)refusal >> 2 & 3;
}
static inline int64_t budget_refusal_until_ms(int64_t refusal)
{
    return refusal / 16;
}

/* clang-format off */
#define PLACE_STATES(P) \
    P(UP, 1, "up") \
    P(CORDONED, 2, "cordoned") /* keeps what runs, gets no more */ \
    P(LOST, 3, "lost")         /* what ran there is over */ \
    P(DRAINING, 4, "draining") /* a site only: as cordoned, and what is interruptible is stopped and waits for another place */

/* Which of the waiting jobs is next; of equals the one that was submitted first. */
#define DISPATCH_ORDERS(O) \
    O(FIFO, 1, "fifo") \
    O(SJF, 2, "sjf")   /* least duration */ \
    O(SIZE, 3, "size") /* least chip-seconds, aged by waiting, inside a fair share between tenants */
#define DISPATCH_FITS(O) \
    O(STRICT, 1, "strict")     /* nobody passes a job that waits for the same pools */ \
    O(BACKFILL, 2, "backfill") /* who does not delay the reservation of the job that waits may pass it */
/* Where the rest of a gang goes that does not fill its last node. */
#define DISPATCH_PACKS(O) \
    O(BEST_FIT, 1, "best-fit") /* the node with the least free chips that are enough */ \
    O(EMPTIEST, 2, "emptiest") /* the node with the most free chips */

/* Whether interruptible work is stopped for other work that fits nowhere. */
#define DISPATCH_PREEMPTS(O) \
    O(NONE, 0, "none") \
    O(FIRM, 1, "firm")       /* for firm work */ \
    O(SHORTER, 2, "shorter") /* and for work that is over sooner, where that gains more than it costs */
/* What is done about losses that running firm work would not survive (core/contingency.h). */
#define DISPATCH_RESERVES(O) \
    O(TELL, 0, "tell") /* an alarm */ \
    O(KEEP, 1, "keep") /* and chips are kept free of firm work */ \
    O(OFF, 2, "off")   /* nothing */

#define JOB_FLAGS(J) \
    J(INTERRUPTIBLE, 1u, "interruptible") /* may be stopped for firm work, and goes on later */ \
    J(ONE_DOMAIN, 2u, "one-domain")       /* all nodes of one scale-up domain */ \
    J(FINISH, 4u, "finish")               /* runs to its end at a site that is out of touch */ \
    J(REPLICA, 256u, "replica")           /* of a service: core's own work, without an end */
/* How far a job is kept from the rest of its machine. Ordered: a job that demands one is content with a later one. */
#define ISOLATIONS(I) \
    I(NONE, 0, "none")           /* an ordinary process */ \
    I(PROCESS, 1, "process")     /* own session, limits on resources, no new privileges */ \
    I(NAMESPACE, 2, "namespace") /* bubblewrap: own users, processes, IPC, host name, network and root */ \
    I(CGROUP, 3, "cgroup")       /* and memory, processes and CPU held by the kernel as one */
#define JOB_KINDS(J) \
    J(BATCH, 0, "batch") \
    J(TRAINING, 1, "training") \
    J(INFERENCE, 2, "inference")
#define JOB_STATES(J) \
    J(QUEUED, 1, "queued") \
    J(RUNNING, 2, "running") \
    J(ENDED, 3, "ended") \
    J(CANCELLED, 4, "cancelled") \
    J(UNMET, 5, "unmet") /* what it was to come after ended otherwise */

/* When a job may start that comes after another, or after all tasks of an array. */
#define JOB_AFTER_KINDS(A) \
    A(OK, 0, "afterok")         /* that ended well */ \
    A(ANY, 1, "afterany")       /* that is over */ \
    A(NOT_OK, 2, "afternotok")  /* that is over, and did not end well; of an array: not all of it did */
/* How a job came to its end: the upper part of a job's code. The lower eight bits are the status with which its program exited, or
 * the number of the signal. So 0 is a program that exited with 0, and anything else is no success. */
#define JOB_ENDINGS(E) \
    E(EXITED, 0, "exited", "it exited with status %u") \
    E(SIGNALLED, 1, "signalled", "it was ended by signal %u") \
    E(OOM, 2, "oom", "it used more memory than its limit") \
    E(TIMED_OUT, 3, "timed-out", "it reached its time limit") \
    E(LEASE_OVER, 4, "lease-over", "its lease ended before it was renewed") \
    E(NOT_STARTED, 5, "not-started", "it could not be started") \
    E(STOPPED, 6, "stopped", "the site's engine or its machine stopped it") \
    E(LOST, 7, "lost", "its node or what watched it there was lost") \
    E(BUDGET, 8, "budget", "its tenant's budget is spent")
#define CORRIDOR_FLAGS(C) \
    C(ASSUMED, 1u, "assumed") /* nobody said how much it carries: what is measured counts, whatever it is */
/* Of a report of what an epoch used. */
#define JOB_METER_FLAGS(M) \
    M(ESTIMATED, 1u, "estimated") /* its energy, from what its chips are rated at */ \
    M(TRUNCATED, 2u, "truncated") /* what watched it was lost: it may have used more */ \
    M(FINAL, 4u, "final")         /* no more comes, but for its data */ \
    M(DATA_DUE, 8u, "data-due")   /* what its data moved is told by a report of its own */ \
    M(DATA_TOLD, 16u, "data-told") /* it has been */
/* The account of an epoch. */
#define JOB_USAGE_STATES(U) \
    U(RUNS, 1, "runs") \
    U(OVER, 2, "over")     /* the epoch is, and its last figures may still come */ \
    U(CLOSED, 3, "closed") /* nothing is added any more */

/* Work that a grant may be for; of jobs by what they say that they are. */
#define GRANT_KINDS(G) \
    G(REQUESTS, 1u, "requests") \
    G(BATCH, 2u, "batch") \
    G(TRAINING, 4u, "training") \
    G(INFERENCE, 8u, "inference")
/* What is counted beside money; U(NAME, number, field, unit in words). */
#define USAGE_UNITS(U) \
    U(PROMPT, 1, prompt, "prompt tokens") \
    U(CACHED, 2, cached, "cached tokens") \
    U(COMPLETION, 3, completion, "completion tokens") \
    U(REASONING, 4, reasoning, "reasoning tokens") \
    U(CHIP_MS, 5, chip_ms, "chip-ms") \
    U(ENERGY, 6, energy_mj, "mJ") \
    U(CARBON, 7, carbon_ng, "ng CO2e") \
    U(BYTES, 8, bytes, "bytes")
/* A tenant used it; supplied were tokens, energy and carbon by a site, chips by a pool, bytes by a corridor. */
#define USAGE_SIDES(U) \
    U(USED, 1, "used") \
    U(SUPPLIED, 2, "supplied") \
    U(OPENING, 3, "opening") /* of the network: what lines came to before there were these accounts */ \
    U(IDLE, 4, "idle") /* of a site: what its replicas drew while nobody asked them anything */

/* A single chip, core/registry.h. */
#define UNIT_STATES(U) \
    U(PRESENT, 1, "present") \
    U(FAILED, 2, "failed") /* it is there, and its maker's tool or driver says that it does not work */ \
    U(ABSENT, 3, "absent")
#define UNIT_HEALTHS(U) U(UNKNOWN, 0, "unknown") U(OK, 1, "ok") U(WARNING, 2, "warning") U(BROKEN, 3, "failed")
#define UNIT_PASTS(U) \
    U(CAME, 1, "came") \
    U(RETURNED, 2, "returned") /* to the site that it was last at */ \
    U(WENT, 3, "went") \
    U(MOVED, 4, "moved") \
    U(FAILED, 5, "failed") \
    U(MENDED, 6, "mended") \
    U(ALARM, 7, "alarm") /* it was seen at two places */ \
    U(CLEARED, 8, "alarm-over") \
    U(RESOLVED, 9, "resolved") \
    U(LICENCE, 10, "licence") \
    U(ORIGIN, 11, "origin")

/* How a job ended. */
#define JOB_OUTCOMES(O) \
    O(OPEN, 0, "open") \
    O(OK, 1, "ok")   /* with code 0; an array: all its tasks did */ \
    O(BAD, 2, "bad") /* in any other way */
/* clang-format on */

enum place_state {
#define P(name, number, text) PLACE_##name = (number),
    PLACE_STATES(P)
#undef P
};
enum dispatch_order {
#define O(name, number, text) ORDER_##name = (number),
    DISPATCH_ORDERS(O)
#undef O
};
enum dispatch_fit {
#define O(name, number, text) FIT_##name = (number),
    DISPATCH_FITS(O)
#undef O
};
enum dispatch_pack {
#define O(name, number, text) PACK_##name = (number),
    DISPATCH_PACKS(O)
#undef O
};
enum dispatch_preempt {
#define O(name, number, text) PREEMPT_##name = (number),
    DISPATCH_PREEMPTS(O)
#undef O
};
enum dispatch_reserve {
#define O(name, number, text) RESERVE_##name = (number),
    DISPATCH_RESERVES(O)
#undef O
};
enum job_flag {
#define J(name, bit, text) JOB_##name = (bit),
    JOB_FLAGS(J)
#undef J
};
/* Bits of a job's flags that hold the isolation that it demands. */
#define JOB_ISOLATION_SHIFT 16
#define JOB_ISOLATION_MASK (3u << JOB_ISOLATION_SHIFT)
enum isolation {
#define I(name, number, text) ISOLATION_##name = (number),
    ISOLATIONS(I)
#undef I
};
enum job_kind {
#define J(name, number, text) JOB_KIND_##name = (number),
    JOB_KINDS(J)
#undef J
};
enum job_state {
#define J(name, number, text) JOB_##name = (number),
    JOB_STATES(J)
#undef J
};
enum job_ending {
#define E(name, number, word, sentence) ENDING_##name = (number),
    JOB_ENDINGS(E)
#undef E
};
#define JOB_CODE_BITS 8
enum corridor_flag {
#define C(name, bit, text) CORRIDOR_##name = (bit),
    CORRIDOR_FLAGS(C)
#undef C
};
enum job_meter_flag {
#define M(name, bit, text) JOB_METER_##name = (bit),
    JOB_METER_FLAGS(M)
#undef M
};
enum job_usage_state {
#define U(name, number, text) JOB_USAGE_##name = (number),
    JOB_USAGE_STATES(U)
#undef U
};
enum job_after {
#define A(name, number, text) AFTER_##name = (number),
    JOB_AFTER_KINDS(A)
#undef A
};
enum grant_kind {
#define G(name, bit, text) GRANT_##name = (bit),
    GRANT_KINDS(G)
#undef G
};
#define GRANT_KINDS_ALL 15u
enum usage_unit {
#define U(name, number, field, text) USAGE_##name = (number),
    USAGE_UNITS(U)
#undef U
};
enum usage_side {
#define U(name, number, text) SIDE_##name = (number),
    USAGE_SIDES(U)
#undef U
};
#define U(name, number, text) UNIT_##name = (number),
enum unit_state { UNIT_STATES(U) UNIT_STATES_END };
#undef U
#define U(name, number, text) UNIT_HEALTH_##name = (number),
enum unit_health { UNIT_HEALTHS(U) UNIT_HEALTHS_END };
#undef U
#define U(name, number, text) UNIT_PAST_##name = (number),
enum unit_past { UNIT_PASTS(U) UNIT_PASTS_END };
#undef U
enum unit_declared { UNIT_DECLARED_LICENCE = 1, UNIT_DECLARED_ORIGIN = 2 };
enum job_outcome {
#define O(name, number, text) OUTCOME_##name = (number),
    JOB_OUTCOMES(O)
#undef O
};

/* Text of a value in one of the tables above, "?" if unknown. */
const char *model_kind_text(uint32_t kind);
const char *denied_work_text(uint32_t what);
const char *denied_how_text(uint32_t how);
const char *replica_state_text(uint32_t state);
const char *replica_role_text(uint32_t role);
const char *accept_mode_text(uint32_t mode);
const char *accept_verdict_text(uint32_t verdict);
const char *place_state_text(uint32_t state);
const char *job_kind_text(uint32_t kind);
const char *dispatch_reserve_text(uint32_t reserve);
const char *isolation_text(uint32_t isolation);
bool isolation_parse(const char *text, uint32_t *isolation);
/* enum isolation: that a job with these flags demands. */
static inline uint32_t job_isolation(uint32_t flags)
{
    return (flags & JOB_ISOLATION_MASK) >> JOB_ISOLATION_SHIFT;
}
const char *job_state_text(uint32_t state);
const char *budget_scope_text(uint32_t scope);
const char *budget_period_text(uint32_t per);
const char *notice_kind_text(uint32_t kind);
const char *notice_state_text(uint32_t state);
const char *unit_state_text(uint32_t state);
const char *unit_health_text(uint32_t health);
const char *unit_past_text(uint32_t what);
/* Word and sentence of a job's code; the sentence has one %u, or none. */
const char *job_ending_text(uint32_t code);
const char *job_ending_sentence(uint32_t code);
/* 0 if there is no such kind. NUL-terminated, in an array of at least KIND_TEXT_CAP. */
uint32_t model_kind_parse(const char *text);

#endif
