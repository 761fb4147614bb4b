/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as people write them: spans (`90s`, `2h`, and Slurm's `1-12:00:00`) and moments (RFC 3339, or a span from now).
 *
 * Each reads the whole text and nothing else; on false *out is left alone. No locale, no time zone but what the text says.
 */
#ifndef BUSBAR_BASE_TIMETEXT_H
#define BUSBAR_BASE_TIMETEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPAN_S_MAX (UINT64_C(400) * 86400)

/* A whole number and a unit: s, m, h, d, w. Seconds, 1 to SPAN_S_MAX. */
bool span_parse(const char *text, size_t len, uint64_t *out);
/* The same, or as Slurm's --time has it: MM, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS. */
bool span_parse_slurm(const char *text, size_t len, uint64_t *out);
/* `2026-11-22T18:00:00Z`, with a fraction or an offset if wanted; or `+2h`, counted from now. Unix ms. */
bool moment_parse(const char *text, size_t len, int64_t now_ms, int64_t *out);

#endif
