/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the hub, and what comes back as text for people. */
#ifndef BUSBAR_CLI_CLIENT_H
#define BUSBAR_CLI_CLIENT_H

#include <yyjson.h>

#include "base/err.h"
#include "cli/cli.h"

/* Sends and reads the whole answer. Returns an exit status; errors were printed. *doc (may be NULL) is the caller's. */
int client_call(const struct cli *cli, const char *method, const char *path, const char *body,
                yyjson_doc **doc);

/* The answer as it came, appended to `out`, and its HTTP status, an error's as well. CLI_OK unless there was none. */
int client_fetch(const struct cli *cli, const char *path, struct buf *out, long *status);
/* As client_call, with a body of bytes. */
int client_put(const struct cli *cli, const char *path, const void *data, size_t len, yyjson_doc **doc);

/* As client_call, but hands each piece of the answer over as it comes; `on_data` false: stop. `key` overrides. */
typedef bool client_data_fn(void *ctx, const char *data, size_t len);
int client_stream(const struct cli *cli, const char *method, const char *path, const char *body,
                  const char *key, client_data_fn *on_data, void *ctx, long *status);
/* Prints the error object in an answer and returns the exit status that fits. */
int client_error(long status, const char *body, size_t len);

struct column {
    const char *title;
    const char *pointer; /* JSON pointer in a row */
};
/* With --json the document as it is; else a table of data[], or of the one object. */
int print_table(const struct cli *cli, yyjson_doc *doc, const struct column *columns, int ncolumns);
/* With --json the document; else "title  value" lines. */
int print_object(const struct cli *cli, yyjson_doc *doc, const struct column *fields, int n);
struct buf;
struct problems;
/* JSON in lines to standard output; ends `json`. */
int print_json_buf(struct buf *json);
/* Every mistake that was found in a file, one a line, to standard error. */
void print_problems(const struct problems *problems);
/* Exit status of what was done here, without a hub; the words of a failure are printed. */
int print_outcome(int rc, const struct err *err);

#endif
