/* SPDX-License-Identifier: Apache-2.0 */
/* Building a request from arguments and options, sending it, printing the answer: what most verbs are. */
#ifndef BUSBAR_CLI_REQUEST_H
#define BUSBAR_CLI_REQUEST_H

#include "cli/client.h"

struct request {
    struct buf body; /* the members so far, without the closing brace */
    struct buf path;
    struct buf inputs; /* of a job's file: local paths, each ended by a NUL (cli/job_data.h) */
    char tenant[64];   /* of a job; empty: the key's own */
    bool bad;          /* a message was printed */
};

void request_begin(struct request *r);
/* Begins a member: what is appended to the body next is its value. */
void request_member(struct request *r, const char *member);
void request_text(struct request *r, const char *member, const char *text);
/* Members from options, if given: text, whole number, comma-separated list. */
void request_option(struct request *r, const struct cli *cli, const char *option, const char *member);
void request_option_count(struct request *r, const struct cli *cli, const char *option, const char *member);
void request_option_list(struct request *r, const struct cli *cli, const char *option, const char *member);
/* Appends to the path, percent-encoded. */
void request_encode(struct request *r, const char *text);
/* Path with one part that is percent-encoded. */
void request_path(struct request *r, const char *before, const char *part, const char *after);
/* Appends ?name=value for each of the named options that is given. */
void request_query(struct request *r, const struct cli *cli, const char *options);

/* Each sends, prints and frees; `path` NULL: that of request_path. Returns the exit status. */
int request_send(struct request *r, const struct cli *cli, const char *method, const char *path,
                 const struct column *columns, int n);
int request_get(struct request *r, const struct cli *cli, const struct column *columns, int n);
int request_list(struct request *r, const struct cli *cli, const char *path, const char *options,
                 const struct column *columns, int n);
/* A file of the hub's, to standard output as it is. */
int request_print(struct request *r, const struct cli *cli);
/* Closes the body; the text is the request's until request_end. */
const char *request_body(struct request *r);
const char *request_path_text(struct request *r);
void request_end(struct request *r);

#endif
