/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makers' libraries, in a child: PROGRAM probe-library PREFIX FILE... loads the first of the files that it can, asks it for its chips
 * and prints them as probe_json does. It may hang or crash: its parent has a limit of time for it.
 *
 * One table of functions with a prefix serves the family of NVML, whose calls and structures are the same in NVIDIA's (nvml),
 * Iluvatar's libixml (nvml too), T-Head's (hgml) and Enflame's (efml).
 */
#ifndef BUSBAR_PROBE_LIBRARY_H
#define BUSBAR_PROBE_LIBRARY_H

/* Exit status: 0; 2: none of the files can be loaded; 3: it can, and does not serve, for a reason that is printed as a note. */
enum { LIBRARY_OK = 0, LIBRARY_USAGE = 1, LIBRARY_NONE = 2, LIBRARY_REFUSED = 3 };

int probe_library_main(int argc, char **argv);

#endif
