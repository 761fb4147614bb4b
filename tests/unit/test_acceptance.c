/* SPDX-License-Identifier: Apache-2.0 */
/* What a check compares: distances, golden answers and back from their file, what is asked and what is read of an answer, the terms of
 * a check, and a child's line. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accept/ask.h"
#include "accept/golden.h"
#include "base/fs.h"
#include "core/kinds.h"
#include "hub/acceptance.h"
#include "hub/acceptance_run.h"
#include "support.h"

#define DATA BUSBAR_SOURCE "/data/"

static struct answer_place place(uint32_t token, double gap)
{
    struct answer_place p = {.token = token, .ntop = 3};
    p.top[0] = (struct place_token){7, -0.5};
    p.top[1] = (struct place_token){8, -0.5 - gap};
    p.top[2] = (struct place_token){9, -6};
    return p;
}

static void test_compare(void **state)
{
    (void)state;
    struct distance d = {0};
    struct answer_place ours = place(7, 0.3), theirs = ours;
    assert_true(compare_place(&d, &ours, &theirs, 0.5));
    assert_true(d.tokens == 1 && d.max == 0 && distance_mean(&d) == 0);
    theirs.token = 8; /* near enough to be rounding */
    assert_false(compare_place(&d, &ours, &theirs, 0.5));
    assert_true(d.close == 1 && d.parted == 0);
    assert_false(compare_place(&d, &ours, &theirs, 0.2));
    assert_true(d.close == 1 && d.parted == 1);
    d = (struct distance){0};
    theirs = ours;
    theirs.top[0].logprob = -0.7;
    theirs.top[2].logprob = -9; /* all but impossible: not in the greatest */
    assert_true(compare_place(&d, &ours, &theirs, 0.5));
    assert_true(fabs(d.max - 0.2) < 1e-9 && fabs(distance_mean(&d) - 3.2 / 3) < 1e-9);
    d = (struct distance){0};
    theirs = ours;
    theirs.top[0].token = 100; /* what it does not tell is as likely at most as its last */
    assert_true(compare_place(&d, &ours, &theirs, 0.5));
    assert_true(fabs(d.max - 5.5) < 1e-9);
    d = (struct distance){0};
    theirs.ntop = 0;
    theirs.top[0].logprob = (double)NAN;
    (void)compare_place(&d, &ours, &theirs, 0.5);
    assert_true(d.max > 20);
    d = (struct distance){0};
    theirs = ours;
    theirs.top[0].logprob = 1e300; /* more than certain is certain */
    (void)compare_place(&d, &ours, &theirs, 0.5);
    assert_true(fabs(d.max - 0.5) < 1e-9);
}

/* ---- the terms ---- */

static int load_terms(struct accept_terms *terms, const char *text)
{
    char path[] = "/tmp/accept-terms-XXXXXX";
    struct err err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    int rc = accept_terms_load(terms, path, &err);
    assert_true(rc == 0 || err.msg[0] != 0);
    (void)unlink(path);
    return rc;
}

static void test_terms(void **state)
{
    (void)state;
    static struct accept_terms terms;
    struct err err = {0};
    assert_int_equal(accept_terms_load(&terms, DATA "acceptance.yaml", &err), 0);
    assert_true(terms.nprompts >= 8 && terms.tokens >= 8);
    assert_non_null(accept_limit(&terms, "Q8_0"));
    assert_true(accept_limit(&terms, "F32")->mean < accept_limit(&terms, "Q8_0")->mean);
    assert_null(accept_limit(&terms, "Q1_Z"));
    static const char head[] = "acceptance:\n  tokens: 4\n  prompts: [\"a b\"]\n  limits:\n";
    static const char *const bad[] = {
        "    - {quantisation: F32, margin: 1, mean: 1, source: \"s\"}\n",
        "    - {quantisation: F32, margin: 1, mean: 0, max: 1, source: \"s\"}\n",
        "    - {quantisation: F32, margin: 1, mean: 1, max: 1, source: \"s\", more: 1}\n",
        "    - {quantisation: F32, margin: 1, mean: 1, max: 1}\n",
    };
    char text[512];
    (void)snprintf(text, sizeof text, "%s%s", head,
                   "    - {quantisation: F32, margin: 1, mean: 1, max: 1, source: \"s\"}\n");
    assert_int_equal(load_terms(&terms, text), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(text, sizeof text, "%s%s", head, bad[i]);
        assert_int_equal(load_terms(&terms, text), ERR_INVALID);
    }
    assert_int_equal(load_terms(&terms, "acceptance: {tokens: 0, prompts: [\"a\"], limits: []}"),
                     ERR_INVALID);
    assert_int_equal(load_terms(&terms, "acceptance: {tokens: 4, prompts: [], limits: []}"), ERR_INVALID);
    assert_int_equal(load_terms(&terms, "tokens: 4"), ERR_INVALID);
}

/* ---- golden answers ---- */

static struct golden golden, again;
static struct accept_terms terms;

static void test_golden(void **state)
{
    (void)state;
    char path[] = "/tmp/accept-golden-XXXXXX";
    struct err err = {0};
    struct buf text;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(accept_terms_load(&terms, DATA "acceptance.yaml", &err), 0);
    terms.nprompts = 4;
    struct golden_config config = {
        .model = DATA "models/stories.gguf", .path = path, .bytes_max = 1 << 30, .cpu_s = 600, .threads = 1};
    assert_int_equal(golden_get(&golden, &terms, &config, &err), 0);
    assert_int_equal(golden.n, 4);
    assert_int_equal(golden.answer[2].n, terms.tokens);
    for (uint32_t i = 0; i < golden.answer[2].n; i++) {
        const struct answer_place *p = &golden.answer[2].place[i];
        assert_int_equal(p->token, p->top[0].token);
        assert_true(p->top[0].logprob <= 0 && p->top[0].logprob >= p->top[1].logprob);
    }
    config.threads = 2;
    config.model = "/nowhere";
    assert_int_equal(golden_get(&again, &terms, &config, &err), 0); /* as it is kept: no weights are needed */
    assert_memory_equal(&again, &golden, sizeof golden);
    terms.prompt[0][0] = 'o'; /* of other prompts: made anew, and that needs weights */
    assert_int_equal(golden_get(&again, &terms, &config, &err), ERR_IO);
    terms.prompt[0][0] = 'O';
    buf_init(&text, 1 << 20);
    assert_int_equal(fs_read(path, &text, &err), 0);
    for (size_t len = 0; len < text.len - 2; len += 97) /* cut anywhere, it is none */
        assert_int_equal(golden_parse(&again, &terms, text.data, len), ERR_CORRUPT);
    buf_fini(&text);
    (void)unlink(path);
    config.model = DATA "models/stories.gguf";
    config.bytes_max = 1000;
    assert_int_equal(golden_get(&again, &terms, &config, &err), ERR_UNSUPPORTED);
    config.bytes_max = 1 << 30;
    config.cpu_s = 0;
    assert_int_equal(golden_get(&again, &terms, &config, &err), ERR_UNSUPPORTED);
    config.cpu_s = 600; /* it is remembered, for these prompts */
    assert_int_equal(golden_get(&again, &terms, &config, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "too slow"));
    terms.prompt[0][0] = 'o';
    assert_int_equal(golden_get(&again, &terms, &config, &err), 0);
    (void)unlink(path);
    config.model = DATA "acceptance.yaml";
    assert_int_not_equal(golden_get(&again, &terms, &config, &err), 0);
}

/* ---- what is asked and answered ---- */

static int read_answer(struct ask_result *r, const char *text)
{
    struct err err = {0};
    const struct ask_text t = {.max_tokens = 4, .logprobs = r->place != NULL};
    int rc = ask_read(r, &t, 100, text, strlen(text), &err);
    assert_true(rc == 0 || err.msg[0] != 0);
    return rc;
}

#define ANSWER(token, top, usage) \
    "{\"choices\":[{\"text\":\"a\",\"logprobs\":{\"content\":[{\"id\":" token \
    ",\"logprob\":-0.5,\"top_logprobs\":[" top "]}]}}],\"usage\":{\"completion_tokens\":" usage "}}"
#define TOP "{\"id\":3,\"logprob\":-0.5},{\"id\":4,\"logprob\":-1}"

static void test_answers(void **state)
{
    (void)state;
    struct answer_place list[4];
    struct ask_result r = {.place = list, .places = 4};
    assert_int_equal(read_answer(&r, ANSWER("3", TOP, "1")), 0);
    assert_true(r.nplaces == 1 && r.tokens == 1 && list[0].token == 3 && list[0].ntop == 2);
    assert_int_equal(read_answer(&r, ANSWER("100", TOP, "1")), ERR_UPSTREAM); /* no token of the model's */
    assert_int_equal(read_answer(&r, ANSWER("-3", TOP, "1")), ERR_UPSTREAM);
    assert_int_equal(read_answer(&r, ANSWER("3", "{\"id\":900,\"logprob\":-0.5}", "1")), ERR_UPSTREAM);
    assert_int_equal(read_answer(&r, ANSWER("3", "", "1")), ERR_UPSTREAM);
    assert_int_equal(read_answer(&r, ANSWER("3", TOP, "5")), ERR_UPSTREAM); /* more than were asked for */
    assert_int_equal(read_answer(&r, "{\"choices\":[{\"text\":\"a\"}],\"usage\":{\"completion_tokens\":1}}"),
                     ERR_UNSUPPORTED);
    static const char *const bad[] = {
        "", "{}", "[]", "null", "{\"choices\":[]}", "{\"choices\":[{}],\"usage\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(read_answer(&r, bad[i]), ERR_UPSTREAM);
    struct buf out;
    buf_init(&out, 4096);
    ask_write(&out, "m\"x",
              &(struct ask_text){
                  .prompt = (const uint32_t[]){1, 2}, .nprompt = 2, .max_tokens = 3, .ignores_end = true});
    buf_add_char(&out, 0);
    assert_string_equal(
        out.data,
        "{\"model\":\"m\\\"x\",\"prompt\":[1,2],\"max_tokens\":3,\"temperature\":0,\"ignore_eos\":true}");
    buf_fini(&out);
}

static void test_line(void **state)
{
    (void)state;
    static const char good[] =
        "{\"verdict\":2,\"reason\":\"\",\"prompts\":4,\"tokens\":96,\"close\":1,\"parted\":0,\"mean\":9,"
        "\"max\":10,\"one\":5,\"many\":6,"
        "\"batch\":1,\"read\":7,\"golden\":"
        "\"0000000000000000000000000000000000000000000000000000000000000001\",\"took_ms\":3}";
    struct event_accept_result e = {0};
    char text[sizeof good];
    assert_true(accept_read(&e, good, sizeof good - 1));
    assert_true(e.verdict == ACCEPT_PASSED && e.tokens == 96 && e.one == 5 && e.golden[31] == 1);
    for (size_t len = 0; len < sizeof good - 1; len++)
        assert_false(accept_read(&e, good, len));
    memcpy(text, good, sizeof good);
    text[11] = '3'; /* failed, and nobody says why */
    assert_false(accept_read(&e, text, sizeof good - 1));
    text[11] = '5';
    assert_false(accept_read(&e, text, sizeof good - 1));
}

/* A hub whose terms cannot be read does not start: else no replica of it would be checked. */
static void test_no_terms(void **state)
{
    (void)state;
    char folder[] = "/tmp/accept-folder-XXXXXX", path[sizeof folder + 20];
    struct err err = {0};
    struct acceptance_hub *hub = NULL;
    assert_non_null(mkdtemp(folder));
    const struct acceptance_config config = {.share = folder, .data_dir = folder};
    assert_int_not_equal(acceptance_open(&hub, &config, &err), 0);
    assert_true(err.msg[0] != 0);
    (void)snprintf(path, sizeof path, "%s/acceptance.yaml", folder);
    assert_int_equal(fs_write_atomic(path, "tokens: 4\n", 10, 0600, &err), 0);
    err.msg[0] = 0;
    assert_int_equal(acceptance_open(&hub, &config, &err), ERR_INVALID);
    assert_true(err.msg[0] != 0);
    assert_null(hub);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/golden", folder);
    (void)rmdir(path);
    (void)rmdir(folder);
}

/* A child that says nothing is not one that cannot be checked: the replica is asked again. */
static void test_says_nothing(void **state)
{
    (void)state;
    static struct accept_job job = {.kind = MODEL_CHAT, .replica.slots = 1};
    const bool stopping = false;
    struct event_accept_result e;
    struct accept_run run = {
        .self = "/bin/true", .terms = "t", .golden = "/g", .data_dir = "/d", .stopping = &stopping};
    (void)snprintf(job.variant.location, sizeof job.variant.location, "/w");
    assert_true(accept_run(&job, &run, &e));
    assert_int_equal(e.verdict, ACCEPT_WAITING);
    assert_true(e.reason[0] != 0);
    run.self = "/nowhere/busbar";
    assert_true(accept_run(&job, &run, &e));
    assert_int_equal(e.verdict, ACCEPT_OPEN); /* a fault of this machine */
    assert_true(e.reason[0] != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_compare),     cmocka_unit_test(test_terms),
                                       cmocka_unit_test(test_golden),      cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_line),        cmocka_unit_test(test_no_terms),
                                       cmocka_unit_test(test_says_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
