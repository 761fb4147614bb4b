/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/probe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "probe/parts.h"

#define PCI_LIST_MAX ((size_t)4 << 20)

struct places {
    char sysfs[FS_PATH_MAX], proc[FS_PATH_MAX], list[FS_PATH_MAX];
    char kinds[FS_PATH_MAX];
};

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool set(char dst[FS_PATH_MAX], const char *path)
{
    size_t n = strlen(path);
    if (n >= FS_PATH_MAX)
        return false;
    memcpy(dst, path, n + 1);
    return true;
}

static int find_places(struct places *p, const struct probe_options *o, struct err *err)
{
    char share[FS_PATH_MAX];
    const char *sysfs = o->sysfs ? o->sysfs : getenv("BUSBAR_SYSFS");
    bool fits;
    memset(p, 0, sizeof *p);
    if (o->from)
        fits = fs_join(p->sysfs, o->from, "sys") && set(p->proc, o->from) && fs_join(p->list, o->from, "pci");
    else
        fits = set(p->sysfs, sysfs && sysfs[0] ? sysfs : "/sys") && set(p->proc, "/proc");
    if (fits && o->kinds)
        fits = set(p->kinds, o->kinds);
    else if (fits && fs_share(share))
        fits = fs_join(p->kinds, share, "chips.yaml");
    if (!fits)
        return err_set(err, ERR_INVALID, "a path is too long");
    if (o->from && !fs_exists(p->list) && !is_folder(p->sysfs))
        return err_set(err, ERR_INVALID,
                       "%s: there is neither `pci` nor `sys` in it, as a captured machine has", o->from);
    return 0;
}

static int read_bus(struct probe_scan *out, const struct places *p, struct err *err)
{
    struct buf list;
    if (!p->list[0] || !fs_exists(p->list)) {
        pci_scan(out, p->sysfs, p->proc);
        return 0;
    }
    buf_init(&list, PCI_LIST_MAX);
    int rc = fs_read(p->list, &list, err);
    if (rc == 0 && list.len > 0)
        pci_scan_list(out, list.data, list.len);
    buf_fini(&list);
    return rc ? ERR_INVALID : 0;
}

/* What the kernel told is kept back until the others have spoken: only what it alone knows stays. */
static void forget_readings(struct probe_chip *c)
{
    struct probe_chip empty;
    probe_chip_init(&empty);
    memcpy(empty.vendor, c->vendor, sizeof c->vendor);
    memcpy(empty.pci, c->pci, sizeof c->pci);
    memcpy(empty.id, c->id, sizeof c->id);
    memcpy(empty.revision, c->revision, sizeof c->revision);
    memcpy(empty.module, c->module, sizeof c->module);
    memcpy(empty.node, c->node, sizeof c->node);
    empty.numa = c->numa;
    empty.sources = c->sources;
    *c = empty;
}

static void ask_others(struct probe_scan *out, const struct probe_options *o, unsigned sources,
                       struct probe_scan *kernel)
{
    *kernel = *out;
    for (uint32_t i = 0; i < out->n; i++)
        forget_readings(&out->chip[i]);
    if ((sources & PROBE_LIBRARY) && !o->from)
        libraries_ask(out, o);
    if (sources & PROBE_COMMAND)
        tools_ask(out, o);
    for (uint32_t i = 0; i < out->n; i++) {
        for (uint32_t k = 0; k < kernel->n; k++) {
            if (out->chip[i].pci[0] && strcmp(out->chip[i].pci, kernel->chip[k].pci) == 0)
                chip_fold(&out->chip[i], &kernel->chip[k]);
        }
    }
}

int probe_run(struct probe_scan *out, const struct probe_options *options, struct err *err)
{
    static const struct probe_options usual = {0};
    const struct probe_options *o = options ? options : &usual;
    const unsigned sources = o->sources ? o->sources : PROBE_ALL;
    struct places p;
    memset(out, 0, sizeof *out);
    int rc = find_places(&p, o, err);
    if (rc == 0 && (sources & PROBE_PCI))
        rc = read_bus(out, &p, err);
    struct probe_scan *kernel = rc == 0 ? calloc(1, sizeof *kernel) : NULL;
    if (rc == 0 && !kernel)
        rc = err_set(err, ERR_NO_MEMORY, "out of memory");
    if (rc != 0)
        return rc;
    ask_others(out, o, sources, kernel);
    free(kernel);
    struct kinds *kinds = p.kinds[0] && out->n > 0 ? kinds_load(p.kinds) : NULL;
    scan_finish(out, kinds);
    if (kinds)
        kinds_free(kinds);
    else if (out->n > 0)
        scan_note(out, "the catalogue of chips is not there, or cannot be read: no chip is of a kind");
    if (out->dropped > 0)
        scan_note(out, "%u chips more than the %d that there is room for", out->dropped, PROBE_CHIPS_MAX);
    cpu_scan(&out->cpu, p.sysfs, p.proc);
    return 0;
}
