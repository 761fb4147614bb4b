/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's end of tunnels, with sites and callers on real sockets: a replica that moves, and who finds all tunnels taken. */
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hub/tunnels.h"
#include "support.h"

#define SOON_MS 5000
#define NOT_YET_MS 200

struct hub {
    struct loop loop;
    struct http_server server;
    struct tunnels *tunnels;
    uint16_t port;
    char dir[32];
    struct uuid joining; /* whose the next tunnel is */
};

static struct hub hub;
static const uint8_t key[DIGEST_LEN] = {1};

static int64_t admit(struct http_request *request)
{
    (void)request;
    return 64;
}

static void handle(struct http_request *request)
{
    assert_int_equal(tunnels_add(hub.tunnels, &hub.joining, key, request), 0);
}

static int setup(void **state)
{
    static const struct http_server_config config = {.connections_max = 16,
                                                     .head_ms = 3000,
                                                     .body_ms = 3000,
                                                     .idle_ms = 3000,
                                                     .write_stall_ms = 3000,
                                                     .admit = admit,
                                                     .handle = handle,
                                                     .upgrades = true};
    struct err err = {0};
    (void)state;
    memset(&hub, 0, sizeof hub);
    (void)snprintf(hub.dir, sizeof hub.dir, "/tmp/bb-tunnels-XXXXXX");
    assert_non_null(mkdtemp(hub.dir));
    assert_int_equal(loop_init(&hub.loop), 0);
    http_server_init(&hub.server, &hub.loop, &config);
    assert_int_equal(http_listen_tcp(&hub.server, "127.0.0.1", &hub.port, &err), 0);
    assert_int_equal(tunnels_open(&hub.tunnels, &hub.loop, hub.dir, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tunnels_close(hub.tunnels);
    http_server_close(&hub.server);
    uv_run(&hub.loop.uv, UV_RUN_DEFAULT);
    tunnels_free(hub.tunnels);
    loop_fini(&hub.loop);
    return rmdir(hub.dir); /* a socket that was left would be in the way */
}

/* Whether there is something to read within that time; the hub works meanwhile. */
static bool told(int fd, int ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    for (int waited = 0; waited <= ms; waited += 5) {
        uv_run(&hub.loop.uv, UV_RUN_NOWAIT);
        if (poll(&poll_fd, 1, 5) > 0)
            return true;
    }
    return false;
}

/* A tunnel of the site, which waits for the hub's word. */
static int tunnel(uint64_t site)
{
    static const char ask[] = "POST " TUNNEL_PATH " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                              "Upgrade: " TUNNEL_PROTOCOL "\r\nContent-Length: 2\r\n\r\n{}";
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(hub.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char head[TUNNEL_HEAD_MAX];
    size_t len = 0, used;
    hub.joining = uid('S', site);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(write(fd, ask, strlen(ask)), strlen(ask));
    while (tunnel_read_head(head, len, &used) != TUNNEL_WHOLE) {
        assert_true(len < sizeof head && told(fd, SOON_MS) && read(fd, head + len, 1) == 1);
        len++;
    }
    return fd;
}

/* A caller at the portal; -1: it does not listen. */
static int call(const char *endpoint)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(strncmp(endpoint, "unix:", 5), 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", endpoint + 5);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static void open_portal(uint64_t site, const struct tunnel_target *target, char endpoint[TEXT_CAP])
{
    struct err err = {0};
    struct uuid id = uid('S', site);
    assert_int_equal(tunnels_portal(hub.tunnels, &id, target, endpoint, &err), 0);
}

/* The hub names this replica on the tunnel. */
static void is_asked(int fd, const struct tunnel_target *target)
{
    char line[TUNNEL_LINE_MAX];
    struct tunnel_target out;
    size_t used;
    assert_true(told(fd, SOON_MS));
    ssize_t n = read(fd, line, sizeof line);
    assert_true(n > 0);
    assert_int_equal(tunnel_read_line(line, (size_t)n, &out, &used), TUNNEL_WHOLE);
    assert_true(uuid_eq(&out.deployment, &target->deployment) && out.ordinal == target->ordinal &&
                out.epoch == target->epoch);
}

static void is_cut(int fd)
{
    char byte;
    assert_true(told(fd, SOON_MS));
    assert_true(read(fd, &byte, 1) <= 0);
    (void)close(fd);
}

/* The first site is cut off, its replica is moved to the second; then the first is back, and is told that it has none. */
static void test_moved(void **state)
{
    (void)state;
    struct tunnel_target was = {uid('D', 1), 0, 1}, is = {uid('D', 1), 0, 2};
    struct uuid first_site = uid('S', 1);
    char was_at[TEXT_CAP], is_at[TEXT_CAP];
    int first = tunnel(1), second = tunnel(2);
    open_portal(1, &was, was_at);
    tunnels_cut(hub.tunnels, &first_site);
    is_cut(first);
    assert_int_equal(call(was_at), -1);

    open_portal(2, &is, is_at);
    first = tunnel(1);
    int caller = call(is_at);
    assert_true(caller >= 0);
    is_asked(second, &is);
    assert_false(told(first, NOT_YET_MS));
    tunnels_keep(hub.tunnels, &first_site, NULL, 0);
    (void)close(second);
    is_cut(caller);
    second = tunnel(2);
    caller = call(is_at);
    assert_true(caller >= 0);
    is_asked(second, &is);
    assert_int_equal(call(was_at), -1);
    (void)close(caller);
    (void)close(second);
    (void)close(first);
}

/* All tunnels are taken: the next one comes after round trips to a distant site. Where the site is gone nobody waits. */
static void test_waits(void **state)
{
    (void)state;
    struct tunnel_target target = {uid('D', 1), 3, 1};
    struct uuid site = uid('S', 1);
    char at[TEXT_CAP];
    int first = tunnel(1), callers[3];
    open_portal(1, &target, at);
    callers[0] = call(at);
    is_asked(first, &target);
    callers[1] = call(at);
    assert_false(told(callers[1], 2000));
    int second = tunnel(1);
    is_asked(second, &target);
    callers[2] = call(at);
    assert_false(told(callers[2], NOT_YET_MS));
    tunnels_cut(hub.tunnels, &site);
    uint64_t before = uv_now(&hub.loop.uv);
    for (int i = 0; i < 3; i++)
        is_cut(callers[i]);
    assert_true(uv_now(&hub.loop.uv) - before < 1000);
    is_cut(first);
    is_cut(second);
}

/* How often the loop has something to do. */
static unsigned turns(uint64_t for_ms)
{
    unsigned n = 0;
    uv_update_time(&hub.loop.uv);
    for (uint64_t until = uv_now(&hub.loop.uv) + for_ms; uv_now(&hub.loop.uv) < until; n++)
        uv_run(&hub.loop.uv, UV_RUN_ONCE);
    return n;
}

/* No descriptor is left: who comes waits until there are some, and the loop has rest meanwhile. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct tunnel_target target = {uid('D', 1), 0, 1};
    struct rlimit all, none;
    char at[TEXT_CAP];
    int site = tunnel(1);
    open_portal(1, &target, at);
    int caller = call(at);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    unsigned n = turns(500);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_true(n < 60);
    is_asked(site, &target);
    (void)close(caller);
    (void)close(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
