/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what RFC 8259 has, what it has not, and what busbar refuses beyond it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/json.h"

#define T(text) \
    { \
        text, sizeof(text) - 1 \
    }

struct text {
    const char *data;
    size_t len;
};

static const struct text accepted[] = {
    /* structure */
    T("{}"),
    T("[]"),
    T(" {} "),
    T("\t\r\n []\n"),
    T("[[]]"),
    T("[{}]"),
    T("{\"\":0}"),
    T("{\"a\":{}}"),
    T("[1,2,3]"),
    T("[1 , 2]"),
    T("{\"a\" : 1 , \"b\" : 2}"),
    T("null"),
    T("true"),
    T("false"),
    T("0"),
    T("\"a\""),
    T("\"\""),
    T("[null,true,false]"),
    T("{\"a\":{\"a\":{\"a\":1}}}"),
    T("{\"a\":1,\"A\":2}"),
    T("{\"a\":[{\"a\":1},{\"a\":2}]}"),
    /* numbers */
    T("-0"),
    T("-1"),
    T("10"),
    T("1.5"),
    T("-0.0"),
    T("1e5"),
    T("1E5"),
    T("1e+5"),
    T("1e-5"),
    T("0e0"),
    T("0e1"),
    T("0.1e1"),
    T("1.000000000000000000000000000000001"),
    T("9007199254740993"),
    T("9223372036854775807"),
    T("-9223372036854775808"),
    T("18446744073709551615"),
    T("18446744073709551616"),
    T("123456789012345678901234567890"),
    T("1e308"),
    T("-1.7976931348623157e308"),
    T("1e-400"),
    T("5e-324"),
    T("2.2250738585072014e-308"),
    /* strings */
    T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    T("\"\\u0041\""),
    T("\"\\u0000\""),
    T("\"\\uD83D\\uDE00\""),
    T("\"\\ud83d\\ude00\""),
    T("\"\\uFFFF\""),
    T("\"\\u00e9\""),
    T("\"caf\xc3\xa9\""),
    T("\"\xe2\x82\xac\""),
    T("\"\xf0\x9f\x98\x80\""),
    T("\"\xf4\x8f\xbf\xbf\""),
    T("\"\xed\x9f\xbf\""),
    T("\"\xee\x80\x80\""),
    T("\"\x7f\""),
    T("\"/\""),
    T("\"\xe2\x80\xa8\xe2\x80\xa9\""),
    T("\"\\u2028\""),
};

static const struct text refused[] = {
    /* nothing, too much, or cut off */
    T(""),
    T(" "),
    T("\n"),
    T("{"),
    T("["),
    T("}"),
    T("]"),
    T("[1"),
    T("[1,"),
    T("{\"a\""),
    T("{\"a\":"),
    T("{\"a\":1"),
    T("{\"a\":1,"),
    T("\"a"),
    T("{} {}"),
    T("[] 1"),
    T("1 2"),
    T("{}x"),
    T("[],"),
    T("nul"),
    T("tru"),
    T("{}\0"),
    T("[1]\0"),
    T("\0"),
    T("{}}"),
    T("[]]"),
    T("[}"),
    T("{]"),
    /* commas, colons */
    T("[1,]"),
    T("[,1]"),
    T("[,]"),
    T("[1,,2]"),
    T("{\"a\":1,}"),
    T("{,}"),
    T("{\"a\":1,,\"b\":2}"),
    T("[1 2]"),
    T("{\"a\" 1}"),
    T("{\"a\":1 \"b\":2}"),
    T("{\"a\"::1}"),
    T("{\"a\":}"),
    T("{:1}"),
    T("{1:1}"),
    T("{a:1}"),
    T("{null:1}"),
    T("{'a':1}"),
    T("['a']"),
    T("[1;2]"),
    T("[1:2]"),
    T("{\"a\",\"b\"}"),
    T("{[]:1}"),
    /* literals that are not JSON's */
    T("True"),
    T("NULL"),
    T("nil"),
    T("undefined"),
    T("NaN"),
    T("nan"),
    T("Infinity"),
    T("-Infinity"),
    T("inf"),
    T("[-]"),
    T("abc"),
    /* numbers */
    T("01"),
    T("-01"),
    T("00"),
    T("+1"),
    T(".5"),
    T("-.5"),
    T("1."),
    T("1.e5"),
    T("1e"),
    T("1e+"),
    T("1E-"),
    T("0x10"),
    T("0b1"),
    T("0o7"),
    T("1_000"),
    T("1,000"),
    T("--1"),
    T("1e5.5"),
    T("1a"),
    T("0e"),
    T("- 1"),
    T("1 e5"),
    T("\xef\xbc\x91"),
    T("1e400"),
    T("-1e400"),
    T("1e99999999999"),
    T("[1e309]"),
    T("{\"a\":1e400}"),
    /* strings */
    T("\"\\x41\""),
    T("\"\\a\""),
    T("\"\\0\""),
    T("\"\\'\""),
    T("\"\\u\""),
    T("\"\\u00\""),
    T("\"\\u004\""),
    T("\"\\u00g0\""),
    T("\"\\U0041\""),
    T("\"\\"),
    T("\"\\\""),
    T("\"\\u0041"),
    T("\"a\nb\""),
    T("\"a\tb\""),
    T("\"a\rb\""),
    T("\"\0\""),
    T("\"\x01\""),
    T("\"\x1f\""),
    T("\"a\\\nb\""),
    /* lone surrogates */
    T("\"\\ud83d\""),
    T("\"\\ude00\""),
    T("\"\\ude00\\ud83d\""),
    T("\"\\ud83dx\""),
    T("\"\\ud83d\\n\""),
    T("\"\\ud83d\\u0041\""),
    T("\"\\ud83d\\ud83d\""),
    T("{\"\\ud83d\":1}"),
    /* bytes that are not UTF-8 */
    T("\"\xff\""),
    T("\"\xfe\""),
    T("\"\x80\""),
    T("\"\xbf\""),
    T("\"\xc3\""),
    T("\"\xc3(\""),
    T("\"\xc0\x80\""),
    T("\"\xc1\xbf\""),
    T("\"\xe0\x80\x80\""),
    T("\"\xe0\x9f\xbf\""),
    T("\"\xe2\x82\""),
    T("\"\xe2(\xa1\""),
    T("\"\xed\xa0\x80\""),
    T("\"\xed\xbf\xbf\""),
    T("\"\xed\xa0\xbd\xed\xb8\x80\""),
    T("\"\xf0\x80\x80\x80\""),
    T("\"\xf0\x8f\xbf\xbf\""),
    T("\"\xf0\x9f\x98\""),
    T("\"\xf4\x90\x80\x80\""),
    T("\"\xf5\x80\x80\x80\""),
    T("\"\xf8\x88\x80\x80\x80\""),
    T("{\"\xff\":1}"),
    T("\xff"),
    T("[\xe9]"),
    /* other encodings, marks, comments, spaces */
    T("\xef\xbb\xbf{}"),
    T("\xef\xbb\xbf"),
    T("\xfe\xff\0{\0}"),
    T("\xff\xfe{\0}\0"),
    T("{\0}\0"),
    T("/*c*/{}"),
    T("{}//c"),
    T("{/**/}"),
    T("#c\n{}"),
    T("\x0b[]"),
    T("\x0c[]"),
    T("\xc2\xa0[]"),
    T("[\xe2\x80\xa8]"),
    T("[\0]"),
    T("{\"a\"\0:1}"),
    /* names that come twice, by their decoded text, at any depth */
    T("{\"a\":1,\"a\":1}"),
    T("{\"a\":1,\"b\":2,\"a\":3}"),
    T("{\"a\":1,\"\\u0061\":2}"),
    T("{\"\\u0061\":1,\"\\u0061\":2}"),
    T("{\"\":1,\"\":2}"),
    T("{\"x\":{\"a\":1,\"a\":2}}"),
    T("[{\"a\":1},{\"a\":1,\"a\":2}]"),
    T("[[[[{\"a\":1,\"a\":2}]]]]"),
    T("{\"a\\/b\":1,\"a/b\":2}"),
    T("{\"\\n\":1,\"\\u000a\":2}"),
    T("{\"\xc3\xa9\":1,\"\\u00e9\":2}"),
    T("{\"\xc3\xa9\":1,\"\\u00E9\":2}"),
    T("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"),
    T("{\"a\\u0000\":1,\"a\\u0000\":2}"),
    T("{\"model\":\"a\",\"max_tokens\":1,\"mod\\u0065l\":\"b\"}"),
};

static yyjson_doc *parse(const char *data, size_t len, struct err *err)
{
    /* A copy without room behind it, so that a sanitizer sees any read past the end. */
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    yyjson_doc *doc = json_parse(copy, len, err);
    free(copy);
    return doc;
}

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        struct err err = {0};
        yyjson_doc *doc = parse(accepted[i].data, accepted[i].len, &err);
        if (!doc)
            fail_msg("%s: %s", accepted[i].data, err.msg);
        struct buf text;
        buf_init(&text, 4096);
        json_add(&text, yyjson_doc_get_root(doc));
        yyjson_doc *again = parse(text.data, text.len, &err);
        assert_non_null(again);
        if (!yyjson_equals(yyjson_doc_get_root(doc), yyjson_doc_get_root(again)))
            fail_msg("%s became %.*s", accepted[i].data, (int)text.len, text.data);
        yyjson_doc_free(again);
        yyjson_doc_free(doc);
        buf_fini(&text);
    }
    print_message("%zu accepted texts\n", sizeof accepted / sizeof accepted[0]);
}

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct err err = {0};
        yyjson_doc *doc = parse(refused[i].data, refused[i].len, &err);
        if (doc)
            fail_msg("case %zu was accepted: %s", i, refused[i].data);
        assert_int_equal(err.code, ERR_INVALID);
        assert_true(err.msg[0]);
        yyjson_doc_free(parse(refused[i].data, refused[i].len, &(struct err){0}));
    }
    print_message("%zu refused texts\n", sizeof refused / sizeof refused[0]);
}

static bool nested_ok(const char *open, const char *close, unsigned levels, const char *inner)
{
    struct buf text;
    buf_init(&text, (size_t)16 << 20);
    for (unsigned i = 0; i < levels; i++)
        buf_add_text(&text, open);
    buf_add_text(&text, inner);
    for (unsigned i = 0; i < levels; i++)
        buf_add_text(&text, close);
    struct err err = {0};
    yyjson_doc *doc = json_parse(text.data, text.len, &err);
    yyjson_doc_free(doc);
    buf_fini(&text);
    return doc != NULL;
}

static void test_depth(void **state)
{
    (void)state;
    assert_true(nested_ok("[", "]", JSON_DEPTH_MAX, ""));
    assert_false(nested_ok("[", "]", JSON_DEPTH_MAX + 1, ""));
    assert_true(nested_ok("[", "]", JSON_DEPTH_MAX, "1"));
    assert_true(nested_ok("{\"a\":", "}", JSON_DEPTH_MAX, "1"));
    assert_false(nested_ok("{\"a\":", "}", JSON_DEPTH_MAX + 1, "1"));
    assert_true(nested_ok("[{\"a\":", "}]", JSON_DEPTH_MAX / 2, "1"));
    assert_false(nested_ok("[{\"a\":", "}]", JSON_DEPTH_MAX / 2, "[]"));
    assert_false(nested_ok("[", "]", 1000000, "")); /* no stack may be used up on the way to the refusal */
}

/* An object with members "k0".. and, when `twice` is a number of one, that one again at the end. */
static bool object_ok(unsigned members, int twice)
{
    struct buf text;
    buf_init(&text, (size_t)16 << 20);
    buf_add_char(&text, '{');
    for (unsigned i = 0; i < members; i++)
        buf_addf(&text, "%s\"k%u\":%u", i ? "," : "", i, i);
    if (twice >= 0)
        buf_addf(&text, ",\"\\u006b%d\":0", twice);
    buf_add_char(&text, '}');
    yyjson_doc *doc = json_parse(text.data, text.len, NULL);
    yyjson_doc_free(doc);
    buf_fini(&text);
    return doc != NULL;
}

/* Around the number of members where the way of comparing changes, and at the bound. */
static void test_members(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 40; n++) {
        assert_true(object_ok(n, -1));
        for (unsigned twice = 0; twice < n; twice++)
            assert_false(object_ok(n, (int)twice));
    }
    assert_true(object_ok(1000, -1));
    assert_false(object_ok(1000, 999));
    assert_false(object_ok(1000, 0));
    assert_true(object_ok(JSON_MEMBERS_MAX, -1));
    assert_false(object_ok(JSON_MEMBERS_MAX - 1, 77));
    assert_false(object_ok(JSON_MEMBERS_MAX + 1, -1));
}

static void test_object_wanted(void **state)
{
    (void)state;
    struct err err = {0};
    yyjson_doc *doc = json_parse_object("{\"a\":1}", 7, &err);
    assert_non_null(doc);
    yyjson_doc_free(doc);
    assert_null(json_parse_object("[1]", 3, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_null(json_parse_object("1", 1, &err));
    assert_null(json_parse_object("{", 1, &err));
    assert_null(json_parse_object("", 0, &err));
    assert_null(json_parse_object("", 0, NULL));
}

static void test_values(void **state)
{
    (void)state;
    static const char text[] =
        "{\"big\":18446744073709551615,\"low\":-9223372036854775808,\"nul\":\"a\\u0000b\"}";
    struct err err;
    yyjson_doc *doc = json_parse_object(text, sizeof text - 1, &err);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_true(yyjson_get_uint(yyjson_obj_get(root, "big")) == UINT64_MAX);
    assert_true(yyjson_get_sint(yyjson_obj_get(root, "low")) == INT64_MIN);
    assert_int_equal(yyjson_get_len(yyjson_obj_get(root, "nul")), 3);
    struct buf out;
    buf_init(&out, 4096);
    json_add(&out, root);
    assert_int_equal(out.len, sizeof text - 1);
    assert_memory_equal(out.data, text, out.len);
    buf_fini(&out);
    buf_init(&out, 10);
    json_add(&out, root);
    assert_true(out.failed);
    buf_fini(&out);
    yyjson_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused),       cmocka_unit_test(test_depth),
        cmocka_unit_test(test_members),  cmocka_unit_test(test_object_wanted), cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
