/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How engines are started for a replica of a plan. Engines that split a model into equal stages (vLLM and what is built on
 * it, LMDeploy) are only named where the stages are equal: one chip kind, one size of group, layers that differ by one at most. All else is
 * llama.cpp's: shares of layers with -ts, and an ggml-rpc-server at each other chip. HOST1, HOST2, ... are for the reader to fill in.
 */
#include <string.h>

#include "cli/plan.h"

struct engine_form {
    const char *vendor, *start; /* before what is the same for all */
    bool pipelines;             /* --pipeline-parallel-size */
    const char *words;          /* "tp", "tensor-parallel-size" */
    const char *port, *remark;
    bool spreads; /* --enable-expert-parallel */
};

static const struct engine_form forms[] = {
    {"nvidia", "vllm serve", true, "--tensor-parallel-size", "--port 8000", NULL, true},
    {"amd", "vllm serve", true, "--tensor-parallel-size", "--port 8000", NULL, true},
    {"huawei", "vllm serve", true, "--tensor-parallel-size", "--port 8000",
     "vllm-ascend; MindIE takes the same sizes in conf/config.json", true},
    {"metax", "vllm serve", true, "--tensor-parallel-size", "--port 8000", "vLLM-metax", false},
    {"hygon", "vllm serve", true, "--tensor-parallel-size", "--port 8000", "the maker's build of vLLM",
     false},
    {"iluvatar", "vllm serve", true, "--tensor-parallel-size", "--port 8000", "the maker's build of vLLM",
     false},
    {"kunlunxin", "python -m vllm.entrypoints.openai.api_server --model", true, "--tensor-parallel-size",
     "--port 8356", "vLLM-Kunlun", false},
    {"cambricon", "lmdeploy serve api_server --backend pytorch --device camb", false, "--tp",
     "--server-port 23333", "LMDeploy with dlinfer", false},
};

static bool equal_stages(const struct plan_case *pc, const struct cluster_replica *r)
{
    uint32_t most = 0, least = UINT32_MAX;
    for (uint32_t i = 0; i < r->stages; i++) {
        const struct cluster_stage *s = &r->stage[i];
        if (pc->of[s->pool].chip != pc->of[r->stage[0].pool].chip || s->chips != r->stage[0].chips)
            return false;
        most = s->layers > most ? s->layers : most;
        least = s->layers < least ? s->layers : least;
    }
    return most - least <= 1;
}

static const struct engine_form *form_of(const struct plan_case *pc, const struct cluster_replica *r)
{
    bool tensors = pc->format && pc->format->file == FILE_TENSORS;
    for (uint32_t i = 0; tensors && equal_stages(pc, r) && i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].vendor, pc->of[r->stage[0].pool].chip->vendor) == 0 &&
            (forms[i].pipelines || r->stages == 1) && (forms[i].spreads || r->stage[0].attention == 0))
            return &forms[i];
    }
    return NULL;
}

/* Chips of a group hold an equal share of its layers each; what is left over goes to the first of them. The stage with the head comes last, as
 * llama.cpp has it, which counts what follows the last layer as one more. */
static void add_shares(const struct cluster_replica *r, struct buf *out)
{
    bool first = true;
    for (uint32_t i = 0; i < 2 * r->stages; i++) {
        const struct cluster_stage *s = &r->stage[i % r->stages];
        if (s->head != (i >= r->stages))
            continue;
        for (uint32_t c = 0; c < s->chips; c++) {
            uint32_t layers = s->layers / s->chips + (c < s->layers % s->chips);
            buf_addf(out, "%s%u", first ? "" : ",", layers + (s->head && c + 1 == s->chips));
            first = false;
        }
    }
}

static void llama(const struct plan_case *pc, const struct cluster_replica *r, struct buf *out)
{
    uint32_t chips = 0, slots = r->batch * r->in_flight, groups = 0;
    for (uint32_t i = 0; i < r->stages; i++) {
        chips += r->stage[i].chips;
        groups += r->stage[i].chips > 1;
    }
    bool rpc = r->stages > 1;
    if (rpc)
        buf_addf(out, "ggml-rpc-server -H HOST -p 50052 (at each of %u chips)\n", chips);
    buf_addf(out, "llama-server -m %s%s -ngl 99 -np %u -c %llu", pc->name, pc->model ? ".gguf" : "", slots,
             (unsigned long long)slots * pc->problem.goal.context);
    for (uint32_t i = 0; rpc && i < chips; i++)
        buf_addf(out, "%sHOST%u:50052", i ? "," : " --rpc ", i + 1);
    if (chips > 1) {
        buf_add_text(out, " -ts ");
        add_shares(r, out);
    }
    buf_add_text(out, " --metrics\n");
    if (rpc)
        buf_add_text(out,
                     "# HOST1, HOST2, ... are the stages' chips in order, that of the head last; who reaches "
                     "such a port owns the server, so docs/clusters.md keeps it out of reach\n");
    if (groups > 0)
        buf_add_text(
            out,
            "# llama.cpp gives each chip of a group layers of its own, which is slower; --groups 1 plans "
            "that way\n");
}

void plan_command(const struct plan_case *pc, const struct cluster_replica *r, struct buf *out)
{
    const struct engine_form *f = form_of(pc, r);
    if (!f && r->stage[0].attention > 0) {
        buf_add_text(
            out,
            "# no engine that spreads experts over these chips is known here; --groups 1 plans without\n");
        return;
    }
    if (!f) {
        llama(pc, r, out);
        return;
    }
    const struct cluster_stage *s = &r->stage[0];
    if (s->attention > 0) {
        /* Each attention group has requests of its own, so its number of them is that of a group. */
        buf_addf(out,
                 "%s %s %s %u --data-parallel-size %u --enable-expert-parallel --max-model-len %u "
                 "--max-num-seqs %u %s\n",
                 f->start, pc->name, f->words, s->attention, s->chips / s->attention,
                 pc->problem.goal.context, r->batch / (s->chips / s->attention), f->port);
        if (f->remark)
            buf_addf(out, "# %s\n", f->remark);
        return;
    }
    buf_addf(out, "%s %s %s %u", f->start, pc->name, f->words, s->chips);
    if (f->pipelines)
        buf_addf(out, " --pipeline-parallel-size %u --max-model-len %u --max-num-seqs %u", r->stages,
                 pc->problem.goal.context, r->batch * r->in_flight);
    buf_addf(out, " %s\n", f->port);
    if (f->remark)
        buf_addf(out, "# %s\n", f->remark);
}
