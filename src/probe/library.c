/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "probe/parts.h"

#define LINKS_ASKED 18 /* of one chip */
#define LOST 15        /* NVML_ERROR_GPU_IS_LOST */
#define NAME_ASKED 96
#define ROOM 256 /* for what is to be NAME_ASKED long, and structures that a later version may make larger */

struct device; /* the library's */

/* nvmlPciInfo_t, from its second version on; what is before `domain` was the address in its first. */
struct pci_info {
    char legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

struct memory_info {
    unsigned long long total, free, used;
};

struct use_info {
    unsigned chip, memory;
};

union room {
    struct pci_info pci;
    struct memory_info memory;
    struct use_info use;
    char text[ROOM];
};

struct api {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error)(int);
    int (*driver)(char *, unsigned);
    int (*count)(unsigned *);
    int (*handle)(unsigned, struct device **);
    int (*name)(struct device *, char *, unsigned);
    int (*uuid)(struct device *, char *, unsigned);
    int (*serial)(struct device *, char *, unsigned);
    int (*pci)(struct device *, union room *);
    int (*memory)(struct device *, union room *);
    int (*use)(struct device *, union room *);
    int (*temperature)(struct device *, int, unsigned *);
    int (*power)(struct device *, unsigned *);
    int (*limit)(struct device *, unsigned *);
    int (*link_state)(struct device *, unsigned, int *);
    int (*link_peer)(struct device *, unsigned, union room *);
};

/* The first of the names that there is; needed: without it nothing can be asked. */
static const struct {
    size_t at;
    bool needed;
    const char *names[3];
} functions[] = {
#define FN(field, needed, ...) \
    { \
        offsetof(struct api, field), needed, \
        { \
            __VA_ARGS__ \
        } \
    }
    FN(init, true, "Init_v2", "Init"),
    FN(shutdown, false, "Shutdown"),
    FN(error, false, "ErrorString"),
    FN(driver, false, "SystemGetDriverVersion"),
    FN(count, true, "DeviceGetCount_v2", "DeviceGetCount"),
    FN(handle, true, "DeviceGetHandleByIndex_v2", "DeviceGetHandleByIndex"),
    FN(name, false, "DeviceGetName"),
    FN(uuid, false, "DeviceGetUUID"),
    FN(serial, false, "DeviceGetSerial"),
    FN(pci, true, "DeviceGetPciInfo_v3", "DeviceGetPciInfo_v2"),
    FN(memory, false, "DeviceGetMemoryInfo"),
    FN(use, false, "DeviceGetUtilizationRates"),
    FN(temperature, false, "DeviceGetTemperature"),
    FN(power, false, "DeviceGetPowerUsage"),
    FN(limit, false, "DeviceGetEnforcedPowerLimit", "DeviceGetPowerManagementLimit"),
    FN(link_state, false, "DeviceGetNvLinkState"),
    FN(link_peer, false, "DeviceGetNvLinkRemotePciInfo_v2"),
#undef FN
};

/* The name of the function that is missing; NULL: none is. */
static const char *api_find(struct api *api, void *library, const char *prefix)
{
    char name[128];
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *symbol = NULL;
        for (int k = 0; k < 3 && !symbol && functions[i].names[k]; k++) {
            (void)snprintf(name, sizeof name, "%.16s%s", prefix, functions[i].names[k]);
            symbol = dlsym(library, name);
        }
        memcpy((char *)api + functions[i].at, &symbol, sizeof symbol);
        if (!symbol && functions[i].needed)
            return functions[i].names[0];
    }
    return NULL;
}

static void ask_text(int (*ask)(struct device *, char *, unsigned), struct device *device, struct draft *d,
                     enum probe_field field)
{
    char text[ROOM] = "";
    if (ask && ask(device, text, NAME_ASKED) == 0)
        draft_set(d, field, UNIT_NONE, text, strnlen(text, NAME_ASKED));
}

static void set_number(struct draft *d, enum probe_field field, enum probe_unit unit, unsigned long long v)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%llu", v);
    draft_set(d, field, unit, text, (size_t)n);
}

static void ask_number(int (*ask)(struct device *, unsigned *), struct device *device, struct draft *d,
                       enum probe_field field, enum probe_unit unit)
{
    unsigned v = 0;
    if (ask && ask(device, &v) == 0)
        set_number(d, field, unit, v);
}

static void pci_text(char dst[PROBE_PCI_CAP], const struct pci_info *pci)
{
    char text[40];
    int n = snprintf(text, sizeof text, "%04x:%02x:%02x.0", pci->domain, pci->bus, pci->device);
    (void)pci_parse(dst, text, (size_t)n);
}

/* Links that are up, by who is at the other end. */
static void ask_links(const struct api *api, struct device *device, struct probe_chip *chip)
{
    for (unsigned i = 0; api->link_state && api->link_peer && i < LINKS_ASKED; i++) {
        int up = 0;
        union room room = {0};
        char peer[PROBE_PCI_CAP];
        uint32_t k = 0;
        if (api->link_state(device, i, &up) != 0 || !up || api->link_peer(device, i, &room) != 0)
            continue;
        pci_text(peer, &room.pci);
        while (k < chip->links && strcmp(chip->link[k].peer, peer) != 0)
            k++;
        if (k == PROBE_LINKS_MAX)
            continue;
        struct probe_link *link = &chip->link[k];
        link->count = k < chip->links ? link->count + 1 : 1;
        memcpy(link->peer, peer, sizeof peer);
        memcpy(link->kind, "nvlink", sizeof "nvlink");
        chip->links = k < chip->links ? chip->links : k + 1;
    }
}

/* A chip whose address the library tells while nothing else answers is lost. */
static void ask_chip(const struct api *api, struct device *device, unsigned index, struct draft *d)
{
    union room room = {0};
    if (api->pci(device, &room) == 0)
        pci_text(d->chip.pci, &room.pci);
    d->chip.index = index;
    ask_text(api->name, device, d, FIELD_MODEL);
    ask_text(api->uuid, device, d, FIELD_UUID);
    ask_text(api->serial, device, d, FIELD_SERIAL);
    memset(&room, 0, sizeof room);
    int memory = api->memory ? api->memory(device, &room) : 0;
    if (api->memory && memory == 0) {
        set_number(d, FIELD_MEMORY, UNIT_B, room.memory.total);
        set_number(d, FIELD_MEMORY_USED, UNIT_B, room.memory.used);
    }
    if (memory == LOST)
        draft_set(d, FIELD_HEALTH, UNIT_NONE, "its library says that it is lost", 32);
    memset(&room, 0, sizeof room);
    if (api->use && api->use(device, &room) == 0)
        set_number(d, FIELD_USE, UNIT_NONE, room.use.chip);
    unsigned t = 0;
    if (api->temperature && api->temperature(device, 0, &t) == 0)
        set_number(d, FIELD_TEMPERATURE, UNIT_NONE, t);
    ask_number(api->power, device, d, FIELD_POWER, UNIT_MW);
    ask_number(api->limit, device, d, FIELD_LIMIT, UNIT_MW);
    ask_links(api, device, &d->chip);
}

static const char *words(const struct api *api, int rc)
{
    const char *text = api->error ? api->error(rc) : NULL;
    return text ? text : "no words";
}

/* What links lead to is a chip or a switch; a switch is no peer that anybody knows by its address. */
static void name_peers(struct probe_scan *scan)
{
    for (uint32_t i = 0; i < scan->n; i++) {
        for (uint32_t l = 0; l < scan->chip[i].links; l++) {
            bool chip = false;
            for (uint32_t k = 0; k < scan->n; k++)
                chip |= strcmp(scan->chip[k].pci, scan->chip[i].link[l].peer) == 0;
            if (!chip)
                memset(scan->chip[i].link[l].peer, 0, PROBE_PCI_CAP);
        }
    }
}

static int ask_all(const struct api *api, struct probe_scan *scan, struct drafts *drafts)
{
    unsigned n = 0;
    char driver[ROOM] = "";
    int rc = api->init();
    if (rc == 0)
        rc = api->count(&n);
    if (rc != 0) {
        scan_note(scan, "its library says: %.80s (%d)", words(api, rc), rc);
        return LIBRARY_REFUSED;
    }
    if (api->driver && api->driver(driver, NAME_ASKED) == 0)
        text_take(drafts->driver, sizeof drafts->driver, driver, strnlen(driver, NAME_ASKED));
    for (unsigned i = 0; i < n && i < PROBE_CHIPS_MAX; i++) {
        struct device *device = NULL;
        rc = api->handle(i, &device);
        if (rc != 0)
            scan_note(scan, "its library says of chip %u: %.80s (%d)", i, words(api, rc), rc);
        struct draft *d = rc == 0 ? drafts_add(drafts) : NULL;
        if (d)
            ask_chip(api, device, i, d);
    }
    drafts_finish(drafts);
    for (uint32_t i = 0; i < drafts->n; i++) {
        struct probe_chip *c = scan_add(scan);
        if (c)
            *c = drafts->d[i].chip;
    }
    name_peers(scan);
    return LIBRARY_OK;
}

static int print(const struct probe_scan *scan)
{
    struct buf out;
    buf_init(&out, PROBE_JSON_MAX);
    probe_json(&out, scan);
    size_t n = out.failed ? 0 : fwrite(out.data, 1, out.len, stdout);
    bool whole = n == out.len && !out.failed && fflush(stdout) == 0;
    buf_fini(&out);
    return whole ? 0 : -1;
}

int probe_library_main(int argc, char **argv)
{
    const struct rlimit none = {0, 0};
    void *library = NULL;
    struct api api;
    if (argc < 3)
        return LIBRARY_USAGE;
    (void)setrlimit(RLIMIT_CORE, &none);
    for (int i = 2; i < argc && !library; i++)
        library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return LIBRARY_NONE;
    struct probe_scan *scan = calloc(1, sizeof *scan);
    struct drafts *drafts = calloc(1, sizeof *drafts);
    if (!scan || !drafts)
        return LIBRARY_USAGE;
    int rc = LIBRARY_REFUSED;
    const char *missing = api_find(&api, library, argv[1]);
    if (missing)
        scan_note(scan, "its library has no %.16s%s", argv[1], missing);
    else
        rc = ask_all(&api, scan, drafts);
    if (print(scan) != 0)
        rc = LIBRARY_USAGE;
    if (rc == LIBRARY_OK && api.shutdown)
        (void)api.shutdown();
    _exit(rc); /* what a library does at the end of its program is not for us to wait for */
}
