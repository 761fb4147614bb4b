/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problems: everything that is wrong with a network's files, found in one reading.
 *
 * A person who writes a network of forty sites wants all mistakes at once, each with the file, the line and the path of
 * what is wrong: "net.yaml:31: sites[3].pools[0].chip: no such chip". The list is on the heap and owned by `problems`.
 * Past PROBLEMS_MAX, or out of memory, problems are only counted in `dropped`; `n + dropped` is never 0 after one.
 */
#ifndef BUSBAR_NETWORK_PROBLEMS_H
#define BUSBAR_NETWORK_PROBLEMS_H

#include <stdbool.h>
#include <stdint.h>

#define PROBLEMS_MAX 100u

struct problem {
    char file[256];
    uint32_t line; /* from 1; 0: the file as a whole */
    char path[128];
    char text[256];
};

struct problems {
    struct problem *list;
    uint32_t n, cap;
    uint32_t dropped;
};

void problems_init(struct problems *problems);
void problems_fini(struct problems *problems);
bool problems_none(const struct problems *problems);
/* Texts are copied, cut where they do not fit. */
__attribute__((format(printf, 5, 6))) void problems_add(struct problems *problems, const char *file,
                                                        uint32_t line, const char *path, const char *fmt,
                                                        ...);

/* By file and line; those of a line stay in the order in which they were found. */
void problems_sort(struct problems *problems);

#define PROBLEM_TEXT_CAP 672
/* "file:line: path: text", without what is not known. */
void problem_format(char dst[PROBLEM_TEXT_CAP], const struct problem *problem);

#endif
