/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe's readers: each fixture comes to exactly what is expected of it, no id is taken for another maker's or another kind's, and
 * outputs that are cut or spoilt give nothing that is not in them.
 */
#include "support.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/fs.h"
#include "base/rng.h"
#include "probe/parts.h"

#define FIXTURES BUSBAR_SOURCE "/tests/probe/fixtures"
#define KINDS BUSBAR_SOURCE "/data/chips.yaml"

static struct probe_scan *scan, *other;
static struct drafts *drafts;

static bool is_full(void)
{
    const char *full = getenv("BUSBAR_FULL");
    return full && strcmp(full, "1") == 0;
}

/* ---- fixtures ---- */

typedef void folder_fn(const char *path, const char *name);

static void each_in(const char *folder, folder_fn *fn, bool folders)
{
    char path[FS_PATH_MAX];
    struct stat st;
    const struct dirent *e;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while ((e = readdir(dir))) {
        if (e->d_name[0] == '.' || !fs_join(path, folder, e->d_name) || stat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) ? folders : !folders)
            fn(path, e->d_name);
    }
    (void)closedir(dir);
}

static uint32_t cases, chips_seen;

static void run_case(const char *path)
{
    struct probe_options options = {.from = path, .kinds = KINDS};
    struct err err = {0};
    if (probe_run(scan, &options, &err) != 0)
        fail_msg("%s: %s", path, err.msg);
}

static yyjson_doc *as_json(const struct probe_scan *from)
{
    struct buf out;
    buf_init(&out, PROBE_JSON_MAX);
    probe_json(&out, from);
    assert_false(out.failed);
    yyjson_doc *doc = yyjson_read(out.data, out.len, 0);
    assert_non_null(doc);
    buf_fini(&out);
    return doc;
}

static void check_case(const char *path, const char *name)
{
    char expected_path[FS_PATH_MAX];
    struct buf text;
    (void)name;
    run_case(path);
    buf_init(&text, PROBE_JSON_MAX);
    assert_true(fs_join(expected_path, path, "expected.json"));
    assert_int_equal(fs_read(expected_path, &text, NULL), 0);
    yyjson_doc *expected = yyjson_read(text.data, text.len, 0), *found = as_json(scan);
    assert_non_null(expected);
    if (!yyjson_equals(yyjson_doc_get_root(expected), yyjson_doc_get_root(found))) {
        char *is = yyjson_write(found, YYJSON_WRITE_PRETTY, NULL);
        fail_msg("%s is not as expected, but\n%s", path, is);
    }
    yyjson_doc_free(expected);
    yyjson_doc_free(found);
    /* As JSON and back it is the same, and differs in nothing. */
    struct probe_change changes[2 * PROBE_CHIPS_MAX];
    assert_int_equal(probe_read(other, text.data, text.len, NULL), 0);
    assert_int_equal(other->n, scan->n);
    assert_int_equal(probe_compare(scan, other, changes), 0);
    buf_fini(&text);
    cases++;
    chips_seen += scan->n;
}

static void check_maker(const char *path, const char *name)
{
    (void)name;
    each_in(path, check_case, true);
}

static void test_fixtures(void **state)
{
    (void)state;
    cases = chips_seen = 0;
    each_in(FIXTURES, check_maker, true);
    printf("# %u captured machines, %u chips\n", cases, chips_seen);
    assert_true(cases >= 40);
}

/* ---- what is told of chips, by hand: the makers' traps ---- */

static const struct probe_chip *at(const char *pci)
{
    for (uint32_t i = 0; i < scan->n; i++) {
        if (strcmp(scan->chip[i].pci, pci) == 0)
            return &scan->chip[i];
    }
    fail_msg("no chip at %s", pci);
    return NULL;
}

static void load(const char *name)
{
    char path[FS_PATH_MAX];
    (void)snprintf(path, sizeof path, FIXTURES "/%s", name);
    run_case(path);
}

static void test_traps(void **state)
{
    (void)state;
    load("huawei/a2-node"); /* NPU 0 is /dev/davinci7; 0 / 0 of DDR is not its memory; nobody tells a limit */
    const struct probe_chip *c = at("0000:c1:00.0");
    assert_string_equal(c->card, "0");
    assert_string_equal(c->node, "/dev/davinci7");
    assert_int_equal(c->index, 0);
    assert_int_equal(c->memory_mib, 65536);
    assert_int_equal(c->power_limit_mw, PROBE_UNKNOWN);
    assert_string_equal(c->serial, "102415083900");
    assert_int_equal(c->links, 7);
    load("huawei/a3-two-dies"); /* the second tells no power, and that is not none */
    assert_string_equal(at("0000:9d:00.0")->card, at("0000:9f:00.0")->card);
    assert_int_equal(at("0000:9f:00.0")->die, 1);
    assert_int_equal(at("0000:9f:00.0")->power_mw, PROBE_UNKNOWN);
    assert_string_equal(at("0000:9f:00.0")->serial, "2106030000A1");
    load("huawei/910b4"); /* the id of a 910B2 */
    assert_string_equal(at("0000:c1:00.0")->kind, "");
    assert_int_equal(at("0000:01:00.0")->health, PROBE_WARNING);
    load("iluvatar/two-a-card");
    assert_string_equal(at("0000:0c:00.0")->card, "23350000000");
    assert_int_equal(at("0000:0d:00.0")->die, 1);
    load("nvidia/lost");
    assert_int_equal(at("0000:3b:00.0")->health, PROBE_FAILED);
    assert_int_equal(at("0000:4c:00.0")->health, PROBE_FAILED);
    assert_int_equal(at("0000:5d:00.0")->health, PROBE_WARNING);
    load("nvidia/kinds"); /* a serial of 0 is none; what is given away has not failed */
    assert_string_equal(at("0000:16:00.0")->serial, "");
    assert_int_equal(at("0000:15:00.0")->health, PROBE_HEALTH_UNKNOWN);
    load("t-head/ppu"); /* its nodes are never computed */
    assert_string_equal(at("0000:08:00.0")->node, "");
    load("cambricon/decimal");
    assert_int_equal(at("0000:4f:00.0")->power_mw, 210000);
    load("amd/host-with-functions");
    assert_int_equal(scan->n, 1);
    load("none/server");
    assert_int_equal(scan->n, 0);
}

/* ---- ids ---- */

static const struct {
    uint16_t vendor, device;
    uint16_t class;
    const char *maker; /* ""; NULL: not even an accelerator */
    const char *kind;  /* without a word of its tool */
} ids[] = {
    {0x10de, 0x20b0, 0x0302, "nvidia", ""},
    {0x10de, 0x20b2, 0x0302, "nvidia", "a100"},
    {0x10de, 0x20b5, 0x0302, "nvidia", ""},
    {0x10de, 0x20f3, 0x0302, "nvidia", "a800"},
    {0x10de, 0x20f5, 0x0302, "nvidia", ""},
    {0x10de, 0x20bd, 0x0302, "nvidia", ""},
    {0x10de, 0x2330, 0x0302, "nvidia", "h100"},
    {0x10de, 0x2331, 0x0302, "nvidia", ""},
    {0x10de, 0x2336, 0x0302, "nvidia", ""},
    {0x10de, 0x2324, 0x0302, "nvidia", "h800"},
    {0x10de, 0x2322, 0x0302, "nvidia", ""},
    {0x10de, 0x2335, 0x0302, "nvidia", "h200"},
    {0x10de, 0x233b, 0x0302, "nvidia", ""},
    {0x10de, 0x2329, 0x0302, "nvidia", "h20"},
    {0x10de, 0x232c, 0x0302, "nvidia", ""},
    {0x10de, 0x230c, 0x0302, "nvidia", ""},
    {0x10de, 0x230e, 0x0302, "nvidia", ""},
    {0x10de, 0x2328, 0x0302, "nvidia", ""},
    {0x10de, 0x2901, 0x0302, "nvidia", "b200"},
    {0x10de, 0x2941, 0x0302, "nvidia", "gb200"},
    {0x10de, 0x3182, 0x0302, "nvidia", "b300"},
    {0x10de, 0x31c2, 0x0302, "nvidia", "gb300"},
    {0x10de, 0x31c3, 0x0302, "nvidia", "gb300"},
    {0x10de, 0x26ba, 0x0302, "nvidia", ""},
    {0x10de, 0x26b9, 0x0302, "nvidia", "l40s"},
    {0x10de, 0x27b8, 0x0302, "nvidia", ""},
    {0x1002, 0x740f, 0x0380, "amd", ""},
    {0x1002, 0x7408, 0x0380, "amd", ""},
    {0x1002, 0x740c, 0x0380, "amd", ""},
    {0x1002, 0x74a0, 0x1200, "amd", ""},
    {0x1002, 0x74a1, 0x1200, "amd", "mi300x"},
    {0x1002, 0x74b5, 0x1200, "amd", ""},
    {0x1002, 0x74a2, 0x1200, "amd", "mi308x"},
    {0x1002, 0x74a5, 0x1200, "amd", ""},
    {0x1002, 0x75a0, 0x1200, "amd", ""},
    {0x1002, 0x75a3, 0x1200, "amd", ""},
    {0x1002, 0x75a8, 0x1200, "amd", ""},
    {0x1002, 0x7551, 0x0300, "amd", ""},
    {0x8086, 0x0bd5, 0x0380, "intel", ""},
    {0x8086, 0x0bd6, 0x0380, "intel", ""},
    {0x8086, 0x0bda, 0x0380, "intel", ""},
    {0x8086, 0x56c0, 0x0380, "intel", ""},
    {0x8086, 0xe211, 0x0300, "intel", ""},
    {0x8086, 0xe212, 0x0300, "intel", ""},
    {0x8086, 0xe223, 0x0300, "intel", ""},
    {0x1da3, 0x1000, 0x1200, "intel", ""},
    {0x1da3, 0x1020, 0x1200, "intel", ""},
    {0x1da3, 0x1060, 0x1200, "intel", "gaudi3"},
    {0x1da3, 0x1063, 0x1200, "intel", "gaudi3"},
    {0x19e5, 0xd100, 0x1200, "huawei", ""},
    {0x19e5, 0xd500, 0x1200, "huawei", ""},
    {0x19e5, 0xd801, 0x1200, "huawei", ""},
    {0x19e5, 0xd802, 0x1200, "huawei", ""},
    {0x19e5, 0xd803, 0x1200, "huawei", "ascend910c"},
    {0xcabc, 0x0270, 0x1200, "cambricon", ""},
    {0xcabc, 0x0370, 0x1200, "cambricon", ""},
    {0xcabc, 0x0590, 0x1200, "cambricon", ""},
    {0x1ed5, 0x0201, 0x0300, "moore-threads", ""},
    {0x1ed5, 0x0222, 0x0302, "moore-threads", ""},
    {0x1ed5, 0x0323, 0x0302, "moore-threads", "mtt-s4000"},
    {0x1ed5, 0x0327, 0x0302, "moore-threads", "mtt-s4000"},
    {0x1ed5, 0x0328, 0x0302, "moore-threads", "mtt-s4000"},
    {0x1ed5, 0x0400, 0x0302, "moore-threads", "mtt-s5000"},
    {0x1d94, 0x6211, 0x0380, "hygon", "hygon-k100"},
    {0x1d94, 0x6210, 0x0380, "hygon", ""},
    {0x1d94, 0x6320, 0x0b40, "hygon", ""},
    {0x1e3e, 0x0002, 0x1200, "iluvatar", ""},
    {0x9999, 0x0a01, 0x0302, "metax", "metax-c500"},
    {0x1ee0, 0x0100, 0x1200, "biren", ""},
    {0x1e36, 0x0021, 0x1200, "enflame", ""},
    {0x1e36, 0x0023, 0x1200, "enflame", ""},
    {0x1e36, 0x8001, 0x1200, "enflame", ""},
    {0x1e36, 0xc035, 0x1200, "enflame", "s60"},
    {0x1e36, 0xc033, 0x1200, "enflame", ""},
    {0x1e36, 0xc031, 0x1200, "enflame", ""},
    {0x1e36, 0xc032, 0x1200, "enflame", ""},
    {0x1e36, 0xc041, 0x1200, "enflame", ""},
    {0x1e36, 0xc042, 0x1200, "enflame", ""},
    {0x1d22, 0x3684, 0x0780, "kunlunxin", ""},
    {0x1d22, 0x3685, 0x0780, "kunlunxin", ""},
    {0x1d22, 0x3688, 0x1200, "kunlunxin", ""},
    {0x2057, 0x3686, 0x1200, "kunlunxin", ""},
    {0x1ded, 0x6001, 0x0302, "t-head", ""},
    /* The same makers' other devices. */
    {0x10de, 0x22a3, 0x0680, NULL, ""},
    {0x10de, 0x22ba, 0x0403, NULL, ""},
    {0x1002, 0x1478, 0x0604, NULL, ""},
    {0x1002, 0xab28, 0x0403, NULL, ""},
    {0x8086, 0x4940, 0x0b40, NULL, ""},
    {0x8086, 0x0b25, 0x0880, NULL, ""},
    {0x8086, 0x09c4, 0x1200, NULL, ""},
    {0x19e5, 0x1711, 0x0300, NULL, ""},
    {0x19e5, 0x1710, 0x0302, NULL, ""},
    {0x19e5, 0xa222, 0x0200, NULL, ""},
    {0x1ed5, 0x03ff, 0x0403, NULL, ""},
    {0x1d94, 0x1456, 0x1080, NULL, ""},
    {0x1d94, 0x1450, 0x0600, NULL, ""},
    {0x9999, 0x4001, 0x0604, NULL, ""},
    {0x1ded, 0x107f, 0x0200, NULL, ""},
    {0x2057, 0x0001, 0x0b40, NULL, ""},
    /* Nobody's chips: management controllers, virtual machines' graphics, ids that public scripts have wrong. */
    {0x1a03, 0x2000, 0x0300, NULL, ""},
    {0x102b, 0x0538, 0x0300, NULL, ""},
    {0x1af4, 0x1050, 0x0300, NULL, ""},
    {0x1b22, 0x0100, 0x0200, NULL, ""},
    {0x1e9f, 0x0100, 0x0108, NULL, ""},
    {0x1eae, 0x0100, 0x0300, NULL, ""},
    {0x1e2b, 0x0100, 0x0300, NULL, ""},
    {0x1efd, 0x0100, 0x0280, NULL, ""},
    {0, 0, 0x1200, "", ""},
    /* Accelerators of makers that we do not know stay visible. */
    {0x1edb, 0x0001, 0x0302, "", ""},
    {0x1d0f, 0x7364, 0x1200, "", ""},
    {0x1e81, 0x0001, 0x1200, "", ""},
    {0x1cee, 0x0002, 0x1200, "", ""},
};

static void test_ids(void **state)
{
    (void)state;
    struct kinds *kinds = kinds_load(KINDS);
    uint32_t wrong = 0;
    assert_non_null(kinds);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct probe_chip chip;
        bool accelerator;
        const struct maker *m = pci_judge(ids[i].vendor, ids[i].device, (uint32_t)ids[i].class << 8,
                                          "0000:19:00.0", &accelerator);
        const char *maker = m ? m->name : accelerator ? "" : NULL;
        probe_chip_init(&chip);
        (void)snprintf(chip.id, sizeof chip.id, "%04x:%04x", ids[i].vendor, ids[i].device);
        (void)snprintf(chip.vendor, sizeof chip.vendor, "%s", maker ? maker : "");
        const char *kind = m ? kinds_find(kinds, &chip) : "";
        bool same = maker && ids[i].maker ? strcmp(maker, ids[i].maker) == 0 : !maker && !ids[i].maker;
        if (same && strcmp(kind, ids[i].kind) == 0)
            continue;
        printf("# %s of class %04x: %s %s\n", chip.id, ids[i].class, maker ? maker : "none", kind);
        wrong++;
    }
    printf("# %zu ids, %u wrong\n", sizeof ids / sizeof ids[0], wrong);
    assert_int_equal(wrong, 0);
    kinds_free(kinds);
}

/* Every word of a model that the catalogue has leads to its kind and to none of the others'. */
static void test_models(void **state)
{
    (void)state;
    static const struct {
        const char *vendor, *id, *model, *kind;
    } told[] = {{"huawei", "19e5:d802", "910B2", "ascend910b"},
                {"huawei", "19e5:d802", "Ascend 910B2", "ascend910b"},
                {"huawei", "19e5:d802", "910B2C", ""},
                {"huawei", "19e5:d802", "910B3", ""},
                {"huawei", "19e5:d803", "Ascend910", "ascend910c"},
                {"cambricon", "cabc:0370", "MLU370-X8", "mlu370-x8"},
                {"cambricon", "cabc:0370", "MLU370-X4", ""},
                {"cambricon", "cabc:0590", "MLU590-M9", "mlu590"},
                {"metax", "9999:0a01", "MetaX C500", "metax-c500"},
                {"metax", "9999:0a01", "MetaX C550", ""},
                {"iluvatar", "1e3e:0002", "Iluvatar BI-V150", "bi-v150"},
                {"iluvatar", "1e3e:0002", "Iluvatar BI-V100", ""},
                {"kunlunxin", "2057:3686", "P800 PCIe", "p800"},
                {"kunlunxin", "1d22:3684", "P800 PCIe", ""},
                {"t-head", "1ded:6001", "PPU-ZW810E", "ppu-zw810e"},
                {"t-head", "1ded:6001", "PPU-ZW610", ""},
                {"amd", "1002:74b5", "AMD Instinct MI300X VF", "mi300x"},
                {"hygon", "1d94:6320", "K100_AI", "hygon-k100"},
                {"hygon", "1d94:6320", "BW1000", ""},
                {"moore-threads", "1ed5:0400", "MTT S5000", "mtt-s5000"},
                {"moore-threads", "1ed5:0400", "MTT S90", ""},
                {"nvidia", "10de:2bb5", "NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000"},
                {"amd", "10de:2330", "NVIDIA H100", ""}};
    struct kinds *kinds = kinds_load(KINDS);
    assert_non_null(kinds);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        struct probe_chip chip;
        probe_chip_init(&chip);
        (void)snprintf(chip.vendor, sizeof chip.vendor, "%s", told[i].vendor);
        (void)snprintf(chip.id, sizeof chip.id, "%s", told[i].id);
        (void)snprintf(chip.model, sizeof chip.model, "%s", told[i].model);
        if (strcmp(kinds_find(kinds, &chip), told[i].kind) != 0)
            fail_msg("%s %s: %s", told[i].id, told[i].model, kinds_find(kinds, &chip));
    }
    kinds_free(kinds);
}

/* ---- a sysfs is read as a list is ---- */

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, folder, name));
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void make_folder(char dst[FS_PATH_MAX], const char *folder, const char *name)
{
    assert_true(fs_join(dst, folder, name));
    assert_int_equal(fs_mkdirs(dst, 0700, NULL), 0);
}

static char tree[FS_PATH_MAX];

/* NAME=VALUE as the kernel would have it. */
static void put_value(const char *folder, const char *word)
{
    char name[64], path[FS_PATH_MAX], link[FS_PATH_MAX];
    const char *value = strchr(word, '=');
    assert_non_null(value);
    (void)snprintf(name, sizeof name, "%.*s", (int)(value - word), word);
    value++;
    if (strcmp(name, "driver") == 0 || strcmp(name, "physfn") == 0) {
        (void)snprintf(link, sizeof link, "../../somewhere/%s", value);
        assert_true(fs_join(path, folder, name));
        assert_int_equal(symlink(link, path), 0);
    } else if (strncmp(word, "node=/dev/dri/", 14) == 0) {
        make_folder(path, folder, "drm");
        make_folder(link, path, word + 14);
    } else if (strncmp(word, "node=/dev/accel/", 16) == 0) {
        make_folder(path, folder, "accel");
        make_folder(link, path, word + 16);
    } else if (strncmp(word, "node=/dev/biren/", 16) == 0) {
        char class[FS_PATH_MAX];
        (void)snprintf(class, sizeof class, "class/biren/%s", word + 16);
        make_folder(path, tree, class);
        assert_true(fs_join(link, path, "device"));
        assert_int_equal(symlink(folder, link), 0);
    } else if (strncmp(name, "power1", 6) == 0 || strncmp(name, "temp1", 5) == 0) {
        make_folder(path, folder, "hwmon/hwmon3");
        write_file(path, name, value);
    } else if (strcmp(name, "minor") == 0) {
        char minor[128];
        const char *address = strrchr(folder, '/') + 1;
        (void)snprintf(link, sizeof link, "driver/nvidia/gpus/%s", address);
        make_folder(path, tree, link);
        (void)snprintf(minor, sizeof minor, "Model: \t x\nDevice Minor: \t %s\nGPU Excluded:\t No\n", value);
        write_file(path, "information", minor);
    } else {
        write_file(folder, name, value);
    }
}

static void put_device(const char *line)
{
    char word[128], folder[FS_PATH_MAX], devices[FS_PATH_MAX];
    int at_word = 0;
    make_folder(devices, tree, "bus/pci/devices");
    for (const char *p = line; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        (void)snprintf(word, sizeof word, "%.*s", (int)n, p);
        p += n;
        if (at_word == 0)
            make_folder(folder, devices, word);
        else if (at_word == 1) {
            char id[8];
            (void)snprintf(id, sizeof id, "0x%.4s", word);
            write_file(folder, "vendor", id);
            (void)snprintf(id, sizeof id, "0x%.4s", word + 5);
            write_file(folder, "device", id);
        } else
            put_value(folder, word);
        at_word++;
    }
}

static void remove_tree(void)
{
    char command[FS_PATH_MAX + 32];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", tree);
    assert_int_equal(system(command), 0);
}

static void check_tree(const char *path, const char *name)
{
    char list_path[FS_PATH_MAX];
    struct buf list;
    const char *at_line, *line;
    size_t n;
    (void)name;
    buf_init(&list, 1 << 20);
    assert_true(fs_join(list_path, path, "pci"));
    assert_int_equal(fs_read(list_path, &list, NULL), 0);
    (void)snprintf(tree, sizeof tree, "%s/busbar-tree-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(tree));
    at_line = list.data;
    while (line_next(&at_line, list.data + list.len, &line, &n)) {
        char text[1024];
        (void)snprintf(text, sizeof text, "%.*s", (int)n, line);
        if (text[0] && text[0] != '#')
            put_device(text);
    }
    memset(scan, 0, sizeof *scan);
    memset(other, 0, sizeof *other);
    pci_scan_list(scan, list.data, list.len);
    pci_scan(other, tree, tree);
    assert_int_equal(scan->n, other->n);
    for (uint32_t i = 0; i < scan->n; i++) {
        struct buf a, b;
        buf_init(&a, 65536);
        buf_init(&b, 65536);
        probe_chip_json(&a, &scan->chip[i]);
        probe_chip_json(&b, &other->chip[i]);
        if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
            fail_msg("%s:\n%.*s\n%.*s", path, (int)a.len, a.data, (int)b.len, b.data);
        buf_fini(&a);
        buf_fini(&b);
    }
    remove_tree();
    buf_fini(&list);
}

static void check_trees(const char *path, const char *name)
{
    (void)name;
    each_in(path, check_tree, true);
}

static void test_sysfs(void **state)
{
    (void)state;
    each_in(FIXTURES, check_trees, true);
}

/* ---- spoilt outputs ---- */

static uint64_t spoilt;
static struct rng rng;

static const struct tool_step *step_of(const char *capture)
{
    for (uint32_t i = 0; i < makers_n; i++) {
        for (const struct tool_step *s = makers[i].steps; s->program; s++) {
            size_t n = strcspn(s->capture, "{");
            if (strncmp(s->capture, capture, n) == 0 && (s->capture[n] || !capture[n]))
                return s;
        }
    }
    fail_msg("no tool has %s", capture);
    return NULL;
}

/* What a cut or spoilt output tells is at most as many chips as there is room for, each within its bounds. */
static void read_spoilt(const struct tool_step *step, const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1); /* exactly as long: a read past it is found */
    assert_non_null(copy);
    memcpy(copy, text, len);
    drafts->n = drafts->dropped = 0;
    drafts->driver[0] = 0;
    if (step->format == TOOL_MATRIX)
        read_matrix(scan, "nvidia", step, copy, len);
    else
        tool_read(drafts, step, copy, len);
    for (uint32_t i = 0; i < drafts->n; i++) {
        const struct probe_chip *c = &drafts->d[i].chip;
        assert_true(c->memory_used_mib == PROBE_UNKNOWN || c->memory_used_mib <= c->memory_mib);
        assert_true(c->utilisation_pct == PROBE_UNKNOWN ||
                    (c->utilisation_pct >= 0 && c->utilisation_pct <= 100));
    }
    free(copy);
    spoilt++;
}

static void spoil(const char *path, const char *name)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(fs_read(path, &text, NULL), 0);
    const struct tool_step *step = step_of(name);
    const size_t by = is_full() ? 1 : 1 + text.len / 60;
    for (size_t cut = 0; cut <= text.len; cut += by)
        read_spoilt(step, text.data, cut);
    for (uint32_t i = 0; i < (is_full() ? 2000u : 40u); i++) {
        char *changed = malloc(text.len + 1);
        assert_non_null(changed);
        memcpy(changed, text.data, text.len);
        for (uint32_t k = 0; k < 1 + i % 8; k++)
            changed[rng_below(&rng, text.len)] = (char)rng_below(&rng, 256);
        read_spoilt(step, changed, text.len);
        free(changed);
    }
    buf_fini(&text);
}

static void spoil_case(const char *path, const char *name)
{
    char tools[FS_PATH_MAX];
    (void)name;
    if (fs_join(tools, path, "tools") && fs_exists(tools))
        each_in(tools, spoil, false);
}

static void spoil_maker(const char *path, const char *name)
{
    (void)name;
    each_in(path, spoil_case, true);
}

static void test_spoilt(void **state)
{
    (void)state;
    load("nvidia/h100-node");
    rng_init(&rng, 7);
    spoilt = 0;
    each_in(FIXTURES, spoil_maker, true);
    printf("# %llu spoilt outputs\n", (unsigned long long)spoilt);
    assert_true(spoilt > 5000);
}

/* ---- bounds ---- */

static void test_bounds(void **state)
{
    (void)state;
    struct buf list;
    buf_init(&list, 1 << 20);
    for (int i = 0; i < PROBE_CHIPS_MAX + 3; i++)
        buf_addf(&list, "%04x:19:00.0 10de:2330 class=030200\n", (unsigned)i);
    memset(scan, 0, sizeof *scan);
    pci_scan_list(scan, list.data, list.len);
    assert_int_equal(scan->n, PROBE_CHIPS_MAX);
    assert_int_equal(scan->dropped, 3);
    for (int i = 0; i < PROBE_NOTES_MAX + 5; i++)
        scan_note(scan, "note %d", i);
    assert_int_equal(scan->notes, PROBE_NOTES_MAX);
    buf_fini(&list);
    /* The JSON of the most that there can be fits. */
    for (uint32_t i = 0; i < scan->n; i++) {
        struct probe_chip *c = &scan->chip[i];
        memset(c->model, 'm', sizeof c->model - 1);
        memset(c->serial, 's', sizeof c->serial - 1);
        memset(c->uuid, 'u', sizeof c->uuid - 1);
        memset(c->health_text, '"', sizeof c->health_text - 1);
        c->links = PROBE_LINKS_MAX;
        for (uint32_t k = 0; k < c->links; k++)
            c->link[k] = (struct probe_link){"0000:19:00.0", "nvlink", 18};
    }
    yyjson_doc_free(as_json(scan));
    static const char *const bad[] = {"", "[]", "{\"chips\":1}", "{\"chips\":[", "nonsense"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        assert_int_equal(probe_read(other, bad[i], strlen(bad[i]), &err), ERR_INVALID);
        assert_true(err.msg[0] != 0);
        assert_int_equal(other->n, 0);
    }
    static const char odd[] =
        "{\"chips\":[{\"pci\":\"0000:19:00.0\",\"index\":1e3,\"memory_mib\":\"8\",\"new\":1},7]}";
    assert_int_equal(probe_read(other, odd, sizeof odd - 1, NULL), 0);
    assert_int_equal(other->n, 1);
    assert_int_equal(other->chip[0].memory_mib, PROBE_UNKNOWN);
    assert_int_equal(other->chip[0].index, PROBE_UNKNOWN);
}

/* ---- values ---- */

static void test_values(void **state)
{
    (void)state;
    static const struct {
        enum probe_field field;
        enum probe_unit unit;
        const char *text;
        int64_t value;
    } values[] = {{FIELD_MEMORY, UNIT_NONE, "81559", 81559},
                  {FIELD_MEMORY, UNIT_NONE, "81920MiB", 81920},
                  {FIELD_MEMORY, UNIT_NONE, "64 GiB", 65536},
                  {FIELD_MEMORY, UNIT_B, "68702699520", 65520},
                  {FIELD_MEMORY, UNIT_NONE, "67108864 KB", 65536},
                  {FIELD_MEMORY, UNIT_NONE, "0", PROBE_UNKNOWN},
                  {FIELD_MEMORY, UNIT_NONE, "N/A", PROBE_UNKNOWN},
                  {FIELD_MEMORY, UNIT_NONE, "[Not Supported]", PROBE_UNKNOWN},
                  {FIELD_MEMORY, UNIT_NONE, "-5", PROBE_UNKNOWN},
                  {FIELD_MEMORY, UNIT_NONE, "99999999999999999999", PROBE_UNKNOWN},
                  {FIELD_POWER, UNIT_NONE, "96.66W", 96660},
                  {FIELD_POWER, UNIT_NONE, "0", 0},
                  {FIELD_POWER, UNIT_MW, "71230", 71230},
                  {FIELD_POWER, UNIT_UW, "135000000", 135000},
                  {FIELD_POWER, UNIT_NONE, "-", PROBE_UNKNOWN},
                  {FIELD_LIMIT, UNIT_NONE, "0.00 W", PROBE_UNKNOWN},
                  {FIELD_TEMPERATURE, UNIT_NONE, "27C", 27},
                  {FIELD_TEMPERATURE, UNIT_NONE, "-3", -3},
                  {FIELD_TEMPERATURE, UNIT_MC, "40500", 41},
                  {FIELD_TEMPERATURE, UNIT_NONE, "4294967295", PROBE_UNKNOWN},
                  {FIELD_USE, UNIT_NONE, "12.6", 13},
                  {FIELD_USE, UNIT_NONE, "101 %", PROBE_UNKNOWN},
                  {FIELD_INDEX, UNIT_NONE, "7", 7},
                  {FIELD_INDEX, UNIT_NONE, "-1", PROBE_UNKNOWN}};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        drafts->n = 0;
        struct draft *d = drafts_add(drafts);
        const struct probe_chip *c = &d->chip;
        draft_set(d, values[i].field, values[i].unit, values[i].text, strlen(values[i].text));
        const int64_t found = values[i].field == FIELD_MEMORY        ? c->memory_mib
                              : values[i].field == FIELD_POWER       ? c->power_mw
                              : values[i].field == FIELD_LIMIT       ? c->power_limit_mw
                              : values[i].field == FIELD_TEMPERATURE ? c->temperature_c
                              : values[i].field == FIELD_USE         ? c->utilisation_pct
                                                                     : c->index;
        if (found != values[i].value)
            fail_msg("%s: %lld", values[i].text, (long long)found);
    }
    static const struct {
        const char *text, *pci;
    } addresses[] = {{"00000000:3B:00.0", "0000:3b:00.0"},
                     {"0000:06:00.0 --> SN: X", "0000:06:00.0"},
                     {"3b:00.1", "0000:3b:00.1"},
                     {"10000:01:1f.7", "10000:01:1f.7"},
                     {"0000:3b:00", ""},
                     {"0000:3b:20.0", ""},
                     {"0000:3b:00.8", ""},
                     {"0000:100:00.0", ""},
                     {"12:34:56", ""},
                     {"10:04:10.5", ""},
                     {"0000:3b:00.0x", ""},
                     {"", ""}};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char pci[PROBE_PCI_CAP];
        bool read = pci_parse(pci, addresses[i].text, strlen(addresses[i].text));
        assert_string_equal(pci, addresses[i].pci);
        assert_true(read == (pci[0] != 0));
    }
}

/* ---- two scans ---- */

static struct probe_change changes[2 * PROBE_CHIPS_MAX];

static void test_compare(void **state)
{
    (void)state;
    load("nvidia/h100-node");
    *other = *scan;
    /* What always moves is no change. */
    other->chip[0].power_mw = other->chip[0].temperature_c = other->chip[0].utilisation_pct = 1;
    other->chip[0].memory_used_mib = 5;
    assert_int_equal(probe_compare(scan, other, changes), 0);
    /* One is gone, and its neighbours moved up in the list. */
    memmove(&other->chip[2], &other->chip[3], 5 * sizeof other->chip[0]);
    other->n = 7;
    assert_int_equal(probe_compare(scan, other, changes), 1);
    assert_int_equal(changes[0].kind, PROBE_WENT);
    assert_string_equal(changes[0].before->pci, "0000:4c:00.0");
    assert_int_equal(probe_compare(other, scan, changes), 1);
    assert_int_equal(changes[0].kind, PROBE_CAME);
    /* It is ill, and comes to another slot: the same chip. */
    *other = *scan;
    other->chip[3].health = PROBE_FAILED;
    memcpy(other->chip[4].pci, "0000:e1:00.0", sizeof "0000:e1:00.0");
    assert_int_equal(probe_compare(scan, other, changes), 2);
    assert_int_equal(changes[0].fields, PROBE_DIFF_HEALTH);
    assert_int_equal(changes[1].fields, PROBE_DIFF_PLACE);
    /* Another chip in its slot. */
    *other = *scan;
    memcpy(other->chip[5].uuid, "GPU-new", sizeof "GPU-new");
    memcpy(other->chip[5].serial, "99", sizeof "99");
    assert_int_equal(probe_compare(scan, other, changes), 2);
    assert_int_equal(changes[0].kind, PROBE_WENT);
    assert_int_equal(changes[1].kind, PROBE_CAME);
}

/* Its tool hangs: eight chips without a name at their places are the eight, not eight others. */
static void test_compare_without_names(void **state)
{
    (void)state;
    load("nvidia/h100-node");
    *other = *scan;
    for (uint32_t i = 0; i < other->n; i++)
        other->chip[i].uuid[0] = other->chip[i].serial[0] = 0;
    assert_int_equal(probe_compare(scan, other, changes), 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(changes[i].kind, PROBE_CHANGED);
        assert_int_equal(changes[i].fields, PROBE_DIFF_NAME);
    }
    char key[PROBE_KEY_CAP];
    assert_true(probe_key(&other->chip[0], key));
    assert_string_equal(key, "nvidia@0000:19:00.0");
    assert_false(probe_is_named(&other->chip[0]));
    load("huawei/a3-two-dies"); /* one serial, two dies: two keys */
    char second[PROBE_KEY_CAP];
    assert_true(probe_key(at("0000:9d:00.0"), key) && probe_key(at("0000:9f:00.0"), second));
    assert_string_equal(key, "huawei/2106030000A1#0");
    assert_string_equal(second, "huawei/2106030000A1#1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_ids),
        cmocka_unit_test(test_models),   cmocka_unit_test(test_traps),
        cmocka_unit_test(test_fixtures), cmocka_unit_test(test_sysfs),
        cmocka_unit_test(test_spoilt),   cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_compare),  cmocka_unit_test(test_compare_without_names),
    };
    scan = calloc(1, sizeof *scan);
    other = calloc(1, sizeof *other);
    drafts = calloc(1, sizeof *drafts);
    int rc = scan && other && drafts ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(scan);
    free(other);
    free(drafts);
    return rc;
}
