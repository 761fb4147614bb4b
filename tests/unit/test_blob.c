/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: names, pieces, what a crash leaves, bytes that are others, what is used least. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/str.h"

#define TEXT "a blob that comes in pieces"
static const char *const text_at = TEXT;

static char root[64], dir[FS_PATH_MAX];

static int make_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/busbar-blob-XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_true(fs_join(dir, root, "blobs"));
    return 0;
}

static int drop_root(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void name_of(char name[BLOB_NAME_LEN + 1], const void *data, size_t len)
{
    uint8_t digest[DIGEST_LEN];
    digest_sha256(digest, data, len);
    blob_name(name, digest);
}

static int put(const char *name, uint64_t size, uint64_t offset, const void *data, size_t len, uint64_t *have,
               bool *whole)
{
    struct err err = {0};
    return blob_put(dir, &(struct blob_piece){name, size, offset, data, len}, have, whole, &err);
}

static void same_text(const char *name, uint64_t offset, const char *text)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    assert_int_equal(blob_read(dir, name, offset, 1 << 16, &out, &err), 0);
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(out.data, text, out.len);
    buf_fini(&out);
}

/* What has come of it so far. */
static void part_of(char dst[FS_PATH_MAX], const char *name)
{
    char file[80];
    (void)snprintf(file, sizeof file, "%s.part", name);
    assert_true(fs_join(dst, dir, file));
}

static int count_files(void)
{
    char command[FS_PATH_MAX + 32];
    int n = -1;
    (void)snprintf(command, sizeof command, "ls -A %s | wc -l", dir);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%d", &n), 1);
    pclose(out);
    return n;
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } names[] = {
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", true},
        {"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", false},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde", false},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0", false},
        {"../3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde/", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(blob_name_valid(names[i].text, strlen(names[i].text)), names[i].good);
}

static void test_pieces(void **state)
{
    (void)state;
    char name[BLOB_NAME_LEN + 1];
    uint64_t have;
    bool whole;
    const size_t len = sizeof TEXT - 1;
    struct err err = {0};
    name_of(name, TEXT, len);
    assert_int_equal(blob_look(dir, name, &have, &whole, &err), 0);
    assert_true(have == 0 && !whole);
    assert_int_equal(put(name, len, 0, TEXT, 10, &have, &whole), 0);
    assert_true(have == 10 && !whole);
    /* Again, and one that leaves a hole: nothing changes, and what there is is told. */
    assert_int_equal(put(name, len, 0, TEXT, 10, &have, &whole), 0);
    assert_true(have == 10 && !whole);
    assert_int_equal(put(name, len, 12, text_at + 12, 5, &have, &whole), 0);
    assert_true(have == 10 && !whole);
    struct buf none;
    buf_init(&none, 100);
    assert_int_equal(blob_read(dir, name, 0, 100, &none, &err), ERR_NOT_FOUND);
    buf_fini(&none);
    assert_int_equal(blob_look(dir, name, &have, &whole, &err), 0);
    assert_true(have == 10 && !whole);
    assert_int_equal(put(name, len, 10, text_at + 10, len - 10, &have, &whole), 0);
    assert_true(have == len && whole);
    same_text(name, 0, TEXT);
    same_text(name, len - 6, "pieces");
    same_text(name, len, "");
    assert_int_equal(put(name, len, 3, text_at + 3, 2, &have, &whole), 0);
    assert_true(have == len && whole);
    assert_int_equal(count_files(), 1);
}

static void test_bounds(void **state)
{
    (void)state;
    char name[BLOB_NAME_LEN + 1], empty[BLOB_NAME_LEN + 1];
    uint64_t have;
    bool whole;
    name_of(name, TEXT, sizeof TEXT - 1);
    name_of(empty, "", 0);
    assert_int_equal(put(name, BLOB_MAX + 1, 0, TEXT, 5, &have, &whole), ERR_INVALID);
    assert_int_equal(put(name, 4, 0, TEXT, 5, &have, &whole), ERR_INVALID);
    assert_int_equal(put(name, 10, 11, TEXT, 0, &have, &whole), ERR_INVALID);
    assert_int_equal(put(name, 10, 6, TEXT, 5, &have, &whole), ERR_INVALID);
    assert_int_equal(put(empty, 0, 0, NULL, 0, &have, &whole), 0);
    assert_true(whole);
    assert_int_equal(put(name, 27, 0, TEXT, 20, &have, &whole), 0);
    assert_int_equal(put(name, 10, 0, TEXT, 0, &have, &whole),
                     ERR_INVALID); /* more is here than it would have */
    assert_int_equal(have, 20);
    /* A disk that cannot hold it is not begun on. */
    assert_int_equal(put(name, BLOB_MAX, 20, TEXT, 5, &have, &whole), ERR_LIMIT);
    assert_int_equal(have, 20);
}

/* Bytes that are others, all of them or by what a crash left: nothing of them stays, and the right ones come through. */
static void test_mismatch(void **state)
{
    (void)state;
    char name[BLOB_NAME_LEN + 1], part[FS_PATH_MAX];
    uint64_t have;
    bool whole;
    const size_t len = sizeof TEXT - 1;
    struct err err = {0};
    name_of(name, TEXT, len);
    assert_int_equal(put(name, len, 0, "A blob that comes in pieces", len, &have, &whole), ERR_DIGEST);
    assert_true(have == 0 && !whole);
    assert_int_equal(count_files(), 0);
    part_of(part, name);
    assert_int_equal(fs_write_atomic(part, "torn", 4, 0600, &err), 0);
    assert_int_equal(put(name, len, 0, TEXT, len, &have, &whole), 0);
    assert_true(have == 4 && !whole);
    assert_int_equal(put(name, len, 4, text_at + 4, len - 4, &have, &whole), ERR_DIGEST);
    assert_int_equal(put(name, len, 0, TEXT, len, &have, &whole), 0);
    assert_true(whole);
    same_text(name, 0, TEXT);
}

/* All bytes were there when the process ended, and nobody had looked at them yet. */
static void test_crash_before_seal(void **state)
{
    (void)state;
    char name[BLOB_NAME_LEN + 1], part[FS_PATH_MAX];
    uint64_t have;
    bool whole;
    const size_t len = sizeof TEXT - 1;
    struct err err = {0};
    name_of(name, TEXT, len);
    assert_int_equal(fs_mkdirs(dir, 0700, &err), 0);
    part_of(part, name);
    assert_int_equal(fs_write_atomic(part, TEXT, len, 0600, &err), 0);
    assert_int_equal(put(name, len, len, NULL, 0, &have, &whole), 0);
    assert_true(have == len && whole);
    same_text(name, 0, TEXT);
    assert_int_equal(count_files(), 1);
}

struct sender {
    char name[BLOB_NAME_LEN + 1];
    const char *data;
    size_t len;
    int rc;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    uint64_t have = 0;
    bool whole = false;
    while (s->rc == 0 && !whole) {
        size_t n = s->len - have < 4096 ? s->len - have : 4096;
        const uint64_t from = have;
        s->rc = put(s->name, s->len, from, s->data + from, n, &have, &whole);
        if (s->rc == ERR_UNAVAILABLE) { /* another one is at it */
            s->rc = 0;
            have = from;
            (void)sched_yield();
        }
    }
    return NULL;
}

/* Several send the same at a time: each byte is there once. */
static void test_together(void **state)
{
    (void)state;
    enum { SENDERS = 4 };
    static char data[300000];
    struct sender sender[SENDERS];
    pthread_t thread[SENDERS];
    uint64_t have;
    bool whole;
    struct err err = {0};
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    for (int i = 0; i < SENDERS; i++) {
        sender[i] = (struct sender){.data = data, .len = sizeof data};
        name_of(sender[i].name, data, sizeof data);
        assert_int_equal(pthread_create(&thread[i], NULL, send_all, &sender[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(sender[i].rc, 0);
    }
    assert_int_equal(blob_look(dir, sender[0].name, &have, &whole, &err), 0);
    assert_true(whole && have == sizeof data);
    assert_int_equal(count_files(), 1);
}

/* One call hashes what is large for minutes: another one says so at once, and holds no thread meanwhile. */
static void test_busy(void **state)
{
    (void)state;
    char name[BLOB_NAME_LEN + 1], part[FS_PATH_MAX];
    uint64_t have;
    bool whole;
    const size_t len = sizeof TEXT - 1;
    name_of(name, TEXT, len);
    part_of(part, name);
    assert_int_equal(put(name, len, 0, TEXT, 10, &have, &whole), 0);
    int fd = open(part, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    alarm(20); /* without an answer the test ends here */
    assert_int_equal(put(name, len, 10, text_at + 10, len - 10, &have, &whole), ERR_UNAVAILABLE);
    alarm(0);
    assert_false(whole);
    close(fd);
    assert_int_equal(put(name, len, 10, text_at + 10, len - 10, &have, &whole), 0);
    assert_true(have == len && whole);
}

static void take(const char *text, char name[BLOB_NAME_LEN + 1])
{
    char path[FS_PATH_MAX];
    uint64_t size;
    struct err err = {0};
    assert_true(fs_join(path, root, "taken"));
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(blob_take(dir, fd, name, &size, &err), 0);
    assert_int_equal(size, strlen(text));
    close(fd);
}

static void test_take_and_give(void **state)
{
    (void)state;
    char name[BLOB_NAME_LEN + 1], wanted[BLOB_NAME_LEN + 1], path[FS_PATH_MAX], to[FS_PATH_MAX];
    struct err err = {0};
    struct stat st;
    take(TEXT, name);
    name_of(wanted, TEXT, sizeof TEXT - 1);
    assert_string_equal(name, wanted);
    take(TEXT, name); /* again: it is the same */
    assert_int_equal(count_files(), 1);
    assert_true(fs_join(to, root, "given"));
    assert_int_equal(blob_give(dir, name, to, 0444, &err), 0);
    assert_int_equal(stat(to, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    assert_int_equal(st.st_nlink, 1); /* a copy: who changes it changes nothing else */
    assert_int_equal(blob_give(dir, name, to, 0444, &err), ERR_EXISTS);
    assert_int_equal(unlink(to), 0);
    /* One that rotted on the disk is given to nobody, and may come anew. */
    assert_true(blob_path(path, dir, name));
    assert_int_equal(fs_write_atomic(path, "rotten", 6, 0600, &err), 0);
    assert_int_equal(blob_give(dir, name, to, 0444, &err), ERR_DIGEST);
    assert_false(fs_exists(to) || fs_exists(path));
    assert_int_equal(blob_give(dir, name, to, 0444, &err), ERR_NOT_FOUND);
    assert_false(fs_exists(to));
}

static void used_at(const char *name, int64_t seconds)
{
    char path[FS_PATH_MAX];
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_true(blob_path(path, dir, name));
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static int64_t used_s(const char *name)
{
    char path[FS_PATH_MAX];
    struct stat st;
    assert_true(blob_path(path, dir, name));
    assert_int_equal(stat(path, &st), 0);
    return st.st_mtim.tv_sec;
}

/* Who sends one that is here counts on it from then on, and so does who sends the end of one that was begun long ago. */
static void test_put_is_use(void **state)
{
    (void)state;
    char name[BLOB_NAME_LEN + 1], part[FS_PATH_MAX];
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    uint64_t have;
    bool whole;
    const size_t len = sizeof TEXT - 1;
    struct err err = {0};
    take(TEXT, name);
    used_at(name, 1000);
    assert_int_equal(put(name, len, 0, NULL, 0, &have, &whole), 0);
    assert_true(whole && used_s(name) > 1000);
    blob_remove(dir, name);
    part_of(part, name);
    assert_int_equal(fs_write_atomic(part, TEXT, len, 0600, &err), 0);
    assert_int_equal(utimensat(AT_FDCWD, part, old, 0), 0);
    assert_int_equal(put(name, len, len, NULL, 0, &have, &whole), 0);
    assert_true(whole && used_s(name) > 1000);
}

static bool is_kept(void *ctx, const char *name)
{
    return strcmp(ctx, name) == 0;
}

static bool is_here(const char *name)
{
    char path[FS_PATH_MAX];
    return blob_path(path, dir, name) && fs_exists(path);
}

static void test_evict(void **state)
{
    (void)state;
    char name[4][BLOB_NAME_LEN + 1];
    uint64_t left;
    struct err err = {0};
    assert_int_equal(blob_evict(dir, 0, NULL, NULL, &left, &err), 0); /* no folder yet */
    assert_int_equal(left, 0);
    static const char *const text[] = {"1234567890", "abcdefghij", "ABCDEFGHIJ", "..........."};
    for (int i = 0; i < 4; i++) {
        take(text[i], name[i]);
        used_at(name[i], 1000 + i);
    }
    same_text(name[1], 0, text[1]); /* which is a use */
    assert_int_equal(blob_evict(dir, 41, NULL, NULL, &left, &err), 0);
    assert_int_equal(left, 41);
    assert_int_equal(blob_evict(dir, 25, is_kept, name[0], &left, &err), 0);
    assert_int_equal(left, 20); /* 0 is in use, 2 and 3 were used before 1 */
    assert_true(is_here(name[0]) && is_here(name[1]) && !is_here(name[2]) && !is_here(name[3]));
    blob_remove(dir, name[0]);
    blob_remove(dir, name[0]);
    assert_int_equal(blob_evict(dir, 0, NULL, NULL, &left, &err), 0);
    assert_int_equal(left, 0);
    assert_int_equal(count_files(), 0);
}

static void write_in(const char *file, int64_t seconds)
{
    char path[FS_PATH_MAX];
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    struct err err = {0};
    assert_true(fs_join(path, dir, file));
    assert_int_equal(fs_write_atomic(path, "x", 1, 0600, &err), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* What processes that were killed left goes; what may still come whole stays, and so does what is none of ours. */
static void test_sweep(void **state)
{
    (void)state;
    char whole[BLOB_NAME_LEN + 1], part[BLOB_NAME_LEN + 8], path[FS_PATH_MAX];
    blob_sweep(dir, 2000); /* no folder yet */
    take(TEXT, whole);
    used_at(whole, 1000);
    (void)snprintf(part, sizeof part, "%s.part", whole);
    write_in(part, 2000);
    write_in("aB3xYz.new", 3000);
    write_in("other.new", 1000);
    blob_sweep(dir, 2000);
    assert_int_equal(count_files(), 3);
    assert_true(is_here(whole) && fs_join(path, dir, part) && fs_exists(path));
    blob_sweep(dir, 2001);
    assert_int_equal(count_files(), 2);
    assert_true(is_here(whole) && !fs_exists(path) && fs_join(path, dir, "other.new") && fs_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_pieces, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_bounds, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_mismatch, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_crash_before_seal, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_together, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_busy, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_put_is_use, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_take_and_give, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_evict, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_sweep, make_root, drop_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
