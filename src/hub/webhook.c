/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/webhook.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/osrandom.h"

#define TIMEOUT_S 20L /* "between 15 and 30s" */
#define SIGNED_MAX ((size_t)1 << 20)

/* ---- secrets and signatures ---- */

int webhook_key(uint8_t key[WEBHOOK_KEY_LEN], const char *data_dir, struct err *err)
{
    char path[FS_PATH_MAX];
    struct buf found;
    if (!fs_join(path, data_dir, WEBHOOK_KEY))
        return err_set(err, ERR_INVALID, "the data folder's path is too long");
    if (!fs_exists(path)) {
        os_random(key, WEBHOOK_KEY_LEN);
        return fs_write_atomic(path, key, WEBHOOK_KEY_LEN, 0600, err);
    }
    buf_init(&found, WEBHOOK_KEY_LEN + 1);
    int rc = fs_read(path, &found, err);
    if (rc == 0 && found.len != WEBHOOK_KEY_LEN)
        rc = err_set(err, ERR_CORRUPT, "%s: is not a key of %d bytes", path, WEBHOOK_KEY_LEN);
    if (rc == 0)
        memcpy(key, found.data, WEBHOOK_KEY_LEN);
    buf_fini(&found);
    return rc;
}

static void hmac(uint8_t out[DIGEST_LEN], const uint8_t *key, size_t key_len, const void *data, size_t len)
{
    unsigned n = DIGEST_LEN;
    if (!HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &n) || n != DIGEST_LEN)
        abort(); /* it has no other way to fail but for want of memory */
}

void webhook_secret(uint8_t secret[DIGEST_LEN], const uint8_t key[WEBHOOK_KEY_LEN],
                    const struct uuid *webhook)
{
    hmac(secret, key, WEBHOOK_KEY_LEN, webhook->b, sizeof webhook->b);
}

void webhook_secret_text(char text[WEBHOOK_SECRET_CAP], const uint8_t secret[DIGEST_LEN])
{
    static const char prefix[] = "whsec_";
    memcpy(text, prefix, sizeof prefix);
    base64_encode(text + sizeof prefix - 1, secret, DIGEST_LEN);
}

void webhook_sign(char text[WEBHOOK_SIGNATURE_CAP], const uint8_t *secret, size_t secret_len, const char *id,
                  int64_t seconds, const char *body, size_t len)
{
    uint8_t sum[DIGEST_LEN];
    struct buf all;
    buf_init(&all, SIGNED_MAX);
    buf_addf(&all, "%s.%lld.", id, (long long)seconds);
    buf_add(&all, body, len);
    if (all.failed)
        abort(); /* bodies are a few hundred bytes */
    hmac(sum, secret, secret_len, all.data, all.len);
    buf_fini(&all);
    memcpy(text, "v1,", 3);
    base64_encode(text + 3, sum, sizeof sum);
}

/* ---- where it may lead ---- */

struct net4 {
    uint32_t net;
    int bits;
};

static const struct net4 special4[] = {
    {0x00000000, 8},  /* 0.0.0.0/8, RFC 791 */
    {0x0a000000, 8},  /* 10.0.0.0/8, RFC 1918 */
    {0x64400000, 10}, /* 100.64.0.0/10, RFC 6598 */
    {0x7f000000, 8},  /* 127.0.0.0/8, RFC 1122 */
    {0xa9fe0000, 16}, /* 169.254.0.0/16, RFC 3927: metadata of clouds too */
    {0xac100000, 12}, /* 172.16.0.0/12, RFC 1918 */
    {0xc0000000, 24}, /* 192.0.0.0/24, RFC 6890 */
    {0xc0000200, 24}, /* 192.0.2.0/24, RFC 5737 */
    {0xc0586300, 24}, /* 192.88.99.0/24, RFC 7526 */
    {0xc0a80000, 16}, /* 192.168.0.0/16, RFC 1918 */
    {0xc6120000, 15}, /* 198.18.0.0/15, RFC 2544 */
    {0xc6336400, 24}, /* 198.51.100.0/24, RFC 5737 */
    {0xcb007100, 24}, /* 203.0.113.0/24, RFC 5737 */
    {0xe0000000, 3},  /* 224.0.0.0/3: multicast, reserved and broadcast */
};

/* All that is not of 2000::/3, the unicast addresses that are given out, and of that: */
static const struct {
    uint8_t net[4];
    int bits;
} special6[] = {
    {{0x20, 0x01, 0x00, 0x00}, 23}, /* 2001::/23, RFC 2928: Teredo and others */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* 2001:db8::/32, RFC 3849 */
    {{0x20, 0x02, 0x00, 0x00}, 16}, /* 2002::/16, RFC 3056: has an IPv4 address in it */
    {{0x3f, 0xff, 0x00, 0x00}, 20}, /* 3fff::/20, RFC 9637 */
};

static bool within(const uint8_t *address, const uint8_t *net, int bits)
{
    for (int i = 0; i < bits; i++) {
        if ((address[i / 8] ^ net[i / 8]) >> (7 - i % 8) & 1)
            return false;
    }
    return true;
}

static bool is_public4(uint32_t address)
{
    for (size_t i = 0; i < sizeof special4 / sizeof special4[0]; i++) {
        if ((address ^ special4[i].net) >> (32 - special4[i].bits) == 0)
            return false;
    }
    return true;
}

bool webhook_address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return is_public4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    const uint8_t *b = in6.sin6_addr.s6_addr;
    bool is_public = b[0] >> 5 == 1;
    for (size_t i = 0; i < sizeof special6 / sizeof special6[0]; i++)
        is_public = is_public && !within(b, special6[i].net, special6[i].bits);
    return is_public;
}

int webhook_url_check(const char *url, bool lax, struct err *err)
{
    char *scheme = NULL, *user = NULL;
    CURLU *parts = curl_url();
    if (!parts)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    bool read = curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK;
    bool named = read && curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK;
    bool fits = read && (strcmp(scheme, "https") == 0 || (lax && strcmp(scheme, "http") == 0));
    curl_free(scheme);
    curl_free(user);
    curl_url_cleanup(parts);
    if (!fits)
        return err_set(err, ERR_INVALID, "url: must be a URL that begins with https://");
    return named ? err_set(err, ERR_INVALID, "url: must have no user name in it") : 0;
}

/* ---- a delivery ---- */

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct delivery *d = ctx;
    (void)purpose;
    if (!d->lax && !webhook_address_is_public(&address->addr)) {
        (void)snprintf(d->why, sizeof d->why, "its address is not a public one");
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    (void)data;
    size_t *left = ctx;
    size_t len = size * n;
    if (len > *left)
        return 0; /* nobody reads it */
    *left -= len;
    return len;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    const struct delivery *d = ctx;
    (void)total;
    (void)now;
    (void)up_total;
    (void)up_now;
    return d->cancel && *d->cancel;
}

static struct curl_slist *head_of(const struct delivery *d)
{
    char line[64 + WEBHOOK_SIGNATURE_CAP + UUID_TEXT_LEN], signature[WEBHOOK_SIGNATURE_CAP];
    const int64_t seconds = clock_wall_ms() / 1000;
    struct curl_slist *head = curl_slist_append(NULL, "Content-Type: application/json"), *more;
    webhook_sign(signature, d->secret, sizeof d->secret, d->id, seconds, d->body, d->len);
    for (int i = 0; head && i < 4; i++) {
        if (i == 0)
            (void)snprintf(line, sizeof line, "webhook-id: %s", d->id);
        else if (i == 1)
            (void)snprintf(line, sizeof line, "webhook-timestamp: %lld", (long long)seconds);
        else if (i == 2)
            (void)snprintf(line, sizeof line, "webhook-signature: %s", signature);
        else
            (void)snprintf(line, sizeof line, "Expect:"); /* none: it is sent at once */
        more = curl_slist_append(head, line);
        if (!more)
            curl_slist_free_all(head);
        head = more;
    }
    return head;
}

static void set_options(CURL *curl, struct delivery *d, struct curl_slist *head, size_t *left)
{
    curl_easy_setopt(curl, CURLOPT_URL, d->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, d->lax ? "http,https" : "https");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, head);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, d->body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)d->len);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, d);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, left);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, d);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "busbar/" BUSBAR_VERSION);
}

void webhook_deliver(struct delivery *d)
{
    size_t left = 65536;
    long status = 0;
    d->status = 0;
    d->why[0] = 0;
    CURL *curl = curl_easy_init();
    struct curl_slist *head = curl ? head_of(d) : NULL;
    if (!head) {
        (void)snprintf(d->why, sizeof d->why, "out of memory");
        curl_easy_cleanup(curl);
        return;
    }
    set_options(curl, d, head, &left);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 100 && status <= 999) /* its head is enough: what follows is not read to the end */
        d->status = (uint32_t)status;
    else if (!d->why[0])
        (void)snprintf(d->why, sizeof d->why, "%s", curl_easy_strerror(rc));
    curl_slist_free_all(head);
    curl_easy_cleanup(curl);
}
