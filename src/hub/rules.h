/* SPDX-License-Identifier: Apache-2.0 */
/* A rule file as it comes with a call, and rules told again: what hub/rules.c and hub/rules_try.c share. */
#ifndef BUSBAR_HUB_RULES_H
#define BUSBAR_HUB_RULES_H

#include "core/rules.h"
#include "hub/api.h"

struct rule_file {
    const char *text; /* of the call's body */
    size_t len;
};

/* Member `text` of the body, which is all that it has; ERR_INVALID with the line and the column of the first mistakes. An empty text is
 * refused unless `none` says that it means no rules. */
int rule_file_read(struct api_call *call, bool none, struct rule_file *out);

#endif
