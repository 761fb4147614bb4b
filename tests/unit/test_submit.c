/* SPDX-License-Identifier: Apache-2.0 */
/* What a submission is read from: array ranges, scripts that say what they need, and the files that jobs and tasks share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/job_script.h"
#include "hub/job_terms.h"
#include "site/job_file.h"
#include "support.h"

static void test_ranges(void **state)
{
    static const struct {
        const char *text;
        uint32_t first, total, at_once;
    } good[] = {{"0-9", 0, 10, 0},        {"7-9%2", 7, 3, 2},         {"5", 5, 1, 0},
                {"1-65535", 1, 65535, 0}, {"3-3%65535", 3, 1, 65535}, {"1073741824", 1u << 30, 1, 0}};
    static const char *const wrong[] = {"",           "-",     "1-",  "-1",    "2-1",   "0-65535",
                                        "1-2%",       "1-2%0", "1,2", "1-8:2", "1-2%x", "1-2%65536",
                                        "1073741825", "1 -2",  "%1",  "0x1-2"};
    uint32_t first, total, at_once;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(job_array_parse(good[i].text, strlen(good[i].text), &first, &total, &at_once));
        assert_int_equal(first, good[i].first);
        assert_int_equal(total, good[i].total);
        assert_int_equal(at_once, good[i].at_once);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(job_array_parse(wrong[i], strlen(wrong[i]), &first, &total, &at_once));
}

/* The options of a script as one text, or what is wrong with it. */
static const char *options_of(const char *lines)
{
    static char out[2048];
    static struct script script;
    char text[1024];
    struct err err = {0};
    int len = snprintf(text, sizeof text, "#!/bin/sh\n%s", lines);
    size_t n = 0;
    if (script_read(&script, text, (size_t)len, &err) != 0) {
        (void)snprintf(out, sizeof out, "%s", err.msg);
        return out;
    }
    out[0] = 0;
    for (uint32_t i = 0; i < script.options.n; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", n ? " " : "", script.options.word[i]);
    for (uint32_t i = 0; i < script.ignored.n; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", i ? "," : " | ", script.ignored.word[i]);
    return out;
}

static void test_scripts(void **state)
{
    static const struct {
        const char *lines, *options;
    } cases[] = {
        {"", ""},
        {"echo\n#SBATCH --time=5\n", ""},
        {"\n  \n# c\n#SBATCH --time=5\n", "--time 5"},
        {"#SBATCH -t 1-12:30 --array=1-9%3", "--time 1-12:30 --array 1-9%3"},
        {"#SBATCH --time UNLIMITED", ""},
        {"##SBATCH --time=5\n #SBATCH --time=6\n#SBATCHER x\n", ""},
        {"#SBATCH -N 2 --gres=gpu:h100:8", "--chip h100:16"},
        {"#SBATCH --gres=gpu:4\n#SBATCH --nodes=3-5", "--chips 12"},
        {"#SBATCH --gres=gpu", "--chips 1"},
        {"#SBATCH -G a100", "--chip a100:1"},
        {"#SBATCH --gpus=8 -n 64", "--chips 8"},
        {"#SBATCH --gpus-per-task=2 --ntasks=3", "--chips 6"},
        {"#SBATCH -n 4 -c8", "--chip cpu:32"},
        {"#SBATCH -N2 --ntasks-per-node=3", "--chip cpu:6"},
        {"#SBATCH --mem=16G", "--memory 16384"},
        {"#SBATCH --mem=0 --job-name=Train_LLaMA.7b", "--name train-llama-7b"},
        {"#SBATCH --mem=1K", "--memory 1"},
        {"#SBATCH -D '/a b' # there", "--cwd /a b"},
        {"#SBATCH --dependency=afterok:a:b,afterany:c", "--after afterok:a,afterok:b,afterany:c"},
        {"#SBATCH -p gpu --account=x --exclusive -o %j.out --mail-type ALL --requeue",
         " | -p,--account,--exclusive,-o,--mail-type,--requeue"},
        {"#BUSBAR --chip h100:4 --green\n#SBATCH -t 9", "--chip h100:4 --green --time 9"},
        {"#BUSBAR --env \"A=b c\" --env 'D=\"e\"'", "--env A=b c --env D=\"e\""},
        {"#SBATCH --time=5\r\n", "--time 5"},
        {"#SBATCH --nodes=0", "line 2: --nodes: expected a whole number of at least 1, got 0"},
        {"\n#SBATCH --time", "line 3: --time needs a value"},
        {"#SBATCH train.py", "line 2: expected an option, got train.py"},
        {"#SBATCH --name=\"x", "line 2: a quote is not closed"},
        {"#SBATCH --gres=fpga:1", "line 2: --gres: only gpu[:KIND][:N] is known, got fpga:1"},
        {"#SBATCH --dependency=singleton",
         "line 2: --dependency: expected afterok, afterany or afternotok and jobs, got singleton"},
        {"#SBATCH --mem=lots", "line 2: --mem: expected a size such as 4000M or 16G, got lots"},
        {"#SBATCH -n 65536 -c 2", "it asks for more than 65536 chips"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(options_of(cases[i].lines), cases[i].options);
}

static void put_file(const char *dir, const struct uuid *id, const char *members)
{
    char path[FS_PATH_MAX], text[512], name[UUID_TEXT_LEN + 1];
    struct err err = {0};
    uuid_format(name, id);
    int n = snprintf(text, sizeof text, "{\"version\":1,\"job\":\"%s\",\"epoch\":1,\"argv\":[\"true\"]%s}",
                     name, members);
    assert_true(job_file_path(path, dir, id));
    assert_int_equal(fs_write_atomic(path, text, (size_t)n, 0600, &err), 0);
}

static bool has_env(const struct job_spec *spec, const char *pair)
{
    for (uint32_t i = 0; i < spec->env_count; i++) {
        if (strcmp(spec->env[i], pair) == 0)
            return true;
    }
    return false;
}

/* A task reads its array's file, as its own; a job that ends in the same bytes has one of its own. */
static void test_files(void **state)
{
    char dir[] = "/tmp/busbar-test-XXXXXX";
    struct uuid array = uid('A', 0), single = uid('B', 5), task;
    struct job_spec spec;
    struct err err = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    put_file(dir, &array, ",\"env\":[\"A=b\"],\"array\":{\"first\":7,\"total\":300}");
    put_file(dir, &single, "");
    task = array;
    task.b[14] = 1;
    task.b[15] = 2;
    assert_int_equal(job_file_load(&spec, dir, &task, &err), 0);
    assert_true(uuid_eq(&spec.job, &task));
    assert_int_equal(job_file_index(&spec), 7 + 258 - 1);
    assert_true(has_env(&spec, "A=b") && has_env(&spec, "BUSBAR_ARRAY_INDEX=264") &&
                has_env(&spec, "BUSBAR_ARRAY_FIRST=7") && has_env(&spec, "BUSBAR_ARRAY_LAST=306") &&
                has_env(&spec, "SLURM_ARRAY_TASK_ID=264"));
    job_spec_free(&spec);
    task.b[15] = 45;
    assert_int_equal(job_file_load(&spec, dir, &task, &err), ERR_NOT_FOUND); /* number 301 */
    assert_int_equal(job_file_load(&spec, dir, &single, &err), 0);
    assert_int_equal(spec.env_count, 0);
    job_spec_free(&spec);
    single.b[15] = 6;
    assert_int_equal(job_file_load(&spec, dir, &single, &err), ERR_NOT_FOUND);
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges), cmocka_unit_test(test_scripts),
                                       cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
