/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/parts.h"

void probe_chip_init(struct probe_chip *chip)
{
    memset(chip, 0, sizeof *chip); /* it is compared and copied whole */
    chip->index = chip->die = chip->numa = PROBE_UNKNOWN;
    chip->memory_mib = chip->memory_used_mib = PROBE_UNKNOWN;
    chip->power_mw = chip->power_limit_mw = PROBE_UNKNOWN;
    chip->temperature_c = chip->utilisation_pct = PROBE_UNKNOWN;
}

const char *probe_health_text(enum probe_health health)
{
    static const char *const texts[] = {"unknown", "ok", "warning", "failed"};
    return texts[health];
}

bool probe_is_named(const struct probe_chip *chip)
{
    return chip->uuid[0] || chip->serial[0];
}

bool probe_key(const struct probe_chip *chip, char *dst)
{
    int n = 0;
    if (chip->uuid[0])
        n = snprintf(dst, PROBE_KEY_CAP, "%s/%s", chip->vendor, chip->uuid);
    else if (chip->serial[0] && chip->die != PROBE_UNKNOWN)
        n = snprintf(dst, PROBE_KEY_CAP, "%s/%s#%lld", chip->vendor, chip->serial, (long long)chip->die);
    else if (chip->serial[0])
        n = snprintf(dst, PROBE_KEY_CAP, "%s/%s", chip->vendor, chip->serial);
    else if (chip->pci[0])
        n = snprintf(dst, PROBE_KEY_CAP, "%s@%s", chip->vendor, chip->pci);
    else
        dst[0] = 0;
    return n > 0;
}

void scan_note(struct probe_scan *scan, const char *fmt, ...)
{
    va_list args;
    if (scan->notes == PROBE_NOTES_MAX)
        return;
    char *note = scan->note[scan->notes];
    va_start(args, fmt);
    (void)vsnprintf(note, PROBE_WORDS_CAP, fmt, args);
    va_end(args);
    for (uint32_t i = 0; i < scan->notes; i++) {
        if (strcmp(scan->note[i], note) == 0)
            return;
    }
    scan->notes++;
}

struct probe_chip *scan_add(struct probe_scan *scan)
{
    if (scan->n == PROBE_CHIPS_MAX) {
        scan->dropped++;
        return NULL;
    }
    struct probe_chip *chip = &scan->chip[scan->n++];
    probe_chip_init(chip);
    return chip;
}

/* Domain, bus, device, function of an address as one number. */
static uint64_t place(const char *pci)
{
    char *at;
    uint64_t v = strtoul(pci, &at, 16);
    for (int i = 0; i < 3 && *at; i++)
        v = v << 8 | (strtoul(at + 1, &at, 16) & 0xff);
    return v;
}

static int by_place(const void *pa, const void *pb)
{
    const struct probe_chip *a = pa, *b = pb;
    if (!a->pci[0] != !b->pci[0])
        return a->pci[0] ? -1 : 1;
    uint64_t x = place(a->pci), y = place(b->pci);
    if (x != y)
        return x < y ? -1 : 1;
    int names = strcmp(a->vendor, b->vendor);
    return names ? names : a->index < b->index ? -1 : a->index > b->index;
}

void scan_sort(struct probe_scan *scan)
{
    qsort(scan->chip, scan->n, sizeof scan->chip[0], by_place);
}
