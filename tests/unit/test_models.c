/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of models: what a shape makes, every kind of mistake, and that ours is right about itself. */
#include "support.h"

#include "network/models.h"

#define HEAD \
    "delivered: {compute: 0.5 assumed x, bandwidth: 0.5 assumed x, memory: 0.5 assumed x, link: 0.5 " \
    "assumed x, " \
    "link_gb_s: 64 assumed x, link_us: 3 assumed x, hop_us: 20 assumed x, hop_gbit_s: 200 assumed x, " \
    "corridor_ms: 10 " \
    "assumed x, corridor_gbit_s: 8 assumed x}\nformats:\n  - {name: bf16, bits: 16 derived x, file: " \
    "tensors}\n" \
    "  - {name: q4_0, bits: 4.5 derived x, file: gguf}\nmodels:\n"
#define WHO "title: t, maker: m, origin: US, licence: MIT, use: free, source: s, "
#define SMALL \
    "layers: 2, hidden: 64, heads: 8, kv_heads: 4, head_dim: 8, ffn: 100, vocab: 500, context: 512, tied: " \
    "yes"
#define MIXED \
    "layers: 4, dense_layers: 1, hidden: 64, heads: 8, kv_heads: 8, head_dim: 8, ffn: 200, vocab: 500, " \
    "context: 512, " \
    "tied: no, experts: 16, experts_active: 2, expert_ffn: 32, shared_ffn: 64"
#define LATENT MIXED ", kv_rank: 24, q_rank: 48, rope_dim: 4, nope_dim: 8, v_dim: 8"

static struct models *read_text(const char *text, struct problems *problems)
{
    struct models *models;
    problems_init(problems);
    int rc = models_read(&models, "m.yaml", text, strlen(text), problems);
    assert_int_equal(rc, models ? 0 : ERR_INVALID);
    return models;
}

static struct models *read_well(const char *text)
{
    struct problems problems;
    struct models *models = read_text(text, &problems);
    if (!models)
        fail_msg("%s", problems.list[0].text);
    problems_fini(&problems);
    return models;
}

/* The first mistake, at this path, has these words. */
static void refused(const char *text, const char *path, const char *words)
{
    struct problems problems;
    struct models *models = read_text(text, &problems);
    assert_null(models);
    assert_string_equal(problems.list[0].path, path);
    if (!strstr(problems.list[0].text, words))
        fail_msg("%s: %s", problems.list[0].path, problems.list[0].text);
    problems_fini(&problems);
}

static void test_dense(void **state)
{
    (void)state;
    struct models *models = read_well(HEAD "  - {name: small, " WHO SMALL "}\n");
    const struct net_model *m = models_find(models, "small");
    /* By hand: attention 64 x 8 x (8 + 4) x 2, gated 3 x 64 x 100, a table of 500 x 64 that is also the head. */
    const uint64_t layer = 12288 + 19200, table = 32000;
    assert_int_equal(model_params(m), 2 * layer + table);
    assert_int_equal(model_params_active(m), 2 * layer + table);
    assert_int_equal(model_kv_bytes(m), 2 * 2 * 2 * 4 * 8);
    struct cluster_model c = model_cluster(m, models_format(models, "q4_0"));
    assert_int_equal(c.layer_bytes, layer * 9 / 16);
    assert_int_equal(c.layer_flop, 2 * layer);
    assert_int_equal(c.attend_flop, 4 * 8 * 8);
    assert_int_equal(c.attend_first_flop, 4 * 8 * 8);
    assert_false(c.kv_whole);
    assert_int_equal(c.head_bytes, table * 9 / 16);
    assert_int_equal(c.head_flop, 2 * table);
    assert_int_equal(c.embed_bytes, 0);
    assert_int_equal(c.kv_heads, 4);
    assert_int_equal(c.experts, 0);
    assert_null(models_find(models, "smal"));
    assert_null(models_format(models, "q5_0"));
    models_free(models);
}

static void test_experts(void **state)
{
    (void)state;
    struct models *models =
        read_well(HEAD "  - {name: mixed, " WHO MIXED "}\n  - {name: latent, " WHO LATENT "}\n");
    const struct net_model *m = models_find(models, "mixed");
    const uint64_t attention = 16384, dense = 3 * 64 * 200, expert = 3 * 64 * 32, shared = 3 * 64 * 64,
                   router = 64 * 16;
    const uint64_t all = 4 * attention + dense + 3 * (shared + router), table = 32000;
    assert_int_equal(model_params(m), all + 3 * 16 * expert + 2 * table);
    assert_int_equal(model_params_active(m), all + 3 * 2 * expert + table);
    struct cluster_model c = model_cluster(m, models_format(models, "bf16"));
    assert_int_equal(c.layer_bytes, 2 * all / 4);
    assert_int_equal(c.layer_flop, 2 * all / 4);
    assert_int_equal(c.expert_flop, 2 * 3 * expert / 4);
    assert_int_equal(c.expert_bytes, 2 * 3 * expert / 4);
    assert_int_equal(c.embed_bytes, 2 * table);
    /* Latent: what is kept is one vector and a position, whatever the heads. */
    const struct net_model *l = models_find(models, "latent");
    const uint64_t query = 64 * 48 + 48 * 8 * 12, kept = 64 * 28 + 24 * 8 * 16, out = 8 * 8 * 64;
    assert_int_equal(model_params(l), model_params(m) - 4 * attention + 4 * (query + kept + out));
    assert_int_equal(model_kv_bytes(l), 4 * 2 * 28);
    /* A step works on it as it is kept, a prompt on what it unfolds to: 8 heads of (24 + 4) + 24, and of (8 + 4) + 8. */
    c = model_cluster(l, models_format(models, "bf16"));
    assert_true(c.kv_whole);
    assert_int_equal(c.attend_flop, 2 * 8 * (28 + 24));
    assert_int_equal(c.attend_first_flop, 2 * 8 * (12 + 8));
    assert_int_equal(c.kv_bytes, 2 * 28);
    model_kv_8bit(&c);
    assert_int_equal(c.kv_bytes, 28);
    models_free(models);
}

static void test_mistakes(void **state)
{
    (void)state;
    refused(HEAD "  - {name: a, " WHO SMALL "}\n  - {name: a, " WHO SMALL "}\n", "models[1].name",
            "there already");
    refused(HEAD "  - {name: a, " WHO SMALL ", experts: 4}\n", "models[0].experts", "together");
    refused(HEAD "  - {name: a, " WHO SMALL ", kv_rank: 4}\n", "models[0].kv_rank", "together");
    refused(HEAD "  - {name: a, " WHO SMALL ", shared_ffn: 4}\n", "models[0].experts", "missing");
    refused(HEAD "  - {name: a, " WHO SMALL ", colour: 4}\n", "models[0].colour", "");
    refused(HEAD "  - {name: a, " WHO SMALL ", params_b: 5}\n", "models[0].params_b", "tier");
    refused(HEAD "  - {name: a, " WHO SMALL ", params_b: \"0.1 vendor card\"}\n", "models[0].params_b",
            "the shape makes 0.000");
    refused(HEAD "  - {name: a, " WHO "layers: 2, hidden: 64, heads: 8, kv_heads: 3, head_dim: 8, ffn: 1, "
                 "vocab: 5, context: 5, tied: yes}\n",
            "models[0].kv_heads", "does not divide");
    refused(HEAD
            "  - {name: a, " WHO
            "layers: 2, hidden: 64, heads: 8, kv_heads: 4, head_dim: 8, vocab: 5, context: 5, tied: yes}\n",
            "models[0].ffn", "missing");
    refused(HEAD "  - {name: a, " WHO "layers: 257, hidden: 64, heads: 8, kv_heads: 4, head_dim: 8, ffn: 9, "
                 "vocab: 5, context: 5, tied: yes}\n",
            "models[0].layers", "");
    refused("models: []\nformats: []\n", "delivered", "");
    refused("models: [\n", "", "");
}

static void test_chips(void **state)
{
    (void)state;
    struct models *models = read_well(HEAD "  - {name: small, " WHO SMALL "}\n");
    struct net_chip chip = {.fp16_tflops = {100000, TIER_GIVEN}, .memory_gib = {80000, TIER_GIVEN}};
    struct cluster_pool pool;
    assert_false(model_pool(models_delivered(models), &chip, 8, 8, &pool));
    chip.bandwidth_tb_s = (struct figure){2000, TIER_GIVEN};
    assert_true(model_pool(models_delivered(models), &chip, 8, 4, &pool));
    assert_int_equal(pool.chips, 8);
    assert_int_equal(pool.node_chips, 4);
    assert_int_equal(pool.flop_s, UINT64_C(50000000000000));
    assert_int_equal(pool.byte_s, UINT64_C(1000000000000));
    assert_int_equal(pool.memory_bytes, UINT64_C(40) << 30);
    assert_int_equal(pool.link_byte_s,
                     UINT64_C(16000000000)); /* half of 64 GB/s is one way, half of it delivered */
    assert_int_equal(pool.link_ps, 3000000);
    chip.link_gb_s = (struct figure){400, TIER_GIVEN};
    assert_true(model_pool(models_delivered(models), &chip, 8, 4, &pool));
    assert_int_equal(pool.link_byte_s, UINT64_C(100000000000));
    struct cluster_site site = model_site(models_delivered(models));
    assert_int_equal(site.hop_ps, 20000000);
    assert_int_equal(site.hop_byte_s, UINT64_C(25000000000));
    assert_int_equal(site.far_ps, INT64_C(10000000000));
    assert_int_equal(site.far_byte_s, 1000000000);
    models_free(models);
}

/* 8 bits are computed as fast as the chip can, if the format is one of theirs; a chip's own share goes before that of all. */
static void test_arithmetic(void **state)
{
    (void)state;
    struct models *models = read_well(HEAD "  - {name: small, " WHO SMALL "}\n");
    struct net_chip chip = {.fp16_tflops = {100000, TIER_GIVEN},
                            .fp8_tflops = {200000, TIER_GIVEN},
                            .memory_gib = {80000, TIER_GIVEN},
                            .bandwidth_tb_s = {2000, TIER_GIVEN},
                            .scale_up = {64, TIER_GIVEN}};
    struct model_format format = {.bits = {8000, TIER_GIVEN}, .arithmetic = ARITHMETIC_FP8};
    struct model_delivered d = *models_delivered(models);
    struct cluster_pool pool;
    assert_true(model_pool(&d, &chip, 8, 8, &pool));
    assert_int_equal(pool.domain_chips, 64);
    model_pool_format(&d, &chip, models_format(models, "bf16"), &pool);
    assert_int_equal(pool.flop_s, UINT64_C(50000000000000));
    assert_int_equal(pool.attend_flop_s, UINT64_C(50000000000000));
    model_pool_format(&d, &chip, &format, &pool);
    assert_int_equal(pool.flop_s, UINT64_C(100000000000000));
    assert_int_equal(pool.attend_flop_s, UINT64_C(50000000000000));
    format.arithmetic = ARITHMETIC_INT8;
    assert_true(model_pool(&d, &chip, 8, 8, &pool));
    model_pool_format(&d, &chip, &format, &pool);
    assert_int_equal(pool.flop_s, UINT64_C(50000000000000)); /* which it has not */
    chip.fp16_share = (struct figure){800, TIER_GIVEN};
    d.attention = (struct figure){250, TIER_DERIVED};
    assert_true(model_pool(&d, &chip, 8, 8, &pool));
    model_pool_format(&d, &chip, &format, &pool);
    assert_int_equal(pool.flop_s, UINT64_C(80000000000000));
    assert_int_equal(pool.attend_flop_s, UINT64_C(25000000000000));
    d.compute = (struct figure){300, TIER_GIVEN}; /* said for all */
    assert_true(model_pool(&d, &chip, 8, 8, &pool));
    assert_int_equal(pool.flop_s, UINT64_C(30000000000000));
    models_free(models);
}

/* How large a model is its name says, "70b": the shape has to make about that; slips of the pen show. */
static double named_b(const char *name)
{
    double best = 0;
    for (const char *p = name; *p; p++) {
        char *end;
        if (*p < '0' || *p > '9' || (p > name && p[-1] != '-'))
            continue;
        double v = strtod(p, &end);
        if ((*end == 'b' || *end == 'm') && (end[1] == 0 || end[1] == '-') && best == 0)
            best = *end == 'b' ? v : v / 1000;
    }
    return best;
}

static void test_ours(void **state)
{
    (void)state;
    struct problems problems;
    struct models *models;
    problems_init(&problems);
    int rc = models_load(&models, NETWORK_DATA "/models.yaml", &problems);
    for (uint32_t i = 0; i < problems.n; i++)
        print_error("%u: %s: %s\n", problems.list[i].line, problems.list[i].path, problems.list[i].text);
    assert_int_equal(rc, 0);
    problems_fini(&problems);
    assert_true(models_count(models) >= 60);
    uint32_t named = 0, stated = 0;
    for (uint32_t i = 0; i < models_count(models); i++) {
        const struct net_model *m = models_get(models, i);
        double said = named_b(m->name), made = (double)model_params(m) / 1e9;
        stated += figure_given(m->params_b);
        if (said == 0 || figure_given(m->params_b))
            continue;
        named++;
        /* Names are rounded, and some count no table of tokens: a third is the most that any of ours is off. */
        if (made < said * 0.75 || made > said * 1.34)
            fail_msg("%s: the shape makes %.3f", m->name, made);
    }
    assert_true(named >= 30 && stated >= 10);
    /* Known to the last million: 70.55 and 671.0. */
    assert_int_equal(model_params(models_find(models, "llama-3.1-70b")) / 1000000, 70552);
    assert_int_equal(model_params(models_find(models, "deepseek-v3")) / 1000000000, 671);
    models_free(models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense), cmocka_unit_test(test_experts),    cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_chips), cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
