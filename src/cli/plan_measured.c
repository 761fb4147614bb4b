/* SPDX-License-Identifier: Apache-2.0 */
/* What clusters were measured to do (--measured FILE): put on the chips of a plan, and told beside what was predicted. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/plan.h"

int plan_measured(struct plan_case *pc, const struct cli *cli)
{
    const char *path = cli_option(cli, "measured");
    struct problems problems;
    if (!path)
        return CLI_OK;
    pc->measured = calloc(1, sizeof *pc->measured);
    if (!pc->measured) {
        fprintf(stderr, "busbar: out of memory\n");
        return CLI_FAILED;
    }
    problems_init(&problems);
    int rc = measured_load(pc->measured, path, &problems);
    if (rc == 0)
        rc = measured_learn(pc->measured, pc->models, pc->chips, &pc->delivered, &pc->shape, pc->format,
                            &problems);
    if (rc != 0)
        rc = plan_tell(path, rc, &problems);
    problems_fini(&problems);
    for (uint32_t i = 0; rc == CLI_OK && i < pc->problem.pools; i++)
        measured_correct(pc->measured, pc->of[i].chip->name, &pc->pool[i]);
    for (uint32_t i = 0; rc == CLI_OK && figure_given(pc->measured->hop_us) && i < pc->problem.sites; i++)
        pc->site[i].hop_ps = pc->measured->hop_us.v * 1000000;
    return rc;
}

/* Thousandths of a chip's data sheet that it delivers. */
static int64_t share_e3(const struct plan_case *pc, const struct measured_chip *chip, enum measured_of of)
{
    int64_t assumed = of == MEASURED_MEMORY ? pc->delivered.bandwidth.v : pc->delivered.compute.v;
    return (assumed * CALIBRATE_ONE + chip->factor[of] / 2) / chip->factor[of];
}

static const char *const words[MEASURED_OF] = {"bandwidth", "compute"};

void plan_measured_print(const struct plan_case *pc)
{
    const struct measured *m = pc->measured;
    for (uint32_t i = 0; m && i < m->chips; i++) {
        for (int of = 0; of < MEASURED_OF; of++) {
            if (m->chip[i].learnt[of])
                printf("measured    %s delivers %.3f of its data sheet's %s\n", m->chip[i].name,
                       (double)share_e3(pc, &m->chip[i], of) / 1e3, words[of]);
        }
    }
    for (uint32_t i = 0; m && i < m->n; i++) {
        const struct measured_row *row = &m->row[i];
        printf("  row %-5u %.3f tokens/s; predicted %.3f from data sheets, %.3f with what was measured%s\n",
               i + 1, (double)row->tokens_s.v / 1e3, (double)row->predicted_e3 / 1e3,
               (double)row->corrected_e3 / 1e3, row->check == MODEL_YES ? " (a check)" : "");
    }
}

void plan_measured_json(const struct plan_case *pc, struct buf *out)
{
    const struct measured *m = pc->measured;
    if (!m)
        return;
    buf_add_text(out, ",\"measured\":{\"chips\":[");
    for (uint32_t i = 0; i < m->chips; i++) {
        buf_addf(out, "%s{\"chip\":\"%s\"", i ? "," : "", m->chip[i].name);
        for (int of = 0; of < MEASURED_OF; of++) {
            if (m->chip[i].learnt[of])
                buf_addf(out, ",\"%s\":%.3f", words[of], (double)share_e3(pc, &m->chip[i], of) / 1e3);
        }
        buf_add_char(out, '}');
    }
    buf_add_text(out, "],\"rows\":[");
    for (uint32_t i = 0; i < m->n; i++) {
        const struct measured_row *row = &m->row[i];
        buf_addf(out, "%s{\"tokens_s\":%.3f,\"predicted\":%.3f,\"corrected\":%.3f,\"check\":%s}",
                 i ? "," : "", (double)row->tokens_s.v / 1e3, (double)row->predicted_e3 / 1e3,
                 (double)row->corrected_e3 / 1e3, row->check == MODEL_YES ? "true" : "false");
    }
    buf_add_text(out, "]}");
}
