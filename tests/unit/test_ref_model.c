/* SPDX-License-Identifier: Apache-2.0 */
/* The reference engine as a whole: a model against the formulas in double precision, the same bits however it is run, hostile files. */
#include "ref_support.h"

#include <math.h>
#include <time.h>

#include "ref/runner.h"

#define N 40u

static const uint32_t types[] = {0, 1, 2, 8};

static struct model *parse(const struct small *s)
{
    struct model *m;
    struct err err = {0};
    if (model_parse(&m, (const uint8_t *)s->file.data, s->file.len, &err) != 0)
        fail_msg("%s", err.msg);
    return m;
}

static void some_tokens(uint32_t tokens[N], uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (uint32_t i = 0; i < N; i++)
        tokens[i] = (uint32_t)rng_below(&rng, SMALL_VOCAB);
}

/* Logits of every position, of `slot`, in steps of at most `rows` rows. */
static void run(struct model_state *state, const uint32_t tokens[N], uint32_t slot, uint32_t rows,
                float logits[N][SMALL_VOCAB])
{
    for (uint32_t p = 0; p < N;) {
        struct model_row row[MODEL_ROWS];
        uint32_t n = 0;
        for (; n < rows && p < N; n++, p++)
            row[n] = (struct model_row){.token = tokens[p], .slot = slot, .position = p, .logits = logits[p]};
        model_step(state, row, n);
    }
}

static void run_new(const struct model *m, uint32_t threads, uint32_t slot, uint32_t rows,
                    const uint32_t tokens[N], float logits[N][SMALL_VOCAB])
{
    struct err err = {0};
    struct model_state *state;
    struct team *team = team_new(threads, 0);
    assert_non_null(team);
    assert_int_equal(model_state_new(&state, m, team, slot + 1, SMALL_CONTEXT, &err), 0);
    run(state, tokens, slot, rows, logits);
    model_state_free(state);
    team_free(team);
}

/* ---- right ---- */

static void test_formulas(void **state)
{
    (void)state;
    static float logits[N][SMALL_VOCAB];
    for (size_t k = 0; k < 4; k++) {
        struct small s;
        uint32_t tokens[N];
        double want[SMALL_VOCAB], most = 0, off = 0;
        small_make(&s, types[k], 10 + k);
        some_tokens(tokens, k);
        struct model *m = parse(&s);
        run_new(m, 1, 0, 1, tokens, logits);
        for (uint32_t n = 1; n <= N; n += 3) {
            small_compute(&s, tokens, n, want);
            for (uint32_t i = 0; i < SMALL_VOCAB; i++) {
                most = fmax(most, fabs(want[i]));
                off = fmax(off, fabs(want[i] - (double)logits[n - 1][i]));
            }
        }
        print_message("# type %u: logits up to %.2f, off by %.2g at most\n", types[k], most, off);
        assert_true(off < most * 2e-5);
        model_free(m);
        small_free(&s);
    }
}

/* ---- the same bits ---- */

static void test_same_bits(void **state)
{
    (void)state;
    static float want[N][SMALL_VOCAB], got[N][SMALL_VOCAB];
    static const struct {
        uint32_t threads, slot, rows;
    } ways[] = {{1, 0, 1}, {1, 0, 32}, {1, 3, 7}, {2, 0, 1}, {2, 0, 32}, {3, 1, 5}, {7, 0, 32}, {32, 0, 32}};
    for (size_t k = 0; k < 4; k++) {
        struct small s;
        uint32_t tokens[N];
        small_make(&s, types[k], 20 + k);
        some_tokens(tokens, 5);
        struct model *m = parse(&s);
        run_new(m, 1, 0, 1, tokens, want);
        for (size_t w = 0; w < 2 * (sizeof ways / sizeof ways[0]); w++) {
            if (w == sizeof ways / sizeof ways[0])
                model_unpack(m, MODEL_UNPACK_MAX);
            size_t i = w % (sizeof ways / sizeof ways[0]);
            memset(got, 0, sizeof got);
            run_new(m, ways[i].threads, ways[i].slot, ways[i].rows, tokens, got);
            assert_memory_equal(got, want, sizeof got);
        }
        model_free(m);
        small_free(&s);
    }
}

/* Rows of several slots in one step, each as if it were alone. */
static void test_side_by_side(void **state)
{
    (void)state;
    static float want[3][N][SMALL_VOCAB], got[3][N][SMALL_VOCAB];
    struct small s;
    struct err err = {0};
    struct model_state *st;
    uint32_t tokens[3][N];
    small_make(&s, 8, 30);
    struct model *m = parse(&s);
    struct team *team = team_new(2, 0);
    for (uint32_t i = 0; i < 3; i++) {
        some_tokens(tokens[i], 40 + i);
        run_new(m, 1, 0, 1, tokens[i], want[i]);
    }
    assert_int_equal(model_state_new(&st, m, team, 3, SMALL_CONTEXT, &err), 0);
    for (uint32_t p = 0; p < N + 4; p++) {
        struct model_row rows[3];
        uint32_t n = 0;
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t at = p - 2 * i; /* they begin one after the other */
            if (p >= 2 * i && at < N)
                rows[n++] = (struct model_row){
                    .token = tokens[i][at], .slot = i, .position = at, .logits = got[i][at]};
        }
        model_step(st, rows, n);
    }
    assert_memory_equal(got, want, sizeof got);
    model_state_free(st);
    team_free(team);
    model_free(m);
    small_free(&s);
}

/* ---- hostile files ---- */

/* What was taken can be run: a step of two rows. */
static void try_step(const struct model *m)
{
    struct err err = {0};
    struct model_state *st;
    struct team *team = team_new(1, 0);
    float *logits = calloc(m->vocab.count, sizeof *logits);
    if (model_state_new(&st, m, team, 1, 2, &err) == 0) {
        struct model_row rows[] = {{.token = 0},
                                   {.token = m->vocab.count - 1, .position = 1, .logits = logits}};
        model_step(st, rows, 2);
        model_state_free(st);
    }
    free(logits);
    team_free(team);
}

static int parse_copy(const uint8_t *data, size_t len, struct err *err)
{
    struct model *m;
    uint8_t *copy =
        malloc(len ? len : 1); /* a place of its own, so that a sanitizer sees what is read beside it */
    *err = (struct err){0};
    memcpy(copy, data, len);
    int rc = model_parse(&m, copy, len, err);
    if (rc == 0)
        try_step(m);
    assert_true(rc == 0 || (err->msg[0] != 0 && !m));
    model_free(m);
    free(copy);
    return rc;
}

static void test_cut(void **state)
{
    (void)state;
    struct small s;
    struct err err;
    small_make(&s, 8, 50);
    const uint8_t *data = (const uint8_t *)s.file.data;
    assert_int_equal(parse_copy(data, s.file.len, &err), 0);
    for (size_t len = 0; len < s.data_begin + 64; len++)
        assert_int_not_equal(parse_copy(data, len, &err), 0);
    assert_int_not_equal(parse_copy(data, s.file.len - 64, &err), 0);
    small_free(&s);
}

/* Every 32-bit word of the head, made other numbers: refused with words, or what comes of it can be run. */
static void test_words(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 3, 0x00010000};
    struct small s;
    struct err err;
    uint32_t refused = 0, taken = 0;
    small_make(&s, 2, 51);
    for (size_t at = 0; at + 4 <= s.data_begin; at++) {
        uint8_t keep[4];
        memcpy(keep, s.file.data + at, 4);
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            memcpy(s.file.data + at, &values[i], 4);
            if (parse_copy((const uint8_t *)s.file.data, s.file.len, &err) == 0)
                taken++;
            else
                refused++;
        }
        memcpy(s.file.data + at, keep, 4);
    }
    print_message("# %u files refused, %u taken\n", refused, taken);
    assert_true(refused > 4 * taken);
    small_free(&s);
}

static void replace(struct small *s, const char *from, const char *to)
{
    char *at = memmem(s->file.data, s->file.len, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *words;
        int code;
    } cases[] = {
        {"llama", "qwen2", "architecture \"qwen2\"", ERR_UNSUPPORTED},
        {"blk.1.ffn_up.weight", "blk.1.ffn_up.biases",
         "blk.1.ffn_up.biases: this engine does not know this tensor", ERR_UNSUPPORTED},
        {"blk.1.ffn_up.weight", "blk.7.ffn_up.weight",
         "blk.7.ffn_up.weight: this engine does not know this tensor", ERR_UNSUPPORTED},
        {"blk.1.ffn_up.weight", "blk.0.ffn_up.weight", "blk.0.ffn_up.weight: is there twice", ERR_INVALID},
        {"blk.1.attn_q.weight", "blk.0.attn_q.weight", "blk.0.attn_q.weight: is there twice", ERR_INVALID},
        {"llama.context_length", "llama.context_lengtx", "the file does not say llama.context_length",
         ERR_INVALID},
        {"tokenizer.ggml.model", "tokenizer.ggml.mode1", "the file has no tokenizer", ERR_INVALID},
        {"GGUF", "GGUG", "this is not a GGUF file", ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct small s;
        struct err err;
        small_make(&s, 8, 52);
        replace(&s, cases[i].from, cases[i].to);
        int rc = parse_copy((const uint8_t *)s.file.data, s.file.len, &err);
        assert_int_equal(rc, cases[i].code);
        if (rc != 0 && !strstr(err.msg, cases[i].words))
            fail_msg("%s", err.msg);
        small_free(&s);
    }
}

/* A file whose first setting is another one beside it: `type` and the bytes after it. */
static int parse_with(const char *key, uint32_t type, const void *value, size_t len, struct model **m,
                      struct small *s, struct err *err)
{
    struct buf more;
    uint64_t pairs;
    size_t gap;
    small_make(s, 8, 57);
    buf_init(&more, 65536);
    put_key(&more, key, type);
    buf_add(&more, value, len);
    gap = (32 - more.len % 32) % 32; /* the data stays where data may be */
    if (gap < 13)
        gap += 32;
    put_u64(&more, gap - 13);
    for (size_t i = 0; i < gap - 13; i++)
        buf_add_char(&more, 'x');
    put_u32(&more, GGUF_TYPE_BOOL);
    buf_add_char(&more, 0);
    memcpy(&pairs, s->file.data + 16, 8);
    pairs += 2;
    memcpy(s->file.data + 16, &pairs, 8);
    struct buf whole;
    buf_init(&whole, 64 << 20);
    buf_add(&whole, s->file.data, 24);
    buf_add(&whole, more.data, more.len);
    buf_add(&whole, s->file.data + 24, s->file.len - 24);
    assert_false(whole.failed || more.failed);
    buf_fini(&more);
    buf_fini(&s->file);
    s->file = whole;
    *err = (struct err){0};
    return model_parse(m, (const uint8_t *)whole.data, whole.len, err);
}

/* Settings in odd forms: what scales positions, by either name; and unknown ones that are no numbers. */
static void test_settings(void **state)
{
    (void)state;
    static const float four = 4, nothing = 0;
    static const char none[] = "\4\0\0\0\0\0\0\0none", list[] = "\4\0\0\0\1\0\0\0\0\0\0\0\7\0\0\0";
    static const struct {
        const char *key;
        uint32_t type;
        const void *value;
        size_t len;
        float scale; /* 0: refused */
        int code;    /* as what; 0: ERR_UNSUPPORTED */
    } cases[] = {{"llama.rope.scaling.factor", GGUF_TYPE_F32, &four, 4, 4},
                 {"llama.rope.scaling.factor", GGUF_TYPE_F32, &nothing, 4, 1},
                 {"llama.rope.scale_linear", GGUF_TYPE_F32, &four, 4, 4},
                 {"llama.rope.scaling.type", GGUF_TYPE_STRING, none, 12, 1},
                 {"llama.expert_count", GGUF_TYPE_U32, &nothing, 4, 1},
                 {"llama.expert_count", GGUF_TYPE_STRING, none, 12, 0},
                 {"llama.expert_count", GGUF_TYPE_ARRAY, list, 16, 0},
                 {"llama.block_count", GGUF_TYPE_STRING, none, 12, 0, ERR_INVALID},
                 {"llama.vocab_size", GGUF_TYPE_STRING, none, 12, 0, ERR_INVALID},
                 {"llama.rope.scaling.factor", GGUF_TYPE_STRING, none, 12, 0, ERR_INVALID},
                 {"llama.rope.freq_base", GGUF_TYPE_ARRAY, list, 16, 0, ERR_INVALID},
                 {"llama.rope.scaling.type", GGUF_TYPE_U32, &nothing, 4, 0, ERR_INVALID},
                 {"general.architecture", GGUF_TYPE_U32, &nothing, 4, 0, ERR_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct small s;
        struct model *m;
        struct err err;
        int rc = parse_with(cases[i].key, cases[i].type, cases[i].value, cases[i].len, &m, &s, &err);
        const int refused = cases[i].code ? cases[i].code : ERR_UNSUPPORTED;
        if (rc != (cases[i].scale == 0 ? refused : 0))
            fail_msg("%zu: %d %s", i, rc, err.msg);
        assert_true(rc != 0 || m->rope_scale == cases[i].scale);
        model_free(m);
        small_free(&s);
    }
}

/* Weights of any bits whatever are a model: it says nothing worth hearing, and breaks nothing. */
static void test_any_weights(void **state)
{
    (void)state;
    static float logits[N][SMALL_VOCAB];
    struct rng rng;
    rng_init(&rng, 53);
    for (int round = 0; round < 40; round++) {
        struct small s;
        uint32_t tokens[N];
        small_make(&s, types[round % 4], 53);
        for (size_t at = s.data_begin; at < s.file.len; at++)
            s.file.data[at] = (char)rng_next(&rng);
        some_tokens(tokens, 54);
        struct model *m = parse(&s);
        run_new(m, 2, 0, 32, tokens, logits);
        for (uint32_t i = 0; i < N * SMALL_VOCAB; i++) {
            float logit = logits[i / SMALL_VOCAB][i % SMALL_VOCAB];
            assert_true(logit >= -1e30f && logit <= 1e30f);
        }
        model_free(m);
        small_free(&s);
    }
}

static void test_memory(void **state)
{
    (void)state;
    struct small s;
    struct err err = {0};
    struct model_state *st;
    small_make(&s, 0, 55);
    struct model *m = parse(&s);
    struct team *team = team_new(1, 0);
    assert_int_equal(model_state_new(&st, m, team, 0, 64, &err), ERR_INVALID);
    assert_int_equal(model_state_new(&st, m, team, 1, 0, &err), ERR_INVALID);
    assert_int_equal(model_state_new(&st, m, team, MODEL_SLOTS_MAX + 1, 64, &err), ERR_INVALID);
    assert_int_equal(model_state_new(&st, m, team, 1, MODEL_CONTEXT_MAX + 1, &err), ERR_INVALID);
    m->layers = MODEL_LAYERS_MAX; /* more than any machine has */
    m->kv_heads = m->heads = MODEL_HEADS_MAX;
    assert_int_equal(model_state_new(&st, m, team, MODEL_SLOTS_MAX, MODEL_CONTEXT_MAX, &err), ERR_NO_MEMORY);
    assert_null(st);
    m->layers = SMALL_LAYERS;
    team_free(team);
    model_free(m);
    small_free(&s);
}

/* ---- the runner ---- */

static void on_ready(void *ctx)
{
    (void)ctx;
}

static struct task *make_task(uint64_t seed, uint32_t max)
{
    struct task *t = task_new(SMALL_CONTEXT);
    struct rng rng;
    rng_init(&rng, seed);
    uint32_t n = 5 + (uint32_t)rng_below(&rng, 30);
    for (uint32_t i = 0; i < n; i++)
        tokens_list_add(&t->prompt, i < 4 ? i : 3 + (uint32_t)rng_below(&rng, SMALL_VOCAB - 3));
    t->sampling = (struct sampler_options){.temperature = seed % 2 ? 0.9f : 0.0f, .top_p = 1, .seed = seed};
    t->max_tokens = max;
    t->ignores_end = true;
    t->logprobs = true;
    t->top = 2;
    return t;
}

/* What a task says: its text and the bits of its tokens' probabilities. */
struct said {
    struct buf text;
    struct task_counts counts;
    enum task_end end;
};

static void drain(struct runner *r, struct task **tasks, struct said *said, uint32_t n)
{
    for (uint32_t left = n; left > 0;) {
        struct task_piece *p = runner_take(r);
        if (!p) {
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
            continue;
        }
        uint32_t i = 0;
        while (tasks[i] != p->task)
            i++;
        buf_add(&said[i].text, p->text.data, p->text.len);
        for (uint32_t k = 0; k < p->ntokens; k++)
            buf_add(&said[i].text, &p->tokens[k].logprob, sizeof p->tokens[k].logprob);
        said[i].counts = p->counts;
        said[i].end = p->end;
        runner_sent(r, p->task);
        left -= p->end != TASK_GOES_ON;
        piece_free(p);
    }
}

#define TASKS 24u

static void run_tasks(const struct model *m, uint32_t slots, uint32_t threads, struct said said[TASKS])
{
    struct runner_config config = {
        .model = m, .slots = slots, .context = SMALL_CONTEXT, .threads = threads, .ready = on_ready};
    struct runner *r;
    struct err err = {0};
    struct task *tasks[TASKS];
    assert_int_equal(runner_new(&r, &config, &err), 0);
    for (uint32_t i = 0; i < TASKS; i++) {
        buf_init(&said[i].text, 1 << 20);
        tasks[i] = make_task(i / 2, 20); /* each twice: one of them finds its prompt read already, perhaps */
        assert_int_equal(runner_submit(r, tasks[i]), 0);
    }
    drain(r, tasks, said, TASKS);
    for (uint32_t i = 0; i < TASKS; i++)
        task_free(tasks[i]);
    runner_free(r);
}

static void test_runner(void **state)
{
    (void)state;
    static const struct {
        uint32_t slots, threads;
    } ways[] = {{1, 1}, {4, 1}, {3, 2}, {40, 3}};
    struct said want[TASKS], got[TASKS];
    struct small s;
    uint64_t cached = 0;
    small_make(&s, 8, 60);
    struct model *m = parse(&s);
    run_tasks(m, 1, 1, want);
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        run_tasks(m, ways[w].slots, ways[w].threads, got);
        for (uint32_t i = 0; i < TASKS; i++) {
            assert_int_equal(got[i].end, TASK_LENGTH);
            assert_int_equal(got[i].counts.completion, 20);
            assert_int_equal(got[i].text.len, want[i].text.len);
            assert_memory_equal(got[i].text.data, want[i].text.data, want[i].text.len);
            cached += got[i].counts.cached;
            buf_fini(&got[i].text);
        }
    }
    assert_true(cached > 0);
    for (uint32_t i = 0; i < TASKS; i++)
        buf_fini(&want[i].text);
    model_free(m);
    small_free(&s);
}

/* As many write as a step has rows, for long: one more reads its prompt beside them, and ends before all of them. */
static void test_reads_beside_writers(void **state)
{
    (void)state;
    enum { CONTEXT = 256 };
    struct small s;
    struct err err = {0};
    struct runner *r;
    struct task *tasks[MODEL_ROWS + 1];
    uint32_t left = MODEL_ROWS + 1;
    small_make(&s, 8, 62);
    struct model *m = parse(&s);
    struct runner_config config = {
        .model = m, .slots = MODEL_ROWS + 1, .context = CONTEXT, .threads = 1, .ready = on_ready};
    assert_int_equal(runner_new(&r, &config, &err), 0);
    for (uint32_t i = 0; i <= MODEL_ROWS; i++) {
        tasks[i] = task_new(CONTEXT);
        for (uint32_t k = 0; k < (i < MODEL_ROWS ? 4 : 60); k++)
            tokens_list_add(&tasks[i]->prompt, 3 + (i + k) % (SMALL_VOCAB - 3));
        tasks[i]->sampling = (struct sampler_options){.top_p = 1};
        tasks[i]->max_tokens = i < MODEL_ROWS ? 200 : 1;
        tasks[i]->ignores_end = true;
        assert_int_equal(runner_submit(r, tasks[i]), 0);
    }
    while (left > 0) {
        struct task_piece *p = runner_take(r);
        if (!p) {
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
            continue;
        }
        if (p->end != TASK_GOES_ON)
            assert_int_equal(left-- == MODEL_ROWS + 1, p->task == tasks[MODEL_ROWS]);
        runner_sent(r, p->task);
        piece_free(p);
    }
    for (uint32_t i = 0; i <= MODEL_ROWS; i++)
        task_free(tasks[i]);
    runner_free(r);
    model_free(m);
    small_free(&s);
}

/* One that is cancelled while it waits, one while it writes, one whose pieces nobody takes, and one that fills its context. */
static void test_ends(void **state)
{
    (void)state;
    struct small s;
    struct err err = {0};
    struct runner *r;
    struct said said[3] = {{.end = TASK_GOES_ON}};
    small_make(&s, 8, 61);
    struct model *m = parse(&s);
    struct runner_config config = {
        .model = m, .slots = 1, .context = SMALL_CONTEXT, .threads = 1, .ready = on_ready};
    assert_int_equal(runner_new(&r, &config, &err), 0);
    struct task *tasks[3] = {make_task(1, 0), make_task(2, 0), make_task(4, 0)};
    for (int i = 0; i < 3; i++)
        buf_init(&said[i].text, 1 << 20);
    atomic_store(&tasks[0]->backlog, RUNNER_BACKLOG); /* as if a client took nothing */
    for (int i = 0; i < 3; i++)
        assert_int_equal(runner_submit(r, tasks[i]), 0);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    assert_null(runner_take(r));
    runner_cancel(r, tasks[1]); /* waits */
    struct task *first[] = {tasks[1]};
    drain(r, first, &said[1], 1);
    assert_int_equal(said[1].end, TASK_CANCELLED);
    runner_cancel(r, tasks[0]);
    drain(r, tasks, said, 2);
    assert_int_equal(said[0].end, TASK_CANCELLED);
    assert_int_equal(said[0].counts.completion, 0);
    assert_int_equal(said[2].end, TASK_LENGTH);
    assert_int_equal(said[2].counts.completion, SMALL_CONTEXT - said[2].counts.prompt + 1);
    for (int i = 0; i < 3; i++) {
        buf_fini(&said[i].text);
        task_free(tasks[i]);
    }
    runner_free(r);
    model_free(m);
    small_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formulas),
                                       cmocka_unit_test(test_same_bits),
                                       cmocka_unit_test(test_side_by_side),
                                       cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_settings),
                                       cmocka_unit_test(test_any_weights),
                                       cmocka_unit_test(test_memory),
                                       cmocka_unit_test(test_runner),
                                       cmocka_unit_test(test_reads_beside_writers),
                                       cmocka_unit_test(test_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
