/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Survey: tells the hub what the way to it does (site/gauge.h), for the corridor between the two.
 *
 * Its calls on a link of its own are what round trips are taken from: a few soon after the start, then one each SURVEY_MS, and
 * some while blobs move. Rates come from blobs that are moved anyway. Only where the hub knows of no rate at all it asks for a
 * probe, SURVEY_PROBE_MAX bytes that mean nothing; so an idle way costs a few hundred bytes each SURVEY_MS. Runs on the loop
 * that it is given.
 */
#ifndef BUSBAR_SITE_SURVEY_H
#define BUSBAR_SITE_SURVEY_H

#include "site/link.h"

#define SURVEY_MS 15000
#define SURVEY_PROBE_MAX ((size_t)1 << 20)

struct survey;

/* The gauge is the caller's, and outlives it. */
int survey_new(struct survey **out, struct loop *loop, const char *hub, struct tls_context *tls,
               struct gauge *gauge, struct err *err);
void survey_close(struct survey *survey);
/* After the loop has run. */
void survey_free(struct survey *survey);

#endif
