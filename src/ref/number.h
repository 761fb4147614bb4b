/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of analysis that inference needs, made of additions and multiplications only.
 *
 * IEEE 754 says what +, -, *, / and square root give, to the last bit; of exp, log, sine and cosine each libm has its own
 * last bits. So these here are our own: with them, a compiler that contracts nothing (-ffp-contract=off, which the build gives
 * this folder) and floats that are computed as floats, a model's answer is the same bytes on every machine. That rounding is to
 * the nearest, as C has it at the start, is assumed. Errors: number_exp_float 2 units in the last place, the others 2e-15.
 */
#ifndef BUSBAR_REF_NUMBER_H
#define BUSBAR_REF_NUMBER_H

#include <float.h>
#include <stdint.h>
#include <string.h>

_Static_assert(FLT_EVAL_METHOD == 0, "floats must be computed as floats");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "model files are little-endian, and used where they lie");

#define NUMBER_EXP_LEAST (-87.0f)
#define NUMBER_EXP_MOST 88.0f

/* e^x; below -87 what it is there, 1.6e-38, and above 88 what it is there. Without branches, so that a compiler can do many at
 * once: x = k ln 2 + r, e^r by a polynomial (Cephes, expf.c), and k goes into the exponent. */
static inline float number_exp_float(float x)
{
    const float round = 12582912.0f;                 /* 1.5 * 2^23: what is added to it loses its fraction */
    x = x > NUMBER_EXP_LEAST ? x : NUMBER_EXP_LEAST; /* what is no number as well */
    x = x < NUMBER_EXP_MOST ? x : NUMBER_EXP_MOST;
    float k = (x * 1.44269504088896341f + round) - round;
    float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    int32_t bits = ((int32_t)k + 127) * (1 << 23);
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

double number_exp(double x);                              /* 0 below -700, and above 700 what it is there */
double number_log(double x);                              /* of a normal number above 0 */
void number_turn(double x, double *cosine, double *sine); /* |x| at most 2^20 */

/* IEEE 754's binary16, as the bits of model files have it. Exact. */
static inline float number_half(uint16_t half)
{
    /* Half's exponent and fraction, moved into a float's place, are 2^112 too small, for its subnormals as well. */
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    uint32_t special = (half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0;
    float value;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    bits |= special | (uint32_t)(half & 0x8000) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
