/* SPDX-License-Identifier: Apache-2.0 */
/* What tenants have at the hub: counted for each by itself, while others go on. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub/quota.h"

#define DEADLOCK_S 20

static char root[] = "/tmp/bb-quota-XXXXXX";
static sem_t counting, go_on;
static char slow[UUID_TEXT_LEN + 1]; /* whose files are looked at slowly */

/* The one that quota.c calls: of a slow folder's files it says nothing until it may. */
int lstat(const char *restrict path, struct stat *restrict st)
{
    if (slow[0] && strstr(path, slow)) {
        sem_post(&counting);
        while (sem_wait(&go_on) != 0)
            ;
    }
    return fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

static void put(const struct uuid *tenant, char first, size_t size)
{
    char dir[FS_PATH_MAX], path[FS_PATH_MAX], name[BLOB_NAME_LEN + 1];
    memset(name, first, BLOB_NAME_LEN);
    name[BLOB_NAME_LEN] = 0;
    assert_true(blob_owner_dir(dir, root, tenant) && fs_join(path, dir, name));
    (void)mkdir(dir, 0700);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    (void)close(fd);
}

struct asked {
    struct quota *quota;
    struct uuid tenant;
    uint64_t used;
};

static void *ask(void *arg)
{
    struct asked *a = arg;
    a->used = quota_used(a->quota, &a->tenant);
    return NULL;
}

/* A tenant with a folder that takes long holds nobody else up, and what it is sent meanwhile is not forgotten. */
static void test_apart(void **state)
{
    (void)state;
    struct quota *q = quota_new(root, 1000);
    struct asked a = {.quota = q, .tenant = uid('t', 1)};
    const struct uuid other = uid('t', 2);
    const struct blob_piece piece = {.size = 901};
    struct err err = {0};
    pthread_t thread;
    put(&a.tenant, 'a', 100);
    put(&other, 'b', 7);
    assert_int_equal(quota_used(q, &a.tenant), 100);
    uuid_format(slow, &a.tenant);
    assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
    assert_int_equal(sem_wait(&counting), 0);
    alarm(DEADLOCK_S);
    assert_int_equal(quota_used(q, &other), 7);
    quota_add(q, &other, 3);
    quota_add(q, &a.tenant, 50);
    alarm(0);
    slow[0] = 0;
    sem_post(&go_on);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(a.used, 150);
    assert_int_equal(quota_allows(q, &a.tenant, &piece, &err), ERR_LIMIT); /* counted again: 100, and 901 */
    const struct blob_piece fits = {.size = 900};
    assert_int_equal(quota_allows(q, &a.tenant, &fits, &err), 0);
    quota_free(q);
}

/* More tenants than are remembered: each has what lies in its folder. */
static void test_many(void **state)
{
    (void)state;
    struct quota *q = quota_new(root, 1000);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < QUOTA_TENANTS_MAX + 8; i++) {
            struct uuid tenant = uid('m', i + 1);
            put(&tenant, 'c', i);
            assert_int_equal(quota_used(q, &tenant), i);
        }
    }
    struct uuid nobody = uid('n', 1);
    assert_int_equal(quota_used(q, &nobody), 0);
    quota_free(q);
}

static int clean(void **state)
{
    char command[64];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_apart), cmocka_unit_test(test_many)};
    if (!mkdtemp(root) || sem_init(&counting, 0, 0) != 0 || sem_init(&go_on, 0, 0) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, clean);
}
