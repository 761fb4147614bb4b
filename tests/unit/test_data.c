/* SPDX-License-Identifier: Apache-2.0 */
/* Data of jobs: names, what is laid into a folder and taken from one, what is kept of an epoch, and what the next starts from. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/data.h"
#include "hub/given.h"

static char root[64], work[FS_PATH_MAX], blobs[FS_PATH_MAX];
static const struct job_id first = {{{1, 2, 3}}, 1}, second = {{{1, 2, 3}}, 2}, third = {{{1, 2, 3}}, 3};

static int make_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/busbar-data-XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_true(fs_join(work, root, "work") && fs_join(blobs, root, "blobs"));
    return 0;
}

static int drop_root(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void write_at(const char *dir, const char *name, const char *text, unsigned mode)
{
    char path[FS_PATH_MAX];
    struct err err = {0};
    assert_true(fs_join(path, dir, name));
    char *slash = strrchr(path, '/');
    *slash = 0;
    assert_int_equal(fs_mkdirs(path, 0755, &err), 0);
    *slash = '/';
    assert_int_equal(fs_write_atomic(path, text, strlen(text), mode, &err), 0);
}

static void same_file(const char *dir, const char *name, const char *text, unsigned mode)
{
    char path[FS_PATH_MAX];
    struct buf out;
    struct stat st;
    struct err err = {0};
    assert_true(fs_join(path, dir, name));
    buf_init(&out, 1 << 16);
    assert_int_equal(fs_read(path, &out, &err), 0);
    assert_int_equal(out.len, strlen(text));
    if (out.len > 0)
        assert_memory_equal(out.data, text, out.len);
    buf_fini(&out);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool good;
    } names[] = {
        {"a", true},
        {"a/b/c.txt", true},
        {"...", true},
        {".hidden", true},
        {"a b", true},
        {"\xc3\xa4", true},
        {"*.txt", true},
        {"\xf0\x9f\x98\x80", true},
        {"", false},
        {"/a", false},
        {"a/", false},
        {"a//b", false},
        {".", false},
        {"..", false},
        {"a/..", false},
        {"../a", false},
        {"a/./b", false},
        {"a\n", false},
        {"a\x7f", false},
        {"\xff", false},
        {"\xc3", false},
        {"\xc0\x80", false},
        {"\xed\xa0\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xe0\x80\x80", false},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (data_name_valid(names[i].name) != names[i].good)
            fail_msg("name %zu", i);
    }
    char deep[3 * DATA_DEPTH_MAX + 8] = "", longest[DATA_NAME_MAX + 2];
    for (int i = 0; i < DATA_DEPTH_MAX; i++)
        memcpy(deep + 2 * i, i ? "/d" : "ad", 3);
    assert_true(data_name_valid(deep + 1));
    memcpy(deep + 2 * DATA_DEPTH_MAX, "/d", 3);
    assert_false(data_name_valid(deep + 1));
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    longest[200] = longest[400] = '/';
    assert_false(data_name_valid(longest));
    longest[sizeof longest - 2] = 0;
    assert_true(data_name_valid(longest));
}

#define SOME "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *sha256;
        bool good;
    } lists[] = {{"a", "b", SOME, true},     {"a", "ab", SOME, true},   {"a/b", "a/c", SOME, true},
                 {"a", "a", SOME, false},    {"a", "a/b", SOME, false}, {"a/b", "a", SOME, false},
                 {"a", "../b", SOME, false}, {"a", "b", "0123", false}, {"a", "b", SOME "0", false}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct err err = {0};
        const struct job_blob files[] = {
            {.name = (char *)(uintptr_t)lists[i].a, .sha256 = (char *)(uintptr_t)lists[i].sha256},
            {.name = (char *)(uintptr_t)lists[i].b, .sha256 = (char *)(uintptr_t)lists[i].sha256}};
        if ((data_check(files, 2, &err) == 0) != lists[i].good)
            fail_msg("list %zu", i);
        assert_int_equal(err.code, lists[i].good ? 0 : ERR_INVALID);
    }
}

static const struct job_blob *file_of(const struct data_list *list, const char *name)
{
    for (uint32_t i = 0; i < list->files_count; i++) {
        if (strcmp(list->files[i].name, name) == 0)
            return &list->files[i];
    }
    return NULL;
}

/* Patterns, folders, and what is no file: none of it leads out. */
static void test_collect(void **state)
{
    (void)state;
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    struct data_list list;
    struct err err = {0};
    static char outs[] = "out", texts[] = "*.txt", deeps[] = "deep/*/c";
    char *patterns[] = {outs, texts, deeps};
    assert_true(fs_join(folder, root, "folder"));
    assert_int_equal(data_collect(folder, NULL, NULL, 0, &list, &err), 0); /* there is none */
    assert_int_equal(list.files_count, 0);
    write_at(root, "secret.txt", "secret", 0600);
    write_at(folder, "a.txt", "a", 0644);
    write_at(folder, "a.md", "no", 0644);
    write_at(folder, ".busbar-script.txt", "no", 0755);
    write_at(folder, "sub/b.txt", "no", 0644);
    write_at(folder, "out/x/y/z", "zz", 0755);
    write_at(folder, "deep/b/c", "c", 0644);
    write_at(folder, "deep/c", "no", 0644);
    write_at(folder, "\xff.txt", "no", 0644);
    assert_true(fs_join(path, folder, "link.txt"));
    assert_int_equal(symlink("../secret.txt", path), 0);
    assert_true(fs_join(path, folder, "out/root"));
    assert_int_equal(symlink("/", path), 0);
    assert_true(fs_join(path, folder, "pipe.txt"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(data_collect(folder, blobs, patterns, 3, &list, &err), 0);
    assert_int_equal(list.files_count, 3);
    assert_int_equal(list.left_out, 4);
    assert_int_equal(list.bytes, 4);
    assert_true(file_of(&list, "a.txt") && file_of(&list, "deep/b/c"));
    assert_true(file_of(&list, "out/x/y/z")->program && !file_of(&list, "a.txt")->program);
    /* What was found is opened again, and no link in its place. */
    int fd = data_open(folder, "out/x/y/z");
    assert_true(fd >= 0);
    close(fd);
    assert_true(fs_join(path, folder, "a.txt"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("../secret.txt", path), 0);
    assert_int_equal(data_open(folder, "a.txt"), -1);
    assert_int_equal(data_open(folder, "out/root/etc/passwd"), -1);
    /* Into another folder, for reading only; one that is there is left as it is. */
    char to[FS_PATH_MAX];
    assert_true(fs_join(to, root, "to"));
    write_at(to, "deep/b/c", "mine", 0600);
    assert_int_equal(data_stage(to, blobs, list.files, list.files_count, DATA_READ_ONLY, &err), 0);
    same_file(to, "a.txt", "a", 0444);
    same_file(to, "out/x/y/z", "zz", 0555);
    same_file(to, "deep/b/c", "mine", 0600);
    data_list_free(&list);
}

/* What a job can do to its folder, so that it can never be kept: it is left out, and no error that would be tried for ever. */
static void test_left_out(void **state)
{
    (void)state;
    char folder[FS_PATH_MAX], path[FS_PATH_MAX];
    struct data_list list;
    struct err err = {0};
    assert_true(fs_join(folder, root, "folder"));
    write_at(folder, "a", "a", 0644);
    write_at(folder, "huge", "", 0644);
    assert_true(fs_join(path, folder, "huge"));
    assert_int_equal(truncate(path, (off_t)BLOB_MAX + 1), 0);
    alarm(30); /* to hash it would take an hour */
    assert_int_equal(data_collect(folder, NULL, NULL, 0, &list, &err), 0);
    alarm(0);
    assert_true(list.files_count == 1 && list.left_out == 1 && file_of(&list, "a"));
    data_list_free(&list);
    /* The folder is a file, and then a link. */
    assert_int_equal(data_collect(path, NULL, NULL, 0, &list, &err), 0);
    assert_true(list.files_count == 0 && list.left_out == 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc", path), 0);
    assert_int_equal(data_collect(path, NULL, NULL, 0, &list, &err), 0);
    assert_true(list.files_count == 0 && list.left_out == 1);
}

/* One that its own user may not read; root may read all, so another user looks. */
static void test_unreadable(void **state)
{
    (void)state;
    char folder[FS_PATH_MAX], sub[FS_PATH_MAX];
    struct data_list list;
    struct err err = {0};
    const bool is_root = geteuid() == 0;
    assert_true(fs_join(folder, root, "folder") && fs_join(sub, folder, "sub"));
    write_at(folder, "a", "a", 0644);
    write_at(folder, "sub/b", "b", 0644);
    assert_int_equal(chmod(root, 0755), 0);
    assert_int_equal(chmod(sub, 0), 0);
    assert_int_equal(is_root ? seteuid(65534) : 0, 0);
    int inner = data_collect(folder, NULL, NULL, 0, &list, &err);
    const bool same = inner == 0 && list.files_count == 1 && list.left_out == 1;
    data_list_free(&list);
    int outer = data_collect(sub, NULL, NULL, 0, &list, &err);
    assert_int_equal(is_root ? seteuid(0) : 0, 0);
    assert_int_equal(chmod(sub, 0755), 0);
    assert_true(same);
    assert_int_equal(outer, 0);
    assert_true(list.files_count == 0 && list.left_out == 1);
}

/* However much a folder holds, only so much of it is looked at, and what no pattern wants is no part of that. */
static void test_many(void **state)
{
    (void)state;
    char folder[FS_PATH_MAX], name[32];
    struct data_list list;
    struct err err = {0};
    static char wanted[] = "wanted";
    char *patterns[] = {wanted};
    const uint32_t n = DATA_ENTRIES_MAX + 10;
    assert_true(fs_join(folder, root, "folder"));
    write_at(folder, "wanted", "w", 0644);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(data_collect(folder, NULL, patterns, 1, &list, &err), 0);
    assert_true(list.files_count == 1 && list.left_out == 0);
    data_list_free(&list);
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        assert_int_equal(unlinkat(dir, name, 0), 0);
        assert_int_equal(mkdirat(dir, name, 0700), 0);
    }
    close(dir);
    assert_int_equal(data_collect(folder, NULL, patterns, 1, &list, &err), 0);
    /* `wanted` is among those that were looked at, or not. */
    assert_int_equal(list.left_out, n + 1 - DATA_ENTRIES_MAX);
    assert_true(list.files_count <= 1);
    data_list_free(&list);
}

static void epoch_dir(char dir[FS_PATH_MAX], const struct job_id *id)
{
    workdir_path(dir, work, id);
}

static void write_epoch(const struct job_id *id, const char *end)
{
    char dir[FS_PATH_MAX], text[512], job[UUID_TEXT_LEN + 1];
    uuid_format(job, &id->job);
    epoch_dir(dir, id);
    (void)snprintf(text, sizeof text,
                   "{\"version\":1,\"job\":\"%s\",\"epoch\":%u,\"argv\":[\"x\"],\"outputs\":[\"o*\"],"
                   "\"checkpoint\":true}",
                   job, id->epoch);
    write_at(dir, "spec", text, 0600);
    (void)snprintf(text, sizeof text, "{\"end\":\"%s\",\"usage\":{\"ms\":1,\"wall_ms\":1}}", end);
    write_at(dir, "exit", text, 0600);
    write_at(dir, DATA_FOLDER "/out", "o", 0644);
    write_at(dir, DATA_CHECKPOINT "/n/state", "s", 0600);
    write_at(dir, "staged", "{\"bytes\":7,\"fetched\":5}", 0600);
}

/* By its end: what is kept of it. */
static void test_keep(void **state)
{
    (void)state;
    static const struct {
        const char *end;
        uint32_t outputs, checkpoint;
    } ends[] = {{"exited", 1, 0},     {"signalled", 1, 0}, {"oom", 1, 0},       {"timed-out", 1, 0},
                {"cancelled", 1, 1},  {"preempted", 0, 1}, {"curtailed", 0, 1}, {"evicted", 0, 1},
                {"lease-over", 0, 1}, {"lost", 0, 1},      {"stopped", 1, 1},   {"not-started", 1, 0}};
    char dir[FS_PATH_MAX];
    struct data_kept kept;
    struct err err = {0};
    bool wanted;
    epoch_dir(dir, &first);
    assert_int_equal(data_keep(dir, NULL, NULL, &kept, &wanted, &err), ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        write_epoch(&first, ends[i].end);
        assert_int_equal(data_keep(dir, NULL, blobs, &kept, &wanted, &err), 0);
        if (kept.outputs.files_count != ends[i].outputs || kept.checkpoint.files_count != ends[i].checkpoint)
            fail_msg("%s", ends[i].end);
        assert_true(wanted);
        assert_int_equal(kept.in.bytes, 7);
        assert_int_equal(kept.in.fetched, 5);
        data_kept_free(&kept);
    }
}

/* A cache that takes nothing, its disk being full or gone, keeps no checkpoint from the hub. */
static void test_keep_without_cache(void **state)
{
    (void)state;
    char dir[FS_PATH_MAX], cache[FS_PATH_MAX];
    struct data_kept kept;
    struct err err = {0};
    bool wanted;
    write_epoch(&first, "preempted");
    epoch_dir(dir, &first);
    write_at(root, "file", "no folder", 0600);
    assert_true(fs_join(cache, root, "file"));
    assert_int_equal(data_keep(dir, NULL, cache, &kept, &wanted, &err), ERR_IO);
    assert_int_equal(data_keep_here(dir, cache, &kept, &wanted, &err), 0);
    assert_true(wanted && kept.checkpoint.files_count == 1 && kept.in.bytes == 7);
    assert_string_equal(kept.checkpoint.files[0].name, "n/state");
    data_kept_free(&kept);
    assert_int_equal(data_keep_here(dir, blobs, &kept, &wanted, &err), 0);
    assert_true(fs_exists(blobs));
    data_kept_free(&kept);
}

/* Names of the longest form, in both lists, as many as there may be: what is kept can be written down. */
static void test_keep_long_names(void **state)
{
    (void)state;
    static const char *const folders[] = {DATA_FOLDER, DATA_CHECKPOINT};
    char dir[FS_PATH_MAX], name[DATA_NAME_MAX], path[FS_PATH_MAX];
    struct data_kept kept, again;
    struct err err = {0};
    bool wanted;
    epoch_dir(dir, &first);
    write_epoch(&first, "cancelled");
    for (int k = 0; k < 2; k++) {
        char part[251];
        memset(part, '"', sizeof part - 1);
        part[0] = 'o';
        part[sizeof part - 1] = 0;
        (void)snprintf(name, sizeof name, "%s/%s", folders[k], part);
        assert_true(fs_join(path, dir, name));
        assert_int_equal(mkdir(path, 0700), 0);
        for (int i = 0; i < JOB_BLOBS_MAX; i++) {
            (void)snprintf(name, sizeof name, "%s/%s/%03d%s", folders[k], part, i, part + 3);
            assert_true(fs_join(path, dir, name));
            int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            assert_true(fd >= 0);
            close(fd);
        }
    }
    assert_int_equal(data_keep(dir, NULL, NULL, &kept, &wanted, &err), 0);
    assert_true(kept.outputs.files_count > 300 && kept.checkpoint.files_count > 300);
    workdir_file(path, dir, DATA_KEPT);
    assert_int_equal(form_save(&data_kept_table, path, &kept, &err), 0);
    assert_int_equal(form_load(&data_kept_table, path, &again, &err), 0);
    assert_int_equal(again.outputs.files_count, kept.outputs.files_count);
    data_kept_free(&again);
    data_kept_free(&kept);
}

static void write_kept(const struct job_id *id, const char *file)
{
    char dir[FS_PATH_MAX], text[512];
    epoch_dir(dir, id);
    (void)snprintf(text, sizeof text,
                   "{\"checkpoint\":{\"files\":[{\"name\":\"%s\",\"sha256\":\"" SOME "\",\"size\":1}]}}",
                   file);
    write_at(dir, DATA_KEPT, file[0] ? text : "{}", 0600);
}

static void same_prior(const struct job_id *id, const char *name, bool wanted_pending)
{
    struct data_list list;
    struct err err = {0};
    bool pending;
    assert_int_equal(data_prior(work, id, &list, &pending, &err), 0);
    assert_int_equal(pending, wanted_pending);
    assert_int_equal(list.files_count, name ? 1 : 0);
    if (name)
        assert_string_equal(list.files[0].name, name);
    data_list_free(&list);
}

static void test_prior(void **state)
{
    (void)state;
    same_prior(&first, NULL, false);
    same_prior(&second, NULL, true);
    write_kept(&first, "one");
    same_prior(&second, "one", false);
    same_prior(&third, "one", true); /* what there is, while the last may still come */
    write_kept(&second, "");
    same_prior(&third, "one", false);
    write_kept(&second, "two");
    same_prior(&third, "two", false);
}

/* What an epoch starts from is settled when it is first told: one that comes late does not take it away. */
static void test_settled(void **state)
{
    (void)state;
    struct data_list list;
    struct err err = {0};
    char dir[FS_PATH_MAX];
    bool pending;
    write_kept(&first, "one");
    epoch_dir(dir, &third);
    assert_int_equal(fs_mkdirs(dir, 0700, &err), 0);
    assert_int_equal(given_prior(work, &third, &list, &pending, &err), 0);
    assert_true(pending);
    assert_int_equal(given_settle(dir, &list, &err), 0);
    data_list_free(&list);
    write_kept(&second, "two");
    assert_int_equal(given_prior(work, &third, &list, &pending, &err), 0);
    assert_false(pending);
    assert_int_equal(list.files_count, 1);
    assert_string_equal(list.files[0].name, "one");
    assert_int_equal(given_settle(dir, &list, &err), 0); /* told again */
    data_list_free(&list);
    same_prior(&third, "two", false);
}

/* What the tenant has already counts for an epoch only when its site has sent it, byte for byte. */
static void test_sent(void **state)
{
    (void)state;
    static const char secret[] = "a secret";
    char name[BLOB_NAME_LEN + 1], dir[FS_PATH_MAX];
    uint8_t digest[DIGEST_LEN];
    uint64_t have;
    bool whole;
    struct err err = {0};
    digest_sha256(digest, secret, sizeof secret);
    blob_name(name, digest);
    struct blob_piece piece = {name, sizeof secret, 0, secret, sizeof secret};
    epoch_dir(dir, &first);
    assert_int_equal(fs_mkdirs(dir, 0700, &err), 0);
    assert_int_equal(blob_put(blobs, &piece, &have, &whole, &err), 0);
    assert_true(whole);
    piece.len = 0;
    assert_int_equal(given_put(dir, blobs, &piece, &have, &whole, &err), 0);
    assert_true(have == 0 && !whole && !given_sent(dir, name));
    piece.len = 3;
    assert_int_equal(given_put(dir, blobs, &piece, &have, &whole, &err), 0);
    assert_true(have == 3 && !whole && !given_sent(dir, name));
    piece = (struct blob_piece){name, sizeof secret, 3, secret + 3, sizeof secret - 3};
    assert_int_equal(given_put(dir, blobs, &piece, &have, &whole, &err), 0);
    assert_true(whole && given_sent(dir, name));
    given_done(dir);
    assert_false(given_sent(dir, name));
    /* What the tenant did not have it has then, also when the epoch's folder has gone. */
    blob_remove(blobs, name);
    piece = (struct blob_piece){name, sizeof secret, 0, secret, sizeof secret};
    assert_int_equal(given_put(dir, blobs, &piece, &have, &whole, &err), 0);
    given_done(dir);
    assert_int_equal(blob_look(blobs, name, &have, &whole, &err), 0);
    assert_true(whole);
}

/* Only what was laid and nothing else is removed. */
static void test_sweep(void **state)
{
    (void)state;
    char dir[FS_PATH_MAX], told[FS_PATH_MAX];
    write_epoch(&first, "exited");
    epoch_dir(dir, &second);
    write_at(dir, DATA_FOLDER "/in", "x", 0444);
    epoch_dir(told, &third); /* of an epoch that runs at a site, as the hub keeps it */
    write_at(told, "site", "x", 0600);
    write_at(told, DATA_FOLDER "/in", "x", 0444);
    data_sweep(work);
    assert_false(fs_exists(dir));
    assert_true(fs_exists(told));
    epoch_dir(dir, &first);
    assert_true(fs_exists(dir));
    data_unstage(work, &first);
    assert_true(fs_exists(dir));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_check),
        cmocka_unit_test_setup_teardown(test_collect, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_left_out, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_unreadable, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_many, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_keep, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_keep_without_cache, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_keep_long_names, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_prior, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_settled, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_sent, make_root, drop_root),
        cmocka_unit_test_setup_teardown(test_sweep, make_root, drop_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
