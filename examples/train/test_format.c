/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of what goes into training and what comes out: the text, the tokenizer, the rows, and the bytes of a GGUF file.
 */
#include "bpe.h"
#include "corpus.h"
#include "dataset.h"
#include "gguf.h"

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void make_text(struct text *text, uint64_t seed, size_t bytes)
{
    *text = (struct text){0};
    assert_int_equal(corpus_generate(text, seed, bytes), 0);
}

static void test_corpus(void **state)
{
    struct text a;
    struct text b;
    struct text c;

    (void)state;
    make_text(&a, 3, 300000);
    make_text(&b, 3, 300000);
    make_text(&c, 4, 300000);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    assert_memory_not_equal(a.data, c.data, 1000);
    for (size_t i = 0; i < a.len; i++) {
        if (strchr("{}[]~", a.data[i]) != NULL || a.data[i] == '\0')
            fail_msg("a mark of the grammar is left in the text at %zu", i);
        if (a.data[i] == ' ' && (a.data[i + 1] == ' ' || a.data[i + 1] == '\n'))
            fail_msg("a stray space at %zu", i);
    }
    text_fini(&a);
    text_fini(&b);
    text_fini(&c);
}

static struct bpe *make_bpe(const struct text *text, uint32_t tokens)
{
    struct bpe *bpe = malloc(sizeof(*bpe));

    assert_non_null(bpe);
    assert_int_equal(bpe_train(bpe, text->data, text->len, tokens), 0);
    return bpe;
}

static void assert_round_trip(const struct bpe *bpe, const char *s, size_t len)
{
    struct text back = {0};
    uint32_t *ids = malloc((len + 1) * sizeof(*ids));
    size_t count = 0;

    assert_non_null(ids);
    assert_int_equal(bpe_encode(bpe, s, len, ids, len, &count), 0);
    bpe_decode(bpe, ids, count, &back);
    assert_int_equal(back.len, len);
    assert_memory_equal(back.data, s, len);
    free(ids);
    text_fini(&back);
}

static void test_tokenizer_round_trip(void **state)
{
    static const char *const odd[] = {
        "Hello",
        " two  spaces ",
        "tab\tand\nline",
        "caf\xc3\xa9 \xe2\x82\xac 42 \xf0\x9f\xa6\x8a",
        "\xff\xfe stray",
        "<|user|>Tell me a story.<|assistant|>Once</s>",
        "<|use",
        "a<b and </s",
        "ZQX{}[]~^`@#$%",
        "averyveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongword"};
    struct text text;
    struct bpe *bpe = NULL;

    (void)state;
    make_text(&text, 3, 200000);
    bpe = make_bpe(&text, 700);
    assert_int_equal(bpe->count, 700);
    assert_round_trip(bpe, text.data, text.len);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        assert_round_trip(bpe, odd[i], strlen(odd[i]));
    for (uint32_t i = BPE_CHAR_FIRST; i + 1 < bpe->count; i++)
        assert_true(bpe_score(bpe, i) > bpe_score(bpe, i + 1));
    free(bpe);
    text_fini(&text);
}

static void test_tokenizer_control(void **state)
{
    static const char chat[] = "<|user|>Hi<|assistant|>Hello</s>";
    struct text text;
    struct bpe *bpe = NULL;
    uint32_t ids[64];
    size_t count = 0;

    (void)state;
    make_text(&text, 3, 200000);
    bpe = make_bpe(&text, 700);
    assert_int_equal(bpe_encode(bpe, chat, strlen(chat), ids, 64, &count), 0);
    assert_int_equal(ids[0], BPE_USER);
    assert_int_equal(ids[count - 1], BPE_END);
    assert_int_equal(bpe_encode(bpe, chat, strlen(chat), ids, 3, &count), -ENOSPC);
    assert_int_equal(bpe_train(bpe, text.data, text.len, BPE_TOKENS_MIN - 1), -EINVAL);
    assert_int_equal(bpe_train(bpe, text.data, text.len, BPE_TOKENS_MAX + 1), -EINVAL);
    free(bpe);
    text_fini(&text);
}

/* The server joins the best score first, not the leftmost pair: "abc" is a + bc when bc is the more frequent pair. */
static void test_tokenizer_order(void **state)
{
    static const char often[] = " qbc wbc ebc";
    static const char seldom[] = " zabq xabw yabe";
    struct text text = {0};
    struct bpe *bpe = NULL;
    uint32_t ids[8];
    size_t count = 0;

    (void)state;
    for (int i = 0; i < 7; i++) {
        text_append(&text, often, strlen(often));
        text_append(&text, often, strlen(often));
        text_append(&text, seldom, strlen(seldom));
    }
    bpe = make_bpe(&text, BPE_TOKENS_MIN);
    assert_int_equal(bpe_encode(bpe, "ab", 2, ids, 8, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(bpe_encode(bpe, "abc", 3, ids, 8, &count), 0);
    assert_int_equal(count, 2);
    assert_string_equal(bpe->tokens[ids[0]].text, "a");
    assert_string_equal(bpe->tokens[ids[1]].text, "bc");
    free(bpe);
    text_fini(&text);
}

static void test_dataset(void **state)
{
    struct text text;
    struct bpe *bpe = NULL;
    struct dataset data;
    struct rng rng = {.state = 1};
    uint32_t inputs[4 * 128];
    uint32_t targets[4 * 128];
    size_t ends = 0;

    (void)state;
    make_text(&text, 3, 100000);
    bpe = make_bpe(&text, 700);
    assert_int_equal(dataset_init(&data, bpe, &text, 128), 0);
    for (size_t i = 0; i < data.token_count; i++) {
        bool begins = i == 0 || (data.tokens[i - 1] == BPE_END && data.tokens[i] != BPE_USER);

        assert_int_equal(data.tokens[i] == BPE_BEGIN, begins);
        ends += data.tokens[i] == BPE_END;
    }
    assert_int_equal(data.tokens[data.token_count - 1], BPE_END);
    assert_true(ends >= data.start_count);
    for (int batch = 0; batch < 50; batch++) {
        dataset_batch(&data, &rng, 4, 128, inputs, targets);
        for (uint32_t row = 0; row < 4; row++) {
            assert_int_equal(inputs[row * 128], BPE_BEGIN);
            assert_memory_equal(&inputs[row * 128 + 1], &targets[row * 128], 127 * sizeof(*inputs));
        }
    }
    dataset_fini(&data);
    assert_int_equal(dataset_init(&data, bpe, &text, 1000000), -EINVAL);
    dataset_fini(&data);
    free(bpe);
    text_fini(&text);
}

/* A reader of GGUF that knows only the format, and walks the whole of a file. */
struct reader {
    const unsigned char *p;
    size_t len;
    size_t at;
};

static uint64_t take(struct reader *r, size_t bytes)
{
    uint64_t value = 0;

    assert_true(r->at + bytes <= r->len);
    memcpy(&value, r->p + r->at, bytes);
    r->at += bytes;
    return value;
}

static void take_string(struct reader *r, char out[64])
{
    size_t len = (size_t)take(r, 8);

    assert_true(len <= r->len - r->at);
    (void)snprintf(out, 64, "%.*s", (int)len, (const char *)r->p + r->at);
    r->at += len;
}

/* Returns a number, or the length of an array; a string goes to `out`. */
static uint64_t take_value(struct reader *r, uint64_t type, char out[64])
{
    uint64_t inner = 0;
    uint64_t count = 0;

    switch (type) {
    case 4:
    case 5:
    case 6:
        return take(r, 4);
    case 7:
        return take(r, 1);
    case 8:
        take_string(r, out);
        return 0;
    case 9:
        inner = take(r, 4);
        count = take(r, 8);
        for (uint64_t i = 0; i < count; i++)
            (void)take_value(r, inner, out);
        return count;
    default:
        fail_msg("metadata type %u", (unsigned)type);
        return 0;
    }
}

static void read_metadata(struct reader *r, uint64_t keys, uint64_t file_type)
{
    uint32_t checked = 0;

    for (uint64_t i = 0; i < keys; i++) {
        char key[64];
        char text[64] = "";
        uint64_t value = 0;

        take_string(r, key);
        value = take_value(r, take(r, 4), text);
        if (strcmp(key, "general.architecture") == 0)
            checked += strcmp(text, "llama") == 0;
        else if (strcmp(key, "general.license") == 0)
            checked += strcmp(text, "Apache-2.0") == 0;
        else if (strcmp(key, "general.file_type") == 0)
            checked += value == file_type;
        else if (strcmp(key, "llama.context_length") == 0)
            checked += value == 96;
        else if (strcmp(key, "tokenizer.ggml.tokens") == 0 || strcmp(key, "tokenizer.ggml.scores") == 0)
            checked += value == 512;
        else if (strcmp(key, "tokenizer.ggml.eos_token_id") == 0)
            checked += value == BPE_END;
    }
    assert_int_equal(checked, 7);
}

static void check_gguf(struct reader *r, const struct model *model, uint64_t file_type,
                       uint64_t bytes_per_block)
{
    uint64_t offset = 0;
    uint64_t keys = 0;

    assert_memory_equal(r->p, "GGUF", 4);
    r->at = 4;
    assert_int_equal(take(r, 4), 3);
    assert_int_equal(take(r, 8), model->tensor_count);
    keys = take(r, 8);
    read_metadata(r, keys, file_type);
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        char name[64];
        uint64_t elements = 1;
        uint64_t dimensions = 0;
        uint64_t type = 0;

        take_string(r, name);
        dimensions = take(r, 4);
        for (uint64_t d = 0; d < dimensions; d++)
            elements *= take(r, 8);
        type = take(r, 4);
        assert_int_equal(elements, (uint64_t)model->tensors[i].rows * model->tensors[i].cols);
        assert_int_equal(type == 0, dimensions == 1 || file_type == 0);
        assert_int_equal(take(r, 8), offset);
        offset += (elements / 32 * (type == 0 ? 128 : bytes_per_block) + 31) / 32 * 32;
    }
    assert_int_equal((r->at + 31) / 32 * 32 + offset, r->len);
}

static void check_gguf_file(const char *path, const struct model *model, uint64_t file_type,
                            uint64_t bytes_per_block)
{
    struct text file = {0};
    struct reader reader = {0};

    assert_int_equal(text_read_file(&file, path), 0);
    reader = (struct reader){.p = (const unsigned char *)file.data, .len = file.len};
    check_gguf(&reader, model, file_type, bytes_per_block);
    text_fini(&file);
}

static void test_gguf(void **state)
{
    static const struct {
        enum gguf_type type;
        uint64_t file_type, bytes_per_block;
    } cases[] = {{GGUF_F32, 0, 128}, {GGUF_F16, 1, 64}, {GGUF_Q8_0, 7, 34}};
    static const struct gguf_about about = {.name = "test", .description = "a test"};
    static const struct model_config config = {
        .vocab = 512, .dim = 32, .layers = 2, .heads = 4, .kv_heads = 2, .ffn = 64, .context = 96};
    struct rng rng = {.state = 9};
    struct model model;
    struct text text;
    struct bpe *bpe = NULL;
    char path[] = "/tmp/test_format.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    (void)close(fd);
    make_text(&text, 3, 200000);
    bpe = make_bpe(&text, 512);
    assert_int_equal(model_init(&model, &config, &rng), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(gguf_write(path, &model, bpe, &about, cases[i].type), 0);
        check_gguf_file(path, &model, cases[i].file_type, cases[i].bytes_per_block);
    }
    model.config.ffn = 65;
    assert_int_equal(gguf_write(path, &model, bpe, &about, GGUF_Q8_0), -EINVAL);
    assert_int_equal(gguf_write("/nonexistent/x", &model, bpe, &about, GGUF_F32), -ENOENT);
    (void)unlink(path);
    model_fini(&model);
    free(bpe);
    text_fini(&text);
}

static void test_half(void **state)
{
    static const struct {
        float value;
        uint16_t half;
    } cases[] = {
        {0.0f, 0x0000},       {-0.0f, 0x8000},       {1.0f, 0x3c00},       {-2.5f, 0xc100},
        {65504.0f, 0x7bff},   {65520.0f, 0x7c00},    {1e9f, 0x7c00},       {0x1p-14f, 0x0400},
        {0x1p-24f, 0x0001},   {0x1p-25f, 0x0000},    {0x1.8p-24f, 0x0002}, {0x1.002p0f, 0x3c00},
        {0x1.006p0f, 0x3c02}, {0x1.0021p0f, 0x3c01},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(gguf_half(cases[i].value), cases[i].half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_tokenizer_round_trip),
        cmocka_unit_test(test_tokenizer_control),
        cmocka_unit_test(test_tokenizer_order),
        cmocka_unit_test(test_dataset),
        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
