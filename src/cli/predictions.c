/* SPDX-License-Identifier: Apache-2.0 */
/* busbar predictions: predictions beside published figures. Nothing is tuned to them: the shares are those of data/models.yaml. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "cli/client.h"
#include "cli/plan.h"
#include "network/predictions.h"

#define JSON_MAX ((size_t)1 << 20)

static const struct {
    const char *name, *words;
} what[] = {[PREDICT_TOKENS_S_CHIP] = {"tokens_s_chip", "tokens/s a chip"},
            [PREDICT_FIRST_MS] = {"first_ms", "ms to the first"},
            [PREDICT_ANSWERS_S_CHIP] = {"answers_s_chip", "answered, /s"},
            [PREDICT_PROMPTS_S_CHIP] = {"prompts_s_chip", "read, /s a chip"}};

static double off_percent(int64_t made, int64_t published)
{
    return 100.0 * (double)(made - published) / (double)published;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print_row(const struct prediction *row, int64_t made)
{
    printf("%-15s %-5s %3lld x %-10s %5lld %6lld %5lld  %-15s %10.1f %10.1f %+7.1f %%  %s\n", row->model,
           row->format, (long long)row->chips.v, row->chip, (long long)row->batch.v, (long long)row->prompt.v,
           (long long)row->out.v, what[row->what].words, (double)made / 1e3, (double)row->published.v / 1e3,
           off_percent(made, row->published.v), row->note);
}

static void add_row(struct buf *json, const struct prediction *row, int64_t made, bool first)
{
    buf_addf(json, "%s{\"model\":", first ? "" : ",");
    buf_add_json(json, row->model, strlen(row->model));
    buf_add_text(json, ",\"format\":");
    buf_add_json(json, row->format, strlen(row->format));
    buf_add_text(json, ",\"chip\":");
    buf_add_json(json, row->chip, strlen(row->chip));
    buf_addf(json,
             ",\"chips\":%lld,\"batch\":%lld,\"prompt\":%lld,\"out\":%lld,\"what\":\"%s\",\"predicted\":%.3f,"
             "\"published\":%.3f,\"off_percent\":%.2f,\"note\":",
             (long long)row->chips.v, (long long)row->batch.v, (long long)row->prompt.v,
             (long long)row->out.v, what[row->what].name, (double)made / 1e3, (double)row->published.v / 1e3,
             off_percent(made, row->published.v));
    buf_add_json(json, row->note, strlen(row->note));
    buf_add_char(json, '}');
}

/* All rows, then half and nine tenths of their errors. */
static int compare(const struct plan_case *pc, const struct cli *cli, const struct predictions *all)
{
    double off[PREDICTIONS_MAX];
    struct buf json;
    buf_init(&json, JSON_MAX);
    buf_add_text(&json, "{\"predictions\":[");
    if (!cli->json)
        printf("%-15s %-5s %-16s %5s %6s %5s  %-15s %10s %10s %9s\n", "model", "in", "on", "batch", "prompt",
               "out", "", "predicted", "published", "off");
    for (uint32_t i = 0; i < all->n; i++) {
        const struct prediction *row = &all->row[i];
        const struct net_chip *chip = plan_chip(pc, row->chip);
        int64_t made = chip ? prediction_made(row, pc->models, &pc->delivered, chip) : 0;
        if (made == 0) {
            fprintf(stderr, "busbar: predictions[%u]: %s in %s on %s cannot be predicted\n", i, row->model,
                    row->format, row->chip);
            buf_fini(&json);
            return CLI_FAILED;
        }
        off[i] = off_percent(made, row->published.v);
        off[i] = off[i] < 0 ? -off[i] : off[i];
        if (cli->json)
            add_row(&json, row, made, i == 0);
        else
            print_row(row, made);
    }
    qsort(off, all->n, sizeof *off, by_size);
    double median = all->n ? off[all->n / 2] : 0, most = all->n ? off[(all->n * 9) / 10] : 0;
    buf_addf(&json, "],\"off_percent_median\":%.2f,\"off_percent_p90\":%.2f}", median, most);
    if (cli->json)
        return print_json_buf(&json);
    buf_fini(&json);
    printf("half of them are off by at most %.1f %%, nine tenths by %.1f %%\n", median, most);
    return CLI_OK;
}

int cli_predictions(const struct cli *cli)
{
    char path[FS_PATH_MAX], share[FS_PATH_MAX];
    struct plan_case *pc = calloc(1, sizeof *pc);
    struct predictions *all = calloc(1, sizeof *all);
    struct problems problems;
    int rc = pc && all ? plan_catalogues(pc, cli) : CLI_FAILED;
    problems_init(&problems);
    if (rc == CLI_OK && !(cli->nargs ? snprintf(path, sizeof path, "%s", cli->args[0]) < FS_PATH_MAX
                                     : fs_share(share) && fs_join(path, share, "predictions.yaml"))) {
        fprintf(stderr, "busbar: the path of the figures is too long\n");
        rc = CLI_FAILED;
    }
    if (rc == CLI_OK) {
        int loaded = predictions_load(all, path, &problems);
        rc = loaded == 0 ? compare(pc, cli, all) : plan_tell(path, loaded, &problems);
    }
    problems_fini(&problems);
    if (pc)
        plan_close(pc);
    free(all);
    free(pc);
    return rc;
}
