/* SPDX-License-Identifier: Apache-2.0 */
/* What is in force, written as a tariff's file: `busbar tariff show | busbar tariff diff -` says that nothing changes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/timetext.h"
#include "cli/request.h"
#include "core/limits.h"
#include "network/tariff.h"

#define HOUR_THOUSANDTH_MS 3600u

static const char *text_of(yyjson_val *object, const char *member)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, member));
    return text ? text : "";
}

static uint64_t count_of(yyjson_val *object, const char *member)
{
    return yyjson_get_uint(yyjson_obj_get(object, member));
}

/* Thousandths, of a whole or of a hundredth: "1.2", "20". */
static void print_figure(const char *before, uint64_t n, uint32_t decimals)
{
    uint32_t unit = decimals == 1 ? 10 : 1000;
    printf("%s%" PRIu64, before, n / unit);
    if (n % unit)
        printf(decimals == 1 ? ".%01u" : ".%03u", (unsigned)(n % unit));
}

static void print_model(yyjson_val *m)
{
    printf("{name: %s, input: %s, cached: %s, output: %s, reasoning: %s}\n", text_of(m, "name"),
           text_of(m, "input"), text_of(m, "cached"), text_of(m, "output"), text_of(m, "reasoning"));
}

static void print_own_chip(yyjson_val *c)
{
    printf("{kind: %s, hour: %s}\n", text_of(c, "kind"), text_of(c, "hour"));
}

static void print_chip(yyjson_val *c)
{
    yyjson_val *bands = yyjson_obj_get(c, "bands"), *signal = yyjson_obj_get(c, "signal"), *band;
    size_t i, n;
    printf("{kind: %s, hour: %s", text_of(c, "kind"), text_of(c, "hour"));
    if (count_of(c, "deferrable"))
        print_figure(", deferrable: ", count_of(c, "deferrable"), 1);
    if (count_of(c, "interruptible"))
        print_figure(", interruptible: ", count_of(c, "interruptible"), 1);
    if (yyjson_arr_size(bands) > 0) {
        yyjson_arr_foreach(bands, i, n, band)
        {
            printf("%s{hours: %s", i ? ", " : ", bands: [", text_of(band, "hours"));
            print_figure(", factor: ", count_of(band, "factor"), 3);
            printf("}");
        }
        printf("]");
    }
    if (signal) {
        print_figure(", signal: {min: ", count_of(signal, "min"), 3);
        print_figure(", max: ", count_of(signal, "max"), 3);
        printf("}");
    }
    printf("%s}\n", strcmp(text_of(c, "energy"), "pass-through") == 0 ? ", energy: pass-through" : "");
}

static void print_corridor(yyjson_val *c)
{
    printf("{a: %s, b: %s, gb: %s}\n", text_of(c, "a"), text_of(c, "b"), text_of(c, "gb"));
}

/* Chip-hours have three decimals in a file; what is finer is there in milliseconds. */
static void print_free(yyjson_val *f)
{
    uint64_t ms = count_of(f, "chip_ms");
    if (!yyjson_obj_get(f, "chip"))
        printf("{model: %s, tokens: %" PRIu64 "}\n", text_of(f, "model"), count_of(f, "tokens"));
    else if (ms % HOUR_THOUSANDTH_MS)
        printf("{chip: %s, chip_ms: %" PRIu64 "}\n", text_of(f, "chip"), ms);
    else {
        printf("{chip: %s", text_of(f, "chip"));
        print_figure(", hours: ", ms / HOUR_THOUSANDTH_MS, 3);
        printf("}\n");
    }
}

static void print_list(yyjson_val *of, const char *member, const char *indent, void (*print)(yyjson_val *))
{
    yyjson_val *list = yyjson_obj_get(of, member), *item;
    size_t i, n;
    if (yyjson_arr_size(list) == 0)
        return;
    printf("%s%s:\n", indent, member);
    yyjson_arr_foreach(list, i, n, item)
    {
        printf("%s  - ", indent);
        print(item);
    }
    if (n > TARIFF_ENTRIES_MAX)
        fprintf(stderr, "busbar: there are %zu %s: a tariff's file may have %u\n", n, member,
                TARIFF_ENTRIES_MAX);
}

static void print_tenants(yyjson_val *tariff)
{
    yyjson_val *list = yyjson_obj_get(tariff, "tenants"), *tenant;
    size_t i, n;
    if (yyjson_arr_size(list) > 0)
        printf("tenants:\n");
    yyjson_arr_foreach(list, i, n, tenant)
    {
        printf("  %s:\n", text_of(tenant, "name"));
        if (yyjson_obj_get(tenant, "minimum"))
            printf("    minimum: %s\n", text_of(tenant, "minimum"));
        print_list(tenant, "models", "    ", print_model);
        print_list(tenant, "chips", "    ", print_own_chip);
        print_list(tenant, "free", "    ", print_free);
    }
}

static void print_tariff(yyjson_val *root)
{
    yyjson_val *tariff = yyjson_obj_get(root, "tariff"), *line;
    size_t i, n;
    printf("# What is in force%s%s.\n", text_of(tariff, "from")[0] ? " at " : "", text_of(tariff, "from"));
    yyjson_arr_foreach(yyjson_obj_get(root, "to_come"), i, n, line)
    {
        printf("# Something changes at %s: --at %s\n", yyjson_get_str(line), yyjson_get_str(line));
    }
    yyjson_arr_foreach(yyjson_obj_get(root, "left_out"), i, n, line)
    {
        printf("# Left out: %s.\n", yyjson_get_str(line));
    }
    printf("tariff: %s\ncurrency: %s\n", text_of(tariff, "tariff"), text_of(tariff, "currency"));
    if (text_of(tariff, "from")[0])
        printf("from: %s\n", text_of(tariff, "from"));
    print_list(tariff, "models", "", print_model);
    print_list(tariff, "chips", "", print_chip);
    print_list(tariff, "corridors", "", print_corridor);
    print_tenants(tariff);
}

int cli_tariff_show(const struct cli *cli)
{
    struct request r;
    yyjson_doc *doc = NULL;
    request_begin(&r);
    request_path(&r, "/api/v1/tariff", "", "");
    request_query(&r, cli, "tenant at");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    request_end(&r);
    if (rc == CLI_OK && cli->json)
        rc = print_table(cli, doc, NULL, 0);
    else if (rc == CLI_OK)
        print_tariff(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return rc;
}
