/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/refusal.h"

#include <stdio.h>

#include "base/clock.h"
#include "core/kinds.h"

#define TIME_CAP 25

void refusal_words(char *dst, size_t cap, int64_t refusal, const char *what)
{
    static const char *const pers[BUDGET_PERIODS_END] = {
        [BUDGET_EVER] = "", [BUDGET_DAY] = "daily ", [BUDGET_WEEK] = "weekly ", [BUDGET_MONTH] = "monthly "};
    static const char *const whose[BUDGET_SCOPES_END] = {[0] = "",
                                                         [BUDGET_TENANT] = " of this key's tenant",
                                                         [BUDGET_PROJECT] = " of this key's project",
                                                         [BUDGET_KEY] = " of this key"};
    const uint32_t scope = budget_refusal_scope(refusal), per = budget_refusal_per(refusal);
    const int64_t until_ms = budget_refusal_until_ms(refusal);
    char text[TIME_CAP], when[TIME_CAP + 24] = "";
    if (until_ms > 0) {
        clock_format(text, until_ms);
        (void)snprintf(when, sizeof when, " It begins anew at %s.", text);
    }
    (void)snprintf(dst, cap, "The %sbudget%s %s.%s", pers[per], whose[scope], what, when);
}
