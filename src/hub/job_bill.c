/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/job_bill.h"

#include "base/checked.h"
#include "hub/api.h"

/* What is owed has no bound that a sum of many epochs keeps. */
static int64_t sum(int64_t a, int64_t b)
{
    int64_t both;
    return i64_add(a, b, &both) ? both : INT64_MAX;
}

static void add_epoch(struct buf *out, const struct core *core, const struct row_job_usage *row,
                      enum job_end end)
{
    const struct row_site *site = view_site(core, &row->site);
    buf_addf(out, "{\"epoch\":%u", row->epoch);
    add_text(out, "site", site ? site->name : "?", NAME_CAP);
    buf_addf(out, ",\"chips\":%u", row->chips);
    add_time(out, "started", row->started_ms);
    add_time(out, "ended", row->ended_ms);
    if (end != JOB_END_NONE)
        add_text(out, "end", job_end_text(end), KIND_TEXT_CAP);
    buf_addf(out, ",\"ms\":%llu,\"chip_ms\":%llu,\"cpu_ms\":%llu,\"energy_j\":%llu.%03u",
             (unsigned long long)row->ms, (unsigned long long)row->chip_ms, (unsigned long long)row->cpu_ms,
             (unsigned long long)(row->energy_mj / 1000), (unsigned)(row->energy_mj % 1000));
    if (row->energy_mj > 0)
        add_text(out, "energy", row->flags & JOB_METER_ESTIMATED ? "estimated" : "measured", KIND_TEXT_CAP);
    buf_addf(out, ",\"truncated\":%s,\"final\":%s", row->flags & JOB_METER_TRUNCATED ? "true" : "false",
             row->flags & JOB_METER_FINAL ? "true" : "false");
    add_amount(out, "price", row->price);
    add_amount(out, "cost", row->cost);
    if (row->unpaid > 0)
        add_amount(out, "unpaid", row->unpaid);
    buf_add_char(out, '}');
}

void job_bill_render(struct buf *out, const struct core *core, const struct row_job_usage *row, uint32_t n,
                     const enum job_end *end)
{
    const uint32_t first = n > BILL_EPOCHS_SHOWN ? n - BILL_EPOCHS_SHOWN : 0;
    uint64_t chip_ms = 0;
    int64_t cost = 0, unpaid = 0;
    for (uint32_t i = 0; i < n; i++) {
        chip_ms += row[i].chip_ms;
        cost = sum(cost, row[i].cost);
        unpaid = sum(unpaid, row[i].unpaid);
    }
    buf_addf(out, ",\"chip_ms\":%llu", (unsigned long long)chip_ms);
    add_amount(out, "cost", cost);
    if (unpaid > 0)
        add_amount(out, "unpaid", unpaid);
    buf_add_text(out, ",\"epochs\":[");
    for (uint32_t i = first; i < n; i++) {
        buf_add_text(out, i > first ? "," : "");
        add_epoch(out, core, &row[i], end[i - first]);
    }
    buf_add_char(out, ']');
}
