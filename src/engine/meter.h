/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meter: what a running job has used so far.
 *
 * Chip time is chips times time since the start, on the clock of the machine since its boot. CPU time and memory are of
 * the job's processes, or of its control group. Energy of the processors is measured where the kernel shows it (RAPL,
 * /sys/class/powercap), the job's share by CPU time; that of chips is estimated from their power. A total is called measured
 * only when all of it is.
 */
#ifndef BUSBAR_ENGINE_METER_H
#define BUSBAR_ENGINE_METER_H

#include "base/fs.h"
#include "engine/job.h"
#include "engine/procs.h"

#define METER_POWERCAP "/sys/class/powercap"
#define METER_DOMAINS_MAX 16

struct meter_domain {
    char path[256];
    uint64_t range_uj;
    uint64_t last_uj;
};

struct meter {
    struct meter_domain domains[METER_DOMAINS_MAX];
    uint32_t domains_count;
    uint64_t start_ms, chips_ms; /* since boot; up to when chips' energy is counted */
    uint64_t cpu_ms, machine_cpu_ms;
    uint64_t memory_peak_kib;
    uint64_t cpu_energy_uj, chip_energy_uj;
    uint32_t shared_watts;   /* of the machine's processors, where nothing is measured; 0: not known */
    bool no_chips;           /* of a gang's rank: chips are its lead's to count */
    char group[FS_PATH_MAX]; /* empty: none */
};

void meter_init(struct meter *meter, const char *powercap, const char *group, uint64_t now_ms);
/* Looks at the processes below and with `root`; 0: there are none any more. The memory in use, KiB. */
uint64_t meter_look(struct meter *meter, const struct job_spec *spec, pid_t root, uint64_t now_ms);
/* Where no energy of the processors is measured they draw so much, at work: it counts by its part of their time. */
void meter_share(struct meter *meter, uint32_t watts);
uint64_t meter_energy_mj(const struct meter *meter);
/* enum energy_source */
uint32_t meter_source(const struct meter *meter, const struct job_spec *spec);
/* What was known by the last look. `usage` is the caller's, form_free with job_usage_table. */
void meter_read(const struct meter *meter, const struct job_spec *spec, uint64_t now_ms,
                struct job_usage *usage);
/* Adds what a node of a gang used besides chip time. */
void meter_add(struct job_usage *usage, const struct job_usage *node);

#endif
