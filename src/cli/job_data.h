/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data of jobs on the command line: files and folders that a job brings along.
 *
 * `--in PATH` or `--in NAME=PATH`: a file, or all files of a folder, by the path's last part or by NAME. They are hashed here,
 * the hub is asked for each what it has of it, and sent the rest; the job names their digests. What was sent once is not
 * sent again, and one that broke off goes on from where it was.
 */
#ifndef BUSBAR_CLI_JOB_DATA_H
#define BUSBAR_CLI_JOB_DATA_H

#include "cli/request.h"

/* Adds the member `inputs` from the options --in, or where there are none from the texts that the request has of its file. The
 * rest of the request is there already. `send`: the hub gets what it lacks. Returns an exit status, after a message. */
int job_data_add(struct request *r, const struct cli *cli, bool send);

#endif
