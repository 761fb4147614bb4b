/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drawn: the energy of a model server that we supervise (engine/serve.h), over all of its processes.
 *
 * It is metered as a job's is (engine/meter.h): its processors' where the kernel shows it, its chips' estimated from their power. A server
 * without chips of its own shares the machine's processors with all else that runs there: where the kernel shows nothing, its part of
 * their power is that of their time, the machine taken as one socket of the catalogue's `cpu`. Totals only grow; `run` tells those of
 * one supervisor from those of the next, by the wall clock when it began.
 */
#ifndef BUSBAR_ENGINE_DRAWN_H
#define BUSBAR_ENGINE_DRAWN_H

#include "engine/chipset.h"
#include "engine/meter.h"

struct drawn {
    struct meter meter; /* of the process that runs */
    struct job_spec spec;
    struct job_chips chips;
    uint32_t shared_watts;
    bool running, estimated, known;
    uint64_t before_mj; /* of processes before */
    uint64_t run;
};

/* So many chips of the kind are its own, 0: none is. `chip` outlives it; without a catalogue only what is measured counts. */
void drawn_init(struct drawn *drawn, const struct chipset *chipset, char *chip, uint32_t chips);
void drawn_start(struct drawn *drawn);
/* A look at it and at the process with all below it; 0: it is gone, and its last total is that of the look before. */
void drawn_look(struct drawn *drawn, pid_t pid);
/* It does not run any more. */
void drawn_stop(struct drawn *drawn);
/* So far, as of the last look. */
uint64_t drawn_mj(const struct drawn *drawn);

#endif
