/* SPDX-License-Identifier: Apache-2.0 */
/* Chips of machines that no agent is on: what their files say, and that a disk which cannot be read says nothing. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "site/neighbours.h"

static char work[] = "/tmp/bb-neighbours-XXXXXX";
static struct neighbours all;

static const char *path(const char *file)
{
    static char text[FS_PATH_MAX];
    (void)snprintf(text, sizeof text, "%s/.chips/%s", work, file);
    return text;
}

static int setup(void **state)
{
    (void)state;
    memcpy(strrchr(work, '-') + 1, "XXXXXX", 6);
    if (!mkdtemp(work) || mkdir(path(""), 0700) != 0)
        return -1;
    return neighbours_init(&all, work, NULL);
}

static int remove_one(const char *file, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(file);
}

static int teardown(void **state)
{
    (void)state;
    neighbours_fini(&all);
    return nftw(work, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *file, const char *serial, unsigned dropped)
{
    char text[200];
    int n =
        snprintf(text, sizeof text,
                 "{\"chips\":[{\"vendor\":\"amd\",\"serial\":\"%s\",\"sources\":[\"pci\"]}],\"dropped\":%u}",
                 serial, dropped);
    assert_int_equal(fs_write_atomic(path(file), text, (size_t)n, 0600, NULL), 0);
}

static void look(void)
{
    neighbours_look(&all, "own");
}

/* The hub is told of all that it is to be told of; how many had a chip, or had none any more. */
static void tell(uint32_t *with, uint32_t *without)
{
    struct neighbour *one;
    *with = *without = 0;
    while ((one = neighbours_untold(&all)) != NULL) {
        char host[NAME_CAP];
        struct buf chips;
        *with += one->chips.len > 2;
        *without += one->chips.len == 0;
        buf_init(&chips, one->chips.max);
        buf_add(&chips, one->chips.data ? one->chips.data : "", one->chips.len);
        memcpy(host, one->host, sizeof host);
        neighbours_told(&all, host, &chips);
        buf_fini(&chips);
    }
}

static void expect(uint32_t with, uint32_t without)
{
    uint32_t a, b;
    look();
    tell(&a, &b);
    assert_int_equal(a, with);
    assert_int_equal(b, without);
}

static void test_come_and_go(void **state)
{
    (void)state;
    write_file("node-1.json", "A1", 0);
    write_file("node-2.json", "A2", 0);
    write_file("own.json", "A3", 0);
    expect(2, 0);
    expect(0, 0);
    assert_int_equal(unlink(path("node-1.json")), 0);
    expect(0, 1);
    assert_false(neighbours_have(&all, "node-1"));
    assert_true(neighbours_have(&all, "node-2"));
}

/* The folder, or a file of it, cannot be read for a while. */
static void test_hiccup(void **state)
{
    (void)state;
    char away[FS_PATH_MAX];
    write_file("node-1.json", "A1", 0);
    write_file("node-2.json", "A2", 0);
    expect(2, 0);
    (void)snprintf(away, sizeof away, "%s/away", work);
    assert_int_equal(rename(all.dir, away), 0);
    assert_int_equal(fs_write_atomic(all.dir, "x", 1, 0600, NULL), 0); /* it is no folder */
    expect(0, 0);
    assert_int_equal(all.n, 2);
    assert_int_equal(unlink(all.dir), 0);
    assert_int_equal(rename(away, all.dir), 0);
    assert_int_equal(unlink(path("node-1.json")), 0);
    assert_int_equal(symlink("node-1.json", path("node-1.json")), 0); /* ELOOP */
    expect(0, 0);
    assert_int_equal(all.n, 2);
    assert_int_equal(unlink(path("node-1.json")), 0);
    expect(0, 1);
    assert_int_equal(rename(all.dir, away), 0); /* there is none: that is known */
    expect(0, 1);
    assert_int_equal(all.n, 0);
}

static void test_files_of_others(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path("pipe.json"), 0600), 0);
    write_file("liar.json", "A1", 4000000000u);
    expect(1, 0); /* and it returns */
    assert_int_equal(neighbours_nameless(&all), NEIGHBOUR_NAMELESS_MAX);
    assert_int_equal(all.n, 2);
    for (unsigned i = 0; i < 40; i++) {
        char file[32];
        (void)snprintf(file, sizeof file, "liar-%u.json", i);
        write_file(file, "A2", 4000000000u);
    }
    expect(40, 0);
    assert_int_equal(neighbours_nameless(&all), NEIGHBOURS_NAMELESS_MAX);
    assert_int_equal(unlink(path("pipe.json")), 0);
    look();
    assert_false(neighbours_have(&all, "pipe")); /* the hub was told nothing of it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hiccup, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_of_others, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
