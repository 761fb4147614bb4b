/* SPDX-License-Identifier: Apache-2.0 */
/* Which budget is in the way, and until when, in words. */
#ifndef BUSBAR_GATEWAY_REFUSAL_H
#define BUSBAR_GATEWAY_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

/* "The daily budget of this key's project WHAT. It begins anew at ...": of a budget_refusal (core/kinds.h); 0: of some budget. */
void refusal_words(char *dst, size_t cap, int64_t refusal, const char *what);

#endif
