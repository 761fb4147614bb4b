/* SPDX-License-Identifier: Apache-2.0 */
/* Trace files from any bytes: refused with words, or arrays in which every index and bound holds, twice the same. The
 * first byte picks the reader; the rest is the file, plain or zstd. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/csv.h"
#include "sim/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void told(int rc, const char *complaints, const struct err *err)
{
    if (rc != 0)
        assert(err->code == rc && err->msg[0]);
    if (!complaints) {
        assert(rc != ERR_INVALID || strstr(err->msg, "empty"));
        return;
    }
    unsigned lines = 0;
    for (const char *p = complaints; *p; p++)
        lines += *p == '\n';
    assert(rc != 0 && lines >= 1 && lines <= CSV_COMPLAINTS_MAX + 1);
}

static void jobs(const char *path)
{
    struct trace t;
    struct trace again;
    struct err err = {0};
    int rc = trace_read(&t, path, &err);
    told(rc, t.complaints, &err);
    assert(trace_read(&again, path, &err) == rc && again.n == t.n && again.dropped == t.dropped);
    for (uint32_t i = 0; i < t.n; i++) {
        const struct trace_job *j = &t.job[i];
        assert(j->submit_ms >= 0 && j->submit_ms <= TRACE_TIME_MS_MAX && j->duration_ms >= 0);
        assert(j->chips >= 1 && j->chips <= TRACE_CHIPS_MAX && j->queue < t.nqueues &&
               j->tenant < t.ntenants);
    }
    assert(t.n == 0 || memcmp(t.job, again.job, t.n * sizeof *t.job) == 0);
    trace_free(&t);
    trace_free(&again);
}

static void pools(const char *path)
{
    struct trace_pools p;
    struct err err = {0};
    told(trace_read_pools(&p, path, &err), p.complaints, &err);
    for (uint32_t i = 0; i < p.n; i++)
        assert(p.nodes[i] >= 1 && p.nodes[i] <= TRACE_NODES_MAX && p.name[i][0] &&
               strlen(p.name[i]) < TRACE_NAME_CAP);
    trace_pools_free(&p);
}

static void requests(const char *path)
{
    struct trace_requests r;
    struct err err = {0};
    told(trace_read_requests(&r, path, &err), r.complaints, &err);
    uint32_t blocks = 0;
    for (uint32_t i = 0; i < r.n; i++) {
        assert(r.request[i].block_first == blocks && r.request[i].in_tokens <= TRACE_TOKENS_MAX);
        blocks += r.request[i].blocks;
    }
    assert(blocks == r.nblocks);
    trace_requests_free(&r);
}

static void rates(const char *path)
{
    struct trace_rates r;
    struct err err = {0};
    told(trace_read_rates(&r, path, &err), r.complaints, &err);
    for (uint32_t i = 0; i < r.n; i++)
        assert(r.rate[i].model < r.nmodels && r.rate[i].from_ms >= 0 &&
               r.rate[i].rate_micro <= TRACE_RATE_MAX);
    trace_rates_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *) = {jobs, pools, requests, rates};
    static int fd = -1;
    static char path[32];
    if (size == 0)
        return 0;
    if (fd < 0) {
        fd = memfd_create("trace", MFD_CLOEXEC);
        assert(fd >= 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    int rc = ftruncate(fd, 0);
    ssize_t n = pwrite(fd, data + 1, size - 1, 0);
    assert(rc == 0 && n == (ssize_t)(size - 1));
    readers[data[0] % 4](path);
    return 0;
}
