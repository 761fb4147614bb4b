/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment of a job: nothing of ours but what is named here.
 *
 * PATH, HOME, LANG and TMPDIR; BUSBAR_*; the variable of each chip's vendor; for gangs the rendezvous in busbar's own
 * names, torchrun's and what is usual with MPI; then the job's own, which win. Under Slurm also what Slurm's own
 * launchers need, and a vendor's variable that the site's Slurm has set.
 */
#ifndef BUSBAR_ENGINE_JOBENV_H
#define BUSBAR_ENGINE_JOBENV_H

#include "engine/job.h"

/* Appends "NAME=0,1", the vendor's variable with the chips' indices, or with their places among them; nothing where there is
 * none. */
void jobenv_visible(struct buf *out, const struct job_chips *chips, bool renumbered);
/* A list on the heap that ends with NULL; NULL when out of memory. `folder` is the job's own. */
char **jobenv_make(const struct job_spec *spec, const struct job_gang *gang, const char *folder);
void jobenv_free(char **env);
/* The place of this process in its gang: the specification's, or Slurm's. `gang` may share its texts with neither: it is
 * the caller's, form_free is not for it; jobenv_gang_fini is. */
void jobenv_gang(struct job_gang *gang, const struct job_spec *spec);
void jobenv_gang_fini(struct job_gang *gang);

#endif
