/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which chips are in this machine.
 *
 * Three sources are asked and merged by PCI address (where a tool gives none, by its index): the maker's library, its command
 * line, and sysfs. A field is the first one's that knows it, in that order. A device is gated by its PCI vendor id, never by its
 * class alone; an accelerator of a maker that we do not know stays visible by its ids. What is not known is PROBE_UNKNOWN or ""
 * and is absent in JSON, never 0. No maker's code runs in this process: its library is loaded by a child that may be killed, its
 * tool is run without a shell, both with a limit of time and of output.
 *
 * A scan is a plain value that owns nothing (300 KiB: keep it on the heap). Bounds: PROBE_*_MAX; what is past them is counted
 * in `dropped` and told in a note. Everything here blocks (for seconds, where a tool hangs): not for an event loop's thread.
 */
#ifndef BUSBAR_PROBE_PROBE_H
#define BUSBAR_PROBE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define PROBE_CHIPS_MAX 128
#define PROBE_LINKS_MAX 16
#define PROBE_NOTES_MAX 32
#define PROBE_TEXT_CAP 64
#define PROBE_WORDS_CAP 128
#define PROBE_PCI_CAP 16 /* "0000:19:00.0" */
#define PROBE_KEY_CAP 160
#define PROBE_JSON_MAX ((size_t)1 << 20)

#define PROBE_UNKNOWN INT64_MIN

enum probe_health { PROBE_HEALTH_UNKNOWN, PROBE_OK, PROBE_WARNING, PROBE_FAILED };
/* Bits of `sources`. */
enum { PROBE_PCI = 1, PROBE_LIBRARY = 2, PROBE_COMMAND = 4, PROBE_ALL = 7 };

struct probe_link {
    char peer[PROBE_PCI_CAP]; /* address of the other end; "" where it is a switch or a port */
    char kind[16];            /* nvlink, xgmi, hccs, mtlink... */
    int64_t count;
};

struct probe_chip {
    char vendor[24];            /* as in data/chips.yaml; "" if we do not know the maker */
    char pci[PROBE_PCI_CAP];    /* lower case with domain; "" where no source has told it */
    char id[12];                /* "10de:2330" */
    char revision[4];           /* "a1" */
    char kind[32];              /* name in data/chips.yaml; "" where there is none that this surely is */
    char model[PROBE_TEXT_CAP]; /* as the tool says it */
    char serial[PROBE_TEXT_CAP];
    char uuid[PROBE_TEXT_CAP];
    int64_t index;             /* the maker's own number of it */
    char node[PROBE_TEXT_CAP]; /* /dev/davinci5 */
    char card
        [PROBE_TEXT_CAP]; /* equal for devices of one card; "": it is a card by itself, as far as is known */
    int64_t die;          /* which device of its card, from 0 */
    int64_t numa;
    int64_t memory_mib, memory_used_mib;
    int64_t power_mw, power_limit_mw;
    int64_t temperature_c;
    int64_t utilisation_pct;
    enum probe_health health;
    char health_text[PROBE_WORDS_CAP]; /* why, where it is not ok */
    char module[32]; /* the kernel's driver that has it: "nvidia", "vfio-pci"; "": none has */
    char driver[32]; /* its version */
    struct probe_link link[PROBE_LINKS_MAX];
    uint32_t links;
    unsigned sources;
};

/* Processors are always there. */
struct probe_cpu {
    char vendor[24];
    char model[PROBE_TEXT_CAP];
    char isa[PROBE_WORDS_CAP]; /* of sse4.2 avx2 avx512 amx neon sve those that there are, blanks between */
    int64_t sockets, cores, threads, numa_nodes;
    int64_t memory_mib;
};

struct probe_scan {
    struct probe_chip
        chip[PROBE_CHIPS_MAX]; /* by PCI address; those without one follow, by vendor and index */
    uint32_t n;
    uint32_t dropped; /* past PROBE_CHIPS_MAX */
    struct probe_cpu cpu;
    char note[PROBE_NOTES_MAX][PROBE_WORDS_CAP]; /* what a person should know: a tool that failed, and why */
    uint32_t notes;
};

/* Where to look. All may be NULL: then a variable of the environment, if one is named, else where it usually is. */
struct probe_options {
    const char *sysfs; /* BUSBAR_SYSFS; /sys */
    /* Folders, ':' between. BUSBAR_CHIP_TOOLS; PATH and the makers' own. */
    const char *tools;
    const char *libs; /* one folder. BUSBAR_CHIP_LIBS; where the loader looks, and the makers' own */
    /* Folder of a captured machine (docs/chips.md): nothing of this one is read, and nothing is run. */
    const char *from;
    /* data/chips.yaml, which `kind` comes from: beside the program. Without one there are no kinds. */
    const char *kinds;
    const char *program; /* that loads libraries as a child (library.h): the one that runs */
    unsigned sources;    /* 0: all */
    uint32_t limit_ms;   /* of each tool; 0: 5000 */
};

/* Fills `out`. Chips that cannot be read are no error: they are there with what is known of them, and a note. ERR_INVALID where
 * `from` is no such folder, ERR_NO_MEMORY. */
int probe_run(struct probe_scan *out, const struct probe_options *options, struct err *err);

/* {"chips": [...], "cpu": {...}, "notes": [...]}; members have the names of the fields. */
void probe_json(struct buf *out, const struct probe_scan *scan);
void probe_chip_json(struct buf *out, const struct probe_chip *chip);
/* Reads what probe_json wrote, as by another version: members that are not known are passed over, a text that does not fit or a
 * number that is none is not known. ERR_INVALID if it is no such JSON. */
int probe_read(struct probe_scan *out, const char *json, size_t len, struct err *err);

void probe_chip_init(struct probe_chip *chip);
const char *probe_health_text(enum probe_health health);
/* What a chip is told by in time: vendor and uuid, else serial (with the die where a card has two), else PCI address. dst has
 * PROBE_KEY_CAP bytes. False, and "", where it has none of these. */
bool probe_key(const struct probe_chip *chip, char *dst);
/* Whether its key holds beyond this machine: it has a uuid or a serial. */
bool probe_is_named(const struct probe_chip *chip);

/* ---- two scans ---- */

enum probe_change_kind { PROBE_CAME, PROBE_WENT, PROBE_CHANGED };
/* Bits of what changed. Readings that always move (power, temperature, use) are no change. */
enum {
    PROBE_DIFF_HEALTH = 1,
    PROBE_DIFF_PLACE = 2, /* pci, index, node, card */
    PROBE_DIFF_NAME = 4,  /* serial, uuid: a tool has begun or ceased to tell it */
    PROBE_DIFF_KIND = 8,  /* id, kind, model, memory */
    PROBE_DIFF_DRIVER = 16,
};

struct probe_change {
    enum probe_change_kind kind;
    unsigned fields;                         /* PROBE_CHANGED: at least one */
    const struct probe_chip *before, *after; /* of the scans; NULL on the side where it is not */
};

/* Went first, then changed, then came. A chip that lost its serial (its tool hangs) but stays at its address is the same chip.
 * Returns how many; `out` has 2 * PROBE_CHIPS_MAX. */
uint32_t probe_compare(const struct probe_scan *before, const struct probe_scan *after,
                       struct probe_change *out);

#endif
