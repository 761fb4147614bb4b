/* SPDX-License-Identifier: Apache-2.0 */
/* Processors: /proc/cpuinfo, in which the kernel has put what cpuid says, and the topology of sysfs where that has none (ARM). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "probe/parts.h"

#define CPUINFO_MAX ((size_t)16 << 20)
#define THREADS_MAX 8192

struct seen {
    int64_t socket[THREADS_MAX], core[THREADS_MAX];
    uint32_t n;
};

/* ---- words ---- */

static const struct {
    const char *id, *vendor;
} vendors[] = {{"GenuineIntel", "intel"},   {"AuthenticAMD", "amd"}, {"HygonGenuine", "hygon"},
               {"CentaurHauls", "zhaoxin"}, {"Shanghai", "zhaoxin"}, {"0x41", "arm"},
               {"0x48", "huawei"},          {"0x4e", "nvidia"},      {"0x70", "phytium"},
               {"0xc0", "ampere"}};

static const struct {
    const char *implementer, *part, *model;
} parts[] = {{"0x41", "0xd0c", "Neoverse-N1"}, {"0x41", "0xd40", "Neoverse-V1"},
             {"0x41", "0xd49", "Neoverse-N2"}, {"0x41", "0xd4f", "Neoverse-V2"},
             {"0x48", "0xd01", "Kunpeng-920"}, {"0x48", "0xd02", "Kunpeng-920B"}};

static const struct {
    const char *flag, *isa;
} flags[] = {{"sse4_2", "sse4.2"}, {"avx2", "avx2"},  {"avx512f", "avx512"},
             {"amx_tile", "amx"},  {"asimd", "neon"}, {"sve", "sve"},
             {"sve2", "sve2"},     {"lsx", "lsx"},    {"lasx", "lasx"}};

static bool has_word(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (size_t at = 0; at < len;) {
        size_t end = at;
        while (end < len && text[end] != ' ')
            end++;
        if (end - at == n && memcmp(text + at, word, n) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

static void take_flags(struct probe_cpu *cpu, const char *text, size_t len)
{
    if (cpu->isa[0])
        return;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        size_t n = strlen(cpu->isa);
        if (has_word(text, len, flags[i].flag))
            (void)snprintf(cpu->isa + n, sizeof cpu->isa - n, "%s%s", n ? " " : "", flags[i].isa);
    }
}

static void take_vendor(struct probe_cpu *cpu, const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof vendors / sizeof vendors[0]; i++) {
        if (text_eq(text, len, vendors[i].id, strlen(vendors[i].id)))
            text_take(cpu->vendor, sizeof cpu->vendor, vendors[i].vendor, strlen(vendors[i].vendor));
    }
}

/* ---- /proc/cpuinfo ---- */

struct cpuinfo {
    struct probe_cpu *cpu;
    struct seen *seen;
    char implementer[16], part[16];
};

static int64_t whole(const char *text, size_t len)
{
    uint64_t v;
    return u64_parse(text, len, UINT32_MAX, &v) ? (int64_t)v : PROBE_UNKNOWN;
}

static bool key_is(const char *key, size_t len, const char *word)
{
    return text_eq(key, len, word, strlen(word));
}

static void take_line(struct cpuinfo *info, const char *key, size_t key_len, const char *value, size_t len)
{
    struct probe_cpu *cpu = info->cpu;
    struct seen *s = info->seen;
    uint32_t last = s->n > 0 ? s->n - 1 : 0;
    if (key_is(key, key_len, "processor") && whole(value, len) != PROBE_UNKNOWN && s->n < THREADS_MAX) {
        s->socket[s->n] = s->core[s->n] = PROBE_UNKNOWN;
        s->n++;
    } else if (key_is(key, key_len, "physical id"))
        s->socket[last] = whole(value, len);
    else if (key_is(key, key_len, "core id"))
        s->core[last] = whole(value, len);
    else if ((key_is(key, key_len, "model name") || key_is(key, key_len, "Model Name")) && !cpu->model[0])
        text_take(cpu->model, sizeof cpu->model, value, len);
    else if (key_is(key, key_len, "vendor_id"))
        take_vendor(cpu, value, len);
    else if (key_is(key, key_len, "flags") || key_is(key, key_len, "Features"))
        take_flags(cpu, value, len);
    else if (key_is(key, key_len, "CPU implementer")) {
        take_vendor(cpu, value, len);
        text_take(info->implementer, sizeof info->implementer, value, len);
    } else if (key_is(key, key_len, "CPU part"))
        text_take(info->part, sizeof info->part, value, len);
}

static void read_cpuinfo(struct cpuinfo *info, const char *text, size_t text_len)
{
    const char *at = text, *line;
    size_t n;
    while (line_next(&at, text + text_len, &line, &n)) {
        const char *colon = memchr(line, ':', n);
        const char *key = line, *value = colon ? colon + 1 : line;
        size_t key_len = colon ? (size_t)(colon - line) : 0, len = colon ? n - key_len - 1 : 0;
        text_trim(&key, &key_len);
        text_trim(&value, &len);
        if (key_len > 0 && len > 0)
            take_line(info, key, key_len, value, len);
    }
    for (size_t i = 0; !info->cpu->model[0] && i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(info->implementer, parts[i].implementer) == 0 && strcmp(info->part, parts[i].part) == 0)
            text_take(info->cpu->model, sizeof info->cpu->model, parts[i].model, strlen(parts[i].model));
    }
}

/* ---- counts ---- */

static int64_t topology(const char *sysfs, uint32_t thread, const char *name)
{
    char path[FS_PATH_MAX], text[32] = "";
    int n = snprintf(path, sizeof path, "%s/devices/system/cpu/cpu%u/topology/%s", sysfs, thread, name);
    FILE *f = n > 0 && n < (int)sizeof path ? fopen(path, "re") : NULL;
    size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        (void)fclose(f);
    const char *at = text;
    text_trim(&at, &len);
    return whole(at, len);
}

static uint64_t pair_of(const struct seen *s, uint32_t i, bool cores)
{
    return (uint64_t)s->socket[i] << 32 | (cores ? (uint64_t)s->core[i] : 0);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* How many different ones; unknown if one is not told. */
static int64_t distinct(const struct seen *s, bool cores)
{
    int64_t n = 0;
    uint64_t *v = calloc(s->n ? s->n : 1, sizeof *v);
    for (uint32_t i = 0; v && i < s->n; i++) {
        if (s->socket[i] == PROBE_UNKNOWN || (cores && s->core[i] == PROBE_UNKNOWN)) {
            free(v);
            return PROBE_UNKNOWN;
        }
        v[i] = pair_of(s, i, cores);
    }
    if (v && s->n > 0)
        qsort(v, s->n, sizeof *v, by_value);
    for (uint32_t i = 0; v && i < s->n; i++)
        n += i == 0 || v[i] != v[i - 1];
    free(v);
    return n > 0 ? n : PROBE_UNKNOWN;
}

static int64_t count_nodes(const char *sysfs)
{
    char path[FS_PATH_MAX];
    const struct dirent *e;
    int64_t n = 0;
    DIR *dir = fs_join(path, sysfs, "devices/system/node") ? opendir(path) : NULL;
    while (dir && (e = readdir(dir)))
        n += strncmp(e->d_name, "node", 4) == 0 && e->d_name[4] >= '0' && e->d_name[4] <= '9';
    if (dir)
        (void)closedir(dir);
    return n > 0 ? n : PROBE_UNKNOWN;
}

static int64_t memory(const char *proc)
{
    char path[FS_PATH_MAX], text[4096];
    static const char key[] = "MemTotal:";
    FILE *f = fs_join(path, proc, "meminfo") ? fopen(path, "re") : NULL;
    size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[len] = 0;
    if (f)
        (void)fclose(f);
    const char *at = strstr(text, key);
    unsigned long long kib = at ? strtoull(at + sizeof key - 1, NULL, 10) : 0;
    return kib > 0 && kib < UINT64_C(1) << 50 ? (int64_t)(kib / 1024) : PROBE_UNKNOWN;
}

void cpu_scan(struct probe_cpu *cpu, const char *sysfs, const char *proc)
{
    char path[FS_PATH_MAX];
    struct buf text;
    memset(cpu, 0, sizeof *cpu);
    cpu->sockets = cpu->cores = cpu->threads = PROBE_UNKNOWN;
    struct cpuinfo info = {.cpu = cpu, .seen = calloc(1, sizeof *info.seen)};
    buf_init(&text, CPUINFO_MAX);
    if (info.seen && fs_join(path, proc, "cpuinfo") && fs_read(path, &text, NULL) == 0 && text.len > 0)
        read_cpuinfo(&info, text.data, text.len);
    buf_fini(&text);
    if (info.seen && info.seen->n > 0) {
        struct seen *s = info.seen;
        for (uint32_t i = 0; i < s->n && s->socket[i] == PROBE_UNKNOWN; i++) {
            s->socket[i] = topology(sysfs, i, "physical_package_id");
            s->core[i] = topology(sysfs, i, "core_id");
        }
        cpu->threads = s->n;
        cpu->sockets = distinct(s, false);
        cpu->cores = distinct(s, true);
    }
    free(info.seen);
    cpu->numa_nodes = count_nodes(sysfs);
    cpu->memory_mib = memory(proc);
}
