/* SPDX-License-Identifier: Apache-2.0 */
#include "site/machine.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"

#define CHIP "cpu"

static uint32_t cores_here(uint32_t *cores)
{
    cpu_set_t set;
    uint32_t n = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (uint32_t i = 0; i < CPU_SETSIZE && i < JOB_CORES_MAX; i++) {
        if (CPU_ISSET(i, &set))
            cores[n++] = i;
    }
    return n;
}

/* As even as can be: neighbours share a chip. */
static void add_cores(struct buf *out, const uint32_t *cores, uint32_t n, uint32_t chips)
{
    for (uint32_t i = 0; i < chips; i++) {
        uint32_t from = i * n / chips, to = (i + 1) * n / chips;
        buf_add_text(out, i ? ", \"" : "\"");
        for (uint32_t k = from; k < to; k++)
            buf_addf(out, "%s%u", k > from ? "," : "", cores[k]);
        buf_add_char(out, '"');
    }
}

static int load(struct engine_config **config, const struct buf *text, struct err *err)
{
    char share[FS_PATH_MAX], path[FS_PATH_MAX];
    if (text->failed)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    if (!fs_share(share) || !fs_join(path, share, "chips.yaml"))
        return err_set(err, ERR_NOT_FOUND, "the catalogue of chips is not beside the program");
    int rc = engine_config_parse(config, text->data, text->len, "the local engine", err);
    return rc ? rc : chipset_load(&(*config)->chipset, path, err);
}

int machine_find(struct machine *out, struct engine_config **config, const char *work, struct err *err)
{
    uint32_t cores[JOB_CORES_MAX];
    uint32_t n = cores_here(cores);
    struct buf text;
    struct job_chips chip = {.kind = (char[]){CHIP}};
    if (n == 0)
        return err_set(err, ERR_IO, "cannot tell which processors are here");
    *out = (struct machine){
        .chip = CHIP,
        .chips = n < MACHINE_CHIPS_MAX ? n : MACHINE_CHIPS_MAX,
        .memory_mib =
            (uint32_t)(((uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE)) >> 20)};
    buf_init(&text, 65536);
    buf_add_text(&text, "engine: local\nwork: ");
    buf_add_json(&text, work, strlen(work));
    buf_add_text(&text, "\nchips:\n  - {chip: " CHIP ", cores: [");
    add_cores(&text, cores, n, out->chips);
    buf_add_text(&text, "]}\n");
    int rc = load(config, &text, err);
    buf_fini(&text);
    if (rc == 0)
        rc = chipset_fill((*config)->chipset, &chip, err);
    out->watts = chip.watts;
    for (uint32_t i = 0; i < chip.devices_count; i++)
        free(chip.devices[i]);
    free(chip.devices);
    free(chip.visible);
    return rc;
}
