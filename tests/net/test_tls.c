/* SPDX-License-Identifier: Apache-2.0 */
/* TLS: our client against our server, and OpenSSL's own client against our server. The certificate is made anew. */
#include "tests/net/server_support.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "base/fs.h"
#include "net/http_client.h"
#include "net/pki.h"
#include "net/tls.h"

static char dir[32], cert[64], key[64];
static struct tls_context *server_tls, *client_tls;
static struct http_client *client;
static struct {
    struct http_call *call;
    int ends, rc, status;
    struct buf body;
} seen;

static void on_head(struct http_call *call, int status)
{
    (void)call;
    seen.status = status;
}

static void on_body(struct http_call *call, const char *data, size_t len)
{
    (void)call;
    buf_add(&seen.body, data, len);
}

static void on_end(struct http_call *call, int rc)
{
    (void)call;
    seen.ends++;
    seen.rc = rc;
}

static const struct http_call_events events = {.on_head = on_head, .on_body = on_body, .on_end = on_end};

static int make_certificate(void **state)
{
    (void)state;
    char command[400];
    (void)snprintf(dir, sizeof dir, "/tmp/bb-tls-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    (void)snprintf(key, sizeof key, "%s/key.pem", dir);
    (void)snprintf(
        command, sizeof command,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout %s -out %s 2>%s/log",
        key, cert, dir);
    return system(command); /* NOLINT: a fixed command line */
}

static int remove_certificate(void **state)
{
    (void)state;
    char log[64];
    (void)snprintf(log, sizeof log, "%s/log", dir);
    (void)unlink(cert);
    (void)unlink(key);
    (void)unlink(log);
    return rmdir(dir);
}

static int setup(void **state)
{
    struct err err = {0};
    fx_setup(state);
    if (tls_server_new(&server_tls, cert, key, &err) != 0)
        fail_msg("%s", err.msg);
    setenv("SSL_CERT_FILE", cert, 1);
    assert_int_equal(tls_client_new(&client_tls, &err), 0);
    fx_config.tls = server_tls;
    fx_config.head_ms = 300;
    fx_start();
    memset(&seen, 0, sizeof seen);
    buf_init(&seen.body, (size_t)64 << 20);
    client = NULL;
    return 0;
}

static void client_start(void)
{
    struct http_client_config config = {.connect_ms = 1000,
                                        .first_byte_ms = 2000,
                                        .between_ms = 2000,
                                        .idle_ms = 2000,
                                        .idle_max = 4,
                                        .tls = client_tls};
    assert_int_equal(http_client_new(&client, &fx.loop, &config), 0);
}

static int teardown(void **state)
{
    if (client)
        http_client_free(client);
    int rc = fx_teardown(state);
    tls_context_free(server_tls);
    tls_context_free(client_tls);
    buf_fini(&seen.body);
    return rc;
}

static int call(const char *host, const char *path, const void *body, size_t len)
{
    static struct http_endpoint endpoint;
    struct buf request;
    struct err err = {0};
    char text[64];
    (void)snprintf(text, sizeof text, "https://%s:%u", host, fx.port);
    assert_int_equal(http_endpoint_parse(&endpoint, text, &err), 0);
    buf_init(&request, (size_t)64 << 20);
    http_request_head(&request, &endpoint, "POST", path, "", len);
    buf_clear(&seen.body);
    seen.ends = seen.status = 0;
    seen.call = http_call(client, &endpoint, &request, (struct http_body){body, len}, &events, NULL);
    assert_non_null(seen.call);
    spin_until(&fx.loop, &seen.ends, 1);
    return seen.rc;
}

static void test_calls(void **state)
{
    (void)state;
    static char large[1 << 20];
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 31 >> 3);
    client_start();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call("localhost", "/echo", "hello", 5), 0);
        assert_int_equal(seen.status, 200);
        assert_int_equal(seen.body.len, 5);
        assert_memory_equal(seen.body.data, "hello", 5);
    }
    assert_int_equal(fx.server.nconnections, 1); /* reused */
    assert_int_equal(call("localhost", "/echo", large, sizeof large), 0);
    assert_int_equal(seen.body.len, sizeof large);
    assert_memory_equal(seen.body.data, large, sizeof large);
    assert_int_equal(call("localhost", "/chunks", "", 0), 0);
    assert_memory_equal(seen.body.data, "onetwothree", 11);
}

static void test_flow(void **state)
{
    (void)state;
    fx.flow_total = (size_t)16 << 20;
    client_start();
    assert_int_equal(call("localhost", "/flow", "", 0), 0);
    assert_int_equal(seen.body.len, fx.flow_total);
    assert_true(fx.flow_queued_max <= HTTP_HIGH_WATER + 3 * 16384);
}

static void test_untrusted(void **state)
{
    (void)state;
    struct err err = {0};
    tls_context_free(client_tls);
    setenv("SSL_CERT_FILE", "/dev/null", 1);
    assert_int_equal(tls_client_new(&client_tls, &err), 0);
    client_start();
    assert_int_equal(call("localhost", "/echo", "x", 1), ERR_UPSTREAM);
    assert_int_equal(fx.handled, 0);
}

static void test_wrong_host(void **state)
{
    (void)state;
    client_start();
    assert_int_equal(call("127.0.0.1", "/echo", "x", 1), ERR_UPSTREAM);
    assert_int_equal(fx.handled, 0);
    /* What went wrong before must not spoil what comes after: OpenSSL keeps its errors by thread. */
    assert_int_equal(call("localhost", "/echo", "x", 1), 0);
}

static void add_plain(void *ctx, const char *data, size_t len)
{
    buf_add(ctx, data, len);
}

/* Moves what `from` has ready to `to`. */
static int move(struct tls_session *from, struct tls_session *to, struct buf *plain)
{
    const char *data;
    size_t len = tls_pending(from, &data);
    int rc = tls_decrypt(to, data, len, add_plain, plain);
    tls_sent(from, len);
    return rc;
}

/* An error that somebody else left in OpenSSL's queue of this thread is not ours. */
static void test_stale_errors(void **state)
{
    (void)state;
    struct tls_session *a = tls_connect(client_tls, "localhost");
    struct tls_session *b = tls_accept(server_tls);
    ERR_raise(ERR_LIB_USER, 1);
    assert_int_equal(tls_decrypt(a, NULL, 0, add_plain, &seen.body), 0);
    assert_int_equal(tls_encrypt(a, "early", 5), 0);
    for (int i = 0; i < 4; i++) {
        ERR_raise(ERR_LIB_USER, 1);
        assert_int_equal(move(a, b, &seen.body), 0);
        ERR_raise(ERR_LIB_USER, 1);
        assert_int_equal(move(b, a, &seen.body), 0);
    }
    assert_true(tls_established(a) && tls_established(b));
    assert_int_equal(tls_encrypt(a, "late", 4), 0);
    ERR_raise(ERR_LIB_USER, 1);
    assert_int_equal(move(a, b, &seen.body), 0);
    assert_int_equal(seen.body.len, 9);
    assert_memory_equal(seen.body.data, "earlylate", 9);
    tls_free(a);
    tls_free(b);
    ERR_clear_error();
}

/* OpenSSL's client with at most that version. True when the handshake succeeded. */
static bool handshake(int max_version)
{
    struct raw raw;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, max_version);
    SSL *ssl = SSL_new(ctx);
    raw_tcp(&raw, fx.port);
    SSL_set_fd(ssl, raw.fd);
    int rc = 0;
    int why = SSL_ERROR_WANT_READ;
    for (int i = 0; i < 500 && rc != 1 && (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE); i++) {
        spin(&fx.loop, 2);
        rc = SSL_connect(ssl);
        why = rc == 1 ? 0 : SSL_get_error(ssl, rc);
    }
    if (rc == 1)
        assert_string_equal(SSL_get_version(ssl), "TLSv1.3");
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    raw_close(&raw);
    ERR_clear_error();
    return rc == 1;
}

static void test_versions(void **state)
{
    (void)state;
    assert_true(handshake(TLS1_3_VERSION));
    assert_false(handshake(TLS1_2_VERSION));
    assert_true(handshake(TLS1_3_VERSION));
    spin(&fx.loop, 50);
    assert_int_equal(fx.server.nconnections, 0);
}

static void test_plain_on_tls_port(void **state)
{
    (void)state;
    struct raw raw;
    raw_tcp(&raw, fx.port);
    raw_text(&raw, &fx.loop, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_wait_eof(&raw, &fx.loop);
    assert_int_equal(raw_count(&raw, "HTTP/1.1"), 0);
    assert_int_equal(fx.handled, 0);
    raw_close(&raw);
}

static void test_handshake_time(void **state)
{
    (void)state;
    struct raw silent, half;
    uint64_t from = now_ms();
    raw_tcp(&silent, fx.port);
    raw_tcp(&half, fx.port);
    raw_send(&half, &fx.loop, "\x16\x03\x01\x02\x00\x01\x00", 7);
    raw_wait_eof(&silent, &fx.loop);
    raw_wait_eof(&half, &fx.loop);
    assert_true(now_ms() - from >= 250 && now_ms() - from < 1000);
    raw_close(&silent);
    raw_close(&half);
}

static void test_unix_is_plain(void **state)
{
    (void)state;
    struct raw raw;
    raw_unix(&raw, fx.path);
    raw_text(&raw, &fx.loop, "GET /fields HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_expect(&raw, &fx.loop, "local=1");
    raw_close(&raw);
}

/* Hands over what both have until the one or the other will not have it: the first error, 0 for none. */
static int shake(struct tls_session *a, struct tls_session *b)
{
    int rc = tls_decrypt(a, NULL, 0, add_plain, &seen.body);
    for (int i = 0; i < 4 && rc == 0; i++) {
        rc = move(a, b, &seen.body);
        if (rc == 0)
            rc = move(b, a, &seen.body);
    }
    return rc;
}

/* Each end takes the other for its certificate alone, and a session outlives the context that it is of. */
static void test_pair(void **state)
{
    (void)state;
    struct tls_context *in = NULL, *out = NULL, *other = NULL;
    struct err err = {0};
    char other_key[64], other_cert[64];
    struct buf pem;
    const struct pki_subject subject = {.name = "other", .seconds = 86400};
    (void)snprintf(other_key, sizeof other_key, "%s/other.key", dir);
    (void)snprintf(other_cert, sizeof other_cert, "%s/other.pem", dir);
    buf_init(&pem, PKI_PEM_MAX);
    assert_int_equal(pki_key_make(other_key, &err), 0);
    assert_int_equal(pki_root_make(other_key, &subject, &pem, &err), 0);
    assert_int_equal(fs_write_atomic(other_cert, pem.data, pem.len, 0600, &err), 0);
    buf_fini(&pem);
    assert_int_equal(tls_pair_new(&in, cert, key, true, &err), 0);
    assert_int_equal(tls_pair_new(&out, cert, key, false, &err), 0);
    assert_int_equal(tls_pair_new(&other, other_cert, other_key, false, &err), 0);
    const struct {
        struct tls_context *from, *to;
        int rc;
    } tries[] = {
        {other, in, ERR_UPSTREAM}, {client_tls, in, ERR_UPSTREAM}, {out, server_tls, 0}, {out, in, 0}};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        struct tls_session *a = tls_connect(tries[i].from, "localhost"), *b = tls_accept(tries[i].to);
        if (i == 3) {
            tls_context_free(in);
            tls_context_free(out);
        }
        assert_int_equal(shake(a, b), tries[i].rc);
        assert_int_equal(tls_established(a) && tls_established(b), tries[i].rc == 0);
        tls_free(a);
        tls_free(b);
    }
    tls_context_free(other);
    (void)unlink(other_key);
    (void)unlink(other_cert);
    ERR_clear_error();
}

static void test_bad_files(void **state)
{
    (void)state;
    struct tls_context *none = NULL;
    struct err err = {0};
    assert_true(tls_server_new(&none, "/nonexistent", key, &err) < 0);
    assert_true(err.msg[0]);
    assert_true(tls_server_new(&none, cert, cert, &err) < 0);
    assert_true(tls_server_new(&none, key, cert, &err) < 0);
    assert_true(tls_pair_new(&none, cert, cert, true, &err) < 0);
    assert_null(none);
}

int main(void)
{
#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TLS_TEST(test_calls),
        TLS_TEST(test_flow),
        TLS_TEST(test_untrusted),
        TLS_TEST(test_wrong_host),
        TLS_TEST(test_stale_errors),
        TLS_TEST(test_versions),
        TLS_TEST(test_plain_on_tls_port),
        TLS_TEST(test_handshake_time),
        TLS_TEST(test_unix_is_plain),
        TLS_TEST(test_pair),
        TLS_TEST(test_bad_files),
    };
    return cmocka_run_group_tests_name("tls", tests, make_certificate, remove_certificate);
}
