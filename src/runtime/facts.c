/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/facts.h"

#include "core/kinds.h"
#include "core/view.h"
#include "store/store.h"

#define FACTS_MAX 2048

void facts_find(struct facts *facts, const struct core *core, const struct event *event)
{
    const struct uuid *job = NULL;
    uint32_t epoch = 0;
    *facts = (struct facts){.any = event->kind == EVENT_KIND_meter};
    if (facts->any) {
        facts->id = event->u.meter.request;
        facts->tenant = event->u.meter.tenant;
    } else if (event->kind == EVENT_KIND_job_end) {
        job = &event->u.job_end.job;
        epoch = event->u.job_end.epoch;
    } else if (event->kind == EVENT_KIND_job_meter && (event->u.job_meter.flags & JOB_METER_FINAL)) {
        job = &event->u.job_meter.job;
        epoch = event->u.job_meter.epoch;
    }
    const struct row_job_usage *usage = job ? view_job_usage(core, job, epoch) : NULL;
    if (!usage)
        return;
    *facts = (struct facts){.any = true,
                            .id = *job,
                            .tenant = usage->tenant,
                            .pool = usage->pool,
                            .site = usage->site,
                            .chips = usage->chips,
                            .price = usage->price,
                            .started_ms = usage->started_ms};
}

static void add_name(struct buf *out, const char *name, const char *value, size_t cap)
{
    if (value && value[0])
        buf_addf(out, "%s %.*s\n", name, (int)text_len(value, cap), value);
}

static void add_number(struct buf *out, const char *name, int64_t value)
{
    buf_addf(out, "%s %lld\n", name, (long long)value);
}

static void add_uuid(struct buf *out, const char *name, const struct uuid *id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(text, id);
    if (!uuid_zero(id))
        buf_addf(out, "%s %s\n", name, text);
}

static void add_site(struct buf *out, const struct core *core, const struct uuid *id)
{
    const struct row_site *site = view_site(core, id);
    if (site)
        add_name(out, "site", site->name, sizeof site->name);
}

static void add_meter(struct buf *out, const struct core *core, const struct event *event, int64_t amount)
{
    const struct event_meter *m = &event->u.meter;
    const struct row_model *model = view_model(core, &m->model);
    const struct row_variant *variant = view_variant(core, &m->variant);
    const struct row_tenant *tenant = view_tenant(core, &m->tenant);
    add_uuid(out, "response", &m->request);
    add_uuid(out, "tenant", &m->tenant);
    add_uuid(out, "key", &m->key);
    if (model)
        add_name(out, "model", model->name, sizeof model->name);
    if (variant) {
        char digest[2 * DIGEST_BYTES + 1];
        hex_encode(digest, variant->digest, sizeof variant->digest);
        buf_addf(out, "weights sha256:%s\n", digest);
        add_name(out, "format", variant->format, sizeof variant->format);
        add_name(out, "quantisation", variant->quantisation, sizeof variant->quantisation);
        add_name(out, "engine", variant->engine, sizeof variant->engine);
    }
    add_site(out, core, &m->site);
    add_number(out, "prompt_tokens", m->prompt);
    add_number(out, "cached_tokens", m->cached);
    add_number(out, "completion_tokens", m->completion);
    add_number(out, "reasoning_tokens", m->reasoning);
    add_uuid(out, "price", &m->price);
    add_number(out, "cost_nano", amount);
    if (tenant)
        add_number(out, "currency", tenant->ledger);
    add_number(out, "final", (m->flags & METER_FINAL) != 0);
    add_number(out, "status", m->status);
    add_number(out, "started_ms", m->started_ms);
}

static void add_job(struct buf *out, const struct facts *facts, const struct core *core)
{
    const struct row_pool *pool = view_pool(core, &facts->pool);
    add_uuid(out, "job", &facts->id);
    add_uuid(out, "tenant", &facts->tenant);
    add_site(out, core, &facts->site);
    if (pool)
        add_name(out, "chip", pool->chip, sizeof pool->chip);
    add_number(out, "chips", facts->chips);
    add_number(out, "price_nano_chip_hour", facts->price);
    add_number(out, "started_ms", facts->started_ms);
}

void facts_add(struct buf *out, const struct facts *facts, const struct core *core, const struct event *event,
               int64_t amount, uint32_t place)
{
    struct buf text;
    if (!facts->any)
        return;
    buf_init(&text, FACTS_MAX);
    if (event->kind == EVENT_KIND_meter) {
        add_meter(&text, core, event, amount);
    } else {
        add_job(&text, facts, core);
        if (event->kind == EVENT_KIND_job_end) {
            add_number(&text, "epoch", event->u.job_end.epoch);
            add_name(&text, "ending", job_ending_text(event->u.job_end.code), NAME_CAP);
            add_number(&text, "status", event->u.job_end.code & ((1u << JOB_CODE_BITS) - 1));
        } else {
            add_number(&text, "epoch", event->u.job_meter.epoch);
            add_number(&text, "run_ms", (int64_t)event->u.job_meter.ms);
            add_number(&text, "chip_ms", (int64_t)event->u.job_meter.chip_ms);
            add_number(&text, "cpu_ms", (int64_t)event->u.job_meter.cpu_ms);
            add_number(&text, "energy_mj", (int64_t)event->u.job_meter.energy_mj);
        }
    }
    add_number(&text, "time_ms", event->at_ms);
    struct store_receipt receipt = {
        .id = facts->id, .tenant = facts->tenant, .leaf = place, .facts_len = (uint32_t)text.len};
    store_receipt_add(out, &receipt, text.data);
    out->failed |= text.failed;
    buf_fini(&text);
}
