/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the probe share: makers, devices of the PCI bus, and drafts, which are chips as one source tells them.
 *
 * A reader turns the output of a tool into drafts and knows nothing of the maker: what a column means is in the tables of
 * tools.c. A value is text until draft_set takes it: there, and only there, units are read and what tools write for "I do not know"
 * ("N/A", "-", "[Not Supported]", a serial of zeros) becomes nothing at all.
 */
#ifndef BUSBAR_PROBE_PARTS_H
#define BUSBAR_PROBE_PARTS_H

#include <stddef.h>

#include "base/fs.h"
#include "probe/probe.h"

/* ---- what a source tells of one chip ---- */

/* The names are those in the shapes of a box (read_box.c). */
#define PROBE_FIELDS(F) \
    F(NONE, "") \
    F(ANY, "*") \
    F(PCI, "pci") \
    F(PCI_DOMAIN, "domain") \
    F(PCI_BUS, "bus") \
    F(PCI_DEVICE, "device") \
    F(PCI_FUNCTION, "function") \
    F(ID, "id") \
    F(INDEX, "index") \
    F(PHYSICAL, "physical") \
    F(CARD, "card") \
    F(DIE, "die") \
    F(NODE, "node") \
    F(NUMA, "numa") \
    F(MODEL, "model") \
    F(SERIAL, "serial") \
    F(UUID, "uuid") \
    F(MEMORY, "memory") \
    F(MEMORY_USED, "memory-used") \
    F(DDR, "ddr") \
    F(DDR_USED, "ddr-used") \
    F(POWER, "power") \
    F(LIMIT, "limit") \
    F(TEMPERATURE, "temperature") \
    F(USE, "use") \
    F(HEALTH, "health") \
    F(ERRORS, "errors") \
    F(DRIVER, "driver") \
    F(FUNCTION_TYPE, "function-type") \
    F(BEGINS, "begins") \
    F(MORE, "more")

enum probe_field {
#define F(name, text) FIELD_##name,
    PROBE_FIELDS(F)
#undef F
        FIELDS_N
};

/* Of a number that has none of its own. */
enum probe_unit { UNIT_NONE, UNIT_B, UNIT_KIB, UNIT_MIB, UNIT_MW, UNIT_W, UNIT_UW, UNIT_MC };

struct draft {
    struct probe_chip chip;
    char pci_decimal[PROBE_PCI_CAP]; /* its address, if the parts of it were told as decimal numbers */
    int64_t pci_part[4], pci_decimal_part[4];
    int64_t physical; /* the number that device nodes are named by, where that is not the index */
    int64_t ddr_mib, ddr_used_mib;
    bool skip; /* no chip: a slice of one, a management controller */
};

struct drafts {
    struct draft d[PROBE_CHIPS_MAX];
    uint32_t n;
    uint32_t dropped;
    char driver[32]; /* told once for all */
};

struct draft *drafts_add(struct drafts *drafts); /* NULL: there is no room */
/* Addresses from parts, DDR where there is no better memory, the driver of all. Once, after the last draft_set. */
void drafts_finish(struct drafts *drafts);
void draft_finish(struct draft *draft, const char *driver);
void draft_set(struct draft *draft, enum probe_field field, enum probe_unit unit, const char *text,
               size_t len);
enum probe_field field_named(const char *name, size_t len);
/* Printable ASCII only, blanks at both ends off, cut at the end of dst. */
void text_take(char *dst, size_t cap, const char *text, size_t len);
void text_trim(const char **text, size_t *len);
bool text_is_nothing(const char *text, size_t len);
/* "00000000:3B:00.0" to "0000:3b:00.0". False, with dst empty, on what is no address; what follows a blank is left. */
bool pci_parse(char dst[PROBE_PCI_CAP], const char *text, size_t len);
/* First address in a line. */
bool pci_find(char dst[PROBE_PCI_CAP], const char *line, size_t len);
bool line_next(const char **at, const char *end, const char **line, size_t *len);
/* A number with its unit as thousandths: "96.66W". *end is where it ends. */
bool number_read(const char *text, size_t len, int64_t *milli, size_t *end);

/* ---- makers ---- */

enum node_rule { NODE_NONE, NODE_DRM, NODE_ACCEL, NODE_INDEX, NODE_PHYSICAL, NODE_MINOR, NODE_CLASS };

struct tool_step;

struct maker {
    const char *name; /* as in data/chips.yaml */
    uint16_t vendor_id[2];
    const uint16_t *
        classes; /* that its chips have, 0 last; NULL: all but those of bridges, sound, network, storage... */
    const uint16_t *devices; /* chips whatever their class, 0 last; may be NULL */
    const uint16_t *never;   /* devices that are none, 0 last; may be NULL */
    bool discrete;           /* what is on bus 0 is a part of the processor */
    enum node_rule node;
    const char *node_pattern; /* {} the number; NODE_CLASS: the folder of /sys/class and of /dev */
    const char *library;      /* names to try, blanks between; NULL: it has none that we can call */
    const char *prefix;       /* of its functions */
    const char *folders; /* where its library and its tools may be, ':' between, beside the usual places */
    const struct tool_step *steps;
};

extern const struct maker makers[];
extern const uint32_t makers_n;
const struct maker *maker_named(const char *name);

/* ---- the PCI bus ---- */

#define PCI_DEVICES_MAX 4096

struct pci_device {
    char address[PROBE_PCI_CAP];
    uint16_t vendor, device;
    uint32_t class; /* 24 bits */
    char revision[4];
    char module[32];
    char node[PROBE_TEXT_CAP];  /* that sysfs names: of drm, accel or the maker's class */
    char parent[PROBE_PCI_CAP]; /* it is a virtual function of this one, which is here too */
    int64_t minor;
    int64_t numa;
    struct draft told; /* what the kernel's driver says of it */
};

/* Which maker's chip a device is; NULL: none's. *accelerator: it is one all the same, of a maker that we do not know. */
const struct maker *pci_judge(uint16_t vendor, uint16_t device, uint32_t class, const char *address,
                              bool *accelerator);
/* Chips among the devices of a sysfs, by address. A folder that is not there has none. */
void pci_scan(struct probe_scan *out, const char *sysfs, const char *proc);
/* The same of a captured list (docs/chips.md). */
void pci_scan_list(struct probe_scan *out, const char *text, size_t len);

/* ---- processors ---- */

void cpu_scan(struct probe_cpu *cpu, const char *sysfs, const char *proc);

/* ---- kinds ---- */

struct kinds;
/* NULL: there is no such file, or it cannot be read. */
struct kinds *kinds_load(const char *path);
void kinds_free(struct kinds *kinds);
/* "" if no kind is surely this one. */
const char *kinds_find(const struct kinds *kinds, const struct probe_chip *chip);

/* ---- tools ---- */

enum tool_format { TOOL_CSV, TOOL_JSON, TOOL_PAIRS, TOOL_BOX, TOOL_COLUMNS, TOOL_MATRIX };
/* LIST: the first that finds chips ends the search for another one. ALSO: of chips that are found. */
enum step_role { STEP_LIST, STEP_ALSO };
enum step_each { EACH_ALL, EACH_CARD, EACH_INDEX };

struct tool_column {
    const char *
        key; /* CSV: name of a column; JSON: path; pairs: [Section/]Key; box: shape of a line; matrix: a mark */
    enum probe_field field;
    enum probe_unit unit;
};

struct tool_step {
    const char *program; /* names to try, blanks between */
    const char *args;    /* blanks between; {keys}: those of the columns; {}: number of the chip or card */
    const char *capture; /* file of a captured machine with the output; {} as above */
    const char *list;    /* JSON: where chips are; pairs: how the line of a chip begins */
    const char *file;    /* that it writes into its folder in place of its output */
    const struct tool_column *columns; /* key NULL: the end */
    enum tool_format format;
    enum step_role role;
    enum step_each each;
};

typedef void tool_reader(struct drafts *out, const struct tool_step *step, const char *text, size_t len);
tool_reader read_csv, read_json, read_pairs, read_box, read_columns;
/* Links between the chips of `scan` that are `vendor`'s, which a matrix names by their index. */
void read_matrix(struct probe_scan *scan, const char *vendor, const struct tool_step *step, const char *text,
                 size_t len);
void tool_read(struct drafts *out, const struct tool_step *step, const char *text, size_t len);

/* ---- children ---- */

#define RUN_OUTPUT_MAX ((size_t)1 << 20)
#define RUN_ARGS_MAX 24

struct run_result {
    int status; /* exit status; -1: ended by a signal, or not at all */
    bool timed_out;
    bool stuck; /* it cannot even be killed; it is left, and is not started again while it is there */
};

/* Without a shell, in an empty folder of its own, which is removed; no input; its output, or the file of that name, to `out`. `key`
 * names what is not to run twice. ERR_NOT_FOUND: it cannot be started. */
int run_tool(const char *program, char *const argv[], const char *file, uint32_t limit_ms, const char *key,
             struct buf *out, struct run_result *result);

/* ---- all together ---- */

__attribute__((format(printf, 2, 3))) void scan_note(struct probe_scan *scan, const char *fmt, ...);
struct probe_chip *scan_add(struct probe_scan *scan); /* NULL, counted: there is no room */
/* Whether the chip is one of this maker's ids: Intel has two. */
bool maker_has(const struct maker *maker, const struct probe_chip *chip);
bool maker_is_here(const struct maker *maker, const struct probe_scan *scan);
/* Fields that `chip` does not know yet; of health the worse. */
void chip_fold(struct probe_chip *chip, const struct probe_chip *from);
/* Takes what a source tells of one maker's chips. Where none of them is known from the bus, those of a list are new. */
void merge_drafts(struct probe_scan *scan, const struct maker *maker, const struct drafts *drafts,
                  unsigned source, enum step_role role, const char *tool);
void scan_sort(struct probe_scan *scan);
/* Device nodes by the maker's rule, kinds, health of what was read. */
void scan_finish(struct probe_scan *scan, const struct kinds *kinds);
/* Of the makers whose chips are here, or of all if the bus was not read. */
void libraries_ask(struct probe_scan *scan, const struct probe_options *options);
void tools_ask(struct probe_scan *scan, const struct probe_options *options);

#endif
