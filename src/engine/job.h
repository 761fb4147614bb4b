/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs as an engine sees them: what to run, how long it may, how it was used, how it ended.
 *
 * These structs are the files of a job's folder WORK/<job>/<epoch>/ (docs/engines.md has the format): `spec`, `lease` and
 * `stop` are written by the engine and read by the shim, `usage` (a line each ten seconds) and `exit` the other way. All
 * texts and lists are the struct's own until the _free; the shim's clock for durations is the machine's time since its
 * boot, never wall time.
 */
#ifndef BUSBAR_ENGINE_JOB_H
#define BUSBAR_ENGINE_JOB_H

#include "base/str.h"
#include "core/kinds.h"
#include "engine/form.h"

#define JOB_ARGS_MAX 4096
#define JOB_ENV_MAX 4096
#define JOB_KINDS_MAX 16    /* chip kinds of one job */
#define JOB_INDICES_MAX 256 /* chips of one kind on one node */
#define JOB_CORES_MAX 1024  /* what a cpu_set_t holds */
#define JOB_NODES_MAX 4096
#define JOB_BLOBS_MAX 512 /* files of one list */
#define JOB_OUTPUTS_MAX 64
#define JOB_BINDS_MAX 64
#define JOB_GRACE_MS_MAX 3600000u
#define JOB_SCRIPT_MAX ((size_t)256 << 10)

struct job_id {
    struct uuid job;
    uint32_t epoch;
};

/* How a job ended: each its own word and sentence. EXITED and SIGNALLED are the command's own doing. */
/* clang-format off */
#define JOB_ENDS(E) \
    E(NONE, "", "") \
    E(EXITED, "exited", "it exited with status %u") \
    E(SIGNALLED, "signalled", "it was ended by signal %u") \
    E(OOM, "oom", "it used more memory than its limit") \
    E(TIMED_OUT, "timed-out", "it reached its time limit") \
    E(LEASE_OVER, "lease-over", "its lease ended before it was renewed") \
    E(CANCELLED, "cancelled", "it was cancelled") \
    E(PREEMPTED, "preempted", "other work took its chips") \
    E(CURTAILED, "curtailed", "the site had to draw less power") \
    E(DRAINED, "drained", "its site was drained") \
    E(EVICTED, "evicted", "a rule no longer allows it here") \
    E(STOPPED, "stopped", "the site's engine or its machine stopped it") \
    E(NOT_STARTED, "not-started", "it could not be started") \
    E(LOST, "lost", "its node or its shim was lost; usage is known up to the last line")
/* clang-format on */

enum job_end {
#define E(name, word, sentence) JOB_END_##name,
    JOB_ENDS(E)
#undef E
};
const char *job_end_text(enum job_end end);

/* Chips of one kind, on each node. */
struct job_chips {
    char *kind;
    uint32_t count;
    uint32_t *index; /* which of the node's, when it is known; else the node's engine says it */
    uint32_t index_count;
    uint32_t watts; /* of one chip in use, for energy that nothing measures; 0: not known */
    char *visible;  /* variable that tells a program its chips; absent: none */
    char **devices; /* device nodes, for the sandbox */
    uint32_t devices_count;
    uint32_t *cores; /* where the chips are processors: the cores of those that it has */
    uint32_t cores_count;
};

struct job_bind {
    char *source;
    char *target; /* absent: the same path */
    bool write;
    bool may_lack; /* left out where it is not there */
};

/* A file by its content: base/blob.h. */
struct job_blob {
    char *name; /* a path without a way out: data_name_valid in engine/data.h */
    char *sha256;
    uint64_t size;
    bool program; /* it may be run */
};

/* Who is who among the nodes of a job. Where the site's engine places it, the engine says it. */
struct job_gang {
    uint32_t rank;
    uint32_t world;
    char *address;
    uint32_t port;
    char **hosts;
    uint32_t hosts_count;
};

/* Of the tasks of an array, `total` and their indices from `first` on, if there is one. */
struct job_tasks {
    uint32_t first;
    uint32_t total;
};

struct job_spec {
    uint32_t version; /* 1 */
    struct uuid job;
    uint32_t epoch;
    char *name;
    char **argv;
    uint32_t argv_count;
    char *
        script; /* a program's text, beginning with "#!": it is run in place of argv[0], which is its name then */
    char **env; /* NAME=VALUE; the job sees these and what the shim adds, nothing of ours */
    uint32_t env_count;
    char *cwd; /* absent: the job's own folder */
    struct job_chips *chips;
    uint32_t chips_count;
    uint32_t cpus; /* of one node; 0: no limit */
    uint64_t memory_mib;
    uint32_t processes;
    uint32_t nodes; /* 0 means 1 */
    uint64_t time_limit_ms;
    uint64_t grace_ms;
    char *checkpoint_dir;
    uint32_t isolation; /* enum isolation: demanded; once it is started, the one that it has */
    bool network;
    struct job_bind *binds;
    uint32_t binds_count;
    struct job_blob *inputs; /* lie in its folder before it starts */
    uint32_t inputs_count;
    char **outputs; /* paths and patterns in its folder: what is kept of it */
    uint32_t outputs_count;
    bool checkpoint; /* it gets a folder for checkpoints, which its next epoch finds */
    struct job_gang gang;
    struct job_tasks array;
    char *account;
    char *partition;
    uint32_t array_limit; /* of jobs that are submitted together, how many may run at once; 0: all */
    bool finish;          /* it has no lease: it ends by itself, or at its time limit */
    bool longest;         /* no limit of ours, and the longest that Slurm's partition has */
    bool confined;        /* the engine set the level above: the shim holds it, and does not choose */
};

/* No lease file: the job runs as long as it may. One that is to finish has none, and a time limit. */
struct job_lease {
    char *boot;        /* of the machine that wrote this: /proc/sys/kernel/random/boot_id */
    uint64_t sequence; /* grows with each renewal */
    uint64_t until_ms; /* since that boot */
    uint64_t for_ms;   /* from when it was written */
};

struct job_stop {
    uint32_t end; /* enum job_end: CANCELLED, PREEMPTED, CURTAILED, EVICTED */
    uint64_t grace_ms;
};

enum energy_source { ENERGY_NONE, ENERGY_ESTIMATED, ENERGY_MEASURED };

struct usage_chips {
    char *kind;
    uint64_t chip_ms;
};

/* Totals since the start. */
struct job_usage {
    uint64_t ms; /* since the start, on the clock above */
    uint64_t wall_ms;
    struct usage_chips *chips;
    uint32_t chips_count;
    uint64_t cpu_ms;
    uint64_t memory_peak_kib;
    uint64_t energy_mj; /* millijoules */
    uint32_t energy;    /* enum energy_source; MEASURED only when all of it is */
};

struct job_exit {
    uint32_t end;    /* enum job_end */
    uint32_t code;   /* of EXITED */
    uint32_t signal; /* of SIGNALLED, or what ended a stopped one */
    char *text;      /* a sentence */
    char *host;
    bool truncated; /* the shim did not write this: usage is up to its last line */
    struct job_usage usage;
};

extern const struct form_table job_blob_table, job_spec_table, job_lease_table, job_stop_table,
    job_usage_table, job_exit_table;

/* Reads and checks: absolute paths, names of variables, indices that are there once. */
int job_spec_parse(struct job_spec *spec, const char *text, size_t len, struct err *err);
int job_spec_load(struct job_spec *spec, const char *path, struct err *err);
void job_spec_free(struct job_spec *spec);
/* Parses the last whole line of a usage file's text that is right; what a crash left after it does not count.
 * ERR_NOT_FOUND when there is none. */
int job_usage_last(struct job_usage *usage, const char *text, size_t len);
/* Which chips, nodes counted: the count that is metered. */
uint32_t job_chips_total(const struct job_spec *spec, uint32_t kind);

#endif
