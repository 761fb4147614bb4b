/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/meter.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/cgroup.h"

static bool read_u64(const char *folder, const char *name, uint64_t *out)
{
    char path[FS_PATH_MAX];
    struct buf text;
    buf_init(&text, 64);
    bool good = fs_join(path, folder, name) && fs_read(path, &text, NULL) == 0 && text.len > 0 &&
                u64_parse(text.data, text.len - (text.data[text.len - 1] == '\n'), INT64_MAX, out);
    buf_fini(&text);
    return good;
}

/* Packages only ("intel-rapl:0"): what is below one is part of it ("intel-rapl:0:1"). AMD's are called the same. */
static bool is_package(const char *name)
{
    const char *colon = strchr(name, ':');
    return strncmp(name, "intel-rapl", 10) == 0 && colon && !strchr(colon + 1, ':');
}

static void find_domains(struct meter *m, const char *powercap)
{
    const struct dirent *entry;
    DIR *dir = opendir(powercap);
    while (dir && (entry = readdir(dir)) != NULL && m->domains_count < METER_DOMAINS_MAX) {
        struct meter_domain *d = &m->domains[m->domains_count];
        if (!is_package(entry->d_name) ||
            snprintf(d->path, sizeof d->path, "%s/%s", powercap, entry->d_name) >= (int)sizeof d->path)
            continue;
        if (read_u64(d->path, "max_energy_range_uj", &d->range_uj) &&
            read_u64(d->path, "energy_uj", &d->last_uj))
            m->domains_count++;
    }
    if (dir)
        closedir(dir);
}

void meter_init(struct meter *m, const char *powercap, const char *group, uint64_t now_ms)
{
    *m = (struct meter){.start_ms = now_ms, .chips_ms = now_ms, .machine_cpu_ms = procs_machine_cpu_ms()};
    (void)snprintf(m->group, sizeof m->group, "%s", group ? group : "");
    find_domains(m, powercap);
}

/* Microjoules of the packages since the last look; counters wrap. */
static uint64_t package_energy(struct meter *m)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->domains_count; i++) {
        struct meter_domain *d = &m->domains[i];
        uint64_t now;
        if (!read_u64(d->path, "energy_uj", &now))
            continue;
        sum += now >= d->last_uj ? now - d->last_uj : d->range_uj - d->last_uj + now;
        d->last_uj = now;
    }
    return sum;
}

static void add_energy(struct meter *m, const struct job_spec *spec, uint64_t cpu_ms, uint64_t now_ms)
{
    uint64_t machine = procs_machine_cpu_ms(), elapsed = now_ms - m->chips_ms;
    uint64_t own = cpu_ms - m->cpu_ms, all = machine > m->machine_cpu_ms ? machine - m->machine_cpu_ms : 0;
    uint64_t packages = package_energy(m);
    if (m->shared_watts && m->domains_count == 0) /* watts for a ms are 1000 uJ */
        m->cpu_energy_uj += (uint64_t)m->shared_watts * own * 1000 / procs_cpus();
    if (all > 0)
        m->cpu_energy_uj += own >= all ? packages : (uint64_t)((double)packages * (double)own / (double)all);
    for (uint32_t i = 0; !m->no_chips && i < spec->chips_count; i++)
        m->chip_energy_uj += (uint64_t)spec->chips[i].watts * job_chips_total(spec, i) * elapsed * 1000;
    m->machine_cpu_ms = machine;
    m->chips_ms = now_ms;
}

uint64_t meter_look(struct meter *m, const struct job_spec *spec, pid_t root, uint64_t now_ms)
{
    struct procs_sum sum = {0};
    struct cgroup_state group = {0};
    if (root > 0)
        procs_sum(root, &sum);
    if (m->group[0])
        cgroup_state(m->group, &group);
    uint64_t cpu_ms = m->group[0] ? group.cpu_ms : sum.cpu_ms;
    uint64_t peak = group.memory_peak_kib > sum.rss_kib ? group.memory_peak_kib : sum.rss_kib;
    if (cpu_ms < m->cpu_ms) /* a process went between two reads; its time is with its parent by the next */
        cpu_ms = m->cpu_ms;
    add_energy(m, spec, cpu_ms, now_ms);
    m->cpu_ms = cpu_ms;
    if (peak > m->memory_peak_kib)
        m->memory_peak_kib = peak;
    return sum.rss_kib;
}

void meter_share(struct meter *m, uint32_t watts)
{
    m->shared_watts = watts;
}

uint64_t meter_energy_mj(const struct meter *m)
{
    return (m->cpu_energy_uj + m->chip_energy_uj) / 1000;
}

uint32_t meter_source(const struct meter *m, const struct job_spec *spec)
{
    if (spec->chips_count == 0 || m->no_chips)
        return m->domains_count ? ENERGY_MEASURED : m->shared_watts ? ENERGY_ESTIMATED : ENERGY_NONE;
    for (uint32_t i = 0; i < spec->chips_count; i++) {
        if (spec->chips[i].watts)
            return ENERGY_ESTIMATED;
    }
    return m->domains_count ? ENERGY_ESTIMATED : ENERGY_NONE;
}

void meter_read(const struct meter *m, const struct job_spec *spec, uint64_t now_ms, struct job_usage *usage)
{
    *usage = (struct job_usage){.ms = now_ms - m->start_ms,
                                .wall_ms = (uint64_t)clock_wall_ms(),
                                .cpu_ms = m->cpu_ms,
                                .memory_peak_kib = m->memory_peak_kib,
                                .energy_mj = meter_energy_mj(m),
                                .energy = meter_source(m, spec)};
    usage->chips = calloc(spec->chips_count + 1, sizeof *usage->chips);
    for (uint32_t i = 0; usage->chips && !m->no_chips && i < spec->chips_count; i++) {
        usage->chips[i].kind = strdup(spec->chips[i].kind);
        usage->chips[i].chip_ms = usage->ms * job_chips_total(spec, i);
        usage->chips_count++;
    }
}

void meter_add(struct job_usage *usage, const struct job_usage *node)
{
    usage->cpu_ms += node->cpu_ms;
    usage->memory_peak_kib += node->memory_peak_kib;
    usage->energy_mj += node->energy_mj;
}
