/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of traces: made files, what must be refused and in which words, and the real traces where they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include <cmocka.h>

#include "sim/csv.h"
#include "sim/trace.h"

static char path[64];

static void put(const void *data, size_t len)
{
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void put_text(const char *text)
{
    put(text, strlen(text));
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/bb-trace-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static struct trace jobs(const char *text)
{
    struct trace t;
    struct err err = {0};
    put_text(text);
    if (trace_read(&t, path, &err) != 0)
        fail_msg("%s", err.msg);
    assert_null(t.complaints);
    return t;
}

/* The text is refused: the complaint about `line` ends in `words`. */
static void refused(const char *text, unsigned line, const char *words)
{
    struct trace t;
    struct err err = {0};
    char want[400];
    put_text(text);
    assert_int_equal(trace_read(&t, path, &err), ERR_INVALID);
    (void)snprintf(want, sizeof want, "%s:%u: %s", path, line, words);
    assert_string_equal(err.msg, want);
    assert_non_null(t.complaints);
    assert_memory_equal(t.complaints, want, strlen(want));
    assert_null(t.job);
    assert_int_equal(t.n, 0);
    trace_free(&t);
}

static void test_header(void **state)
{
    (void)state;
    struct trace t =
        jobs("job_id,gpus,submit_s,clamped,duration_s,vc,user\r\n"
             "a,8,10,1,2.5,x,u1\r\nb,0,11,0,1,y,u1\nc,-1,11,0,1,y,u1\nd,2.0,0.0005,,0.0004,z,u2");
    assert_int_equal(t.n, 2);
    assert_int_equal(t.dropped, 2);
    assert_int_equal(t.nqueues, 2);
    assert_string_equal(t.queue[0], "x");
    assert_string_equal(t.queue[1], "z");
    assert_int_equal(t.ntenants, 2);
    assert_int_equal(t.job[0].submit_ms, 10000);
    assert_int_equal(t.job[0].duration_ms, 2500);
    assert_int_equal(t.job[0].chips, 8);
    assert_int_equal(t.job[1].submit_ms, 1);
    assert_int_equal(t.job[1].duration_ms, 0);
    assert_int_equal(t.job[1].chips, 2);
    assert_int_equal(t.job[1].queue, 1);
    assert_int_equal(t.job[1].tenant, 1);
    trace_free(&t);
    trace_free(&t);

    t = jobs("submit,duration,chips\n1,2,3\n");
    assert_int_equal(t.nqueues, 1);
    assert_string_equal(t.queue[0], "all");
    assert_string_equal(t.tenant[0], "all");
    trace_free(&t);
    /* In the outputs of a peer simulator `queue` is a time; vc is the queue. */
    t = jobs("\xef\xbb\xbfvc,submit_time,duration,gpu_num,queue\nv,1,2,3,77.0\n");
    assert_string_equal(t.queue[0], "v");
    trace_free(&t);
    t = jobs("ts,duration,gpus\n");
    assert_int_equal(t.n, 0);
    trace_free(&t);
}

static void test_plain(void **state)
{
    (void)state;
    struct trace t = jobs("7,5,6,1\nab,0,7,2\n7,1,8,3\n");
    assert_int_equal(t.n, 3);
    assert_int_equal(t.nqueues, 2);
    assert_int_equal(t.job[2].queue, 0);
    assert_int_equal(t.job[2].submit_ms, 1000);
    trace_free(&t);
    t = jobs("7,5,6,1,-99\n7,5,6,1,3\n");
    assert_int_equal(t.n, 2);
    trace_free(&t);
}

static void test_refused(void **state)
{
    (void)state;
    const char *head = "vc,submit,duration,gpus\n";
    static const struct {
        const char *row, *words;
    } rows[] = {
        {"a,1,2", "3 fields where the first line has 4"},
        {"a,1,2,3,4", "5 fields where the first line has 4"},
        {"", "the line is empty"},
        {"\"a\",1,2,3", "there is a quote (quoted fields are not read) at byte 1"},
        {"a,1,2,\t3", "there is a control character at byte 7"},
        {"a,,2,3", "submit: \"\" is not a number"},
        {"a,1e3,2,3", "submit: \"1e3\" is not a number"},
        {"a, 1,2,3", "submit: \" 1\" is not a number"},
        {"a,1,2x,3", "duration: \"2x\" is not a number"},
        {"a,1,.5,3", "duration: \".5\" is not a number"},
        {"a,1,5.,3", "duration: \"5.\" is not a number"},
        {"a,1,-5,3", "duration: \"-5\" is not a number >= 0"},
        {"a,1,nan,3", "duration: \"nan\" is not a number"},
        {"a,3155760000.001,2,3", "submit: \"3155760000.001\" is too large"},
        {"a,18446744073709551616,2,3", "submit: \"18446744073709551616\" is too large"},
        {"a,99999999999999999999999,2,3", "submit: \"99999999999999999999999\" is too large"},
        {"a,1,2,0.5", "gpus: \"0.5\" is not a whole number"},
        {"a,1,2,-", "gpus: \"-\" is not a number >= 0"},
        {"a,1,2,--1", "gpus: \"-1\" is not a number >= 0"},
        {"a,1,2,1048577", "gpus: \"1048577\" is too large"},
        {",1,2,3", "vc: \"\" is empty"},
        {"\xc3\xa4,1,2,3", "vc: \"??\" has characters that are not printable ASCII"},
        {"a b,1,2,3", "vc: \"a b\" has characters that are not printable ASCII"},
        {"a123456789b123456789c123456789d123456789e123456789f123456789g123,1,2,3",
         "vc: \"a123456789b123456789c123456789d123456789\" is too long"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[300];
        (void)snprintf(text, sizeof text, "%sok,1,2,3\n%s\nok,1,2,3\n", head, rows[i].row);
        refused(text, 3, rows[i].words);
    }
    refused("vc,submit,gpus\n1,2,3\n", 1, "there is no column duration_s|duration");
    refused("submit,submit,duration,gpus\n", 1, "there are two columns submit");
    refused("a,1,2\n", 1, "3 fields in a file without a header, which has at least 4");
    refused("vc,submit,duration,gpus,\"x\"\n", 1, "there is a quote (quoted fields are not read) at byte 25");
}

static void test_many(void **state)
{
    (void)state;
    char text[2000] = "ts,duration,gpus\n";
    struct trace t;
    struct err err = {0};
    for (unsigned i = 0; i < 5; i++)
        strncat(text, "1,2,3\nx,2,3\n", sizeof text - strlen(text) - 1);
    put_text(text);
    assert_int_equal(trace_read(&t, path, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, ":3: submit: \"x\" is not a number (and 4 more)"));
    unsigned lines = 0;
    for (const char *p = t.complaints; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 5);
    assert_non_null(strstr(t.complaints, ":11: "));
    trace_free(&t);

    for (unsigned i = 0; i < 50; i++)
        strncat(text, "1,x,3\n", sizeof text - strlen(text) - 1);
    put_text(text);
    assert_int_equal(trace_read(&t, path, &err), ERR_INVALID);
    lines = 0;
    for (const char *p = t.complaints; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, CSV_COMPLAINTS_MAX + 1);
    assert_non_null(strstr(t.complaints, "the rest was not read\n"));
    trace_free(&t);
}

static void test_files(void **state)
{
    (void)state;
    struct trace t;
    struct err err = {0};
    assert_int_equal(trace_read(&t, "/nonexistent/x.csv", &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "/nonexistent/x.csv: No such file or directory");
    assert_null(t.complaints);
    trace_free(&t);
    assert_int_equal(trace_read(&t, "/tmp", &err), ERR_IO);
    put_text("");
    assert_int_equal(trace_read(&t, path, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, ": the file is empty"));

    /* A line that is too long ends the reading; one that just fits does not. */
    char *big = malloc(CSV_LINE_MAX + 100);
    assert_non_null(big);
    int n = snprintf(big, 100, "ts,duration,gpus,note\n1,2,3,");
    size_t row = (size_t)n - 6;
    memset(big + n, 'x', CSV_LINE_MAX);
    put(big, row + CSV_LINE_MAX - 1);
    assert_int_equal(trace_read(&t, path, &err), 0);
    assert_int_equal(t.n, 1);
    trace_free(&t);
    put(big, row + CSV_LINE_MAX);
    assert_int_equal(trace_read(&t, path, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, ":2: the line is longer than 65535 bytes"));
    trace_free(&t);
    free(big);
}

static void test_zstd(void **state)
{
    (void)state;
    const uint32_t rows = 40000; /* several buffers, both of text and compressed */
    size_t cap = (size_t)rows * 32;
    size_t len = 0;
    char *text = malloc(cap);
    uint8_t *packed = malloc(2 * ZSTD_compressBound(cap));
    assert_true(text && packed);
    uint64_t want = 0;
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t noise = i * 2654435761u >> 8;
        want += noise;
        len += (size_t)snprintf(text + len, cap - len, "q%u,%u,%u,%u\n", i % 7, i, noise, 1 + i % 9);
    }
    size_t half = len / 2;
    size_t n = ZSTD_compress(packed, ZSTD_compressBound(cap), text, half, 3);
    assert_false(ZSTD_isError(n));
    size_t m = ZSTD_compress(packed + n, ZSTD_compressBound(cap), text + half, len - half, 3);
    assert_false(ZSTD_isError(m));
    assert_true(n + m > 300000);
    struct trace t;
    struct err err = {0};
    put(packed, n + m); /* two frames, cut within a line */
    assert_int_equal(trace_read(&t, path, &err), 0);
    assert_int_equal(t.n, rows);
    assert_int_equal(t.nqueues, 7);
    for (uint32_t i = 0; i < rows; i++) {
        assert_int_equal(t.job[i].submit_ms, (int64_t)i * 1000);
        want -= (uint64_t)t.job[i].duration_ms / 1000;
    }
    assert_int_equal(want, 0);
    trace_free(&t);

    put(packed, n + m - 1);
    assert_int_equal(trace_read(&t, path, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "the compressed data ends too early"));
    trace_free(&t);
    put(packed, 5);
    assert_int_equal(trace_read(&t, path, &err), ERR_CORRUPT);
    trace_free(&t);
    packed[n + m] = 'x';
    put(packed, n + m + 1);
    assert_int_equal(trace_read(&t, path, &err), ERR_CORRUPT);
    trace_free(&t);
    packed[1000] ^= 0x10; /* found by zstd's own structure or checksum, or as a bad line; never read past */
    put(packed, n + m);
    (void)trace_read(&t, path, &err);
    trace_free(&t);
    free(packed);
    free(text);
}

static void test_pools(void **state)
{
    (void)state;
    struct trace_pools p;
    struct err err = {0};
    put_text("vc,node num\na,64\nb,1\n");
    assert_int_equal(trace_read_pools(&p, path, &err), 0);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.name[1], "b");
    assert_int_equal(p.nodes[0], 64);
    trace_pools_free(&p);
    put_text("a,64\n");
    assert_int_equal(trace_read_pools(&p, path, &err), 0);
    assert_int_equal(p.n, 1);
    trace_pools_free(&p);
    put_text("a,64\nb,0\na,3\nc,1.5\n");
    assert_int_equal(trace_read_pools(&p, path, &err), ERR_INVALID);
    assert_non_null(strstr(p.complaints, ":2: a pool of no nodes\n"));
    assert_non_null(strstr(p.complaints, ":3: the pool a was there before\n"));
    assert_non_null(strstr(p.complaints, ":4: nodes: \"1.5\" is not a whole number\n"));
    assert_int_equal(p.n, 0);
    trace_pools_free(&p);
}

static void test_requests(void **state)
{
    (void)state;
    struct trace_requests r;
    struct err err = {0};
    put_text("arrival_ms,in_tokens,out_tokens,hash_ids\n0.4999,10,20,0 1 "
             "18446744073709551615\n2.5,0,1,\n3,1,1,7\n");
    assert_int_equal(trace_read_requests(&r, path, &err), 0);
    assert_int_equal(r.n, 3);
    assert_int_equal(r.nblocks, 4);
    assert_int_equal(r.request[0].arrival_ms, 0);
    assert_int_equal(r.request[1].arrival_ms, 3);
    assert_int_equal(r.request[1].blocks, 0);
    assert_int_equal(r.request[2].block_first, 3);
    assert_true(r.block[2] == UINT64_MAX);
    trace_requests_free(&r);
    put_text("arrival_ms,in_tokens,out_tokens,hash_ids\n1,10,20,0  1\n1,1.5,1,\n1,1,1073741825,\n");
    assert_int_equal(trace_read_requests(&r, path, &err), ERR_INVALID);
    assert_non_null(strstr(r.complaints, ":2: hash_ids: \"\" is not a number\n"));
    assert_non_null(strstr(r.complaints, ":3: in_tokens: \"1.5\" is not a whole number\n"));
    assert_non_null(strstr(r.complaints, ":4: out_tokens: \"1073741825\" is too large\n"));
    trace_requests_free(&r);
    put_text("1,2,3\n");
    assert_int_equal(trace_read_requests(&r, path, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, ":1: there is no column arrival_ms"));
    trace_requests_free(&r);
}

static void test_rates(void **state)
{
    (void)state;
    struct trace_rates r;
    struct err err = {0};
    put_text("model,t,rate\na,0,14.8633\nb,0,1\na,600,0.0000005\n");
    assert_int_equal(trace_read_rates(&r, path, &err), 0);
    assert_int_equal(r.n, 3);
    assert_int_equal(r.nmodels, 2);
    assert_true(r.rate[0].rate_micro == 14863300);
    assert_true(r.rate[2].rate_micro == 1);
    assert_int_equal(r.rate[2].from_ms, 600000);
    trace_rates_free(&r);
    put_text("model,t,rate\na,5,1\na,5,1\nb,x,1\nb,1,1000000.1\n");
    assert_int_equal(trace_read_rates(&r, path, &err), ERR_INVALID);
    assert_non_null(strstr(r.complaints, ":3: t is not after the model's last\n"));
    assert_non_null(strstr(r.complaints, ":4: t: \"x\" is not a number\n"));
    assert_non_null(strstr(r.complaints, ":5: rate: \"1000000.1\" is too large\n"));
    trace_rates_free(&r);
}

/* ---- the real traces ---- */

static void data_path(char dst[512], const char *name)
{
    const char *dir = getenv("BUSBAR_TESTDATA");
    (void)snprintf(dst, 512, "%s/%s", dir && *dir ? dir : TESTDATA, name);
}

/* Told in the output: cmocka's own skip() is a failure in TAP. */
static bool data_missing(const char *name)
{
    char at[512];
    data_path(at, name);
    if (access(at, R_OK) == 0)
        return false;
    printf("# SKIPPED: there is no %s; set BUSBAR_TESTDATA\n", at);
    (void)fflush(stdout);
    return true;
}

static void test_real_jobs(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t n, queues;
        uint64_t chips, submit_s, duration_s;
    } files[] = {
        /* clang-format off */
        {"workloads/helios_venus_gpu_jobs.csv.zst", 125303, 1, 843981, 1195214808632, 1138719078},
        {"workloads/philly_jobs.csv.zst", 82247, 15, 107235, 376409849141, 1080390950},
        {"workloads/ms_itp_10clusters.csv.zst", 69351, 10, 148172, 165972705893, 1298409126},
        {"golden/philly.jobs.csv.zst", 68503, 11, 86975, 141096047553, 786461080},
        {"golden/vcvGl160.jobs.csv", 1452, 1, 84155, 20754920501, 6687753},
        {"golden/venus2.jobs.csv", 1867, 2, 87757, 26883086146, 10549988},
        {"golden/venus736.jobs.csv.zst", 23859, 1, 191044, 341964627413, 202607442},
        {"golden/venus92.jobs.csv.zst", 23859, 1, 191044, 341964627413, 202607442},
        {"golden/venus2.sjf.out.csv.zst", 1867, 2, 87757, 26883086146, 10549988},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char at[512];
        struct trace t;
        struct err err = {0};
        uint64_t chips = 0;
        uint64_t submit_ms = 0;
        uint64_t duration_ms = 0;
        if (data_missing(files[i].name))
            return;
        data_path(at, files[i].name);
        clock_t before = clock();
        if (trace_read(&t, at, &err) != 0)
            fail_msg("%s", err.msg);
        double ms = (double)(clock() - before) * 1000.0 / CLOCKS_PER_SEC;
        printf("# %s: %u jobs, %.1f ms CPU\n", files[i].name, t.n, ms);
        for (uint32_t j = 0; j < t.n; j++) {
            chips += t.job[j].chips;
            submit_ms += (uint64_t)t.job[j].submit_ms;
            duration_ms += (uint64_t)t.job[j].duration_ms;
            assert_true(t.job[j].queue < t.nqueues && t.job[j].tenant < t.ntenants);
        }
        assert_int_equal(t.n, files[i].n);
        assert_int_equal(t.dropped, 0);
        assert_int_equal(t.nqueues, files[i].queues);
        assert_true(chips == files[i].chips);
        assert_true(submit_ms == files[i].submit_s * 1000);
        assert_true(duration_ms == files[i].duration_s * 1000);
        trace_free(&t);
    }
}

static void test_real_pools(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t n, nodes;
    } files[] = {
        /* clang-format off */
        {"golden/philly.nodes.csv", 11, 352},
        {"golden/vcvGl160.nodes.csv", 1, 160},
        {"golden/venus2.nodes.csv", 2, 22},
        {"golden/venus736.nodes.csv", 1, 736},
        {"golden/venus92.nodes.csv", 1, 92},
        {"workloads/philly_vc_nodes.csv", 11, 352},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char at[512];
        struct trace_pools p;
        struct err err = {0};
        uint32_t nodes = 0;
        if (data_missing(files[i].name))
            return;
        data_path(at, files[i].name);
        if (trace_read_pools(&p, at, &err) != 0)
            fail_msg("%s", err.msg);
        for (uint32_t j = 0; j < p.n; j++)
            nodes += p.nodes[j];
        assert_int_equal(p.n, files[i].n);
        assert_int_equal(nodes, files[i].nodes);
        trace_pools_free(&p);
    }
}

static void test_real_requests(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t n, blocks;
        uint64_t in, out;
        int64_t last_ms;
    } files[] = {
        {"workloads/azure_llm_2023_conv.csv.zst", 19366, 0, 22361870, 4088665, 3501722},
        {"workloads/mooncake_conversation.csv.zst", 12031, 288500, 144793823, 4122048, 3536999},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char at[512];
        struct trace_requests r;
        struct err err = {0};
        uint64_t in = 0;
        uint64_t out = 0;
        if (data_missing(files[i].name))
            return;
        data_path(at, files[i].name);
        if (trace_read_requests(&r, at, &err) != 0)
            fail_msg("%s", err.msg);
        for (uint32_t j = 0; j < r.n; j++) {
            in += r.request[j].in_tokens;
            out += r.request[j].out_tokens;
        }
        assert_int_equal(r.n, files[i].n);
        assert_int_equal(r.nblocks, files[i].blocks);
        assert_true(in == files[i].in && out == files[i].out);
        assert_int_equal(r.request[r.n - 1].arrival_ms, files[i].last_ms);
        trace_requests_free(&r);
    }
}

static void test_real_rates(void **state)
{
    (void)state;
    char at[512];
    struct trace_rates r;
    struct err err = {0};
    uint64_t sum = 0;
    if (data_missing("workloads/servegen_total_rate_10min.csv.zst"))
        return;
    data_path(at, "workloads/servegen_total_rate_10min.csv.zst");
    if (trace_read_rates(&r, at, &err) != 0)
        fail_msg("%s", err.msg);
    for (uint32_t i = 0; i < r.n; i++)
        sum += r.rate[i].rate_micro;
    assert_int_equal(r.n, 6215);
    assert_int_equal(r.nmodels, 5);
    assert_true(sum == UINT64_C(6374846436800));
    trace_rates_free(&r);
}

static void test_priority(void **state)
{
    (void)state;
    struct trace t = jobs("submit_s,duration_s,gpus,priority\n0,1,1,-100\n1,1,1,7\n");
    assert_true(t.n == 2 && t.job[0].priority == -100 && t.job[1].priority == 7);
    trace_free(&t);
    t = jobs("submit_s,duration_s,gpus\n0,1,1\n");
    assert_int_equal(t.job[0].priority, 0);
    trace_free(&t);
    struct err err = {0};
    put_text("submit_s,duration_s,gpus,priority\n0,1,1,101\n");
    assert_int_not_equal(trace_read(&t, path, &err), 0);
    assert_non_null(strstr(err.msg, "priority"));
    trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_priority),      cmocka_unit_test(test_header),
        cmocka_unit_test(test_plain),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many),          cmocka_unit_test(test_files),
        cmocka_unit_test(test_zstd),          cmocka_unit_test(test_pools),
        cmocka_unit_test(test_requests),      cmocka_unit_test(test_rates),
        cmocka_unit_test(test_real_jobs),     cmocka_unit_test(test_real_pools),
        cmocka_unit_test(test_real_requests), cmocka_unit_test(test_real_rates),
    };
    return cmocka_run_group_tests_name("sim_trace", tests, setup, teardown);
}
