/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/number.h"

#define LN2_HIGH 0x1.62e42fee00000p-1 /* 32 bits: times a whole number below 2^20 it is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LN2_INVERSE 0x1.71547652b82fep+0
/* Of pi / 2: two parts of 33 bits, so that a quarter turn's number times each is exact, and the rest. */
#define QUARTER_HIGH 0x1.921fb54400000p+0
#define QUARTER_MIDDLE 0x1.0b4611a600000p-34
#define QUARTER_LOW 0x1.3198a2e037073p-69
#define QUARTER_INVERSE 0x1.45f306dc9c883p-1
#define ROUND 0x1.8p52 /* what is added to it loses its fraction */

static double power_of_two(int64_t k)
{
    int64_t bits = (k + 1023) * (INT64_C(1) << 52);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Taylor's series to r^17, |r| <= 0.35. */
double number_exp(double x)
{
    if (!(x >= -700.0))
        return 0.0;
    x = x > 700.0 ? 700.0 : x;
    double k = (x * LN2_INVERSE + ROUND) - ROUND;
    double r = (x - k * LN2_HIGH) - k * LN2_LOW;
    double sum = 1.0;
    for (int i = 17; i > 0; i--)
        sum = 1.0 + sum * r / i;
    return sum * power_of_two((int64_t)k);
}

/* x = m 2^k with m between 0.7 and 1.42; log m = 2 atanh((m - 1) / (m + 1)), by its series to the 25th power. */
double number_log(double x)
{
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t k = (bits >> 52) - 1023;
    double m = x * power_of_two(-(k > 1022 ? 1022 : k));
    if (k > 1022)
        m *= 0.5;
    if (m > 1.4142135623730951) {
        m *= 0.5;
        k++;
    }
    double t = (m - 1.0) / (m + 1.0), t2 = t * t, sum = 0.0;
    for (int i = 25; i > 0; i -= 2)
        sum = sum * t2 + 1.0 / i;
    return (double)k * LN2_HIGH + (2.0 * t * sum + (double)k * LN2_LOW);
}

/* Quarter turns are taken off; what is left is below 0.79, for which the series go to r^20. */
void number_turn(double x, double *cosine, double *sine)
{
    double k = (x * QUARTER_INVERSE + ROUND) - ROUND;
    double r = ((x - k * QUARTER_HIGH) - k * QUARTER_MIDDLE) - k * QUARTER_LOW, r2 = r * r;
    double c = 1.0, s = 1.0;
    for (int i = 20; i > 0; i -= 2) {
        c = 1.0 - c * r2 / (i * (i - 1));
        s = 1.0 - s * r2 / (i * (i + 1));
    }
    s *= r;
    switch ((int64_t)k & 3) {
    case 0:
        *cosine = c, *sine = s;
        break;
    case 1:
        *cosine = -s, *sine = c;
        break;
    case 2:
        *cosine = -c, *sine = -s;
        break;
    default:
        *cosine = s, *sine = -c;
        break;
    }
}
