/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a job's folder, leases, claims, the meter's sources and what Slurm's commands print. */
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "engine/cgroup.h"
#include "engine/chipset.h"
#include "engine/folder.h"
#include "engine/lease.h"
#include "engine/meter.h"
#include "engine/slurm_text.h"
#include "engine/spawn.h"
#include "engine/workdir.h"

#define JOB "0193a1b2-0000-7000-8000-000000000001"
#define HEAD "{\"version\":1,\"job\":\"" JOB "\",\"epoch\":2,\"argv\":[\"a\"]"

static int parse(const char *text, struct err *err)
{
    struct job_spec spec;
    *err = (struct err){0};
    int rc = job_spec_parse(&spec, text, strlen(text), err);
    job_spec_free(&spec);
    return rc;
}

/* ---- specifications ---- */

static const char whole[] =
    "{\"version\":1,\"job\":\"" JOB
    "\",\"epoch\":2,\"name\":\"n\",\"argv\":[\"a\"],\"env\":[\"A=1\",\"B=\"],\"cwd\":\"/"
    "w\",\"chips\":[{\"kind\":\"h100\",\"count\":2,\"index\":[0,3],"
    "\"watts\":700,\"visible\":\"CUDA_VISIBLE_DEVICES\",\"devices\":[\"/dev/"
    "nvidia0\"],\"cores\":[1,2]}],\"cpus\":4,"
    "\"memory_mib\":100,\"processes\":9,\"nodes\":3,\"time_limit_ms\":5000,"
    "\"grace_ms\":100,\"checkpoint_dir\":\"/c\","
    "\"isolation\":\"namespace\",\"network\":true,\"binds\":[{\"source\":\"/"
    "s\",\"target\":\"/t\",\"write\":true,"
    "\"may_lack\":true}],\"gang\":{\"rank\":1,\"world\":2,\"address\":\"h\","
    "\"port\":80,\"hosts\":[\"h\",\"i\"]},"
    "\"account\":\"a\",\"partition\":\"p\",\"array_limit\":7,\"confined\":true}";

static void test_spec_round(void **state)
{
    (void)state;
    struct job_spec spec;
    struct err err = {0};
    struct buf out;
    buf_init(&out, FORM_MAX);
    assert_int_equal(job_spec_parse(&spec, whole, strlen(whole), &err), 0);
    assert_int_equal(spec.epoch, 2);
    assert_string_equal(spec.env[1], "B=");
    assert_null(spec.argv[1]);
    assert_int_equal(spec.chips[0].index[1], 3);
    assert_int_equal(spec.isolation, ISOLATION_NAMESPACE);
    assert_string_equal(spec.gang.hosts[1], "i");
    assert_int_equal(job_chips_total(&spec, 0), 6);
    form_write(&job_spec_table, &spec, &out);
    buf_add_char(&out, 0);
    assert_string_equal(out.data, whole); /* every member comes back, in its place */
    job_spec_free(&spec);
    buf_fini(&out);
}

static void test_spec_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *word; /* in what is said of it */
    } bad[] = {
        {"", ""},
        {"[]", ""},
        {"{}", "version"},
        {HEAD, ""},
        {"{\"version\":2,\"job\":\"" JOB "\",\"epoch\":1,\"argv\":[\"a\"]}", "version"},
        {"{\"version\":1,\"job\":\"x\",\"epoch\":1,\"argv\":[\"a\"]}", "job"},
        {"{\"version\":1,\"job\":\"" JOB "\",\"epoch\":-1,\"argv\":[\"a\"]}", "epoch"},
        {"{\"version\":1,\"job\":\"" JOB "\",\"epoch\":4294967296,\"argv\":[\"a\"]}", "epoch"},
        {"{\"version\":1,\"job\":\"" JOB "\",\"epoch\":1,\"argv\":[]}", "argv"},
        {"{\"version\":1,\"job\":\"" JOB "\",\"epoch\":1,\"argv\":[\"\"]}", "argv"},
        {"{\"version\":1,\"job\":\"" JOB "\",\"epoch\":1,\"argv\":[\"a\\u0000b\"]}", "NUL"},
        {"{\"version\":1,\"job\":\"" JOB "\",\"epoch\":1,\"argv\":\"a\"}", "argv"},
        {HEAD ",\"argv\":[\"b\"]}", ""},
        {HEAD ",\"other\":1}", "other"},
        {HEAD ",\"env\":[\"A\"]}", "env"},
        {HEAD ",\"env\":[\"=x\"]}", "env"},
        {HEAD ",\"env\":[\"1A=x\"]}", "env"},
        {HEAD ",\"env\":[1]}", "env"},
        {HEAD ",\"cwd\":\"w\"}", "cwd"},
        {HEAD ",\"network\":1}", "network"},
        {HEAD ",\"isolation\":\"\"}", "isolation"},
        {HEAD ",\"isolation\":\"vm\"}", "isolation"},
        {HEAD ",\"grace_ms\":3600001}", "grace_ms"},
        {HEAD ",\"time_limit_ms\":1.5}", "time_limit_ms"},
        {HEAD ",\"chips\":[{\"kind\":\"h100\"}]}", "count"},
        {HEAD ",\"chips\":[{\"kind\":\"../x\",\"count\":1}]}", "../x"},
        {HEAD ",\"chips\":[{\"kind\":\"h100\",\"count\":2,\"index\":[1]}]}", "indices"},
        {HEAD ",\"chips\":[{\"kind\":\"h100\",\"count\":2,\"index\":[1,1]}]}", "twice"},
        {HEAD ",\"chips\":[{\"kind\":\"h100\",\"count\":1,\"devices\":[\"/etc/x\"]}]}", "device"},
        {HEAD ",\"chips\":[{\"kind\":\"h100\",\"count\":1,\"devices\":[\"/dev/../x\"]}]}", "device"},
        {HEAD ",\"chips\":[{\"kind\":\"h100\",\"count\":1,\"visible\":\"A=B\"}]}", "variable"},
        {HEAD ",\"chips\":[{\"kind\":\"h100\",\"count\":1,\"cores\":[1024]}]}", "core"},
        {HEAD ",\"binds\":[{\"source\":\"x\"}]}", "binds"},
        {HEAD ",\"gang\":{\"rank\":2,\"world\":2}}", "rank"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err;
        int rc = parse(bad[i].text, &err);
        if (rc != ERR_INVALID || !strstr(err.msg, bad[i].word))
            fail_msg("%s: %d %s", bad[i].text, rc, err.msg);
    }
}

/* ---- usage and exit ---- */

static void last_is(const char *text, uint64_t ms)
{
    struct job_usage usage;
    int rc = job_usage_last(&usage, text, strlen(text));
    assert_int_equal(rc, ms ? 0 : ERR_NOT_FOUND);
    assert_int_equal(usage.ms, ms);
    form_free(&job_usage_table, &usage);
}

static void test_usage_last(void **state)
{
    (void)state;
    last_is("", 0);
    last_is("{\"ms\":1,\"wall_ms\":2}", 0); /* without its newline it may be half of something */
    last_is("{\"ms\":1,\"wall_ms\":2}\n", 1);
    last_is("{\"ms\":1,\"wall_ms\":2}\n{\"ms\":3,\"wall_ms\":4}\n", 3);
    last_is("{\"ms\":1,\"wall_ms\":2}\n{\"ms\":3,\"wall_ms\":4}\n{\"ms\":5,", 3);
    last_is("{\"ms\":1,\"wall_ms\":2}\n{\"ms\":3,\"wa\n", 1);
    last_is("{\"ms\":1,\"wall_ms\":2}\n{\"ms\":3,\"wa\n{\"ms\":9,\"wall_ms\":9}\n", 9);
    last_is("\n\n", 0);
}

static void test_exit(void **state)
{
    (void)state;
    static const char text[] =
        "{\"end\":\"signalled\",\"signal\":9,\"text\":\"x\",\"host\":\"h\",\"truncated\":true,\"usage\":{"
        "\"ms\":5,\"wall_ms\":6,\"chips\":[{\"kind\":\"h100\",\"chip_ms\":10}],\"cpu_ms\":1,"
        "\"memory_peak_kib\":2,\"energy_mj\":3,\"energy\":\"measured\"}}";
    struct job_exit exit;
    struct err err = {0};
    struct buf out;
    buf_init(&out, FORM_MAX);
    assert_int_equal(form_read(&job_exit_table, text, strlen(text), &exit, &err), 0);
    assert_int_equal(exit.end, JOB_END_SIGNALLED);
    assert_int_equal(exit.usage.energy, ENERGY_MEASURED);
    form_write(&job_exit_table, &exit, &out);
    buf_add_char(&out, 0);
    assert_string_equal(out.data, text);
    form_free(&job_exit_table, &exit);
    assert_int_equal(form_read(&job_exit_table, "{\"end\":\"\",\"usage\":{}}", 21, &exit, &err), ERR_INVALID);
    buf_fini(&out);
}

/* ---- leases ---- */

static struct job_lease lease(const char *boot, uint64_t sequence, uint64_t until_ms, uint64_t for_ms)
{
    return (struct job_lease){(char *)(uintptr_t)boot, sequence, until_ms, for_ms};
}

static void test_lease_here(void **state)
{
    (void)state;
    struct lease_watch w;
    struct job_lease l = lease("b", 1, 1000, 500);
    lease_watch_init(&w, "b");
    assert_int_equal(lease_watch_look(&w, NULL, 10), LEASE_NONE);
    assert_int_equal(lease_watch_look(&w, &l, 600), LEASE_LIVE);
    assert_int_equal(lease_watch_look(&w, NULL, 999), LEASE_LIVE); /* a file that goes away changes nothing */
    l = lease("b", 2, 1500, 500);
    assert_int_equal(lease_watch_look(&w, &l, 1200),
                     LEASE_LIVE); /* written before the old one was over, read after */
    l = lease("b", 1, 9000, 500);
    assert_int_equal(lease_watch_look(&w, &l, 1400), LEASE_LIVE); /* an older one does not count */
    assert_int_equal(lease_watch_look(&w, &l, 1500), LEASE_OVER);
    l = lease("b", 3, 9000, 500);
    assert_int_equal(lease_watch_look(&w, &l, 1501), LEASE_OVER); /* what is over stays over */
}

static void test_lease_elsewhere(void **state)
{
    (void)state;
    struct lease_watch w;
    struct job_lease l = lease("other", 5, 7, 1000);
    lease_watch_init(&w, "b");
    assert_int_equal(lease_watch_look(&w, &l, 100), LEASE_UNPROVEN); /* it may be as old as can be */
    assert_int_equal(lease_watch_look(&w, &l, 200), LEASE_UNPROVEN);
    l.sequence = 6;
    assert_int_equal(lease_watch_look(&w, &l, 300), LEASE_LIVE);
    assert_int_equal(w.deadline_ms, 1200); /* from the last look at which it was not there yet */
    assert_int_equal(lease_watch_look(&w, &l, 1199), LEASE_LIVE);
    assert_int_equal(lease_watch_look(&w, &l, 1200), LEASE_OVER);
    lease_watch_init(&w, "");
    l.boot = (char *)(uintptr_t) "";
    assert_int_equal(lease_watch_look(&w, &l, 100),
                     LEASE_UNPROVEN); /* two that do not know theirs are not the same */
    assert_int_equal(lease_watch_look(&w, &l, 100 + LEASE_PROOF_MS), LEASE_OVER);
}

/* ---- folders ---- */

static char work[64];

static int make_work(void **state)
{
    (void)state;
    (void)snprintf(work, sizeof work, "/tmp/busbar-jobs-XXXXXX");
    return mkdtemp(work) ? 0 : -1;
}

static void remove_job(struct job_id id)
{
    struct err err = {0};
    assert_int_equal(workdir_remove(work, &id, &err), 0);
}

static int drop_work(void **state)
{
    (void)state;
    return rmdir(work);
}

static struct job_spec spec_of(uint32_t epoch)
{
    struct job_spec spec;
    struct err err = {0};
    char text[512];
    (void)snprintf(text, sizeof text, "{\"version\":1,\"job\":\"" JOB "\",\"epoch\":%u,\"argv\":[\"a\"]}",
                   epoch);
    assert_int_equal(job_spec_parse(&spec, text, strlen(text), &err), 0);
    return spec;
}

static void test_claim(void **state)
{
    (void)state;
    struct job_spec spec = spec_of(1);
    struct job_id id = {spec.job, 1};
    struct err err = {0};
    char dir[FS_PATH_MAX];
    bool fresh;
    int fd, other, status;
    assert_int_equal(workdir_prepare(work, &spec, NULL, &fresh, &err), 0);
    assert_true(fresh);
    assert_int_equal(workdir_prepare(work, &spec, NULL, &fresh, &err), 0);
    assert_false(fresh);
    workdir_path(dir, work, &id);
    assert_int_equal(workdir_claimed(dir), CLAIM_NONE);
    assert_int_equal(workdir_claim(dir, &fd, &err), 0);
    assert_int_equal(workdir_claim(dir, &other, &err), ERR_EXISTS);
    assert_int_equal(workdir_revoke(dir, JOB_END_CANCELLED, "x", &err), ERR_EXISTS);
    assert_int_equal(workdir_claimed(dir), CLAIM_HELD);
    assert_int_equal(workdir_remove(work, &id, &err), ERR_IN_USE);
    pid_t child = fork(); /* whoever shares the file holds the claim too */
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    close(fd);
    assert_int_equal(workdir_claimed(dir), CLAIM_HELD);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    assert_int_equal(workdir_claimed(dir), CLAIM_ABANDONED);
    assert_int_equal(workdir_claim(dir, &other, &err), ERR_EXISTS); /* for ever */
    job_spec_free(&spec);
    remove_job(id);
}

/* A file system that does not answer has lost nothing. */
static void test_gone(void **state)
{
    (void)state;
    struct job_spec spec = spec_of(1);
    struct job_id id = {spec.job, 1};
    struct err err = {0};
    char file[FS_PATH_MAX];
    bool fresh;
    assert_true(folder_gone(work, &id));
    assert_int_equal(workdir_prepare(work, &spec, NULL, &fresh, &err), 0);
    assert_false(folder_gone(work, &id));
    (void)snprintf(file, sizeof file, "%s/file", work);
    assert_int_equal(close(open(file, O_CREAT | O_WRONLY, 0600)), 0);
    assert_false(folder_gone(file, &id)); /* no folder, so it cannot be looked at */
    assert_int_equal(unlink(file), 0);
    job_spec_free(&spec);
    remove_job(id);
}

static void test_epochs(void **state)
{
    (void)state;
    struct job_spec first = spec_of(1), second = spec_of(2);
    struct job_id id1 = {first.job, 1}, id2 = {first.job, 2};
    struct engine_status status = {.id = id1};
    struct err err = {0};
    char dir[FS_PATH_MAX];
    enum claim claim;
    bool fresh;
    int fd;
    assert_int_equal(workdir_prepare(work, &first, NULL, &fresh, &err), 0);
    assert_int_equal(workdir_prepare(work, &second, NULL, &fresh, &err), 0);
    workdir_path(dir, work, &id1);
    assert_int_equal(workdir_claim(dir, &fd, &err),
                     ERR_EXISTS); /* the first was revoked: no late shim starts it */
    folder_status(work, &status, &claim);
    assert_int_equal(status.state, ENGINE_ENDED);
    assert_int_equal(status.exit.end, JOB_END_CANCELLED);
    form_free(&job_exit_table, &status.exit);
    remove_job(id1);
    assert_int_equal(workdir_prepare(work, &first, NULL, &fresh, &err), ERR_WRONG_STATE);
    workdir_path(dir, work, &id2);
    assert_int_equal(workdir_claim(dir, &fd, &err), 0);
    second.epoch = 3;
    assert_int_equal(workdir_prepare(work, &second, NULL, &fresh, &err), ERR_IN_USE);
    close(fd);
    assert_int_equal(workdir_prepare(work, &second, NULL, &fresh, &err), 0);
    remove_job(id2);
    remove_job((struct job_id){first.job, 3});
    job_spec_free(&first);
    job_spec_free(&second);
}

static void test_lost_is_not_renewed(void **state)
{
    (void)state;
    struct job_spec spec = spec_of(1);
    struct job_id id = {spec.job, 1};
    struct job_stop stop = {.end = JOB_END_LOST};
    struct err err = {0};
    char dir[FS_PATH_MAX], path[FS_PATH_MAX];
    bool fresh, revoked;
    int fd;
    assert_int_equal(workdir_prepare(work, &spec, NULL, &fresh, &err), 0);
    workdir_path(dir, work, &id);
    workdir_file(path, dir, "lease");
    struct engine_call *c = engine_call_new(ENGINE_RENEW, 1);
    c->ids[0] = id;
    c->lease_ms = 60000;
    assert_int_equal(folder_renew(work, c), 0);
    assert_int_equal(folder_renew(work, c), 0);
    struct job_lease l;
    assert_int_equal(form_load(&job_lease_table, path, &l, &err), 0);
    assert_int_equal(l.sequence, 2);
    form_free(&job_lease_table, &l);
    assert_int_equal(workdir_claim(dir, &fd, &err), 0);
    assert_int_equal(folder_stop(work, &id, &stop, &revoked, &err), 0);
    assert_false(revoked);
    assert_int_equal(folder_renew(work, c), 0);
    assert_int_equal(form_load(&job_lease_table, path, &l, &err), 0);
    assert_int_equal(l.sequence, 2);
    form_free(&job_lease_table, &l);
    engine_call_free(c);
    close(fd);
    job_spec_free(&spec);
    remove_job(id);
}

/* ---- meter ---- */

static void put(const char *dir, const char *name, const char *text)
{
    char path[FS_PATH_MAX];
    struct err err = {0};
    assert_true(fs_join(path, dir, name));
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
}

static void clear(const char *dir, const char *name)
{
    char path[FS_PATH_MAX];
    assert_true(fs_join(path, dir, name));
    assert_int_equal(remove(path), 0);
}

/* Processor time, however busy the machine is with other things. */
static uint64_t own_cpu_ms(void)
{
    struct timespec ts;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void burn(void)
{
    uint64_t until = own_cpu_ms() + 150;
    while (own_cpu_ms() < until)
        ;
}

static void test_energy(void **state)
{
    (void)state;
    struct job_spec spec = {.version = 1};
    struct meter m;
    struct job_usage usage;
    char zone[FS_PATH_MAX], sub[FS_PATH_MAX];
    assert_true(fs_join(zone, work, "intel-rapl:0") && fs_join(sub, work, "intel-rapl:0:0"));
    assert_int_equal(mkdir(zone, 0700) | mkdir(sub, 0700), 0);
    put(zone, "max_energy_range_uj", "10000000\n");
    put(zone, "energy_uj", "9000000\n");
    put(sub, "max_energy_range_uj", "10000000\n");
    put(sub, "energy_uj", "1\n");
    meter_init(&m, work, NULL, 1000);
    assert_int_equal(m.domains_count, 1); /* a domain below a package is in the package */
    m.machine_cpu_ms = 0; /* as if the machine had done nothing before: all of it is a small share */
    put(zone, "energy_uj", "2000000\n"); /* it wrapped: 3 J */
    burn();
    (void)meter_look(&m, &spec, getpid(), 2000);
    assert_true(m.cpu_ms >= 100 && m.memory_peak_kib > 100);
    meter_read(&m, &spec, 2000, &usage);
    assert_int_equal(usage.energy, ENERGY_MEASURED);
    assert_true(usage.energy_mj <= 3000);
    form_free(&job_usage_table, &usage);
    m.machine_cpu_ms = procs_machine_cpu_ms() - 1; /* and now as if it had done next to nothing but this */
    put(zone, "energy_uj", "4500000\n");
    burn();
    uint64_t before = m.cpu_energy_uj;
    (void)meter_look(&m, &spec, getpid(), 3000);
    assert_true(m.cpu_energy_uj > before && m.cpu_energy_uj - before <= 2500000);
    static const char *const names[] = {"max_energy_range_uj", "energy_uj"};
    for (int i = 0; i < 2; i++) {
        clear(zone, names[i]);
        clear(sub, names[i]);
    }
    assert_int_equal(rmdir(zone) | rmdir(sub), 0);
}

static void test_energy_of_chips(void **state)
{
    (void)state;
    struct job_chips chips = {.kind = (char *)(uintptr_t) "h100", .count = 2, .watts = 700};
    struct job_spec spec = {.version = 1, .chips = &chips, .chips_count = 1, .nodes = 3};
    struct meter m;
    struct job_usage usage;
    meter_init(&m, "/nowhere", NULL, 1000);
    (void)meter_look(&m, &spec, 0, 3000);
    meter_read(&m, &spec, 3000, &usage);
    assert_int_equal(usage.chips[0].chip_ms, 2000 * 6);
    assert_int_equal(usage.energy_mj, 700 * 6 * 2000);
    assert_int_equal(usage.energy, ENERGY_ESTIMATED);
    form_free(&job_usage_table, &usage);
    chips.watts = 0;
    meter_read(&m, &spec, 3000, &usage);
    assert_int_equal(usage.energy, ENERGY_NONE);
    form_free(&job_usage_table, &usage);
}

/* ---- Slurm ---- */

#define S "\x1f"
static const char queue[] = "2_2" S "2" S "bb-y-1" S "PENDING" S "JobArrayTaskLimit" S "\n"
                            "9" S "9" S "bb-x-1" S "CANCELLED" S "None" S "n1\n"
                            "12" S "12" S "bb-x-1" S "PENDING" S "Resources" S "\n"
                            "11" S "11" S "bb-x-1" S "COMPLETING" S "None" S "n1\n"
                            "2_0" S "3" S "bb-y-1" S "RUNNING" S "None" S "n1\n"
                            "5" S "5" S "somebody's" S "RUNNING" S "None" S "n1\n"
                            "2_[4-9]" S "2" S "bb-y-1" S "PENDING" S "None" S "\n"
                            "6" S "6" S "bb-z" S "RUNNING\n"
                            "x" S "6" S "bb-z" S "RUNNING" S "None" S "n1\n"
                            "7" S "7" S "bb-w-1" S "NEW_STATE" S "a\tb" S ""; /* cut off: no newline */

static void test_squeue(void **state)
{
    (void)state;
    struct slurm_rows rows;
    assert_int_equal(slurm_squeue_parse(&rows, queue, sizeof queue - 1), 0);
    assert_int_equal(rows.n, 6);
    const struct slurm_row *r = slurm_row_find(&rows, "bb-x-1", SLURM_NO_TASK);
    assert_non_null(r);
    assert_int_equal(r->number, 11); /* what runs, before what waits, before what is over */
    assert_true(r->leaving);
    assert_int_equal(r[1].phase, SLURM_WAITS);
    assert_string_equal(r[1].reason, "Resources");
    assert_int_equal(r[2].phase, SLURM_OVER);
    assert_true(r[2].placed && !r[1].placed);
    r = slurm_row_find(&rows, "bb-y-1", 0);
    assert_int_equal(r->number, 3);
    assert_int_equal(slurm_row_find(&rows, "bb-y-1", 2)->phase, SLURM_WAITS);
    assert_null(slurm_row_find(&rows, "bb-y-1", 1));
    assert_null(slurm_row_find(&rows, "bb-y-1", SLURM_NO_TASK));
    assert_null(slurm_row_find(&rows, "bb-z", SLURM_NO_TASK));
    r = slurm_row_find(&rows, "bb-w-1", SLURM_NO_TASK);
    assert_int_equal(r->phase, SLURM_ACTIVE); /* a state of a later Slurm: nothing follows from it */
    assert_string_equal(r->reason, "a b");
    slurm_rows_free(&rows);
    assert_int_equal(slurm_squeue_parse(&rows, "", 0), 0);
    assert_null(slurm_row_find(&rows, "bb-x-1", SLURM_NO_TASK));
    slurm_rows_free(&rows);
}

static void test_sacct(void **state)
{
    (void)state;
    static const char text[] = "3" S "bb-x-1" S "PREEMPTED\n3" S "bb-x-1" S "CANCELLED by 0\n4_1" S "bb-y-1" S
                               "OUT_OF_MEMORY\n5" S "bb-z-1" S "NODE_FAIL\n";
    struct slurm_rows rows;
    assert_int_equal(slurm_sacct_parse(&rows, text, sizeof text - 1), 0);
    assert_int_equal(rows.n, 4);
    assert_int_equal(slurm_row_find(&rows, "bb-y-1", 1)->end, JOB_END_OOM);
    assert_int_equal(slurm_row_find(&rows, "bb-z-1", SLURM_NO_TASK)->end, JOB_END_LOST);
    enum job_end end;
    assert_int_equal(slurm_state("CANCELLED by 0", 14, &end), SLURM_OVER);
    assert_int_equal(end, JOB_END_STOPPED);
    assert_int_equal(slurm_state("TIMEOUT", 7, &end), SLURM_OVER);
    assert_int_equal(end, JOB_END_TIMED_OUT);
    slurm_rows_free(&rows);
}

static const char nodes[] =
    "NodeName=n1 Arch=x86_64 CPUTot=64 CPULoad=3.20 Gres=npu:ascend910b:8(S:0-1) GresDrain=N/A "
    "GresUsed=gpu:0,npu:ascend910b:3(IDX:0-2,5) NodeAddr=10.0.0.1 RealMemory=64000 AllocMem=0 State=MIXED "
    "ThreadsPerCore=1 CfgTRES=cpu=64\n"
    "NodeName=n2 CPUTot=64 Gres=gpu:h20:4,npu:ascend910b:2 "
    "GresUsed=gpu:h20:4(IDX:0-3),npu:ascend910b:0(IDX:N/A) "
    "RealMemory=64000 State=IDLE+DRAIN ThreadsPerCore=1 Reason=the fan = loud [root@2026-11-22T09:38:05]\n"
    "NodeName=n3 Gres=(null) State=DOWN*\n"
    "NodeName=n4 Gres=npu:ascend910b:8 GresUsed=npu:ascend910b:0 State=DOWN*+CLOUD\n"
    "Gres=npu:ascend910bx:8\n";

static void test_nodes(void **state)
{
    (void)state;
    struct engine_chips chips[2] = {
        {.chip = (char *)(uintptr_t) "ascend910b", .gres = (char *)(uintptr_t) "npu:ascend910b"},
        {.chip = (char *)(uintptr_t) "h20", .gres = (char *)(uintptr_t) "gpu:h20"}};
    struct engine_config config = {.chips = chips, .chips_count = 2};
    struct engine_inventory inv = {.nodes = NULL};
    assert_int_equal(slurm_nodes_parse(&inv, &config, nodes, sizeof nodes - 1), 0);
    assert_int_equal(inv.nodes_count, 4);
    assert_string_equal(inv.nodes[0].name, "n1");
    assert_int_equal(inv.nodes[0].chips, 8);
    assert_int_equal(inv.nodes[0].used, 3);
    assert_int_equal(inv.nodes[0].cpus, 64);
    assert_true(inv.nodes[0].up);
    assert_string_equal(inv.nodes[1].chip, "ascend910b");
    assert_int_equal(inv.nodes[1].chips, 2);
    assert_string_equal(inv.nodes[2].chip, "h20");
    assert_int_equal(inv.nodes[2].used, 4);
    assert_false(inv.nodes[2].up);
    assert_string_equal(inv.nodes[2].reason, "the fan = loud [root@2026-11-22T09:38:05]");
    assert_false(inv.nodes[3].up);
    assert_string_equal(inv.nodes[3].reason, "DOWN*+CLOUD");
    free(inv.nodes);
}

static void test_settings(void **state)
{
    (void)state;
    static const char text[] =
        "AccountingStorageType   = accounting_storage/slurmdbd\nMaxArraySize            = 1001\n"
        "MessageTimeout          = 20 sec\nMessageTimeoutX = 3\nSLURM_VERSION           = 22.05.8\n";
    struct slurm_settings s;
    slurm_settings_parse(&s, text, sizeof text - 1);
    assert_int_equal(s.message_timeout_s, 20);
    assert_int_equal(s.array_max, 1001);
    assert_true(s.accounting);
    assert_string_equal(s.version, "22.05.8");
    slurm_settings_parse(&s, "AccountingStorageType = accounting_storage/none\n", 48);
    assert_false(s.accounting);
}

/* The least of those that are asked for; who says nothing gets the default one's. */
static void test_longest(void **state)
{
    (void)state;
    static const char text[] =
        "PartitionName=day AllowGroups=ALL Default=NO DefaultTime=00:10:00 MaxNodes=UNLIMITED "
        "MaxTime=1-02:30:59 State=UP\n"
        "PartitionName=ever Default=YES DefaultTime=NONE MaxTime=UNLIMITED State=UP\n"
        "PartitionName=short Default=NO MaxTime=01:30:00\nPartitionName=odd Default=NO MaxTime=1:2\n";
    uint32_t minutes = 7;
    assert_true(slurm_longest_parse(text, sizeof text - 1, "day", &minutes));
    assert_int_equal(minutes, 26 * 60 + 30);
    assert_true(slurm_longest_parse(text, sizeof text - 1, "day,ever,short", &minutes));
    assert_int_equal(minutes, 90);
    assert_true(slurm_longest_parse(text, sizeof text - 1, "", &minutes));
    assert_int_equal(minutes, 0);
    assert_false(slurm_longest_parse(text, sizeof text - 1, "odd", &minutes));
    assert_false(slurm_longest_parse(text, sizeof text - 1, "da", &minutes));
    assert_false(slurm_longest_parse("", 0, "", &minutes));
}

/* What decides whether a job ends for good or is asked about again. */
static void test_refusals(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "sbatch: error: Batch job submission failed: Invalid partition name specified",
        "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid",
    };
    static const char *const unsure[] = {
        "",
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sbatch: error: Batch job submission failed: Protocol authentication error",
        "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        "sbatch: error: slurm_receive_msg: something of a later Slurm",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_true(slurm_refused(refused[i]));
    for (size_t i = 0; i < sizeof unsure / sizeof unsure[0]; i++)
        assert_false(slurm_refused(unsure[i]));
}

/* ---- configuration, catalogue, programs ---- */

static int config_of(const char *text, struct engine_config **config)
{
    struct err err = {0};
    return engine_config_parse(config, text, strlen(text), "test", &err);
}

static void test_config(void **state)
{
    (void)state;
    struct engine_config *c;
    uint32_t cores[8];
    assert_int_equal(
        config_of(
            "engine: local\nwork: /w\nisolation: none\nchips:\n  - {chip: cpu, cores: ['0-1,4', '2']}\n", &c),
        0);
    assert_int_equal(c->isolation, ISOLATION_NONE + 1);
    assert_int_equal(engine_config_chips(c, "cpu")->cores_count, 2);
    assert_null(engine_config_chips(c, "h100"));
    engine_config_free(c);
    static const char *const bad[] = {
        "",
        "engine: local\n",
        "engine: pbs\nwork: /w\n",
        "engine: local\nwork: w\n",
        "engine: local\nwork: /w\nx: 1\n",
        "engine: local\nwork: /w\nchips:\n  - {chip: a, count: 2, indices: [1]}\n",
        "engine: local\nwork: /w\nchips:\n  - {chip: a, cores: ['2-1x']}\n",
        "engine: local\nwork: /w\nchips:\n  - {chip: a}\n  - {chip: a}\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(config_of(bad[i], &c), ERR_INVALID);
    assert_int_equal(engine_cores_parse("0-1,4", cores, 8), 3);
    assert_int_equal(cores[2], 4);
    static const char *const no[] = {"", "a", "1-", "-1", "1,", "3-1", "0-99", "1024", "1--2"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_int_equal(engine_cores_parse(no[i], cores, 8), 0);
}

static void test_catalogue(void **state)
{
    (void)state;
    struct chipset *set;
    struct err err = {0};
    uint32_t index[2] = {1, 3};
    struct job_chips c = {.kind = (char *)(uintptr_t) "h100", .count = 2, .index = index, .index_count = 2};
    assert_int_equal(chipset_load(&set, BUSBAR_SOURCE "/data/chips.yaml", &err), 0);
    assert_int_equal(chipset_fill(set, &c, &err), 0);
    assert_int_equal(c.watts, 700);
    assert_string_equal(c.visible, "CUDA_VISIBLE_DEVICES");
    assert_string_equal(c.devices[1], "/dev/nvidia3");
    assert_string_equal(c.devices[2], "/dev/nvidiactl");
    c.kind = (char *)(uintptr_t) "mi300x";
    assert_int_equal(chipset_fill(set, &c, &err), 0); /* in place of what was there */
    assert_string_equal(c.visible, "HIP_VISIBLE_DEVICES");
    assert_string_equal(c.devices[0], "/dev/dri/renderD129");
    for (uint32_t i = 0; i < c.devices_count; i++)
        free(c.devices[i]);
    free(c.devices);
    free(c.visible);
    c = (struct job_chips){.kind = (char *)(uintptr_t) "nosuch", .count = 1};
    assert_int_equal(chipset_fill(set, &c, &err), ERR_NOT_FOUND);
    chipset_free(set);
}

static void test_spawn(void **state)
{
    (void)state;
    struct spawn_result r;
    struct err err = {0};
    static const char *const cat[] = {"/bin/sh", "-c", "cat; echo e >&2; exit 3", NULL};
    struct spawn_order order = {.argv = cat, .input = "in", .input_len = 2, .limit_ms = 10000};
    assert_int_equal(spawn_run(&order, &r, &err), 0);
    assert_int_equal(r.status, 3);
    assert_string_equal(r.out.data, "in");
    assert_string_equal(r.err.data, "e\n");
    spawn_result_fini(&r);
    static const char *const hang[] = {"/bin/sh", "-c", "sleep 30 & exec sleep 30", NULL};
    order = (struct spawn_order){.argv = hang, .limit_ms = 200};
    uint64_t start = clock_mono_ns();
    assert_int_equal(spawn_run(&order, &r, &err), ERR_TIMEOUT);
    assert_true(clock_mono_ns() - start < UINT64_C(10000000000)); /* with what it had started */
    spawn_result_fini(&r);
    static const char *const none[] = {"/no/such", NULL};
    order = (struct spawn_order){.argv = none, .limit_ms = 200};
    assert_int_equal(spawn_run(&order, &r, &err), ERR_IO);
    spawn_result_fini(&r);
    static const char *const killed[] = {"/bin/sh", "-c", "kill -9 $$", NULL};
    order = (struct spawn_order){.argv = killed, .limit_ms = 10000};
    assert_int_equal(spawn_run(&order, &r, &err), 0);
    assert_int_equal(r.status, 137);
    spawn_result_fini(&r);
}

/* What there is of control groups on this machine: a group of our own ends with what is in it. */
static void test_cgroup(void **state)
{
    (void)state;
    char parent[FS_PATH_MAX], group[FS_PATH_MAX], kill_file[FS_PATH_MAX];
    const struct cgroup_limits none = {0};
    struct err err = {0};
    int status;
    if (!cgroup_own(parent) || access(parent, W_OK) != 0 ||
        cgroup_make(group, parent, "busbar-test", &none, &err) != 0) {
        print_message("# skip: no writable group of version 2\n");
        skip();
    }
    if (!fs_join(kill_file, group, "cgroup.kill") || !fs_exists(kill_file)) {
        (void)rmdir(group);
        print_message("# skip: this kernel has no cgroup.kill\n");
        skip();
    }
    pid_t child = fork();
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    assert_int_equal(cgroup_enter(group, child, &err), 0);
    cgroup_end(group);
    assert_false(fs_exists(group));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    const struct cgroup_limits limits = {.memory_bytes = 1 << 20};
    if (cgroup_probe(parent, &err) !=
        0) { /* truthful: where memory cannot be held, a group that should hold it is refused */
        assert_int_equal(cgroup_make(group, parent, "busbar-test", &limits, &err), ERR_UNSUPPORTED);
        assert_false(fs_exists(group));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_round),
        cmocka_unit_test(test_spec_refused),
        cmocka_unit_test(test_usage_last),
        cmocka_unit_test(test_exit),
        cmocka_unit_test(test_lease_here),
        cmocka_unit_test(test_lease_elsewhere),
        cmocka_unit_test_setup_teardown(test_claim, make_work, drop_work),
        cmocka_unit_test_setup_teardown(test_gone, make_work, drop_work),
        cmocka_unit_test_setup_teardown(test_epochs, make_work, drop_work),
        cmocka_unit_test_setup_teardown(test_lost_is_not_renewed, make_work, drop_work),
        cmocka_unit_test_setup_teardown(test_energy, make_work, drop_work),
        cmocka_unit_test(test_energy_of_chips),
        cmocka_unit_test(test_squeue),
        cmocka_unit_test(test_sacct),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_catalogue),
        cmocka_unit_test(test_spawn),
        cmocka_unit_test(test_cgroup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
