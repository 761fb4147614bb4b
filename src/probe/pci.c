/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI bus: a sysfs, or a captured list of one (a line a device, docs/chips.md).
 *
 * The maker's id is asked first, then whether its chips have that class: Ascend is 1200, an MTT card 0302, a DCU 0380 or 0b40, a
 * Kunlun 0780, and a graphics card of 0300 is as a rule the server's management controller. A virtual function counts only where the
 * whole device is not here too (in a virtual machine).
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/str.h"
#include "probe/parts.h"

#define FILE_MAX 4096

/* Of makers that we do not know: 3D controllers and processing accelerators. */
#define CLASS_3D 0x0302
#define CLASS_ACCELERATOR 0x1200

/* ---- what a device is ---- */

static bool among(const uint16_t *list, uint16_t v)
{
    for (; list && *list; list++) {
        if (*list == v)
            return true;
    }
    return false;
}

/* What a maker of chips alone has beside them: bridges, sound, network, storage, ports and what keeps a system together. */
static bool is_plumbing(uint16_t class)
{
    uint16_t base = class >> 8;
    return base == 0x01 || base == 0x02 || class >> 4 == 0x040 || base == 0x05 || base == 0x06 ||
           base == 0x08 || base == 0x0c;
}

static bool is_chip(const struct maker *m, uint16_t device, uint16_t class, bool integrated)
{
    if (among(m->never, device))
        return false;
    if (among(m->devices, device))
        return true;
    if (m->discrete && integrated)
        return false;
    return m->classes ? among(m->classes, class) : !is_plumbing(class);
}

const struct maker *pci_judge(uint16_t vendor, uint16_t device, uint32_t class, const char *address,
                              bool *accelerator)
{
    const uint16_t kind = (uint16_t)(class >> 8);
    const char *bus = strchr(address, ':');
    bool known = false, integrated = bus && strncmp(bus, ":00:", 4) == 0;
    *accelerator = false;
    for (uint32_t i = 0; vendor != 0 && i < makers_n; i++) {
        const struct maker *m = &makers[i];
        if (vendor != m->vendor_id[0] && vendor != m->vendor_id[1])
            continue;
        known = true;
        if (is_chip(m, device, kind, integrated))
            return m;
    }
    *accelerator = !known && (kind == CLASS_3D || kind == CLASS_ACCELERATOR);
    return NULL;
}

/* ---- a device ---- */

/* Both sources have the same names: a file of sysfs, or NAME=VALUE of a list. */
static const struct {
    const char *name;
    enum probe_field field;
    enum probe_unit unit;
} told[] = {
    {"mem_info_vram_total", FIELD_MEMORY, UNIT_B}, {"mem_info_vram_used", FIELD_MEMORY_USED, UNIT_B},
    {"gpu_busy_percent", FIELD_USE, UNIT_NONE},    {"unique_id", FIELD_UUID, UNIT_NONE},
    {"serial_number", FIELD_SERIAL, UNIT_NONE},    {"product_name", FIELD_MODEL, UNIT_NONE},
    {"power1_average", FIELD_POWER, UNIT_UW},      {"power1_input", FIELD_POWER, UNIT_UW},
    {"power1_cap", FIELD_LIMIT, UNIT_UW},          {"temp1_input", FIELD_TEMPERATURE, UNIT_MC},
};

static uint32_t hex_of(const char *text, size_t len, uint32_t max)
{
    char word[16] = "";
    text_take(word, sizeof word, text, len);
    unsigned long v = strtoul(word, NULL, 16);
    return v <= max ? (uint32_t)v : 0;
}

static void take(struct pci_device *d, const char *name, const char *text, size_t len)
{
    uint64_t v;
    text_trim(&text, &len);
    if (strcmp(name, "vendor") == 0)
        d->vendor = (uint16_t)hex_of(text, len, UINT16_MAX);
    else if (strcmp(name, "device") == 0)
        d->device = (uint16_t)hex_of(text, len, UINT16_MAX);
    else if (strcmp(name, "class") == 0)
        d->class = hex_of(text, len, 0xffffff);
    else if (strcmp(name, "revision") == 0)
        (void)snprintf(d->revision, sizeof d->revision, "%02x", (unsigned)hex_of(text, len, 0xff));
    else if (strcmp(name, "numa_node") == 0 && u64_parse(text, len, UINT16_MAX, &v))
        d->numa = (int64_t)v; /* "-1": there is none */
    else if (strcmp(name, "minor") == 0 && u64_parse(text, len, UINT16_MAX, &v))
        d->minor = (int64_t)v;
    else if (strcmp(name, "driver") == 0)
        text_take(d->module, sizeof d->module, text, len);
    else if (strcmp(name, "node") == 0 && !d->node[0])
        text_take(d->node, sizeof d->node, text, len);
    else if (strcmp(name, "physfn") == 0)
        (void)pci_parse(d->parent, text, len);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        if (strcmp(name, told[i].name) == 0)
            draft_set(&d->told, told[i].field, told[i].unit, text, len);
    }
}

static void device_init(struct pci_device *d, struct drafts *one)
{
    memset(d, 0, sizeof *d);
    d->minor = d->numa = PROBE_UNKNOWN;
    one->n = 0;
    d->told = *drafts_add(one);
}

static void add_chip(struct probe_scan *out, struct pci_device *d)
{
    bool accelerator;
    const struct maker *m = pci_judge(d->vendor, d->device, d->class, d->address, &accelerator);
    struct probe_chip *c = m || accelerator ? scan_add(out) : NULL;
    if (!c)
        return;
    draft_finish(&d->told, "");
    *c = d->told.chip;
    c->health = PROBE_HEALTH_UNKNOWN; /* that it is on the bus says little */
    c->health_text[0] = 0;
    memcpy(c->pci, d->address, sizeof c->pci);
    (void)snprintf(c->id, sizeof c->id, "%04x:%04x", d->vendor, d->device);
    memcpy(c->revision, d->revision, sizeof c->revision);
    memcpy(c->module, d->module, sizeof c->module);
    c->numa = d->numa;
    c->sources = PROBE_PCI;
    if (m)
        text_take(c->vendor, sizeof c->vendor, m->name, strlen(m->name));
    if (m && m->node == NODE_MINOR && d->minor != PROBE_UNKNOWN)
        (void)snprintf(c->node, sizeof c->node, "%.40s%lld", m->node_pattern, (long long)d->minor);
    else if (m && (m->node == NODE_DRM || m->node == NODE_ACCEL || m->node == NODE_CLASS))
        memcpy(c->node, d->node, sizeof c->node);
}

/* Virtual functions whose device is here are slices of it, not chips. */
static bool is_slice(const struct pci_device *d)
{
    return d->parent[0] != 0;
}

/* ---- a list ---- */

static bool list_line(struct pci_device *d, const char *line, size_t len)
{
    char word[256];
    size_t at = 0;
    for (int n = 0; at < len; n++) {
        while (at < len && line[at] == ' ')
            at++;
        size_t end = at;
        while (end < len && line[end] != ' ')
            end++;
        if (end == at || end - at >= sizeof word)
            break;
        text_take(word, sizeof word, line + at, end - at);
        char *mark = strpbrk(word, n == 1 ? ":" : "=");
        at = end;
        if (n == 0 && !pci_parse(d->address, word, strlen(word)))
            return false;
        if (n == 0)
            continue;
        if (!mark)
            return n > 1;
        *mark = 0;
        if (n == 1) {
            take(d, "vendor", word, strlen(word));
            take(d, "device", mark + 1, strlen(mark + 1));
            continue;
        }
        for (char *p = mark + 1; *p; p++)
            *p = *p == '_' && strcmp(word, "product_name") == 0 ? ' ' : *p;
        take(d, word, mark + 1, strlen(mark + 1));
    }
    return d->address[0] && d->vendor;
}

void pci_scan_list(struct probe_scan *out, const char *text, size_t len)
{
    const char *at = text, *line;
    size_t n;
    struct pci_device d;
    struct drafts *one = calloc(1, sizeof *one);
    for (uint32_t i = 0; one && i < PCI_DEVICES_MAX && line_next(&at, text + len, &line, &n); i++) {
        device_init(&d, one);
        if (n > 0 && line[0] != '#' && list_line(&d, line, n) && !is_slice(&d))
            add_chip(out, &d);
    }
    free(one);
    scan_sort(out);
}

/* ---- a sysfs ---- */

static bool path_of(char dst[FS_PATH_MAX], const char *folder, const char *name)
{
    return fs_join(dst, folder, name);
}

static void take_file(struct pci_device *d, const char *folder, const char *name)
{
    char path[FS_PATH_MAX], text[FILE_MAX];
    FILE *f = path_of(path, folder, name) ? fopen(path, "re") : NULL;
    size_t len = f ? fread(text, 1, sizeof text, f) : 0;
    if (len > 0)
        take(d, name, text, len);
    if (f)
        (void)fclose(f);
}

/* Last part of what a link points to. */
static void take_link(struct pci_device *d, const char *folder, const char *name)
{
    char path[FS_PATH_MAX], to[FS_PATH_MAX];
    ssize_t n = path_of(path, folder, name) ? readlink(path, to, sizeof to - 1) : -1;
    if (n <= 0)
        return;
    to[n] = 0;
    const char *slash = strrchr(to, '/');
    const char *last = slash ? slash + 1 : to;
    take(d, name, last, strlen(last));
}

/* "renderD128" in drm/, "accel0" in accel/: device nodes. */
static void take_node(struct pci_device *d, const char *folder, const char *kind, const char *begins,
                      const char *dev)
{
    char path[FS_PATH_MAX], node[PROBE_TEXT_CAP];
    const struct dirent *e;
    DIR *dir = path_of(path, folder, kind) ? opendir(path) : NULL;
    while (dir && (e = readdir(dir))) {
        size_t n = strlen(begins);
        if (strncmp(e->d_name, begins, n) != 0 || !isdigit((unsigned char)e->d_name[n]))
            continue;
        int len = snprintf(node, sizeof node, "%s/%s", dev, e->d_name);
        if (len > 0 && len < (int)sizeof node)
            take(d, "node", node, (size_t)len);
    }
    if (dir)
        (void)closedir(dir);
}

static void take_monitor(struct pci_device *d, const char *folder)
{
    static const char *const files[] = {"power1_average", "power1_input", "power1_cap", "temp1_input"};
    char path[FS_PATH_MAX], monitor[FS_PATH_MAX];
    const struct dirent *e;
    DIR *dir = path_of(path, folder, "hwmon") ? opendir(path) : NULL;
    while (dir && (e = readdir(dir))) {
        if (strncmp(e->d_name, "hwmon", 5) != 0 || !path_of(monitor, path, e->d_name))
            continue;
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
            take_file(d, monitor, files[i]);
    }
    if (dir)
        (void)closedir(dir);
}

/* /sys/class/CLASS/NAME/device is a link to the device: /dev/CLASS/NAME is its node. */
static void take_class(struct pci_device *d, const char *sysfs, const char *class)
{
    char folder[FS_PATH_MAX], path[FS_PATH_MAX], to[FS_PATH_MAX], node[PROBE_TEXT_CAP];
    const struct dirent *e;
    int n = snprintf(folder, sizeof folder, "%s/class/%s", sysfs, class);
    DIR *dir = n > 0 && n < (int)sizeof folder ? opendir(folder) : NULL;
    while (dir && (e = readdir(dir))) {
        int len = snprintf(path, sizeof path, "%s/%s/device", folder, e->d_name);
        ssize_t m =
            e->d_name[0] != '.' && len > 0 && len < (int)sizeof path ? readlink(path, to, sizeof to - 1) : -1;
        if (m <= 0)
            continue;
        to[m] = 0;
        const char *slash = strrchr(to, '/');
        len = snprintf(node, sizeof node, "/dev/%s/%s", class, e->d_name);
        if (strcmp(slash ? slash + 1 : to, d->address) == 0 && len > 0 && len < (int)sizeof node)
            take(d, "node", node, (size_t)len);
    }
    if (dir)
        (void)closedir(dir);
}

/* NVIDIA's driver tells the number of the node by address. */
static void take_minor(struct pci_device *d, const char *proc)
{
    static const char key[] = "Device Minor:";
    char path[FS_PATH_MAX], text[FILE_MAX];
    int n = snprintf(path, sizeof path, "%s/driver/nvidia/gpus/%s/information", proc, d->address);
    FILE *f = n > 0 && n < (int)sizeof path ? fopen(path, "re") : NULL;
    size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[len] = 0;
    const char *at = strstr(text, key);
    if (at)
        take(d, "minor", at + sizeof key - 1, strcspn(at + sizeof key - 1, "\n"));
    if (f)
        (void)fclose(f);
}

static void read_device(struct pci_device *d, const char *folder)
{
    static const char *const ids[] = {"vendor", "device", "class"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        take_file(d, folder, ids[i]);
}

static void read_rest(struct pci_device *d, const struct maker *m, const char *folder, const char *sysfs,
                      const char *proc)
{
    take_file(d, folder, "revision");
    take_file(d, folder, "numa_node");
    take_link(d, folder, "driver");
    take_link(d, folder, "physfn");
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        take_file(d, folder, told[i].name);
    take_monitor(d, folder);
    if (m && m->node == NODE_DRM)
        take_node(d, folder, "drm", "renderD", "/dev/dri");
    else if (m && m->node == NODE_ACCEL) {
        take_node(d, folder, "accel", "accel", "/dev/accel");
        take_node(d, folder, "drm", "renderD", "/dev/dri");
    } else if (m && m->node == NODE_CLASS)
        take_class(d, sysfs, m->node_pattern);
    else if (m && m->node == NODE_MINOR)
        take_minor(d, proc);
}

void pci_scan(struct probe_scan *out, const char *sysfs, const char *proc)
{
    char path[FS_PATH_MAX], folder[FS_PATH_MAX];
    const struct dirent *e;
    struct pci_device d;
    bool accelerator;
    struct drafts *one = calloc(1, sizeof *one);
    DIR *dir = one && path_of(path, sysfs, "bus/pci/devices") ? opendir(path) : NULL;
    for (uint32_t i = 0; dir && i < PCI_DEVICES_MAX && (e = readdir(dir)); i++) {
        device_init(&d, one);
        if (!pci_parse(d.address, e->d_name, strlen(e->d_name)) || !path_of(folder, path, e->d_name))
            continue;
        read_device(&d, folder);
        const struct maker *m = pci_judge(d.vendor, d.device, d.class, d.address, &accelerator);
        if (!m && !accelerator)
            continue;
        read_rest(&d, m, folder, sysfs, proc);
        if (!is_slice(&d))
            add_chip(out, &d);
    }
    if (dir)
        (void)closedir(dir);
    free(one);
    scan_sort(out);
}
