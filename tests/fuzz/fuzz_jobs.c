/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a job's folder and what Slurm's commands print, from any bytes; the first picks the reader. What is read
 * can be written, and reads as the same again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/job.h"
#include "engine/slurm_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void form(const struct form_table *table, const char *text, size_t len)
{
    union {
        struct job_spec spec;
        struct job_lease lease;
        struct job_stop stop;
        struct job_usage usage;
        struct job_exit exit;
    } once, again;
    struct err err = {0};
    struct buf first, second;
    assert(table->size <= sizeof once);
    int rc = table == &job_spec_table ? job_spec_parse(&once.spec, text, len, &err)
                                      : form_read(table, text, len, &once, &err);
    if (rc != 0) {
        assert(err.msg[0]);
        return;
    }
    buf_init(&first, 8 * FORM_MAX);
    buf_init(&second, 8 * FORM_MAX);
    form_write(table, &once, &first);
    assert(!first.failed);
    if (form_read(table, first.data, first.len, &again, &err) == 0) {
        form_write(table, &again, &second);
        assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        form_free(table, &again);
    } else {
        assert(first.len > FORM_MAX); /* escapes can make it longer than what may be read */
    }
    form_free(table, &once);
    buf_fini(&first);
    buf_fini(&second);
}

static void rows(int (*parse)(struct slurm_rows *, const char *, size_t), const char *text, size_t len)
{
    struct slurm_rows rows;
    assert(parse(&rows, text, len) == 0);
    for (uint32_t i = 0; i < rows.n; i++) {
        const struct slurm_row *r = slurm_row_find(&rows, rows.row[i].name, rows.row[i].task);
        assert(r && r <= &rows.row[i] && strcmp(r->name, rows.row[i].name) == 0);
    }
    slurm_rows_free(&rows);
}

static void nodes(const char *text, size_t len)
{
    struct engine_chips chips = {.chip = (char *)(uintptr_t) "a", .gres = (char *)(uintptr_t) "npu:a"};
    const struct engine_config config = {.chips = &chips, .chips_count = 1};
    struct engine_inventory inv = {.nodes = NULL};
    assert(slurm_nodes_parse(&inv, &config, text, len) == 0);
    for (uint32_t i = 0; i < inv.nodes_count; i++)
        assert(memchr(inv.nodes[i].name, 0, NAME_CAP) && memchr(inv.nodes[i].reason, 0, TEXT_CAP));
    free(inv.nodes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct form_table *const tables[] = {&job_spec_table, &job_lease_table, &job_stop_table,
                                                      &job_usage_table, &job_exit_table};
    struct job_usage usage;
    struct slurm_settings settings;
    uint32_t minutes;
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    switch (data[0] % 10) {
    case 5:
        (void)job_usage_last(&usage, text, len);
        form_free(&job_usage_table, &usage);
        break;
    case 6:
        rows(slurm_squeue_parse, text, len);
        break;
    case 7:
        rows(slurm_sacct_parse, text, len);
        break;
    case 8:
        nodes(text, len);
        break;
    case 9:
        slurm_settings_parse(&settings, text, len);
        assert(memchr(settings.version, 0, sizeof settings.version));
        (void)slurm_longest_parse(text, len, len % 2 ? "a,b" : "", &minutes);
        break;
    default:
        form(tables[data[0] % 10], text, len);
    }
    return 0;
}
