/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/trace.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/map.h"
#include "core/limits.h"
#include "sim/csv.h"

/* ---- arrays that grow ---- */

/* Room for element `n` of `size` bytes: the array, perhaps elsewhere. NULL, with the reading ended and the array as it
 * was, when there are `max` or no memory is left. */
static void *array_room(struct csv *csv, void *array, uint32_t *cap, uint32_t n, size_t size, uint32_t max)
{
    if (n < *cap)
        return array;
    if (n >= max) {
        csv_fail(csv, ERR_LIMIT, "there are more rows or names than a built-in limit allows");
        return NULL;
    }
    uint32_t more = *cap > max / 2 ? max : *cap * 2;
    if (more < 256)
        more = max < 256 ? max : 256;
    size_t bytes;
    void *room = size_mul(more, size, &bytes) ? realloc(array, bytes) : NULL;
    if (!room) {
        csv_fail(csv, ERR_NO_MEMORY, "out of memory");
        return NULL;
    }
    *cap = more;
    return room;
}

/* ---- names, numbered as they appear ---- */

struct names {
    char (*name)[TRACE_NAME_CAP];
    uint32_t n;
    uint32_t cap;
    uint32_t max;
    struct map map;
    struct map_slot *slots;
};

static bool name_equal(const void *table, uint32_t index, const void *key, size_t len)
{
    const struct names *names = table;
    return strlen(names->name[index]) == len && memcmp(names->name[index], key, len) == 0;
}

static void names_init(struct names *names, struct csv *csv, uint32_t max)
{
    *names = (struct names){.max = max};
    uint32_t nslots = map_slots(max);
    names->slots = calloc(nslots, sizeof *names->slots);
    if (names->slots)
        map_init(&names->map, names->slots, nslots, 0, name_equal, names);
    else
        csv_fail(csv, ERR_NO_MEMORY, "out of memory");
}

/* The number of the name in the field. False, with a complaint or the reading ended. */
static bool names_number(struct names *names, struct csv *csv, struct csv_field field, const char *what,
                         uint32_t *out)
{
    char name[TRACE_NAME_CAP] = {0};
    *out = field.len < TRACE_NAME_CAP ? map_get(&names->map, field.at, field.len) : MAP_NONE;
    if (*out != MAP_NONE)
        return true;
    if (!csv_name(csv, field, what, name, sizeof name))
        return false;
    void *room = array_room(csv, names->name, &names->cap, names->n, sizeof *names->name, names->max);
    if (!room)
        return false;
    names->name = room;
    memcpy(names->name[names->n], name, sizeof name);
    map_put(&names->map, name, field.len, names->n);
    *out = names->n++;
    return true;
}

/* Moves the names out. */
static void names_fini(struct names *names, char (**name)[TRACE_NAME_CAP], uint32_t *n)
{
    free(names->slots);
    *name = names->name;
    *n = names->n;
}

/* ---- fields ---- */

static const struct csv_field all = {"all", 3};

static struct csv_field field_or_all(struct csv_field field)
{
    return field.at ? field : all;
}

static bool field_time(struct csv *csv, struct csv_field field, const char *what, unsigned digits,
                       int64_t *out)
{
    uint64_t v;
    if (!csv_number(csv, field, what, digits, TRACE_TIME_MS_MAX, &v))
        return false;
    *out = (int64_t)v;
    return true;
}

static bool field_u32(struct csv *csv, struct csv_field field, const char *what, uint32_t max, uint32_t *out)
{
    uint64_t v;
    if (!csv_whole(csv, field, what, max, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

/* A number of chips; what is below zero, as traces have it of jobs that never got any, is 0. */
static bool field_chips(struct csv *csv, struct csv_field field, uint32_t *out)
{
    bool negative = field.len > 1 && field.at[0] == '-';
    if (negative)
        field = (struct csv_field){field.at + 1, field.len - 1};
    if (!field_u32(csv, field, "gpus", TRACE_CHIPS_MAX, out))
        return false;
    if (negative)
        *out = 0;
    return true;
}

/* Whole, from -JOB_PRIORITY_MAX to JOB_PRIORITY_MAX; without such a column 0. */
static bool field_priority(struct csv *csv, struct csv_field field, int32_t *out)
{
    bool negative = field.len > 1 && field.at[0] == '-';
    uint32_t size = 0;
    if (negative)
        field = (struct csv_field){field.at + 1, field.len - 1};
    if (field.at && !field_u32(csv, field, "priority", JOB_PRIORITY_MAX, &size))
        return false;
    *out = negative ? -(int32_t)size : (int32_t)size;
    return true;
}

/* ---- jobs ---- */

enum { JOB_QUEUE, JOB_SUBMIT, JOB_DURATION, JOB_CHIPS, JOB_TENANT, JOB_PRIORITY, JOB_COLUMNS };
static const struct csv_column job_columns[JOB_COLUMNS] = {
    [JOB_QUEUE] = {"vc|cluster|queue", .optional = true},
    [JOB_SUBMIT] = {"submit_s|submit|submit_time|ts"},
    [JOB_DURATION] = {"duration_s|duration"},
    [JOB_CHIPS] = {"gpus|gpu_num|chips"},
    [JOB_TENANT] = {"tenant|user", .optional = true},
    [JOB_PRIORITY] = {"priority", .optional = true},
};

static void jobs_rows(struct trace *out, struct csv *csv, struct names *queues, struct names *tenants)
{
    struct csv_field f[CSV_COLUMNS_MAX];
    uint32_t cap = 0;
    while (csv_next(csv, f)) {
        struct trace_job job;
        if (!field_time(csv, f[JOB_SUBMIT], "submit", 3, &job.submit_ms) ||
            !field_time(csv, f[JOB_DURATION], "duration", 3, &job.duration_ms) ||
            !field_chips(csv, f[JOB_CHIPS], &job.chips) ||
            !field_priority(csv, f[JOB_PRIORITY], &job.priority))
            continue;
        if (job.chips == 0) {
            out->dropped++;
            continue;
        }
        struct csv_field queue = field_or_all(f[JOB_QUEUE]);
        struct csv_field tenant = field_or_all(f[JOB_TENANT]);
        if (!names_number(queues, csv, queue, "vc", &job.queue) ||
            !names_number(tenants, csv, tenant, "tenant", &job.tenant))
            continue;
        struct trace_job *room = array_room(csv, out->job, &cap, out->n, sizeof job, TRACE_ROWS_MAX);
        if (!room)
            break;
        out->job = room;
        out->job[out->n++] = job;
    }
}

int trace_read(struct trace *out, const char *path, struct err *err)
{
    struct csv *csv;
    struct names queues;
    struct names tenants;
    *out = (struct trace){0};
    int rc = csv_open(&csv, path, err);
    if (rc != 0)
        return rc;
    names_init(&queues, csv, TRACE_QUEUES_MAX);
    names_init(&tenants, csv, TRACE_TENANTS_MAX);
    if (csv_header(csv, job_columns, JOB_COLUMNS, JOB_CHIPS + 1))
        jobs_rows(out, csv, &queues, &tenants);
    names_fini(&queues, &out->queue, &out->nqueues);
    names_fini(&tenants, &out->tenant, &out->ntenants);
    char *complaints;
    rc = csv_close(csv, &complaints, err);
    if (rc != 0)
        trace_free(out);
    out->complaints = complaints;
    return rc;
}

void trace_free(struct trace *trace)
{
    free(trace->job);
    free(trace->queue);
    free(trace->tenant);
    free(trace->complaints);
    *trace = (struct trace){0};
}

/* ---- pools ---- */

enum { POOL_NAME, POOL_NODES, POOL_COLUMNS };
static const struct csv_column pool_columns[POOL_COLUMNS] = {
    [POOL_NAME] = {"vc|cluster|queue|pool"},
    [POOL_NODES] = {"nodes|node num|node_num"},
};

static void pools_rows(struct trace_pools *out, struct csv *csv, struct names *names)
{
    struct csv_field f[CSV_COLUMNS_MAX];
    uint32_t cap = 0;
    while (csv_next(csv, f)) {
        uint32_t nodes;
        uint32_t index;
        uint32_t before = names->n;
        if (!field_u32(csv, f[POOL_NODES], "nodes", TRACE_NODES_MAX, &nodes))
            continue;
        if (nodes == 0) {
            csv_complain(csv, "a pool of no nodes");
            continue;
        }
        if (!names_number(names, csv, f[POOL_NAME], "vc", &index))
            continue;
        if (names->n == before) {
            csv_complain(csv, "the pool %s was there before", names->name[index]);
            continue;
        }
        uint32_t *room = array_room(csv, out->nodes, &cap, index, sizeof nodes, TRACE_QUEUES_MAX);
        if (!room)
            break;
        out->nodes = room;
        out->nodes[index] = nodes;
    }
}

int trace_read_pools(struct trace_pools *out, const char *path, struct err *err)
{
    struct csv *csv;
    struct names names;
    *out = (struct trace_pools){0};
    int rc = csv_open(&csv, path, err);
    if (rc != 0)
        return rc;
    names_init(&names, csv, TRACE_QUEUES_MAX);
    if (csv_header(csv, pool_columns, POOL_COLUMNS, POOL_COLUMNS))
        pools_rows(out, csv, &names);
    names_fini(&names, &out->name, &out->n);
    char *complaints;
    rc = csv_close(csv, &complaints, err);
    if (rc != 0)
        trace_pools_free(out);
    out->complaints = complaints;
    return rc;
}

void trace_pools_free(struct trace_pools *pools)
{
    free(pools->name);
    free(pools->nodes);
    free(pools->complaints);
    *pools = (struct trace_pools){0};
}

/* ---- requests ---- */

enum { REQUEST_ARRIVAL, REQUEST_IN, REQUEST_OUT, REQUEST_BLOCKS, REQUEST_COLUMNS };
static const struct csv_column request_columns[REQUEST_COLUMNS] = {
    [REQUEST_ARRIVAL] = {"arrival_ms"},
    [REQUEST_IN] = {"in_tokens"},
    [REQUEST_OUT] = {"out_tokens"},
    [REQUEST_BLOCKS] = {"hash_ids", .optional = true},
};

/* Adds the numbers of the field; none if it is empty or not there. */
static bool blocks_add(struct trace_requests *out, struct csv *csv, struct csv_field field, uint32_t *cap)
{
    uint32_t from = 0;
    for (uint32_t i = 0; field.len > 0 && i <= field.len; i++) {
        if (i < field.len && field.at[i] != ' ')
            continue;
        struct csv_field one = {field.at + from, i - from};
        uint64_t block;
        if (!csv_whole(csv, one, "hash_ids", UINT64_MAX, &block))
            return false;
        uint64_t *room = array_room(csv, out->block, cap, out->nblocks, sizeof block, 4 * TRACE_ROWS_MAX);
        if (!room)
            return false;
        out->block = room;
        out->block[out->nblocks++] = block;
        from = i + 1;
    }
    return true;
}

static void requests_rows(struct trace_requests *out, struct csv *csv)
{
    struct csv_field f[CSV_COLUMNS_MAX];
    uint32_t cap = 0;
    uint32_t blocks_cap = 0;
    while (csv_next(csv, f)) {
        struct trace_request request = {.block_first = out->nblocks};
        if (!field_time(csv, f[REQUEST_ARRIVAL], "arrival_ms", 0, &request.arrival_ms) ||
            !field_u32(csv, f[REQUEST_IN], "in_tokens", TRACE_TOKENS_MAX, &request.in_tokens) ||
            !field_u32(csv, f[REQUEST_OUT], "out_tokens", TRACE_TOKENS_MAX, &request.out_tokens) ||
            !blocks_add(out, csv, f[REQUEST_BLOCKS], &blocks_cap))
            continue;
        request.blocks = out->nblocks - request.block_first;
        struct trace_request *room =
            array_room(csv, out->request, &cap, out->n, sizeof request, TRACE_ROWS_MAX);
        if (!room)
            break;
        out->request = room;
        out->request[out->n++] = request;
    }
}

int trace_read_requests(struct trace_requests *out, const char *path, struct err *err)
{
    struct csv *csv;
    *out = (struct trace_requests){0};
    int rc = csv_open(&csv, path, err);
    if (rc != 0)
        return rc;
    if (csv_header(csv, request_columns, REQUEST_COLUMNS, 0))
        requests_rows(out, csv);
    char *complaints;
    rc = csv_close(csv, &complaints, err);
    if (rc != 0)
        trace_requests_free(out);
    out->complaints = complaints;
    return rc;
}

void trace_requests_free(struct trace_requests *requests)
{
    free(requests->request);
    free(requests->block);
    free(requests->complaints);
    *requests = (struct trace_requests){0};
}

/* ---- rates ---- */

enum { RATE_MODEL, RATE_TIME, RATE_RATE, RATE_COLUMNS };
static const struct csv_column rate_columns[RATE_COLUMNS] = {
    [RATE_MODEL] = {"model"},
    [RATE_TIME] = {"t"},
    [RATE_RATE] = {"rate"},
};

static void rates_rows(struct trace_rates *out, struct csv *csv, struct names *models)
{
    struct csv_field f[CSV_COLUMNS_MAX];
    uint32_t cap = 0;
    int64_t last_ms[TRACE_MODELS_MAX];
    while (csv_next(csv, f)) {
        struct trace_rate rate;
        uint32_t known = models->n;
        if (!field_time(csv, f[RATE_TIME], "t", 3, &rate.from_ms) ||
            !csv_number(csv, f[RATE_RATE], "rate", 6, TRACE_RATE_MAX, &rate.rate_micro) ||
            !names_number(models, csv, f[RATE_MODEL], "model", &rate.model))
            continue;
        if (rate.model < known && rate.from_ms <= last_ms[rate.model]) {
            csv_complain(csv, "t is not after the model's last");
            continue;
        }
        last_ms[rate.model] = rate.from_ms;
        struct trace_rate *room = array_room(csv, out->rate, &cap, out->n, sizeof rate, TRACE_ROWS_MAX);
        if (!room)
            break;
        out->rate = room;
        out->rate[out->n++] = rate;
    }
}

int trace_read_rates(struct trace_rates *out, const char *path, struct err *err)
{
    struct csv *csv;
    struct names models;
    *out = (struct trace_rates){0};
    int rc = csv_open(&csv, path, err);
    if (rc != 0)
        return rc;
    names_init(&models, csv, TRACE_MODELS_MAX);
    if (csv_header(csv, rate_columns, RATE_COLUMNS, 0))
        rates_rows(out, csv, &models);
    names_fini(&models, &out->model, &out->nmodels);
    char *complaints;
    rc = csv_close(csv, &complaints, err);
    if (rc != 0)
        trace_rates_free(out);
    out->complaints = complaints;
    return rc;
}

void trace_rates_free(struct trace_rates *rates)
{
    free(rates->rate);
    free(rates->model);
    free(rates->complaints);
    *rates = (struct trace_rates){0};
}
