/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from an engine's answer for its version: a short line of plain characters, whatever it says. */
#include <string.h>

#include "engine/version.h"
#include "support.h"

static void test_words(void **state)
{
    static const struct {
        const char *body, *word;
    } cases[] = {
        {"{\"build_info\":\"b11669-Debian\",\"total_slots\":4}", "b11669-Debian"},
        {"{\"build_info\":\"0.11.0rc2+cu128 (x)\"}", "0.11.0rc2+cu128 (x)"},
        {"{\"build_info\":\"a\\nb\\u0000c\\u00fcd\\u007f\"}", "abcd"},
        {"{\"build_info\":\"\\n\\t\"}", ENGINE_UNKNOWN},
        {"{\"build_info\":\"\"}", ENGINE_UNKNOWN},
        {"{\"build_info\":7}", ENGINE_UNKNOWN},
        {"{\"build_info\":[\"b1\"]}", ENGINE_UNKNOWN},
        {"{\"version\":\"b1\"}", ENGINE_UNKNOWN},
        {"[\"b1\"]", ENGINE_UNKNOWN},
        {"\"b1\"", ENGINE_UNKNOWN},
        {"{\"build_info\":\"b1\"", ENGINE_UNKNOWN},
        {"", ENGINE_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char word[NAME_CAP];
        memset(word, 0x5a, sizeof word);
        engine_version_read(word, "build_info", cases[i].body, strlen(cases[i].body));
        assert_string_equal(word, cases[i].word);
        for (size_t k = strlen(word); k < sizeof word; k++)
            assert_int_equal(word[k], 0); /* it is in rows, whole */
    }
}

/* What is too long keeps its beginning. */
static void test_long(void **state)
{
    char body[4096], word[NAME_CAP];
    (void)state;
    size_t at = 6;
    memcpy(body, "{\"v\":\"", at);
    memset(body + at, 'x', 3000);
    memcpy(body + at + 3000, "\"}", 3);
    engine_version_read(word, "v", body, at + 3002);
    assert_int_equal(strlen(word), NAME_CAP - 1);
    assert_int_equal(strspn(word, "x"), NAME_CAP - 1);
}

/* An entry of engines.yaml that says not where: nothing is asked. */
static void test_nowhere(void **state)
{
    static char path[] = "/version";
    const struct engine_spec specs[] = {{.name = path}, {.version = path}, {.version_field = path}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct engine_version ask;
        assert_false(engine_version_ask(&ask, NULL, NULL, &specs[i], NULL, NULL));
        assert_string_equal(ask.word, ENGINE_UNKNOWN);
        engine_version_cancel(&ask);
        assert_string_equal(ask.word, ENGINE_UNKNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_long),
                                       cmocka_unit_test(test_nowhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
