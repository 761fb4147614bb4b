/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of a network, and who the peer is over TLS: two sessions back to back, without sockets. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/fs.h"
#include "net/pki.h"
#include "net/tls.h"

#define HUB "spiffe://net/hub"
#define SITE "spiffe://net/site/7"
#define DAY 86400

static char dir[32];

static const char *in_dir(const char *name)
{
    static char paths[8][96];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const struct buf *text)
{
    struct err err = {0};
    assert_false(text->failed);
    assert_int_equal(fs_write_atomic(in_dir(name), text->data, text->len, 0600, &err), 0);
}

/* NAME.key and NAME.pem: a root. */
static void make_root(const char *key, const char *cert)
{
    struct buf text;
    struct err err = {0};
    buf_init(&text, PKI_PEM_MAX);
    assert_int_equal(pki_key_make(in_dir(key), &err), 0);
    assert_int_equal(
        pki_root_make(in_dir(key),
                      &(struct pki_subject){.name = "root", .seconds = 3650L * DAY, .issuer = true}, &text,
                      &err),
        0);
    write_file(cert, &text);
    buf_fini(&text);
}

static int issue(const char *issuer, const char *issuer_key, const char *key, const char *cert,
                 const struct pki_subject *subject)
{
    struct buf request, text;
    struct err err = {0};
    buf_init(&request, PKI_PEM_MAX);
    buf_init(&text, PKI_PEM_MAX);
    if (!fs_exists(in_dir(key)))
        assert_int_equal(pki_key_make(in_dir(key), &err), 0);
    assert_int_equal(pki_request(in_dir(key), &request, &err), 0);
    int rc = pki_issue(in_dir(issuer), in_dir(issuer_key), request.data, request.len, subject, &text, &err);
    if (rc == 0)
        write_file(cert, &text);
    buf_fini(&request);
    buf_fini(&text);
    return rc;
}

static void issue_member(const char *name, const char *uri, int64_t seconds)
{
    char key[40], cert[40];
    (void)snprintf(key, sizeof key, "%s.key", name);
    (void)snprintf(cert, sizeof cert, "%s.pem", name);
    assert_int_equal(
        issue("issuer.pem", "issuer.key", key, cert,
              &(struct pki_subject){.uri = uri, .name = name, .host = "127.0.0.1", .seconds = seconds}),
        0);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/bb-pki-XXXXXX");
    assert_non_null(mkdtemp(dir));
    make_root("root.key", "root.pem");
    assert_int_equal(issue("root.pem", "root.key", "issuer.key", "issuer.pem",
                           &(struct pki_subject){.name = "issuer", .seconds = 30L * DAY, .issuer = true}),
                     0);
    issue_member("hub", HUB, DAY);
    issue_member("site", SITE, DAY);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command); /* NOLINT: a fixed command line */
}

/* ---- sessions ---- */

static void ignore(void *ctx, const char *data, size_t len)
{
    (void)ctx;
    (void)data;
    (void)len;
}

static int move(struct tls_session *from, struct tls_session *to)
{
    const char *data;
    size_t len = tls_pending(from, &data);
    int rc = tls_decrypt(to, data, len, ignore, NULL);
    tls_sent(from, len);
    return rc;
}

struct pair {
    struct tls_session *client, *server;
    int client_rc, server_rc;
};

static struct pair meet(struct tls_context *client, struct tls_context *server)
{
    struct pair p = {.client = tls_connect(client, "127.0.0.1"), .server = tls_accept(server)};
    p.client_rc = tls_decrypt(p.client, NULL, 0, ignore, NULL);
    for (int i = 0; i < 4 && p.client_rc == 0 && p.server_rc == 0; i++) {
        p.server_rc = move(p.client, p.server);
        p.client_rc = move(p.server, p.client);
    }
    return p;
}

static void part(struct pair *p)
{
    tls_free(p->client);
    tls_free(p->server);
}

static struct tls_context *server_of(const char *name)
{
    char key[40], cert[40];
    struct tls_context *context;
    struct err err = {0};
    (void)snprintf(key, sizeof key, "%s.key", name);
    (void)snprintf(cert, sizeof cert, "%s.pem", name);
    if (tls_member_server_new(&context, in_dir(cert), in_dir(key), &err) != 0)
        fail_msg("%s", err.msg);
    return context;
}

static struct tls_context *client_of(const char *name, const char *uri)
{
    char key[40], cert[40];
    struct tls_context *context;
    struct err err = {0};
    (void)snprintf(key, sizeof key, "%s.key", name);
    (void)snprintf(cert, sizeof cert, "%s.pem", name);
    if (tls_member_client_new(&context, in_dir(cert), in_dir(key), uri, &err) != 0)
        fail_msg("%s", err.msg);
    return context;
}

/* Whether a client comes to trust a server and the other way round; both contexts go. */
static bool get_on(struct tls_context *client, struct tls_context *server)
{
    struct pair p = meet(client, server);
    bool both =
        p.client_rc == 0 && p.server_rc == 0 && tls_established(p.client) && tls_established(p.server);
    part(&p);
    tls_context_free(client);
    tls_context_free(server);
    return both;
}

static void test_both_are_known(void **state)
{
    (void)state;
    struct tls_context *client = client_of("site", HUB), *server = server_of("hub");
    struct pair p = meet(client, server);
    assert_int_equal(p.client_rc, 0);
    assert_int_equal(p.server_rc, 0);
    assert_string_equal(tls_peer(p.server), SITE);
    assert_string_equal(tls_peer(p.client), HUB);
    part(&p);
    tls_context_free(client);
    tls_context_free(server);
}

static struct tls_context *joining(const uint8_t digest[PKI_DIGEST_SIZE])
{
    struct tls_context *context;
    struct err err = {0};
    assert_int_equal(tls_joining_client_new(&context, digest, HUB, &err), 0);
    return context;
}

/* Who joins knows the root by its digest, and shows no certificate. */
static void test_joining(void **state)
{
    (void)state;
    uint8_t digest[PKI_DIGEST_SIZE], other[PKI_DIGEST_SIZE];
    struct err err = {0};
    assert_int_equal(pki_root_digest(in_dir("hub.pem"), digest, &err), 0);
    assert_int_equal(pki_root_digest(in_dir("root.pem"), other, &err), 0);
    assert_memory_equal(digest, other, sizeof digest);
    struct tls_context *client = joining(digest), *server = server_of("hub");
    struct pair p = meet(client, server);
    assert_int_equal(p.client_rc, 0);
    assert_true(tls_established(p.server));
    assert_null(tls_peer(p.server));
    assert_string_equal(tls_peer(p.client), HUB);
    part(&p);
    tls_context_free(client);
    tls_context_free(server);
    other[31] ^= 1;
    assert_false(get_on(joining(other), server_of("hub")));
    assert_false(get_on(joining(digest), server_of("site"))); /* a member, but not the hub */
}

static void test_who_is_refused(void **state)
{
    (void)state;
    assert_false(get_on(client_of("site", HUB), server_of("site")));
    issue_member("late", SITE, -1);
    assert_false(get_on(client_of("late", HUB), server_of("hub")));
    /* Of another network. */
    make_root("root2.key", "root2.pem");
    assert_int_equal(issue("root2.pem", "root2.key", "alien.key", "alien.pem",
                           &(struct pki_subject){.uri = SITE, .name = "alien", .seconds = DAY}),
                     0);
    assert_false(get_on(client_of("alien", HUB), server_of("hub")));
    /* A site is no issuer. */
    assert_int_equal(issue("site.pem", "site.key", "forged.key", "forged.pem",
                           &(struct pki_subject){.uri = HUB, .name = "forged", .seconds = DAY}),
                     0);
    assert_false(get_on(client_of("forged", HUB), server_of("hub")));
    assert_false(get_on(client_of("site", HUB), server_of("forged")));
    /* Nobody in particular. */
    assert_int_equal(issue("issuer.pem", "issuer.key", "anon.key", "anon.pem",
                           &(struct pki_subject){.name = "anon", .seconds = DAY}),
                     0);
    assert_false(get_on(client_of("anon", HUB), server_of("hub")));
    assert_true(get_on(client_of("site", HUB), server_of("hub")));
}

static void test_requests(void **state)
{
    (void)state;
    struct buf request, out;
    struct err err = {0};
    buf_init(&request, PKI_PEM_MAX);
    buf_init(&out, PKI_PEM_MAX);
    assert_int_equal(pki_key_make(in_dir("site.key"), &err), ERR_EXISTS);
    assert_int_equal(pki_request(in_dir("site.key"), &request, &err), 0);
    const struct pki_subject fine = {.uri = SITE, .name = "s", .seconds = DAY};
    const struct pki_subject two = {.uri = SITE ",URI:" HUB, .name = "s", .seconds = DAY};
    for (size_t i = 0; i < request.len;
         i += 7) { /* every change is found, or does not change what is signed */
        char kept = request.data[i];
        request.data[i] = (char)(kept == 'A' ? 'B' : 'A');
        if (request.data[i] != kept && kept != '\n' && i > 60 && i + 60 < request.len)
            assert_int_equal(pki_issue(in_dir("issuer.pem"), in_dir("issuer.key"), request.data, request.len,
                                       &fine, &out, &err),
                             ERR_INVALID);
        request.data[i] = kept;
    }
    assert_int_equal(
        pki_issue(in_dir("issuer.pem"), in_dir("issuer.key"), request.data, request.len, &two, &out, &err),
        ERR_INVALID);
    assert_int_equal(
        pki_issue(in_dir("issuer.pem"), in_dir("site.key"), request.data, request.len, &fine, &out, &err),
        ERR_INVALID); /* a key that is not the issuer's */
    assert_int_equal(
        pki_issue(in_dir("none.pem"), in_dir("issuer.key"), request.data, request.len, &fine, &out, &err),
        ERR_INVALID);
    buf_fini(&request);
    buf_fini(&out);
}

static void test_renewal(void **state)
{
    (void)state;
    struct err err = {0};
    int64_t before, after;
    struct tls_context *client = client_of("site", HUB), *server = server_of("hub");
    issue_member("site2", "spiffe://net/site/8", 2 * DAY);
    assert_int_not_equal(tls_member_renew(client, in_dir("site2.pem"), in_dir("site.key"), &err), 0);
    struct pair p = meet(client, server);
    assert_string_equal(tls_peer(p.server), SITE);
    part(&p);
    assert_int_equal(tls_member_renew(client, in_dir("site2.pem"), in_dir("site2.key"), &err), 0);
    p = meet(client, server);
    assert_string_equal(tls_peer(p.server), "spiffe://net/site/8");
    part(&p);
    assert_int_equal(pki_expires(in_dir("site.pem"), &before, &err), 0);
    assert_int_equal(pki_expires(in_dir("site2.pem"), &after, &err), 0);
    assert_in_range(after - before, DAY - 60, DAY + 60);
    /* No longer than the issuer, whatever is asked. */
    issue_member("long", SITE, 400L * DAY);
    assert_int_equal(pki_expires(in_dir("issuer.pem"), &before, &err), 0);
    assert_int_equal(pki_expires(in_dir("long.pem"), &after, &err), 0);
    assert_int_equal(before, after);
    tls_context_free(client);
    tls_context_free(server);
}

/* OpenSSL's own tool finds nothing wrong with them, strictly. */
static void test_another_opinion(void **state)
{
    (void)state;
    char command[300];
    (void)snprintf(
        command, sizeof command,
        "openssl verify -x509_strict -purpose sslserver -verify_ip 127.0.0.1 -CAfile %s -untrusted %s %s >%s",
        in_dir("root.pem"), in_dir("hub.pem"), in_dir("hub.pem"), in_dir("log"));
    assert_int_equal(system(command), 0); /* NOLINT: a fixed command line */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_are_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_joining, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_opinion, setup, teardown),
    };
    return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
