/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check of a replica, as a process of its own, `busbar accept-check`: the hub starts one at a time (hub/acceptance.h).
 *
 * It has the reference engine's answers made, or reads them, draws some of the prompts, asks the replica the same through its own
 * endpoint, compares, measures, and writes one line of JSON. It believes nothing that the replica says, holds no secret, and runs at
 * a low priority. The first request of a prompt is its text, so that the tokenizer is checked as well; where an answer parts, it is
 * asked anew behind that place, with the reference's tokens up to there.
 *
 * Exit status 0 with a line, whatever the verdict; else something is wrong with the call itself.
 */
#ifndef BUSBAR_ACCEPT_CHECK_H
#define BUSBAR_ACCEPT_CHECK_H

int accept_main(int argc, char **argv);

#endif
