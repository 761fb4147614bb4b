/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/job.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#include "base/blob.h"
#include "engine/data.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof(array)[0]))
#define TABLE(fields, type) \
    { \
        fields, COUNT(fields), sizeof(type) \
    }

static const char *const isolation_words[] = {
#define I(name, number, text) text,
    ISOLATIONS(I)
#undef I
        NULL};

static const char *const end_words[] = {
#define E(name, word, sentence) word,
    JOB_ENDS(E)
#undef E
        NULL};

static const char *const energy_words[] = {"", "estimated", "measured", NULL};

const char *job_end_text(enum job_end end)
{
    return end_words[end];
}

/* clang-format off */
#define FIELD_AS(type_, key_, st, ...) {.key = #key_, .type = FORM_##type_, .at = offsetof(struct st, key_), __VA_ARGS__}
#define FIELD(type_, key_, st) FIELD_AS(type_, key_, st, .max = 0)
#define LIST_AS(type_, key_, st, max_, ...) \
    FIELD_AS(type_, key_, st, .count = offsetof(struct st, key_##_count), .max = (max_), __VA_ARGS__)
#define LIST(type_, key_, st, max_) LIST_AS(type_, key_, st, max_, .required = false)

static const struct form_field chips_fields[] = {
    FIELD_AS(TEXT, kind, job_chips, .max = 31, .required = true),
    FIELD_AS(U32, count, job_chips, .max = JOB_INDICES_MAX, .required = true),
    LIST(U32S, index, job_chips, JOB_INDICES_MAX),
    FIELD_AS(U32, watts, job_chips, .max = 100000),
    FIELD_AS(TEXT, visible, job_chips, .max = 63),
    LIST(TEXTS, devices, job_chips, 1024),
    LIST(U32S, cores, job_chips, JOB_CORES_MAX),
};
static const struct form_table chips_table = TABLE(chips_fields, struct job_chips);

static const struct form_field bind_fields[] = {
    FIELD_AS(TEXT, source, job_bind, .max = FS_PATH_MAX - 1, .required = true),
    FIELD_AS(TEXT, target, job_bind, .max = FS_PATH_MAX - 1),
    FIELD(BOOL, write, job_bind),
    FIELD(BOOL, may_lack, job_bind),
};
static const struct form_table bind_table = TABLE(bind_fields, struct job_bind);

static const struct form_field blob_fields[] = {
    FIELD_AS(TEXT, name, job_blob, .max = DATA_NAME_MAX, .required = true),
    FIELD_AS(TEXT, sha256, job_blob, .max = BLOB_NAME_LEN, .required = true),
    FIELD_AS(U64, size, job_blob, .max = BLOB_MAX, .required = true),
    FIELD(BOOL, program, job_blob),
};
const struct form_table job_blob_table = TABLE(blob_fields, struct job_blob);

static const struct form_field gang_fields[] = {
    FIELD_AS(U32, rank, job_gang, .max = JOB_NODES_MAX),
    FIELD_AS(U32, world, job_gang, .max = JOB_NODES_MAX),
    FIELD_AS(TEXT, address, job_gang, .max = 255),
    FIELD_AS(U32, port, job_gang, .max = 65535),
    LIST(TEXTS, hosts, job_gang, JOB_NODES_MAX),
};
static const struct form_table gang_table = TABLE(gang_fields, struct job_gang);

static const struct form_field tasks_fields[] = {
    FIELD(U32, first, job_tasks),
    FIELD_AS(U32, total, job_tasks, .max = 65535, .required = true),
};
static const struct form_table tasks_table = TABLE(tasks_fields, struct job_tasks);

static const struct form_field spec_fields[] = {
    FIELD_AS(U32, version, job_spec, .max = 1, .required = true),
    FIELD_AS(UUID, job, job_spec, .required = true),
    FIELD_AS(U32, epoch, job_spec, .required = true),
    FIELD_AS(TEXT, name, job_spec, .max = 63),
    LIST_AS(TEXTS, argv, job_spec, JOB_ARGS_MAX, .required = true),
    FIELD_AS(TEXT, script, job_spec, .max = JOB_SCRIPT_MAX),
    LIST(TEXTS, env, job_spec, JOB_ENV_MAX),
    FIELD_AS(TEXT, cwd, job_spec, .max = FS_PATH_MAX - 1),
    LIST_AS(LIST, chips, job_spec, JOB_KINDS_MAX, .of = &chips_table),
    FIELD_AS(U32, cpus, job_spec, .max = 65536),
    FIELD_AS(U64, memory_mib, job_spec, .max = UINT64_C(1) << 40),
    FIELD_AS(U32, processes, job_spec, .max = 1 << 22),
    FIELD_AS(U32, nodes, job_spec, .max = JOB_NODES_MAX),
    FIELD(U64, time_limit_ms, job_spec),
    FIELD_AS(U64, grace_ms, job_spec, .max = JOB_GRACE_MS_MAX),
    FIELD_AS(TEXT, checkpoint_dir, job_spec, .max = FS_PATH_MAX - 1),
    FIELD_AS(WORD, isolation, job_spec, .words = isolation_words),
    FIELD(BOOL, network, job_spec),
    LIST_AS(LIST, binds, job_spec, JOB_BINDS_MAX, .of = &bind_table),
    LIST_AS(LIST, inputs, job_spec, JOB_BLOBS_MAX, .of = &job_blob_table),
    LIST(TEXTS, outputs, job_spec, JOB_OUTPUTS_MAX),
    FIELD(BOOL, checkpoint, job_spec),
    FIELD_AS(OBJECT, gang, job_spec, .of = &gang_table),
    FIELD_AS(OBJECT, array, job_spec, .of = &tasks_table),
    FIELD_AS(TEXT, account, job_spec, .max = 63),
    FIELD_AS(TEXT, partition, job_spec, .max = 255),
    FIELD(U32, array_limit, job_spec),
    FIELD(BOOL, finish, job_spec),
    FIELD(BOOL, confined, job_spec),
    FIELD(BOOL, longest, job_spec),
};
const struct form_table job_spec_table = TABLE(spec_fields, struct job_spec);

static const struct form_field lease_fields[] = {
    FIELD_AS(TEXT, boot, job_lease, .max = 63, .required = true),
    FIELD_AS(U64, sequence, job_lease, .required = true),
    FIELD_AS(U64, until_ms, job_lease, .required = true),
    FIELD_AS(U64, for_ms, job_lease, .required = true),
};
const struct form_table job_lease_table = TABLE(lease_fields, struct job_lease);

static const struct form_field stop_fields[] = {
    FIELD_AS(WORD, end, job_stop, .words = end_words, .required = true),
    FIELD_AS(U64, grace_ms, job_stop, .max = JOB_GRACE_MS_MAX),
};
const struct form_table job_stop_table = TABLE(stop_fields, struct job_stop);

static const struct form_field usage_chips_fields[] = {
    FIELD_AS(TEXT, kind, usage_chips, .max = 31, .required = true),
    FIELD_AS(U64, chip_ms, usage_chips, .required = true),
};
static const struct form_table usage_chips_table = TABLE(usage_chips_fields, struct usage_chips);

static const struct form_field usage_fields[] = {
    FIELD_AS(U64, ms, job_usage, .required = true),
    FIELD_AS(U64, wall_ms, job_usage, .required = true),
    LIST_AS(LIST, chips, job_usage, JOB_KINDS_MAX, .of = &usage_chips_table),
    FIELD(U64, cpu_ms, job_usage),
    FIELD(U64, memory_peak_kib, job_usage),
    FIELD(U64, energy_mj, job_usage),
    FIELD_AS(WORD, energy, job_usage, .words = energy_words),
};
const struct form_table job_usage_table = TABLE(usage_fields, struct job_usage);

static const struct form_field exit_fields[] = {
    FIELD_AS(WORD, end, job_exit, .words = end_words, .required = true),
    FIELD_AS(U32, code, job_exit, .max = 255),
    FIELD_AS(U32, signal, job_exit, .max = 127),
    FIELD_AS(TEXT, text, job_exit, .max = 511),
    FIELD_AS(TEXT, host, job_exit, .max = 255),
    FIELD(BOOL, truncated, job_exit),
    FIELD_AS(OBJECT, usage, job_exit, .of = &job_usage_table, .required = true),
};
const struct form_table job_exit_table = TABLE(exit_fields, struct job_exit);
/* clang-format on */

/* ---- checks that a table cannot say ---- */

static bool variable(const char *text)
{
    if (!isalpha((unsigned char)text[0]) && text[0] != '_')
        return false;
    while (isalnum((unsigned char)*text) || *text == '_')
        text++;
    return *text == '=' || *text == 0;
}

static bool absolute(const char *path)
{
    return !path || path[0] == '/';
}

static int check_chips(const struct job_chips *c, struct err *err)
{
    if (!name_valid(c->kind, strlen(c->kind)))
        return err_set(err, ERR_INVALID, "`%s` is not the name of a chip", c->kind);
    if (c->index_count && c->index_count != c->count)
        return err_set(err, ERR_INVALID, "%s: %u chips, but %u indices", c->kind, c->count, c->index_count);
    if (c->visible && (!variable(c->visible) || strchr(c->visible, '=')))
        return err_set(err, ERR_INVALID, "`%s` is not the name of a variable", c->visible);
    for (uint32_t i = 0; i < c->index_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (c->index[i] == c->index[k])
                return err_set(err, ERR_INVALID, "%s: chip %u twice", c->kind, c->index[i]);
        }
    }
    for (uint32_t i = 0; i < c->cores_count; i++) {
        if (c->cores[i] >= JOB_CORES_MAX)
            return err_set(err, ERR_INVALID, "%s: core %u", c->kind, c->cores[i]);
    }
    for (uint32_t i = 0; i < c->devices_count; i++) {
        if (strncmp(c->devices[i], "/dev/", 5) != 0 || strstr(c->devices[i], ".."))
            return err_set(err, ERR_INVALID, "`%s` is not a device", c->devices[i]);
    }
    return 0;
}

static int check(const struct job_spec *s, struct err *err)
{
    if (s->version != 1)
        return err_set(err, ERR_INVALID, "`version`: not 1");
    if (s->finish && s->time_limit_ms == 0)
        return err_set(err, ERR_INVALID, "`finish`: not without `time_limit_ms`");
    if (s->argv_count == 0 || s->argv[0][0] == 0)
        return err_set(err, ERR_INVALID, "`argv`: names no program");
    for (uint32_t i = 0; i < s->env_count; i++) {
        if (!variable(s->env[i]) || !strchr(s->env[i], '='))
            return err_set(err, ERR_INVALID, "`env`: `%.40s` is not NAME=VALUE", s->env[i]);
    }
    if (!absolute(s->cwd) || !absolute(s->checkpoint_dir))
        return err_set(err, ERR_INVALID, "`cwd` and `checkpoint_dir` begin with /");
    for (uint32_t i = 0; i < s->binds_count; i++) {
        if (!absolute(s->binds[i].source) || !absolute(s->binds[i].target))
            return err_set(err, ERR_INVALID, "`binds`: paths begin with /");
    }
    for (uint32_t i = 0; i < s->chips_count; i++) {
        int rc = check_chips(&s->chips[i], err);
        if (rc != 0)
            return rc;
    }
    int rc = data_check(s->inputs, s->inputs_count, err);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < s->outputs_count; i++) {
        if (!data_name_valid(s->outputs[i]))
            return err_set(err, ERR_INVALID, "`outputs`: `%.80s` is not a path in the job's own folder",
                           s->outputs[i]);
    }
    if (s->gang.world && s->gang.rank >= s->gang.world)
        return err_set(err, ERR_INVALID, "`gang`: rank %u of %u", s->gang.rank, s->gang.world);
    return 0;
}

int job_spec_parse(struct job_spec *spec, const char *text, size_t len, struct err *err)
{
    int rc = form_read(&job_spec_table, text, len, spec, err);
    if (rc == 0 && (rc = check(spec, err)) != 0)
        job_spec_free(spec);
    return rc;
}

int job_spec_load(struct job_spec *spec, const char *path, struct err *err)
{
    struct buf text;
    *spec = (struct job_spec){0};
    buf_init(&text, FORM_MAX);
    int rc = fs_read(path, &text, err);
    if (rc == 0)
        rc = job_spec_parse(spec, text.data ? text.data : "", text.len, err);
    buf_fini(&text);
    return rc;
}

void job_spec_free(struct job_spec *spec)
{
    form_free(&job_spec_table, spec);
}

int job_usage_last(struct job_usage *usage, const char *text, size_t len)
{
    *usage = (struct job_usage){0};
    while (len > 0 && text[len - 1] != '\n')
        len--;
    while (len > 0) {
        size_t start = len - 1;
        while (start > 0 && text[start - 1] != '\n')
            start--;
        if (form_read(&job_usage_table, text + start, len - 1 - start, usage, NULL) == 0)
            return 0;
        len = start;
    }
    return ERR_NOT_FOUND;
}

uint32_t job_chips_total(const struct job_spec *spec, uint32_t kind)
{
    return spec->chips[kind].count * (spec->nodes ? spec->nodes : 1);
}
