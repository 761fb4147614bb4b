/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/job_bill.h"

#include "base/checked.h"
#include "engine/workdir.h"
#include "hub/api.h"
#include "hub/bills.h"

static uint32_t first_shown(uint32_t epoch)
{
    return epoch > JOB_EPOCHS_SHOWN ? epoch - JOB_EPOCHS_SHOWN + 1 : 1;
}

void job_told_read(struct job_told told[JOB_EPOCHS_SHOWN], const char *work_dir, const struct row_job *job)
{
    for (uint32_t epoch = first_shown(job->epoch); work_dir && epoch <= job->epoch; epoch++) {
        const struct job_id id = {job->id, epoch};
        struct job_exit exit = {0};
        char dir[FS_PATH_MAX], path[FS_PATH_MAX];
        workdir_path(dir, work_dir, &id);
        workdir_file(path, dir, "exit");
        if (form_load(&job_exit_table, path, &exit, NULL) == 0)
            told[epoch % JOB_EPOCHS_SHOWN] = (struct job_told){.epoch = epoch,
                                                               .end = exit.end,
                                                               .ms = exit.usage.ms,
                                                               .cpu_ms = exit.usage.cpu_ms,
                                                               .memory_peak_kib = exit.usage.memory_peak_kib};
        form_free(&job_exit_table, &exit);
    }
}

/* What is owed has no bound that a sum of many epochs keeps. */
static int64_t sum(int64_t a, int64_t b)
{
    int64_t both;
    return i64_add(a, b, &both) ? both : INT64_MAX;
}

static void add_usage(struct buf *out, const struct job_told *told)
{
    buf_addf(out, ",\"usage\":{\"ms\":%llu,\"cpu_ms\":%llu,\"memory_peak_kib\":%llu}",
             (unsigned long long)told->ms, (unsigned long long)told->cpu_ms,
             (unsigned long long)told->memory_peak_kib);
}

/* What its data moved over the corridor to its site. */
static void add_moved(struct buf *out, const struct row_job_usage *row)
{
    buf_add_text(out, ",\"transfer\":{");
    buf_addf(out, "\"bytes_in\":%llu,\"bytes_out\":%llu", (unsigned long long)row->bytes_in,
             (unsigned long long)row->bytes_out);
    add_id(out, "corridor", &row->corridor);
    add_amount(out, "price", row->data_price);
    add_amount(out, "cost", row->data_cost);
    if (row->data_unpaid > 0)
        add_amount(out, "unpaid", row->data_unpaid);
    buf_add_char(out, '}');
}

static void add_metered(struct buf *out, const struct core *core, const struct row_job_usage *row)
{
    const struct row_site *site = view_site(core, &row->site);
    add_text(out, "site", site ? site->name : "?", NAME_CAP);
    buf_addf(out, ",\"chips\":%u", row->chips);
    add_time(out, "started", row->started_ms);
    add_time(out, "ended", row->ended_ms);
    buf_addf(out, ",\"ms\":%llu,\"chip_ms\":%llu,\"cpu_ms\":%llu,\"energy_j\":%llu.%03u",
             (unsigned long long)row->ms, (unsigned long long)row->chip_ms, (unsigned long long)row->cpu_ms,
             (unsigned long long)(row->energy_mj / 1000), (unsigned)(row->energy_mj % 1000));
    if (row->energy_mj > 0)
        add_text(out, "energy", row->flags & JOB_METER_ESTIMATED ? "estimated" : "measured", KIND_TEXT_CAP);
    buf_addf(out, ",\"truncated\":%s,\"final\":%s", row->flags & JOB_METER_TRUNCATED ? "true" : "false",
             row->flags & JOB_METER_FINAL ? "true" : "false");
    char version[VERSION_TEXT_CAP];
    add_amount(out, "price", row->price);
    (void)bill_version(version, &row->version);
    if (version[0])
        add_text(out, "price_version", version, sizeof version);
    add_amount(out, "cost", row->cost);
    if (row->energy_cost > 0)
        add_amount(out, "cost_energy", row->energy_cost);
    if (row->unpaid > 0 || row->energy_unpaid > 0)
        add_amount(out, "unpaid", sum(row->unpaid, row->energy_unpaid));
    if (!uuid_zero(&row->corridor))
        add_moved(out, row);
}

/* Those that ran before epochs were metered have no row. */
static void add_epochs(struct buf *out, const struct core *core, uint32_t last,
                       const struct job_told told[JOB_EPOCHS_SHOWN], const struct row_job_usage *row,
                       uint32_t n)
{
    uint32_t i = 0;
    buf_add_text(out, ",\"epochs\":[");
    for (uint32_t epoch = first_shown(last); epoch <= last; epoch++) {
        const struct job_told *end = &told[epoch % JOB_EPOCHS_SHOWN];
        while (i < n && row[i].epoch < epoch)
            i++;
        buf_addf(out, "%s{\"epoch\":%u", epoch > first_shown(last) ? "," : "", epoch);
        if (i < n && row[i].epoch == epoch)
            add_metered(out, core, &row[i]);
        if (end->epoch == epoch) {
            add_text(out, "end", job_end_text((enum job_end)end->end), KIND_TEXT_CAP);
            add_usage(out, end);
        }
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

void job_bill_render(struct buf *out, const struct core *core, const struct row_job *job,
                     const struct job_told told[JOB_EPOCHS_SHOWN], const struct row_job_usage *row,
                     uint32_t n)
{
    const struct job_told *last = &told[job->epoch % JOB_EPOCHS_SHOWN];
    uint64_t chip_ms = 0;
    int64_t cost = 0, unpaid = 0, moved = 0;
    for (uint32_t i = 0; i < n; i++) {
        chip_ms += row[i].chip_ms;
        moved = sum(moved, row[i].data_cost);
        cost = sum(cost, sum(row[i].cost, sum(row[i].energy_cost, row[i].data_cost)));
        unpaid = sum(unpaid, sum(row[i].unpaid, sum(row[i].energy_unpaid, row[i].data_unpaid)));
    }
    if (job->epoch > 0 && last->epoch == job->epoch)
        add_usage(out, last);
    buf_addf(out, ",\"chip_ms\":%llu", (unsigned long long)chip_ms);
    add_amount(out, "cost", cost);
    if (moved > 0)
        add_amount(out, "cost_transfers", moved);
    if (unpaid > 0)
        add_amount(out, "unpaid", unpaid);
    add_epochs(out, core, job->epoch, told, row, n);
}
