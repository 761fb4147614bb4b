/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makers' tools and libraries as they behave at their worst: they hang, crash, talk without end, leave children, refuse. The tools are
 * scripts, the libraries stand-ins of the documented ABI (tests/probe/library.c), loaded by this program as a child of itself.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "probe/library.h"
#include "probe/parts.h"

#define KINDS BUSBAR_SOURCE "/data/chips.yaml"
#define LIMIT_MS 30000 /* long: this machine may be slow */
#define SOON_MS 400    /* of what never ends */

static char folder[FS_PATH_MAX], self[FS_PATH_MAX];
static struct probe_scan *scan;

static void script(const char *name, const char *text)
{
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, name));
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fprintf(f, "#!/bin/sh\n%s\n", text) > 0);
    assert_int_equal(fchmod(fileno(f), 0700), 0);
    assert_int_equal(fclose(f), 0);
}

static int run(const char *text, const char *file, uint32_t limit_ms, struct buf *out,
               struct run_result *result)
{
    char path[FS_PATH_MAX];
    char *argv[] = {path, NULL};
    script("tool", text);
    assert_true(fs_join(path, folder, "tool"));
    buf_clear(out);
    return run_tool(path, argv, file, limit_ms, text, out, result);
}

static void test_run(void **state)
{
    (void)state;
    struct buf out;
    struct run_result result;
    buf_init(&out, 65536);
    assert_int_equal(run("echo a; echo no >&2; cat; exit 7", NULL, LIMIT_MS, &out, &result), 0);
    assert_int_equal(result.status, 7);
    assert_int_equal(out.len, 2); /* what it says to nobody, and an input that has nothing */
    assert_memory_equal(out.data, "a\n", 2);
    /* In an empty folder of its own, which is gone afterwards. */
    assert_int_equal(
        run("pwd; ls | wc -l; echo x > cnmon_info.json", "cnmon_info.json", LIMIT_MS, &out, &result), 0);
    assert_int_equal(out.len, 2);
    assert_memory_equal(out.data, "x\n", 2);
    assert_int_equal(run("touch tool.log .lock; pwd", NULL, LIMIT_MS, &out, &result), 0);
    assert_true(out.len > 1);
    out.data[out.len - 1] = 0;
    assert_int_not_equal(access(out.data, F_OK), 0); /* with what it left there */
    assert_int_equal(run("pwd", NULL, LIMIT_MS, &out, &result), 0);
    char where[FS_PATH_MAX];
    text_take(where, sizeof where, out.data, out.len);
    assert_false(fs_exists(where));
    /* Killed by a signal, and no such program. */
    assert_int_equal(run("kill -9 $$", NULL, LIMIT_MS, &out, &result), 0);
    assert_int_equal(result.status, -1);
    assert_false(result.timed_out);
    char *argv[] = {(char[]){"/nothing"}, NULL};
    assert_int_equal(run_tool("/nothing", argv, NULL, LIMIT_MS, "x", &out, &result), ERR_NOT_FOUND);
    buf_fini(&out);
}

static void test_hang(void **state)
{
    (void)state;
    struct buf out;
    struct run_result result;
    buf_init(&out, 65536);
    assert_int_equal(run("echo begun; sleep 1000", NULL, SOON_MS, &out, &result), 0);
    assert_true(result.timed_out && !result.stuck && result.status == -1);
    /* It ignores what it can, and its children hold the output open. */
    assert_int_equal(run("trap '' TERM INT HUP; sleep 1000 & sleep 1000", NULL, SOON_MS, &out, &result), 0);
    assert_true(result.timed_out && !result.stuck);
    /* It closes its output and stays. */
    assert_int_equal(run("exec >&-; sleep 1000", NULL, SOON_MS, &out, &result), 0);
    assert_true(result.timed_out);
    /* It ends, and leaves a child that holds its output: nobody waits for that one, and it is ended as well. */
    char pid_text[32];
    assert_int_equal(run("sleep 1000 & echo $!", NULL, LIMIT_MS, &out, &result), 0);
    assert_int_equal(result.status, 0);
    text_take(pid_text, sizeof pid_text, out.data, out.len);
    pid_t pid = (pid_t)strtol(pid_text, NULL, 10);
    assert_true(pid > 1);
    bool there = true;
    for (int i = 0; i < 500 && there; i++) {
        char stat_path[64], text[256] = "";
        (void)snprintf(stat_path, sizeof stat_path, "/proc/%ld/stat", (long)pid);
        FILE *f = fopen(stat_path, "re");
        there =
            f && fread(text, 1, sizeof text - 1, f) > 0 && !strstr(text, ") Z ") && strstr(text, "(sleep)");
        if (f)
            (void)fclose(f);
        (void)usleep(10000);
    }
    assert_false(there);
    /* More than there is room for: none of it counts. */
    assert_int_equal(run("yes", NULL, LIMIT_MS, &out, &result), 0);
    assert_true(out.failed);
    buf_fini(&out);
}

/* ---- libraries ---- */

static int ask(const char *prefix, const char *file, const char *mode, uint32_t limit_ms, struct buf *out,
               struct run_result *result)
{
    char path[FS_PATH_MAX], name[32];
    (void)snprintf(path, sizeof path, "%s/%s", BUSBAR_LIBRARIES, file);
    (void)snprintf(name, sizeof name, "%s", prefix);
    char *argv[] = {self, (char[]){"probe-library"}, name, path, NULL};
    assert_int_equal(setenv("BUSBAR_TEST_LIBRARY", mode, 1), 0);
    buf_clear(out);
    return run_tool(self, argv, NULL, limit_ms, file, out, result);
}

static void test_library(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *file;
    } all[] = {
        {"nvml", "libstand-in-nvml.so"}, {"hgml", "libstand-in-hgml.so"}, {"efml", "libstand-in-efml.so"}};
    struct buf out;
    struct run_result result;
    buf_init(&out, 65536);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(ask(all[i].prefix, all[i].file, "", LIMIT_MS, &out, &result), 0);
        assert_int_equal(result.status, LIBRARY_OK);
        assert_int_equal(probe_read(scan, out.data, out.len, NULL), 0);
        assert_int_equal(scan->n, 2);
        const struct probe_chip *c = &scan->chip[1];
        assert_string_equal(c->pci, "0000:3b:00.0");
        assert_string_equal(c->model, "NVIDIA H100");
        assert_string_equal(c->uuid, "GPU-0000-1");
        assert_string_equal(c->driver, "550.7");
        assert_string_equal(c->serial, "");
        assert_int_equal(c->index, 1);
        assert_int_equal(c->memory_mib, 81559);
        assert_int_equal(c->memory_used_mib, 559);
        assert_int_equal(c->power_mw, 71231);
        assert_int_equal(c->power_limit_mw, 700000);
        assert_int_equal(c->temperature_c, 31);
        assert_int_equal(c->utilisation_pct, 42);
        assert_int_equal(c->links, 2); /* four to the other, two to a switch */
        assert_string_equal(c->link[0].peer, "0000:19:00.0");
        assert_int_equal(c->link[0].count, 4);
        assert_string_equal(c->link[1].peer, "");
        assert_int_equal(c->link[1].count, 2);
    }
    /* Another prefix than it has, and no library at all. */
    assert_int_equal(ask("hgml", "libstand-in-nvml.so", "", LIMIT_MS, &out, &result), 0);
    assert_int_equal(result.status, LIBRARY_REFUSED);
    assert_int_equal(probe_read(scan, out.data, out.len, NULL), 0);
    assert_non_null(strstr(scan->note[0], "hgmlInit"));
    assert_int_equal(ask("nvml", "nothing.so", "", LIMIT_MS, &out, &result), 0);
    assert_int_equal(result.status, LIBRARY_NONE);
    buf_fini(&out);
}

static void test_bad_library(void **state)
{
    (void)state;
    static const char nvml[] = "libstand-in-nvml.so";
    struct buf out;
    struct run_result result;
    buf_init(&out, 65536);
    assert_int_equal(ask("nvml", nvml, "hang", SOON_MS, &out, &result), 0);
    assert_true(result.timed_out && !result.stuck);
    assert_int_equal(ask("nvml", nvml, "crash", LIMIT_MS, &out, &result), 0);
    assert_true(!result.timed_out && result.status != LIBRARY_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(ask("nvml", nvml, "refuse", LIMIT_MS, &out, &result), 0);
    assert_int_equal(result.status, LIBRARY_REFUSED);
    assert_int_equal(probe_read(scan, out.data, out.len, NULL), 0);
    assert_non_null(strstr(scan->note[0], "Driver Not Loaded"));
    assert_int_equal(ask("nvml", nvml, "lost", LIMIT_MS, &out, &result), 0);
    assert_int_equal(probe_read(scan, out.data, out.len, NULL), 0);
    assert_int_equal(scan->chip[0].health, PROBE_HEALTH_UNKNOWN);
    assert_int_equal(scan->chip[1].health, PROBE_FAILED);
    buf_fini(&out);
}

/* ---- all of it: a bus, a library, a tool ---- */

static void make_device(const char *address, const char *device)
{
    char path[FS_PATH_MAX];
    static const struct {
        const char *name, *text;
    } files[] = {
        {"vendor", "0x10de\n"}, {"class", "0x030200\n"}, {"revision", "0xa1\n"}, {"numa_node", "0\n"}};
    (void)snprintf(path, sizeof path, "%.800s/sys/bus/pci/devices/%.20s", folder, address);
    assert_int_equal(fs_mkdirs(path, 0700, NULL), 0);
    for (size_t i = 0; i <= sizeof files / sizeof files[0]; i++) {
        bool last = i == sizeof files / sizeof files[0];
        char file[FS_PATH_MAX];
        assert_true(fs_join(file, path, last ? "device" : files[i].name));
        FILE *f = fopen(file, "we");
        assert_non_null(f);
        assert_true(fputs(last ? device : files[i].text, f) >= 0);
        assert_int_equal(fclose(f), 0);
    }
}

static void probe_here(const char *library, const char *mode, uint32_t limit_ms)
{
    char sysfs[FS_PATH_MAX];
    struct probe_options options = {.kinds = KINDS, .program = self, .limit_ms = limit_ms, .tools = folder};
    assert_true(fs_join(sysfs, folder, "sys"));
    options.sysfs = sysfs;
    options.libs = library;
    assert_int_equal(setenv("BUSBAR_TEST_LIBRARY", mode, 1), 0);
    assert_int_equal(probe_run(scan, &options, NULL), 0);
}

#define ROW(i, address) \
    "echo '" #i ", NVIDIA H100 80GB HBM3, GPU-0000-" #i ", 165000000000" #i ", 00000000:" address \
    ", 81559, 4, 99.00, 650.00, 77, 0, 550.9, 0'"

static void test_sources(void **state)
{
    (void)state;
    make_device("0000:19:00.0", "0x2330\n");
    make_device("0000:3b:00.0", "0x2330\n");
    make_device("0000:4c:00.0", "0x2330\n");
    script("nvidia-smi", "case $1 in topo) exit 1;; esac\n" ROW(0, "19:00.0") "\n" ROW(1, "3B:00.0"));
    /* The library's word prevails; what it does not know is the tool's; of the third chip nobody knows. */
    probe_here(BUSBAR_LIBRARIES, "noise", LIMIT_MS); /* its child's output is no JSON: it is left out */
    assert_int_equal(scan->chip[0].sources, PROBE_PCI | PROBE_COMMAND);
    probe_here(BUSBAR_LIBRARIES, "", LIMIT_MS);
    assert_int_equal(scan->n, 3);
    const struct probe_chip *c = &scan->chip[0];
    assert_int_equal(c->sources, PROBE_ALL);
    assert_string_equal(c->kind, "h100");
    assert_string_equal(c->model, "NVIDIA H100");
    assert_int_equal(c->power_mw, 71230);
    assert_int_equal(c->power_limit_mw, 700000);
    assert_string_equal(c->serial, "1650000000000");
    assert_string_equal(c->driver, "550.7");
    assert_int_equal(c->health, PROBE_OK);
    assert_string_equal(scan->chip[2].health_text, "no driver has it");
    /* Each alone. */
    probe_here(folder, "", LIMIT_MS);
    assert_int_equal(scan->chip[0].sources, PROBE_PCI | PROBE_COMMAND);
    assert_int_equal(scan->chip[0].power_mw, 99000);
    script("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9");
    probe_here(BUSBAR_LIBRARIES, "", LIMIT_MS);
    assert_int_equal(scan->chip[0].sources, PROBE_PCI | PROBE_LIBRARY);
    assert_non_null(strstr(scan->note[0], "NVIDIA-SMI has failed"));
    /* Both hang: the chips are there, and it is said. */
    script("nvidia-smi", "sleep 1000");
    probe_here(BUSBAR_LIBRARIES, "hang", SOON_MS);
    assert_int_equal(scan->n, 3);
    assert_int_equal(scan->chip[0].sources, PROBE_PCI);
    assert_int_equal(scan->notes, 2);
    assert_non_null(strstr(scan->note[0], "did not answer in time"));
    assert_non_null(strstr(scan->note[1], "did not answer in time"));
    script("nvidia-smi", "exit 1");
    probe_here(BUSBAR_LIBRARIES, "crash", LIMIT_MS);
    assert_non_null(strstr(scan->note[0], "broke"));
}

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/busbar-run-XXXXXX", tmp ? tmp : "/tmp");
    scan = calloc(1, sizeof *scan);
    return mkdtemp(folder) && scan && fs_self(self) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[FS_PATH_MAX + 32];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    free(scan);
    return system(command);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_run), cmocka_unit_test(test_hang),
                                       cmocka_unit_test(test_library), cmocka_unit_test(test_bad_library),
                                       cmocka_unit_test(test_sources)};
    if (argc > 1 && strcmp(argv[1], "probe-library") == 0)
        return probe_library_main(argc - 1, argv + 1);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
