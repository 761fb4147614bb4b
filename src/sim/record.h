/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record: named series over a simulation's time, for its report.
 *
 * A series belongs to a group and is one of three kinds: a level (what holds at the moment of a sample), a count (what came
 * together since the last sample), or a least (the worst since the last sample). Samples are taken at equal steps of
 * time; when RECORD_SAMPLES_MAX are there, two and two become one and the step doubles, so memory is bounded and a run of
 * years costs no more than one of weeks. Marks are moments with words, such as drills.
 *
 * To add a series: `id = record_series(rec, "group", "name", "unit", RECORD_COUNT)` once, then record_add(rec, id, v) whenever
 * something happens, or record_set for a level. All of it does nothing when rec is NULL, which is how it is off. The
 * report draws the groups that it knows (RECORD_RESERVE and so on) when they are there, and any other one as lines.
 */
#ifndef BUSBAR_SIM_RECORD_H
#define BUSBAR_SIM_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#define RECORD_SAMPLES_MAX 2048u
#define RECORD_SERIES_MAX 8192u
#define RECORD_MARKS_MAX 256u
#define RECORD_STEP_MS INT64_C(900000) /* of the first samples */
#define RECORD_NAME_CAP 96
#define RECORD_NONE UINT32_MAX

/* Groups that others than sim/watch.c fill, and that have a section of their own. */
#define RECORD_RESERVE "reserve"   /* "coverage": 0 to 1, least; "alarm": 0 or 1, level */
#define RECORD_CORRIDOR "corridor" /* one series each, named as people read it: bytes, count */
#define RECORD_SERVING "serving"   /* named as people read it: units as given */

enum record_kind { RECORD_LEVEL, RECORD_COUNT, RECORD_LEAST };

struct record_series {
    char group[24];
    char name[RECORD_NAME_CAP];
    char unit[16];
    enum record_kind kind;
    double now; /* what the next sample takes */
    bool told;  /* a least was set since the last sample */
    double *value;
};

struct record_mark {
    int64_t at_ms;
    char text[RECORD_NAME_CAP];
    bool drill;
    uint64_t stopped, placed; /* jobs that a drill stopped, and of these: placed again */
    int64_t placed_ms;        /* how long the last of them waited */
    int64_t last_ms;          /* of what is told once, sim/marks.c: when it was so last */
};

struct record {
    int64_t start_ms, next_ms, step_ms;
    uint32_t n; /* samples; i is taken at start_ms + (i + 1) * step_ms */
    struct record_series *series;
    uint32_t nseries, series_cap;
    struct record_mark mark[RECORD_MARKS_MAX];
    uint32_t nmarks, marks_more; /* more: for which there was no room */
    bool failed;                 /* out of memory: the report says so */
};

/* NULL when out of memory. */
struct record *record_new(int64_t start_ms);
void record_free(struct record *rec);
/* The series of that name in the group, made if it is not there; RECORD_NONE when there is no room or rec is NULL. */
uint32_t record_series(struct record *rec, const char *group, const char *name, const char *unit,
                       enum record_kind kind);
void record_set(struct record *rec, uint32_t id, double value);
void record_add(struct record *rec, uint32_t id, double value);
/* Takes a sample at next_ms and moves on. */
void record_sample(struct record *rec);
/* Appends a mark; its index, or RECORD_NONE. */
uint32_t record_mark(struct record *rec, int64_t at_ms, bool drill, const char *text);
/* NULL: there is none. */
const struct record_series *record_find(const struct record *rec, const char *group, const char *name);

#endif
