/* SPDX-License-Identifier: Apache-2.0 */
/* From state to rows: all of them at once, for a copy. The order is that of kinds, as core_load wants it. */
#include <string.h>

#include "core/core.h"
#include "core/state.h"

/* Entries whose row comes first in them. */
static void dump_table(const struct table *table, const void *entries, size_t size, enum row_kind kind,
                       row_fn *fn, void *ctx)
{
    for (uint32_t i = 0; i < table->used; i++) {
        if (table_live(table, i))
            fn(ctx, kind, ROW_PUT, (const char *)entries + i * size);
    }
}

#define DUMP(tables, array, kind) \
    do { \
        _Static_assert(offsetof(__typeof__(*core->array), row) == 0, "an entry begins with its row"); \
        dump_table(&core->tables, core->array, sizeof *core->array, ROW_KIND_##kind, fn, ctx); \
    } while (0)

void core_dump(const struct core *core, row_fn *fn, void *ctx)
{
    struct row_core row = core->row;
    memcpy(&row.rng0, core->rng.s, sizeof core->rng.s);
    fn(ctx, ROW_KIND_core, ROW_PUT, &row);
    DUMP(net.sites, net.site, site);
    DUMP(tenants, tenant, tenant);
    for (uint32_t i = 0; i < core->ledger.accounts.used; i++)
        fn(ctx, ROW_KIND_account, ROW_PUT, &core->ledger.account[i]);
    DUMP(keys, key, key);
    DUMP(models, model, model);
    DUMP(variants, variant, variant);
    DUMP(prices, price, price);
    DUMP(workers, worker, worker);
    DUMP(ledger.transfers, ledger.transfer, transfer);
    DUMP(leases, lease, lease);
    DUMP(deployments, deployment, deployment);
    DUMP(replicas, replica, replica);
    DUMP(net.chips, net.chip, chip);
    DUMP(net.pools, net.pool, pool);
    DUMP(net.down, net.down_node, node);
    DUMP(net.corridors, net.corridor, corridor);
    fn(ctx, ROW_KIND_dispatch, ROW_PUT, &core->work.row);
    DUMP(work.jobs, work.job, job);
    DUMP(work.shares, work.share, share);
    rulebook_dump(core, fn, ctx);
    DUMP(habits.table, habits.habit, habit);
    plan_dump(core, fn, ctx);
    DUMP(reserve.alarms, reserve.alarm, alarm);
    DUMP(traffic.transits, traffic.transit, transit);
    DUMP(service.services, service.service, service);
    DUMP(service.demands, service.demand, service_demand);
    DUMP(service.replicas, service.replica, service_replica);
    DUMP(follow.arrays, follow.array, job_array);
    DUMP(follow.edges, follow.edge, job_after);
    follow_dump(core, fn, ctx);
    DUMP(members, member, member);
    DUMP(meters.table, meters.usage, job_usage);
    DUMP(energy.meters, energy.meter, replica_meter);
    DUMP(energy.weights, energy.weight, energy_weight);
    DUMP(gateways, gateway, gateway);
    DUMP(books.payments, books.payment, payment);
    DUMP(tariff.table, tariff.price, pool_price);
    DUMP(charging.parties, charging.party, party);
    DUMP(charging.owners, charging.owner, site_owners);
    if (core->charging.row.id != 0)
        fn(ctx, ROW_KIND_charging, ROW_PUT, &core->charging.row);
    DUMP(grants.table, grants.grant, grant);
    DUMP(recalls.table, recalls.recall, recall);
    DUMP(clusters.table, clusters.cluster, cluster);
    acceptances_dump(core, fn, ctx);
    DUMP(tariff.terms, tariff.term, terms);
    DUMP(tariff.allowances, tariff.allowance, allowance);
    DUMP(tariff.parts, tariff.part, tariff_part);
    DUMP(tariff.means, tariff.mean, site_mean);
    DUMP(budgets.projects, budgets.project, project);
    DUMP(budgets.table, budgets.budget, budget);
    DUMP(budgets.webhooks, budgets.webhook, webhook);
    DUMP(budgets.notices, budgets.notice, notice);
    DUMP(budgets.computes, budgets.compute, compute);
    DUMP(registry.units, registry.unit, unit);
    DUMP(registry.alarms, registry.alarm, unit_alarm);
    DUMP(registry.censuses, registry.census, unit_census);
}
