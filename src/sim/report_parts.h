/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a report: what its files share. report.c has the head and the figures; report_time.c what goes over time;
 * report_jobs.c how jobs fared; report_sites.c the map, the merit order and the sites; report_supply.c self-supply;
 * report_foot.c how to have the run again.
 */
#ifndef BUSBAR_SIM_REPORT_PARTS_H
#define BUSBAR_SIM_REPORT_PARTS_H

#include "sim/chart.h"
#include "sim/report.h"

#define REPORT_BINS 240u
#define REPORT_COLOURS 8u /* series of a group with a colour of their own */
#define REPORT_OTHERS 9u  /* colour of all others */

struct report {
    const struct sim_options *options;
    const struct sim_result *result;
    struct watch *watch;
    const struct record *rec;
    const struct world *world;
    struct buf *out;
    bool calendar;                      /* times are told as dates, not as days of the run */
    int64_t from_ms, to_ms;             /* of the samples */
    const char *vendor[REPORT_COLOURS]; /* by chips, the most first */
    uint32_t nvendors, nmakers;         /* makers: all of them */
    uint64_t chips;                     /* the most that were in service */
};

extern const char *const report_style[]; /* NULL ends it */

/* A series over the report's time in at most REPORT_BINS values: means of levels, sums of counts, least of leasts. Returns how
 * many; 0 when it is NULL or there are no samples. */
uint32_t report_bins(const struct report *r, const struct record_series *s, double bin[REPORT_BINS]);
double report_most(const double *v, uint32_t n);
/* The names of a group's series, those with the most first, as many as have colours: *n. Returns how many there are in all. */
uint32_t report_names(const struct report *r, const char *group, const char *name[REPORT_COLOURS],
                      uint32_t *n);
/* Of a vendor: its colour. */
unsigned report_colour(const struct report *r, const char *vendor);
/* The time axis, and the drills on it. */
void report_time_axis(const struct report *r, struct chart *c);
void report_drills(const struct report *r, struct chart *c);
/* <section> with a heading and a line about it; both end what report_section began. */
void report_section(const struct report *r, const char *id, const char *title, const char *words);
void report_section_end(const struct report *r);

void report_time(const struct report *r);
/* Reserve, corridors, serving, and groups that nobody here knows. */
void report_more(const struct report *r);
void report_jobs(const struct report *r);
void report_map(const struct report *r);
void report_merit(const struct report *r);
void report_sites(const struct report *r);
void report_supply(const struct report *r);
/* A line about each goal of self-supply. */
void report_goals(const struct report *r);
/* What happened: drills and changes of the network, as a table. */
void report_events(const struct report *r);
void report_foot(const struct report *r);

#endif
