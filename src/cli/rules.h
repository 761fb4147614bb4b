/* SPDX-License-Identifier: Apache-2.0 */
/* Rule files as the verbs about rules read them; mistakes are printed with line and column. Each returns an exit status. */
#ifndef BUSBAR_CLI_RULES_H
#define BUSBAR_CLI_RULES_H

#include <yyjson.h>

int rules_check_file(const char *path);
/* As `rules check --json` tells it; *doc is the caller's. */
int rules_file_json(const char *path, yyjson_doc **doc);

#endif
