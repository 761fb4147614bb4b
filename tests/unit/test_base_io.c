/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of base: buf, log, err with words, files, digest, clock. */
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/osrandom.h"

static void test_buf(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add(&b, "12345", 5);
    buf_addf(&b, "%d", 678);
    assert_int_equal(b.len, 8);
    buf_add(&b, "abc", 3); /* 11 > 10 */
    assert_true(b.failed);
    assert_int_equal(b.len, 8);
    buf_add_char(&b, 'x'); /* would fit, but failure is sticky */
    assert_int_equal(b.len, 8);
    assert_null(buf_take(&b));
    buf_clear(&b);
    assert_false(b.failed);
    buf_add(&b, "0123456789", 10);
    assert_false(b.failed);
    buf_consume(&b, 7);
    assert_memory_equal(b.data, "789", 3);
    buf_consume(&b, 3);
    assert_int_equal(b.len, 0);
    buf_add_text(&b, "hello");
    char *text = buf_take(&b);
    assert_string_equal(text, "hello");
    free(text);
    text = buf_take(&b);
    assert_string_equal(text, "");
    free(text);
    buf_fini(&b);
}

static void test_buf_limits(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 6);
    buf_addf(&b, "%s", "123456"); /* exactly the maximum */
    assert_false(b.failed);
    assert_int_equal(b.len, 6);
    buf_addf(&b, "%s", "7");
    assert_true(b.failed);
    buf_fini(&b);
    buf_init(&b, SIZE_MAX / 4);
    assert_true(buf_reserve(&b, 100000));
    assert_true(b.cap > 100000);
    buf_add_char(&b, 'a');
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    buf_fini(&b);
    buf_init(&b, 0);
    buf_add_text(&b, "");
    assert_false(b.failed);
    buf_add_char(&b, 'a');
    assert_true(b.failed);
    buf_fini(&b);
}

static void test_buf_json(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_add_json(&b, "a\"b\\c\nd\te\x01\x1f\x7f\xc3\xa4/\0z", 17);
    char *text = buf_take(&b);
    assert_string_equal(text, "\"a\\\"b\\\\c\\nd\\u0009e\\u0001\\u001f\x7f\xc3\xa4/\\u0000z\"");
    free(text);
    buf_add_json(&b, "", 0);
    text = buf_take(&b);
    assert_string_equal(text, "\"\"");
    free(text);
    buf_fini(&b);
}

static void test_err(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_set(&err, ERR_IO, "cannot open %s", "x"), ERR_IO);
    assert_int_equal(err_wrap(&err, "while %d", 1), ERR_IO);
    assert_string_equal(err.msg, "while 1: cannot open x");
    assert_int_equal(err_set(NULL, ERR_LIMIT, "x"), ERR_LIMIT);
    char big[1000];
    memset(big, 'y', sizeof big - 1);
    big[sizeof big - 1] = 0;
    err_set(&err, ERR_LIMIT, "%s", big);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    assert_int_equal(err_wrap(&err, "%s", big), ERR_LIMIT);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

/* One line as the log writes it; the caller frees. */
static char *log_line(bool json, const char *fields)
{
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    log_init(fd[1], LOG_INFO, json);
    log_debug("quiet", "a=1");
    log_info("test_event", "%s", fields);
    log_init(STDERR_FILENO, LOG_INFO, false);
    close(fd[1]);
    char *line = calloc(1, 10000);
    ssize_t n = read(fd[0], line, 9999);
    assert_true(n > 0 && line[n - 1] == '\n');
    close(fd[0]);
    return line;
}

static void check_masked(const char *fields, const char *secret, const char *kept)
{
    for (int json = 0; json < 2; json++) {
        char *line = log_line(json, fields);
        if (strstr(line, secret))
            fail_msg("secret in the log: %s", line);
        assert_non_null(strstr(line, kept));
        free(line);
    }
}

static void test_log_masks_keys(void **state)
{
    (void)state;
    check_masked("key=bb_abc123_s3cretS3cret_deadbeef", "s3cret", "bb_abc123_");
    check_masked("error=\"header bb_abc123_s3cretS3cret_deadbeef was refused\"", "s3cret", "was refused");
    check_masked("a=bb_x_first_00000000 b=bb_y_first_11111111 tail=1", "first", "bb_y_");
    check_masked("url=\"/v1?key=bb_k_secretsecret_01234567&x=1\"", "secretsecret", "bb_k_");
    check_masked("twice=bb_bb_id_secretsecret_01234567", "secretsecret", "bb_");
    check_masked("cut=bb_id_secretsec", "secretsec", "bb_id_");
    char *long_fields = malloc(2000);
    memset(long_fields, 'x', 1000);
    const char tail[] = " key=bb_identity_secretsecretsecretsecret_01234567";
    memcpy(long_fields + 1000, tail, sizeof tail);
    check_masked(long_fields, "secret", "bb_identity_");
    free(long_fields);
}

static void test_log_lines(void **state)
{
    (void)state;
    char *line = log_line(false, "a=1 b=\"two words\"\nforged=1");
    assert_null(strstr(line, "quiet"));
    assert_non_null(strstr(line, "info  test_event a=1 b=\"two words\" forged=1\n"));
    free(line);
    line = log_line(true, "n=12 text=\"a b\" zero=007 big=1234567890123456789 neg=-1 empty=\"\"");
    const char *tail = strstr(line, ",\"event\"");
    assert_string_equal(tail, ",\"event\":\"test_event\",\"n\":12,\"text\":\"a b\",\"zero\":\"007\","
                              "\"big\":\"1234567890123456789\",\"neg\":\"-1\",\"empty\":\"\"}\n");
    free(line);
}

static void path_in(char path[FS_PATH_MAX], const char *folder, const char *name)
{
    assert_true(fs_join(path, folder, name));
}

static void test_fs(void **state)
{
    (void)state;
    char *folder = test_folder();
    char path[FS_PATH_MAX], copy[FS_PATH_MAX];
    struct err err = {0};
    struct buf b;
    buf_init(&b, 100000);
    path_in(path, folder, "file");
    path_in(copy, folder, "copy");
    assert_int_equal(fs_read(path, &b, &err), ERR_NOT_FOUND);
    assert_int_equal(fs_write_atomic(path, "old", 3, 0600, &err), 0);
    char big[40000];
    memset(big, 'z', sizeof big);
    assert_int_equal(fs_write_atomic(path, big, sizeof big, 0600, &err), 0);
    assert_int_equal(fs_read(path, &b, &err), 0);
    assert_int_equal(b.len, sizeof big);
    assert_memory_equal(b.data, big, sizeof big);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fs_copy(path, copy, &err), 0);
    assert_int_equal(fs_copy(path, copy, &err), ERR_EXISTS);
    assert_int_equal(fs_copy("/nowhere/at/all", copy, &err), ERR_NOT_FOUND);
    buf_clear(&b);
    assert_int_equal(fs_read(copy, &b, &err), 0);
    assert_int_equal(b.len, sizeof big);
    struct buf small;
    buf_init(&small, 39999);
    assert_int_equal(fs_read(path, &small, &err), ERR_TOO_LARGE);
    buf_fini(&small);
    buf_fini(&b);
    test_folder_remove(folder);
}

/* What is there survives a write that fails, and no temporary file is left. */
static void test_fs_failed_write(void **state)
{
    (void)state;
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    struct err err = {0};
    path_in(path, folder, "target");
    assert_int_equal(mkdir(path, 0700), 0); /* a file cannot be renamed over a folder */
    assert_int_equal(fs_write_atomic(path, "x", 1, 0600, &err), ERR_IO);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0); /* empty */
    assert_int_equal(fs_write_atomic(path, "x", 1, 0600, &err), ERR_IO);
    free(folder);
}

static void test_fs_paths(void **state)
{
    (void)state;
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, "/a", "b"));
    assert_string_equal(path, "/a/b");
    assert_true(fs_join(path, "/a/", "b"));
    assert_string_equal(path, "/a/b");
    char name[FS_PATH_MAX];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_false(fs_join(path, "/a", name));
    char *folder = test_folder();
    char deep[FS_PATH_MAX];
    struct err err = {0};
    (void)snprintf(deep, sizeof deep, "%.400s/one/two/", folder);
    assert_int_equal(fs_mkdirs(deep, 0700, &err), 0);
    assert_int_equal(fs_mkdirs(deep, 0700, &err), 0);
    assert_true(fs_exists(deep));
    assert_int_equal(fs_mkdirs("", 0700, &err), ERR_INVALID);
    assert_int_equal(fs_mkdirs("/proc/nothing/here", 0700, &err), ERR_IO);
    assert_int_equal(rmdir(deep), 0);
    (void)snprintf(deep, sizeof deep, "%.400s/one", folder);
    assert_int_equal(rmdir(deep), 0);
    test_folder_remove(folder);
}

static void test_digest(void **state)
{
    (void)state;
    uint8_t out[DIGEST_LEN];
    char text[65];
    digest_sha256(out, "abc", 3);
    hex_encode(text, out, sizeof out);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char *folder = test_folder();
    char path[FS_PATH_MAX];
    struct err err = {0};
    path_in(path, folder, "f");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    assert_int_equal(fs_write_atomic(path, million, 1000000, 0600, &err), 0);
    assert_int_equal(digest_file(out, path, &err), 0);
    hex_encode(text, out, sizeof out);
    assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
    test_folder_remove(folder);
    assert_int_equal(digest_file(out, "/nowhere", &err), ERR_IO);
}

static void test_digest_stream(void **state)
{
    (void)state;
    uint8_t whole[DIGEST_LEN];
    uint8_t pieces[DIGEST_LEN];
    struct digest_stream *stream = digest_stream_new();
    assert_non_null(stream);
    digest_sha256(whole, "", 0);
    digest_stream_get(stream, pieces);
    assert_memory_equal(whole, pieces, DIGEST_LEN);
    digest_stream_add(stream, "ab", 2);
    digest_stream_get(stream, pieces);
    digest_stream_add(stream, "", 0);
    digest_stream_add(stream, "c", 1);
    digest_stream_get(stream, pieces);
    digest_sha256(whole, "abc", 3);
    assert_memory_equal(whole, pieces, DIGEST_LEN);
    digest_stream_free(stream);
    digest_stream_free(NULL);
}

static void test_clock(void **state)
{
    (void)state;
    char text[25];
    clock_format(text, INT64_C(1795303869123));
    assert_string_equal(text, "2026-11-21T23:31:09.123Z");
    clock_format(text, 0);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    uint64_t a = clock_mono_ns();
    assert_true(clock_mono_ns() >= a);
    assert_true(clock_wall_ms() > INT64_C(1600000000000));
}

static void test_uuid_new(void **state)
{
    (void)state;
    struct uuid last = uuid_new();
    for (int i = 0; i < 1000; i++) {
        struct uuid id = uuid_new();
        assert_false(uuid_eq(&id, &last));
        assert_int_equal(id.b[6] >> 4, 7);
        assert_int_equal(id.b[8] >> 6, 2);
        last = id;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_buf_limits),
        cmocka_unit_test(test_buf_json),
        cmocka_unit_test(test_err),
        cmocka_unit_test(test_log_masks_keys),
        cmocka_unit_test(test_log_lines),
        cmocka_unit_test(test_fs),
        cmocka_unit_test(test_fs_failed_write),
        cmocka_unit_test(test_fs_paths),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_digest_stream),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_uuid_new),
    };
    return cmocka_run_group_tests_name("base_io", tests, NULL, NULL);
}
