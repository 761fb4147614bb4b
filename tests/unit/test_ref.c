/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the reference engine: numbers, tensors, the tokenizer, chats, the sampler, what of a text can be shown. */
#include "ref_support.h"

#include <math.h>
#include <stdio.h>
#include <yyjson.h>

#include "base/map.h"
#include "ref/ask.h"
#include "ref/chat.h"
#include "ref/number.h"
#include "ref/sampler.h"
#include "ref/text.h"

#define BITS UINT64_C(0x67bedffa3373d276) /* of test_bits */

/* ---- numbers ---- */

static void test_exp_log_turn(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 1);
    for (int i = 0; i < 200000; i++) {
        double x = ((double)rng_below(&rng, 2000001) - 1e6) / 1e6;
        double e = number_exp(x * 600), l = exp(x * 30), c, s;
        assert_true(fabs(e / exp(x * 600) - 1) < 1e-14);
        assert_true(fabs(number_log(l) - x * 30) < 1e-13);
        number_turn(x * 1e6, &c, &s);
        assert_true(fabs(c - cos(x * 1e6)) < 2e-15 && fabs(s - sin(x * 1e6)) < 2e-15);
        float f = (float)(x * 87);
        assert_true(fabs((double)number_exp_float(f) / exp((double)f) - 1) < 2.5e-7);
    }
    assert_true(number_exp(0) == 1.0 && number_exp_float(0) == 1.0f && number_log(1) == 0.0);
    assert_true(number_exp(-1e9) == 0.0 && number_exp((double)NAN) == 0.0);
    assert_true(number_exp_float(NAN) == number_exp_float(-1e30f) &&
                number_exp_float(INFINITY) == number_exp_float(88.0f));
}

/* The bits themselves: another compiler, another machine or a libm under it would have others. */
static void test_bits(void **state)
{
    (void)state;
    struct rng rng;
    uint64_t hash = 0;
    float a[100], b[100];
    rng_init(&rng, 2);
    for (int i = 0; i < 20000; i++) {
        double x = ((double)rng_below(&rng, 2000001) - 1e6) / 1e6, c, s;
        number_turn(x * 1000, &c, &s);
        a[i % 100] = (float)c;
        b[i % 100] = number_exp_float((float)(x * 40));
        double all[] = {c, s, number_exp(x * 50), number_log(2 + x),
                        (double)tensor_dot(a, b, i < 100 ? 0 : 1 + (uint32_t)i % 100)};
        hash = map_hash(hash, all, sizeof all);
    }
    assert_int_equal(hash, BITS);
}

static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
        double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        float got = number_half((uint16_t)h);
        if (exponent == 31)
            assert_true(fraction ? isnan(got) : isinf(got));
        else
            assert_true((double)got == (h & 0x8000 ? -v : v));
        assert_int_equal(signbit(got) != 0, h >> 15);
    }
}

/* ---- tensors ---- */

/* The order that ref/tensor.h tells, written as it is told. */
static float told_dot(const float *a, const float *b, uint32_t n)
{
    volatile float sum[16] = {0};
    uint32_t whole = n / 4 * 4;
    for (uint32_t i = 0; i < n; i++) {
        volatile float product = a[i] * b[i];
        uint32_t j = i < whole ? i % 16 : 12 + i - whole;
        sum[j] = sum[j] + product;
    }
    for (int step = 8; step > 0; step /= 2) {
        for (int j = 0; j < step; j++)
            sum[j] = sum[j] + sum[j + step];
    }
    return sum[0];
}

static void test_dot(void **state)
{
    (void)state;
    struct rng rng;
    float a[300], b[300];
    rng_init(&rng, 3);
    for (int round = 0; round < 2000; round++) {
        uint32_t n = (uint32_t)rng_below(&rng, 301);
        double exact = 0, size = 0;
        for (uint32_t i = 0; i < n; i++) {
            a[i] = (float)rng_below(&rng, 20001) - 10000.0f;
            b[i] = ((float)rng_below(&rng, 20001) - 10000.0f) / 3.0f;
            exact += (double)a[i] * (double)b[i];
            size += fabs((double)a[i] * (double)b[i]);
        }
        float got = tensor_dot(a, b, n), told = told_dot(a, b, n);
        assert_memory_equal(&got, &told, sizeof got);
        assert_true(fabs((double)got - exact) <= size * 2e-6);
    }
}

static void test_rows(void **state)
{
    (void)state;
    static const uint32_t types[] = {0, 1, 2, 8};
    for (size_t k = 0; k < 4; k++) {
        struct small s;
        struct tensor t;
        struct err err = {0};
        float room[SMALL_FFN], all[SMALL_WIDTH * SMALL_FFN];
        small_make(&s, types[k], 4 + k);
        const struct small_tensor *want = small_find(&s, "blk.1.ffn_down.weight");
        struct gguf_entry e = {.name = "x",
                               .name_len = 1,
                               .dimensions = 2,
                               .size = {SMALL_FFN, SMALL_WIDTH, 1, 1},
                               .type = types[k]};
        assert_int_equal(tensor_set(&t, &e, (uint8_t *)want->bytes.data, want->bytes.len, 32, &err), 0);
        struct tensor unpacked = t;
        if (!tensor_is_float(&t))
            tensor_unpack(&unpacked, all);
        for (uint32_t r = 0; r < t.rows; r++) {
            const float *row = tensor_row(&t, r, room);
            for (uint32_t i = 0; i < t.columns; i++) /* exactly: nothing is rounded */
                assert_true((double)row[i] == want->values[r * t.columns + i]);
            assert_memory_equal(row, tensor_row(&unpacked, r, NULL), t.columns * sizeof *row);
        }
        e.offset = 32;
        assert_int_equal(tensor_set(&t, &e, (uint8_t *)want->bytes.data, want->bytes.len, 32, &err),
                         ERR_INVALID);
        e.offset = UINT64_MAX - 31;
        assert_int_equal(tensor_set(&t, &e, (uint8_t *)want->bytes.data, want->bytes.len, 32, &err),
                         ERR_INVALID);
        small_free(&s);
    }
}

/* ---- the tokenizer ---- */

static void test_tokens(void **state)
{
    (void)state;
    struct model *m;
    struct err err = {0};
    char line[8192];
    int lines = 0;
    assert_int_equal(model_open(&m, BUSBAR_SOURCE "/data/models/stories.gguf", &err), 0);
    FILE *f =
        fopen(BUSBAR_SOURCE "/tests/unit/ref_tokens.jsonl", "r"); /* what llama-server's /tokenize says */
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        yyjson_doc *doc = yyjson_read(line, strlen(line), 0);
        yyjson_val *text = yyjson_obj_get(yyjson_doc_get_root(doc), "text"),
                   *want = yyjson_obj_get(yyjson_doc_get_root(doc), "tokens");
        struct tokens_list got;
        struct buf back;
        tokens_list_init(&got, 4096);
        buf_init(&back, 65536);
        vocab_encode(&m->vocab, yyjson_get_str(text), yyjson_get_len(text), true, true, &got);
        assert_false(got.failed);
        assert_int_equal(got.n, yyjson_arr_size(want));
        for (uint32_t i = 0; i < got.n; i++) {
            assert_int_equal(got.at[i], yyjson_get_uint(yyjson_arr_get(want, i)));
            vocab_piece(&m->vocab, got.at[i], &back);
        }
        /* And back, where there were no marks in it, nor what stands for a space. */
        if (!strpbrk(yyjson_get_str(text), "<") && !strstr(yyjson_get_str(text), "\xe2\x96\x81")) {
            assert_int_equal(back.len, yyjson_get_len(text));
            assert_memory_equal(back.len ? back.data : "", yyjson_get_str(text), back.len);
        }
        buf_fini(&back);
        tokens_list_fini(&got);
        yyjson_doc_free(doc);
        lines++;
    }
    (void)fclose(f);
    assert_int_equal(lines, 200);
    model_free(m);
}

static void test_control_is_text(void **state)
{
    (void)state;
    struct model *m;
    struct err err = {0};
    struct tokens_list meant, plain, small;
    assert_int_equal(model_open(&m, BUSBAR_SOURCE "/data/models/stories.gguf", &err), 0);
    tokens_list_init(&meant, 100);
    tokens_list_init(&plain, 100);
    tokens_list_init(&small, 3);
    vocab_encode(&m->vocab, "</s>", 4, false, true, &meant);
    vocab_encode(&m->vocab, "</s>", 4, false, false, &plain);
    assert_int_equal(meant.n, 1);
    assert_int_equal(meant.at[0], m->vocab.end);
    assert_true(plain.n > 1);
    for (int i = 0; i < 100; i++)
        vocab_encode(&m->vocab, "abc def", 7, false, false, &small);
    assert_true(small.failed && small.n <= 64); /* the bound is kept to the list's next doubling */
    tokens_list_fini(&meant);
    tokens_list_fini(&plain);
    tokens_list_fini(&small);
    model_free(m);
}

/* A text that cannot fit is refused before it is encoded, by the longest token's length. */
static void test_too_long(void **state)
{
    (void)state;
    struct model *m;
    struct err err = {0};
    struct ask ask;
    struct buf body;
    assert_int_equal(model_open(&m, BUSBAR_SOURCE "/data/models/stories.gguf", &err), 0);
    uint32_t longest = m->vocab.longest;
    assert_in_range(longest, 4, VOCAB_TOKEN_MAX);
    const struct ask_model model = {.model = m, .context = 8};
    const size_t fits = (size_t)longest * 8 - 1, lens[] = {fits + 1, VOCAB_TEXT_MAX, VOCAB_TEXT_MAX + 1};
    buf_init(&body, VOCAB_TEXT_MAX + 64);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        buf_clear(&body);
        buf_add_text(&body, "{\"prompt\":\"");
        for (size_t k = 0; k < lens[i]; k++)
            buf_add_char(&body, 'a');
        buf_add_text(&body, "\"}");
        assert_int_equal(ask_parse(&ask, &model, false, body.data, body.len, &err), ERR_INVALID);
        assert_string_equal(err.msg, "the prompt is longer than a slot's context of 8 tokens");
    }
    buf_clear(&body);
    buf_add_text(&body, "{\"prompt\":\"");
    for (size_t k = 0; k < fits; k++)
        buf_add_char(&body, 'a');
    buf_add_text(&body, "\"}");
    assert_int_equal(ask_parse(&ask, &model, false, body.data, body.len, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "and needs one for an answer")); /* this one was encoded and counted */
    buf_fini(&body);
    model_free(m);
}

/* ---- chats ---- */

static void render(const char *name, const char *messages, const char *want)
{
    const struct chat_format *f = chat_named(name);
    yyjson_doc *doc = yyjson_read(messages, strlen(messages), 0);
    struct buf out;
    struct err err = {0};
    buf_init(&out, 4096);
    assert_non_null(f);
    int rc = chat_render(f, yyjson_doc_get_root(doc), &out, &err);
    if (want) {
        assert_int_equal(rc, 0);
        buf_add_char(&out, 0);
        assert_string_equal(out.data, want);
    } else {
        assert_int_equal(rc, ERR_INVALID);
        assert_true(err.msg[0] != 0);
    }
    buf_fini(&out);
    yyjson_doc_free(doc);
}

static void test_chats(void **state)
{
    (void)state;
    static const char talk[] =
        "[{\"role\":\"system\",\"content\":\" S "
        "\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"U\"},"
        "{\"type\":\"text\",\"text\":\"V \"}]},{\"role\":\"assistant\",\"content\":\"A\"},"
        "{\"role\":\"user\",\"content\":\"\"}]";
    render("busbar", talk, "<|system|>S<|user|>UV<|assistant|>A</s><|user|><|assistant|>");
    render("chatml", talk,
           "<|im_start|>system\n S <|im_end|>\n<|im_start|>user\nUV "
           "<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n"
           "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n");
    render("zephyr", talk,
           "<|system|>\n S </s>\n<|user|>\nUV </s>\n<|assistant|>\nA</s>\n<|user|>\n</s>\n<|assistant|>\n");
    render("plain", talk, " S UV A");
    render("mistral",
           "[{\"role\":\"user\",\"content\":\"U\"},{\"role\":\"assistant\",\"content\":\"A\"},{\"role\":"
           "\"user\",\"content\":\"W\"}]",
           "[INST] U [/INST] A</s>[INST] W [/INST]");
    render("mistral", talk, NULL); /* no place for a system's words */
    render("busbar", "[{\"role\":\"tool\",\"content\":\"x\"}]", NULL);
    render("busbar", "[{\"content\":\"x\"}]", NULL);
    render("busbar", "[]", NULL);
    render("busbar", "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]", NULL);
    render("busbar", "[{\"role\":\"user\",\"content\":7}]", NULL);
    assert_string_equal(chat_name(chat_recognise("{% for m in messages %}{{ m['content'] }}{% endfor %}")),
                        "plain");
    assert_string_equal(chat_name(chat_recognise("x <|im_start|> y <|im_end|>")), "chatml");
    assert_string_equal(chat_name(chat_recognise("<|start_header_id|> <|eot_id|>")), "llama3");
    assert_null(chat_recognise("{{ messages[0] }}"));
    assert_null(chat_recognise(NULL));
}

/* ---- the sampler ---- */

static void test_greedy(void **state)
{
    (void)state;
    const float logits[] = {1, 3, 3, -2};
    struct sampler s;
    struct sampler_options o = {.temperature = 0};
    assert_true(sampler_init(&s, &o, 4));
    for (int i = 0; i < 3; i++)
        assert_int_equal(sampler_next(&s, logits), 1); /* of equals the first */
    sampler_fini(&s);
    o.presence = 1;
    assert_true(sampler_init(&s, &o, 4));
    assert_int_equal(sampler_next(&s, logits), 1);
    assert_int_equal(sampler_next(&s, logits), 2); /* the other one was used */
    sampler_fini(&s);
}

static void draws(struct sampler_options o, const float *logits, uint32_t n, uint32_t times, uint32_t *counts)
{
    struct sampler s;
    assert_true(sampler_init(&s, &o, n));
    memset(counts, 0, n * sizeof *counts);
    for (uint32_t i = 0; i < times; i++)
        counts[sampler_next(&s, logits)]++;
    sampler_fini(&s);
}

static void test_draws(void **state)
{
    (void)state;
    const float logits[] = {0.0f, 1.0f, 2.0f, -1.0f};
    const uint32_t times = 100000;
    uint32_t a[4], b[4];
    double sum = exp(0) + exp(1) + exp(2) + exp(-1);
    struct sampler_options o = {.temperature = 1, .top_p = 1, .seed = 7};
    draws(o, logits, 4, times, a);
    draws(o, logits, 4, times, b);
    assert_memory_equal(a, b, sizeof a); /* the same seed */
    o.seed = 8;
    draws(o, logits, 4, times, b);
    assert_memory_not_equal(a, b, sizeof a);
    for (int i = 0; i < 4; i++) {
        double p = exp((double)logits[i]) / sum;
        assert_true(fabs(a[i] - p * times) < 5 * sqrt(times * p * (1 - p)));
    }
    o.top_k = 2;
    draws(o, logits, 4, times, a);
    assert_true(a[0] == 0 && a[3] == 0 && a[1] > 0);
    o.top_k = 0;
    o.top_p = 0.6f; /* the best one has 0.64 */
    draws(o, logits, 4, times, a);
    assert_int_equal(a[2], times);
    o.top_p = 0.7f;
    draws(o, logits, 4, times, a);
    assert_true(a[1] > 0 && a[0] == 0);
    o.top_p = 1;
    o.min_p = 0.2f; /* exp(-1) is 0.37, exp(-2) is 0.14 */
    draws(o, logits, 4, times, a);
    assert_true(a[1] > 0 && a[0] == 0 && a[3] == 0);
    o.min_p = 0;
    o.temperature = 0.1f;
    draws(o, logits, 4, times, a);
    assert_true(a[2] > times * 0.999);
}

static void test_few_is_all(void **state)
{
    (void)state;
    float logits[600];
    uint32_t few[600], all[600];
    struct rng rng;
    rng_init(&rng, 9);
    for (int i = 0; i < 600; i++)
        logits[i] = (float)rng_below(&rng, 100) / 10.0f;
    struct sampler_options o = {.temperature = 1, .top_p = 1, .top_k = 40, .seed = 1};
    draws(o, logits, 600, 5000, few);
    struct sampler_candidate best[600];
    assert_int_equal(sampler_best(logits, 600, best, 600), 600);
    for (int i = 1; i < 600; i++)
        assert_true(best[i - 1].logit > best[i].logit ||
                    (best[i - 1].logit == best[i].logit && best[i - 1].token < best[i].token));
    memset(all, 0, sizeof all);
    for (int i = 0; i < 40; i++)
        all[best[i].token] = 1;
    for (int i = 0; i < 600; i++)
        assert_true(all[i] || few[i] == 0);
    double sum = 0;
    for (int i = 0; i < 600; i++)
        sum += exp((double)logits[i]);
    assert_true(fabs(sampler_level(logits, 600) - log(sum)) < 1e-9);
}

/* ---- what can be shown ---- */

static void test_text(void **state)
{
    (void)state;
    static const char *const stops[] = {"\n\n", "END"};
    static const struct {
        const char *text;
        size_t held;
    } cases[] = {{"", 0},     {"abc", 0},       {"a\n", 1},       {"xE", 1},           {"xEN", 2},
                 {"xEX", 0},  {"a\xc3", 1},     {"a\xc3\xa9", 0}, {"\xf0\x9f\x98", 3}, {"\xf0\x9f", 2},
                 {"\xff", 0}, {"a\x80\x80", 0}, {"E\xe2\x82", 2}, {"\xe2\x82\xac", 0}, {"EN\n", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(text_held(cases[i].text, strlen(cases[i].text), stops, 2), cases[i].held);
    assert_int_equal(text_find_stop("one END two", 11, 0, stops, 2), 4);
    assert_int_equal(text_find_stop("one END two", 11, 7, stops, 2), 11); /* it was there before */
    assert_int_equal(text_find_stop("one END two", 11, 6, stops, 2), 4);
    assert_int_equal(text_find_stop("ENDEND", 6, 3, stops, 2), 3);
    assert_int_equal(text_find_stop("a\n\nEND", 6, 0, stops, 2), 1);
    assert_int_equal(text_find_stop("abc", 3, 0, stops, 0), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exp_log_turn),
                                       cmocka_unit_test(test_bits),
                                       cmocka_unit_test(test_half),
                                       cmocka_unit_test(test_dot),
                                       cmocka_unit_test(test_rows),
                                       cmocka_unit_test(test_tokens),
                                       cmocka_unit_test(test_control_is_text),
                                       cmocka_unit_test(test_too_long),
                                       cmocka_unit_test(test_chats),
                                       cmocka_unit_test(test_greedy),
                                       cmocka_unit_test(test_draws),
                                       cmocka_unit_test(test_few_is_all),
                                       cmocka_unit_test(test_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
