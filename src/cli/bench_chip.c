/* SPDX-License-Identifier: Apache-2.0 */
/* busbar bench-chip: what this machine's processors yield, measured; of its accelerators, that nothing was. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "accept/bench.h"
#include "cli/client.h"
#include "net/json.h"
#include "probe/probe.h"

#define NICE 15
#define NO_KERNEL "not measured: no kernel for this kind"

static const struct {
    const char *title, *unit;
} shown[BENCH_END] = {
    [BENCH_MATRIX] = {"product of matrices, F32, one thread", "GFLOP/s"},
    [BENCH_MATRIX_ALL] = {"product of matrices, F32, all threads", "GFLOP/s"},
    [BENCH_COPY] = {"copy of memory, one thread", "GB/s"},
    [BENCH_REDUCE] = {"sum over threads, a thread's link", "GB/s"},
};

static const char *name_of(const struct probe_chip *c)
{
    return c->kind[0] ? c->kind : c->model[0] ? c->model : c->id;
}

static bool any_wrong(const struct bench_result *r)
{
    for (int i = 0; i < BENCH_END; i++) {
        if (r->figure[i].wrong)
            return true;
    }
    return false;
}

static void print_people(const struct probe_scan *scan, const struct bench_result *r)
{
    printf("cpu: %s, %u thread%s, %s, %llu ms\n",
           scan->cpu.model[0] ? scan->cpu.model : "of a model that is not told", (unsigned)r->threads,
           r->threads == 1 ? "" : "s", bench_matrix_isa(), (unsigned long long)r->wall_ms);
    for (int i = 0; i < BENCH_END; i++) {
        const struct bench_figure *f = &r->figure[i];
        if (f->value)
            printf("  %-40s %6llu.%llu %s%s%s%s\n", shown[i].title, (unsigned long long)(f->value / 1000),
                   (unsigned long long)(f->value % 1000 / 100), shown[i].unit, f->why[0] ? " (" : "", f->why,
                   f->why[0] ? ")" : "");
        else
            printf("  %-40s %s\n", shown[i].title, f->why);
    }
    for (uint32_t i = 0; i < scan->n; i++)
        printf("%s %s: " NO_KERNEL "\n", name_of(&scan->chip[i]), scan->chip[i].pci);
}

static void add_cpu(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct probe_scan *scan,
                    const struct bench_result *r)
{
    yyjson_mut_val *chip = yyjson_mut_arr_add_obj(doc, list), *reasons;
    (void)yyjson_mut_obj_add_str(doc, chip, "kind", "cpu");
    (void)yyjson_mut_obj_add_str(doc, chip, "model", scan->cpu.model);
    (void)yyjson_mut_obj_add_str(doc, chip, "verdict", any_wrong(r) ? "wrong" : "measured");
    (void)yyjson_mut_obj_add_uint(doc, chip, "threads", r->threads);
    (void)yyjson_mut_obj_add_str(doc, chip, "isa", bench_matrix_isa());
    for (int i = 0; i < BENCH_END; i++) {
        if (r->figure[i].value)
            (void)yyjson_mut_obj_add_uint(doc, chip, bench_name(i), r->figure[i].value);
    }
    (void)yyjson_mut_obj_add_uint(doc, chip, "copy_bytes", r->copy_bytes);
    (void)yyjson_mut_obj_add_uint(doc, chip, "allreduce_bytes", r->reduce_bytes);
    if (r->cache_bytes)
        (void)yyjson_mut_obj_add_uint(doc, chip, "cache_bytes", r->cache_bytes);
    reasons = yyjson_mut_obj_add_obj(doc, chip, "reasons");
    for (int i = 0; i < BENCH_END; i++) {
        if (r->figure[i].why[0])
            (void)yyjson_mut_obj_add_str(doc, reasons, bench_name(i), r->figure[i].why);
    }
}

static int print_json(const struct probe_scan *scan, const struct bench_result *r, bool quick)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *list;
    yyjson_mut_doc_set_root(doc, root);
    (void)yyjson_mut_obj_add_str(doc, root, "tier", "measured");
    (void)yyjson_mut_obj_add_bool(doc, root, "quick", quick);
    (void)yyjson_mut_obj_add_uint(doc, root, "wall_ms", r->wall_ms);
    list = yyjson_mut_obj_add_arr(doc, root, "chips");
    add_cpu(doc, list, scan, r);
    for (uint32_t i = 0; i < scan->n; i++) {
        yyjson_mut_val *chip = yyjson_mut_arr_add_obj(doc, list);
        (void)yyjson_mut_obj_add_str(doc, chip, "kind", name_of(&scan->chip[i]));
        (void)yyjson_mut_obj_add_str(doc, chip, "pci", scan->chip[i].pci);
        (void)yyjson_mut_obj_add_str(doc, chip, "verdict", "unmeasured");
        (void)yyjson_mut_obj_add_str(doc, chip, "reason", NO_KERNEL);
    }
    char *json = yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL);
    if (json)
        puts(json);
    else
        fprintf(stderr, "busbar: out of memory\n");
    int rc = json ? CLI_OK : CLI_FAILED;
    free(json);
    yyjson_mut_doc_free(doc);
    return rc;
}

int cli_bench_chip(const struct cli *cli)
{
    struct probe_options options = {0};
    struct bench_plan plan;
    struct bench_result result;
    struct err err = {0};
    const bool quick = cli_option(cli, "quick") != NULL;
    struct probe_scan *scan = calloc(1, sizeof *scan);
    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of the threads to come, too */
    int rc = scan ? probe_run(scan, &options, &err) : err_set(&err, ERR_NO_MEMORY, "out of memory");
    if (rc == 0) {
        bench_plan_init(&plan, quick);
        rc = bench_run(&result, &plan, &err);
    }
    if (rc != 0) {
        fprintf(stderr, "busbar: bench-chip: %s\n", err.msg);
        free(scan);
        return CLI_FAILED;
    }
    if (cli->json)
        rc = print_json(scan, &result, quick);
    else
        print_people(scan, &result);
    free(scan);
    return any_wrong(&result) ? CLI_FAILED : rc;
}
