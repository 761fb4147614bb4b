/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks: signatures, secrets, and where they may lead. */
#include "hub/webhook.h"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "support.h"

/* The example that the libraries of Standard Webhooks are tested with. */
static void test_signature(void **state)
{
    (void)state;
    static const char secret[] = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body[] = "{\"test\": 2432232314}";
    uint8_t key[64];
    size_t len;
    char text[WEBHOOK_SIGNATURE_CAP];
    assert_true(base64_decode(key, sizeof key, &len, secret, sizeof secret - 1));
    webhook_sign(text, key, len, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, sizeof body - 1);
    assert_string_equal(text, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void test_secret(void **state)
{
    (void)state;
    char *folder = test_folder(), path[600], text[WEBHOOK_SECRET_CAP];
    uint8_t key[WEBHOOK_KEY_LEN], again[WEBHOOK_KEY_LEN], one[DIGEST_LEN], other[DIGEST_LEN];
    struct uuid a = uid('H', 1), b = uid('H', 2);
    struct err err;
    struct stat st;
    assert_int_equal(webhook_key(key, folder, &err), 0);
    assert_int_equal(webhook_key(again, folder, &err), 0);
    assert_memory_equal(key, again, sizeof key);
    (void)snprintf(path, sizeof path, "%s/" WEBHOOK_KEY, folder);
    assert_true(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    webhook_secret(one, key, &a);
    webhook_secret(other, key, &b);
    assert_true(memcmp(one, other, sizeof one) != 0);
    webhook_secret_text(text, one);
    assert_true(strncmp(text, "whsec_", 6) == 0 && strlen(text) == 6 + BASE64_LEN(DIGEST_LEN));
    assert_int_equal(truncate(path, 31), 0);
    assert_int_equal(webhook_key(key, folder, &err), ERR_CORRUPT);
    test_folder_remove(folder);
}

static bool is_public(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return webhook_address_is_public((const struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return webhook_address_is_public((const struct sockaddr *)&in6);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const public[] = {
        "1.1.1.1",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255", "100.128.0.0",
        "126.255.255.255", "128.0.0.1",       "169.253.255.255", "172.15.255.255", "172.32.0.0",
        "192.0.1.0",       "192.167.255.255", "198.17.255.255",  "198.20.0.0",     "223.255.255.255",
        "2600::1",         "2a00:1450::1",    "2001:200::1",     "3ffe::1"};
    static const char *const not [] = {"0.0.0.0",
                                       "0.1.2.3",
                                       "10.0.0.1",
                                       "10.255.255.255",
                                       "100.64.0.1",
                                       "100.127.255.255",
                                       "127.0.0.1",
                                       "127.255.255.255",
                                       "169.254.169.254",
                                       "172.16.0.1",
                                       "172.31.255.255",
                                       "192.0.0.8",
                                       "192.0.2.1",
                                       "192.88.99.1",
                                       "192.168.1.1",
                                       "198.18.0.1",
                                       "198.19.255.255",
                                       "198.51.100.1",
                                       "203.0.113.1",
                                       "224.0.0.1",
                                       "239.1.1.1",
                                       "240.0.0.1",
                                       "255.255.255.255",
                                       "::",
                                       "::1",
                                       "::ffff:127.0.0.1",
                                       "::ffff:1.1.1.1",
                                       "64:ff9b::7f00:1",
                                       "fc00::1",
                                       "fd12::1",
                                       "fe80::1",
                                       "fec0::1",
                                       "ff02::1",
                                       "2001::1",
                                       "2001:1ff::1",
                                       "2001:db8::1",
                                       "2002:7f00:1::",
                                       "3fff:fff::1",
                                       "100::1",
                                       "5f00::1"};
    for (size_t i = 0; i < sizeof public / sizeof public[0]; i++) {
        if (!is_public(public[i]))
            fail_msg("%s is public", public[i]);
    }
    for (size_t i = 0; i < sizeof not / sizeof not [0]; i++) {
        if (is_public(not [i]))
            fail_msg("%s is not public", not [i]);
    }
    const struct sockaddr local = {.sa_family = AF_UNIX};
    assert_false(webhook_address_is_public(&local));
}

static void test_urls(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(webhook_url_check("https://example.org/hook?a=b", false, &err), 0);
    assert_int_equal(webhook_url_check("http://example.org/", true, &err), 0);
    static const char *const wrong[] = {
        "http://example.org/",      "ftp://example.org/",     "example.org",        "https://",
        "https://u:p@example.org/", "https://u@example.org/", "file:///etc/passwd", "javascript:x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(webhook_url_check(wrong[i], false, &err), ERR_INVALID);
    assert_int_equal(webhook_url_check("ftp://example.org/", true, &err), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signature), cmocka_unit_test(test_secret),
                                       cmocka_unit_test(test_addresses), cmocka_unit_test(test_urls)};
    return cmocka_run_group_tests_name("webhook", tests, NULL, NULL);
}
