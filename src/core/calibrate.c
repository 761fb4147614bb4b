/* SPDX-License-Identifier: Apache-2.0 */
#include "core/calibrate.h"

#include <stdbool.h>

#include "base/checked.h"
#include "base/err.h"
#include "core/stages.h"

#define ROUNDS 400
#define SHORTER 64 /* steps are half as long after so many rounds */
#define FINE INT64_C(1000000000)

static bool row_valid(const struct calibrate_row *row, uint32_t units)
{
    if (row->measured_ps < 1 || row->measured_ps > STAGE_PS_MAX || row->fixed_ps < 0 ||
        row->fixed_ps > STAGE_PS_MAX || row->parts > CALIBRATE_PARTS_MAX)
        return false;
    for (uint32_t i = 0; i < row->parts; i++) {
        if (row->part[i].unit >= units || row->part[i].ps < 0 || row->part[i].ps > STAGE_PS_MAX)
            return false;
    }
    return true;
}

int64_t calibrate_ps(const struct calibrate_row *row, const int64_t *factor)
{
    int128 ps = row->fixed_ps;
    for (uint32_t i = 0; i < row->parts; i++)
        ps += (int128)row->part[i].ps * factor[row->part[i].unit] / CALIBRATE_ONE;
    return ps <= STAGE_PS_MAX ? (int64_t)ps : STAGE_PS_MAX;
}

/* Shares of each unit in what was measured, in billionths. */
static void shares(const struct calibrate_row *row, uint32_t units, int64_t *share)
{
    int128 ps[CALIBRATE_UNITS_MAX] = {0};
    for (uint32_t i = 0; i < row->parts; i++)
        ps[row->part[i].unit] += row->part[i].ps;
    for (uint32_t u = 0; u < units; u++) {
        int128 v = ps[u] * FINE / row->measured_ps;
        share[u] = v < 1000 * FINE ? (int64_t)v : 1000 * FINE;
    }
}

/* fine: factors times 1000, so that small steps are not lost. */
static void meet(const struct calibrate_row *row, uint32_t units, int64_t round, int64_t *fine)
{
    int64_t share[CALIBRATE_UNITS_MAX];
    int128 off = (int128)FINE - (int128)row->fixed_ps * FINE / row->measured_ps, square = 0;
    shares(row, units, share);
    for (uint32_t u = 0; u < units; u++) {
        off -= (int128)share[u] * fine[u] / FINE;
        square += (int128)share[u] * share[u] / FINE;
    }
    if (square == 0)
        return;
    for (uint32_t u = 0; u < units; u++) {
        int128 v = fine[u] + off * share[u] / square * SHORTER / (SHORTER + round);
        int64_t least = CALIBRATE_LEAST * 1000, most = CALIBRATE_MOST * 1000;
        fine[u] = v < least ? least : v > most ? most : (int64_t)v;
    }
}

int calibrate(const struct calibrate_row *row, uint32_t rows, uint32_t units, int64_t *factor)
{
    int64_t fine[CALIBRATE_UNITS_MAX];
    if (units > CALIBRATE_UNITS_MAX)
        return ERR_INVALID;
    for (uint32_t i = 0; i < rows; i++) {
        if (!row_valid(&row[i], units))
            return ERR_INVALID;
    }
    for (uint32_t u = 0; u < units; u++) {
        if (factor[u] < CALIBRATE_LEAST || factor[u] > CALIBRATE_MOST)
            return ERR_INVALID;
        fine[u] = factor[u] * 1000;
    }
    for (int64_t round = 0; rows > 0 && round < ROUNDS; round++) {
        for (uint32_t i = 0; i < rows; i++)
            meet(&row[i], units, round, fine);
    }
    for (uint32_t u = 0; u < units; u++)
        factor[u] = (fine[u] + 500) / 1000;
    return 0;
}
