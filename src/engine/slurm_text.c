/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/slurm_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_SEPARATOR '\x1f'
#define FIELDS_MAX 8

/* ---- states ---- */

static const struct {
    const char *word;
    enum slurm_phase phase;
    enum job_end end;
} states[] = {
    {"PENDING", SLURM_WAITS, JOB_END_NONE},       {"REQUEUED", SLURM_WAITS, JOB_END_NONE},
    {"REQUEUE_HOLD", SLURM_WAITS, JOB_END_NONE},  {"REQUEUE_FED", SLURM_WAITS, JOB_END_NONE},
    {"RESV_DEL_HOLD", SLURM_WAITS, JOB_END_NONE}, {"SPECIAL_EXIT", SLURM_WAITS, JOB_END_NONE},
    {"RUNNING", SLURM_ACTIVE, JOB_END_NONE},      {"BOOT_FAIL", SLURM_OVER, JOB_END_STOPPED},
    {"CANCELLED", SLURM_OVER, JOB_END_STOPPED},   {"COMPLETED", SLURM_OVER, JOB_END_LOST},
    {"DEADLINE", SLURM_OVER, JOB_END_TIMED_OUT},  {"FAILED", SLURM_OVER, JOB_END_LOST},
    {"NODE_FAIL", SLURM_OVER, JOB_END_LOST},      {"OUT_OF_MEMORY", SLURM_OVER, JOB_END_OOM},
    {"PREEMPTED", SLURM_OVER, JOB_END_PREEMPTED}, {"REVOKED", SLURM_OVER, JOB_END_STOPPED},
    {"TIMEOUT", SLURM_OVER, JOB_END_TIMED_OUT},
};

/* sacct adds words ("CANCELLED by 0"). */
enum slurm_phase slurm_state(const char *word, size_t len, enum job_end *end)
{
    const char *space = memchr(word, ' ', len);
    size_t n = space ? (size_t)(space - word) : len;
    *end = JOB_END_NONE;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (text_eq(states[i].word, strlen(states[i].word), word, n)) {
            *end = states[i].end;
            return states[i].phase;
        }
    }
    return SLURM_ACTIVE;
}

/* ---- lines and fields ---- */

struct span {
    const char *at;
    size_t len;
};

/* Cuts off the next line. False at the end. */
static bool next_line(struct span *text, struct span *line)
{
    if (text->len == 0)
        return false;
    const char *end = memchr(text->at, '\n', text->len);
    line->at = text->at;
    line->len = end ? (size_t)(end - text->at) : text->len;
    size_t used = line->len + (end != NULL);
    text->at += used;
    text->len -= used;
    return true;
}

static unsigned fields_of(struct span line, struct span field[FIELDS_MAX])
{
    unsigned n = 0;
    for (;;) {
        const char *end = line.len ? memchr(line.at, FIELD_SEPARATOR, line.len) : NULL;
        size_t len = end ? (size_t)(end - line.at) : line.len;
        if (n == FIELDS_MAX)
            return 0;
        field[n++] = (struct span){line.at, len};
        if (!end)
            return n;
        line.at += len + 1;
        line.len -= len + 1;
    }
}

/* Cut where it does not fit; control characters become blanks. */
static void put(char *dst, size_t cap, struct span s)
{
    size_t len = s.len < cap ? s.len : cap - 1;
    for (size_t i = 0; i < len; i++)
        dst[i] = (unsigned char)s.at[i] < 0x20 ? ' ' : s.at[i];
    dst[len] = 0;
}

/* ---- rows ---- */

static int by_row(const void *a, const void *b)
{
    const struct slurm_row *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order != 0)
        return order;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    bool x_over = x->phase == SLURM_OVER, y_over = y->phase == SLURM_OVER;
    if (x_over != y_over)
        return x_over ? 1 : -1;
    if (x->phase != y->phase) /* what runs before what waits */
        return x->phase == SLURM_ACTIVE ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* "17", "17_3"; ranges of tasks ("17_[4-9]") are not asked for and not read. */
static bool read_id(struct slurm_row *row, struct span id)
{
    uint64_t number;
    const char *under = memchr(id.at, '_', id.len);
    size_t head = under ? (size_t)(under - id.at) : id.len;
    if (!u64_parse(id.at, head, UINT32_MAX, &number))
        return false;
    row->task = SLURM_NO_TASK;
    row->number = (uint32_t)number;
    if (under) {
        if (!u64_parse(under + 1, id.len - head - 1, UINT32_MAX - 1, &number))
            return false;
        row->task = (uint32_t)number;
    }
    return true;
}

static bool read_row(struct slurm_row *row, struct span id, struct span name, struct span state,
                     struct span reason)
{
    *row = (struct slurm_row){.task = 0};
    if (name.len >= SLURM_NAME_CAP || name.len < strlen(SLURM_PREFIX) ||
        memcmp(name.at, SLURM_PREFIX, strlen(SLURM_PREFIX)) != 0 || !read_id(row, id))
        return false;
    put(row->name, sizeof row->name, name);
    put(row->state, sizeof row->state, state);
    put(row->reason, sizeof row->reason, reason);
    row->phase = slurm_state(state.at, state.len, &row->end);
    row->leaving = text_eq("COMPLETING", 10, state.at, state.len);
    return true;
}

static int parse_rows(struct slurm_rows *rows, const char *text, size_t len, unsigned fields,
                      unsigned name_at)
{
    struct span rest = {text, len}, line, f[FIELDS_MAX];
    uint32_t cap = 0;
    *rows = (struct slurm_rows){0};
    while (next_line(&rest, &line)) {
        struct slurm_row row;
        if (fields_of(line, f) != fields ||
            !read_row(&row, f[0], f[name_at], f[name_at + 1],
                      fields > name_at + 2 ? f[name_at + 2] : (struct span){"", 0}))
            continue;
        uint64_t number;
        if (name_at == 2 && u64_parse(f[1].at, f[1].len, UINT32_MAX, &number))
            row.number = (uint32_t)number;
        row.placed = fields > name_at + 3 && f[name_at + 3].len > 0;
        if (rows->n == cap) {
            struct slurm_row *more = realloc(rows->row, (cap ? (size_t)cap * 2 : 64) * sizeof *more);
            if (!more) {
                slurm_rows_free(rows);
                return ERR_NO_MEMORY;
            }
            rows->row = more;
            cap = cap ? cap * 2 : 64;
        }
        rows->row[rows->n++] = row;
    }
    if (rows->n)
        qsort(rows->row, rows->n, sizeof *rows->row, by_row);
    return 0;
}

int slurm_squeue_parse(struct slurm_rows *rows, const char *text, size_t len)
{
    return parse_rows(rows, text, len, 6, 2);
}

int slurm_sacct_parse(struct slurm_rows *rows, const char *text, size_t len)
{
    return parse_rows(rows, text, len, 3, 1);
}

void slurm_rows_free(struct slurm_rows *rows)
{
    free(rows->row);
    *rows = (struct slurm_rows){0};
}

const struct slurm_row *slurm_row_find(const struct slurm_rows *rows, const char *name, uint32_t task)
{
    uint32_t low = 0, high = rows->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct slurm_row *r = &rows->row[middle];
        int order = strcmp(r->name, name);
        if (order < 0 || (order == 0 && r->task < task))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == rows->n || strcmp(rows->row[low].name, name) != 0 || rows->row[low].task != task)
        return NULL;
    return &rows->row[low];
}

/* ---- settings ---- */

/* "Key    = value" */
static bool setting(struct span line, const char *key, struct span *value)
{
    size_t n = strlen(key);
    if (line.len <= n || memcmp(line.at, key, n) != 0 || (line.at[n] != ' ' && line.at[n] != '='))
        return false;
    const char *equal = memchr(line.at, '=', line.len);
    if (!equal)
        return false;
    value->at = equal + 1;
    value->len = line.len - (size_t)(value->at - line.at);
    while (value->len && value->at[0] == ' ') {
        value->at++;
        value->len--;
    }
    return true;
}

static uint32_t leading_number(struct span s)
{
    uint64_t number = 0;
    size_t n = 0;
    while (n < s.len && s.at[n] >= '0' && s.at[n] <= '9')
        n++;
    return u64_parse(s.at, n, UINT32_MAX, &number) ? (uint32_t)number : 0;
}

void slurm_settings_parse(struct slurm_settings *settings, const char *text, size_t len)
{
    struct span rest = {text, len}, line, value;
    *settings = (struct slurm_settings){0};
    while (next_line(&rest, &line)) {
        if (setting(line, "MessageTimeout", &value))
            settings->message_timeout_s = leading_number(value);
        else if (setting(line, "MaxArraySize", &value))
            settings->array_max = leading_number(value);
        else if (setting(line, "AccountingStorageType", &value))
            settings->accounting = text_eq("accounting_storage/slurmdbd", 27, value.at, value.len);
        else if (setting(line, "SLURM_VERSION", &value))
            put(settings->version, sizeof settings->version, value);
    }
}

/* ---- nodes ---- */

/* The value after " Key="; `to_end`: it is the last of the line and may have blanks. */
static struct span value_of(struct span line, const char *key, bool to_end)
{
    size_t n = strlen(key);
    for (size_t i = 0; i + n <= line.len; i++) {
        if (memcmp(line.at + i, key, n) != 0 || (i > 0 && line.at[i - 1] != ' '))
            continue;
        struct span v = {line.at + i + n, line.len - i - n};
        const char *space = to_end ? NULL : memchr(v.at, ' ', v.len);
        if (space)
            v.len = (size_t)(space - v.at);
        return v;
    }
    return (struct span){"", 0};
}

/* Count of one kind in "npu:ascend910b:8(S:0-1),gpu:h20:4(IDX:0-3)"; a comma within brackets separates nothing. */
static uint32_t gres_count(struct span list, const char *gres)
{
    size_t n = strlen(gres);
    uint32_t sum = 0;
    bool inside = false, start = true;
    for (size_t i = 0; i < list.len; i++) {
        if (start && list.len - i > n + 1 && memcmp(list.at + i, gres, n) == 0 && list.at[i + n] == ':')
            sum += leading_number((struct span){list.at + i + n + 1, list.len - i - n - 1});
        inside = list.at[i] == '(' || (inside && list.at[i] != ')');
        start = !inside && list.at[i] == ',';
    }
    return sum;
}

/* Base state, then flags: "IDLE+DRAIN", "DOWN*", "MIXED+CLOUD". */
static bool is_up(struct span state)
{
    static const char *const bad[] = {"DOWN",  "DRAIN",   "FAIL",   "ERROR",     "UNKNOWN", "NOT_RESPONDING",
                                      "MAINT", "POWERED", "REBOOT", "RESERVED*", "INVAL",   "FUTURE"};
    char word[128];
    put(word, sizeof word, state);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (strstr(word, bad[i]))
            return false;
    }
    return state.len > 0 && !strchr(word, '*');
}

static int add_node(struct engine_inventory *inv, uint32_t *cap, struct span line,
                    const struct engine_chips *chips)
{
    uint32_t count = gres_count(value_of(line, "Gres=", false), chips->gres);
    if (count == 0)
        return 0;
    if (inv->nodes_count == *cap) {
        uint32_t more = *cap ? *cap * 2 : 64;
        struct engine_node *nodes = realloc(inv->nodes, more * sizeof *nodes);
        if (!nodes)
            return ERR_NO_MEMORY;
        inv->nodes = nodes;
        *cap = more;
    }
    struct engine_node *node = &inv->nodes[inv->nodes_count++];
    *node = (struct engine_node){.chips = count,
                                 .used = gres_count(value_of(line, "GresUsed=", false), chips->gres),
                                 .cpus = leading_number(value_of(line, "CPUTot=", false)),
                                 .memory_mib = leading_number(value_of(line, "RealMemory=", false)),
                                 .up = is_up(value_of(line, "State=", false))};
    put(node->name, sizeof node->name, value_of(line, "NodeName=", false));
    (void)snprintf(node->chip, sizeof node->chip, "%.*s", CHIP_CAP - 1, chips->chip);
    struct span reason = value_of(line, "Reason=", true);
    if (!node->up)
        put(node->reason, sizeof node->reason, reason.len ? reason : value_of(line, "State=", false));
    return 0;
}

int slurm_nodes_parse(struct engine_inventory *inv, const struct engine_config *config, const char *text,
                      size_t len)
{
    struct span rest = {text, len}, line;
    uint32_t cap = 0;
    while (next_line(&rest, &line)) {
        for (unsigned i = 0; i < config->chips_count; i++) {
            int rc = config->chips[i].gres ? add_node(inv, &cap, line, &config->chips[i]) : 0;
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* ---- partitions ---- */

/* "UNLIMITED", "INFINITE", "2-12:00:00", "01:30:00": minutes, 0 for the first two. False: it is none of these. */
static bool read_span(struct span text, uint64_t *minutes)
{
    uint64_t part[3] = {0}, days = 0;
    const char *dash = memchr(text.at, '-', text.len), *end = text.at + text.len;
    *minutes = 0;
    if (text_eq(text.at, text.len, "UNLIMITED", 9) || text_eq(text.at, text.len, "INFINITE", 8))
        return true;
    if (dash && !u64_parse(text.at, (size_t)(dash - text.at), UINT16_MAX, &days))
        return false;
    const char *at = dash ? dash + 1 : text.at;
    for (int i = 0; i < 3; i++) {
        const char *colon = memchr(at, ':', (size_t)(end - at)), *stop = i < 2 ? colon : end;
        if (!stop || !u64_parse(at, (size_t)(stop - at), UINT16_MAX, &part[i]))
            return false;
        at = i < 2 ? stop + 1 : end;
    }
    *minutes = days * 1440 + part[0] * 60 + part[1];
    return *minutes > 0;
}

static bool is_among(const char *names, struct span name)
{
    for (const char *p = names; *p;) {
        size_t n = strcspn(p, ",");
        if (text_eq(p, n, name.at, name.len))
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

bool slurm_longest_parse(const char *text, size_t len, const char *names, uint32_t *minutes)
{
    struct span rest = {text, len}, line;
    uint64_t least = UINT32_MAX, its;
    bool any = false;
    while (next_line(&rest, &line)) {
        struct span is_default = value_of(line, "Default=", false);
        bool asked = names[0] ? is_among(names, value_of(line, "PartitionName=", false))
                              : text_eq(is_default.at, is_default.len, "YES", 3);
        if (!asked || !read_span(value_of(line, "MaxTime=", false), &its))
            continue;
        any = true;
        if (its > 0 && its < least)
            least = its;
    }
    *minutes = least == UINT32_MAX ? 0 : (uint32_t)least;
    return any;
}

/* ---- refusals ---- */

bool slurm_refused(const char *words)
{
    /* What sbatch says when it did not get an answer, or got none that says something of the job. */
    static const char *const unsure[] = {"Unable to contact", "timed out",  "authentication", "Zero Bytes",
                                         "temporarily",       "onnection",  "Transport",      "ommunication",
                                         "try again",         "Unspecified"};
    if (!strstr(words, "Batch job submission failed") && !strstr(words, "Invalid") &&
        !strstr(words, "invalid"))
        return false;
    for (size_t i = 0; i < sizeof unsure / sizeof unsure[0]; i++) {
        if (strstr(words, unsure[i]))
            return false;
    }
    return true;
}
