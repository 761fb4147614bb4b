/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calibrate: how fast chips are, from how fast clusters of them run.
 *
 * A cluster that runs tells one thing: what a token takes. The plan says what that is made of: for each unit (a kind of chip, or one
 * worker) what its layers would take if it delivered what is believed, and a part that no unit is to blame for, such as
 * hops. Each unit gets a factor, how many times longer its parts take than was believed, so that the parts add up to what was measured.
 * One measurement is met by the least change of the factors; several with other shares of layers tell the units apart; where they
 * contradict each other no factor meets all, and relative errors are spread.
 *
 * Each row in turn is met by a step at right angles to it (Kaczmarz, 1937), a little less each time round, so that contradictions settle.
 * Integers only; the same rows in the same order give the same factors.
 */
#ifndef BUSBAR_CORE_CALIBRATE_H
#define BUSBAR_CORE_CALIBRATE_H

#include <stdint.h>

#define CALIBRATE_PARTS_MAX 64u
#define CALIBRATE_UNITS_MAX 64u
#define CALIBRATE_ONE INT64_C(1000000)       /* a factor of 1 */
#define CALIBRATE_LEAST (CALIBRATE_ONE / 20) /* a chip that is 20 times faster than believed is a mistake */
#define CALIBRATE_MOST (CALIBRATE_ONE * 100)

struct calibrate_part {
    uint32_t unit;
    int64_t ps; /* as believed; a unit may have several parts */
};

struct calibrate_row {
    int64_t measured_ps, fixed_ps; /* of a token, or a step; what no unit is to blame for */
    uint32_t parts;
    struct calibrate_part part[CALIBRATE_PARTS_MAX];
};

/* Changes factor[0 .. units), which are what is believed so far, from CALIBRATE_LEAST to CALIBRATE_MOST. ERR_INVALID, with nothing changed: a time
 * out of bounds (from 0 to STAGE_PS_MAX, measured from 1 on), a unit that is none, too many. */
int calibrate(const struct calibrate_row *row, uint32_t rows, uint32_t units, int64_t *factor);
/* What the row takes with these factors. */
int64_t calibrate_ps(const struct calibrate_row *row, const int64_t *factor);

#endif
