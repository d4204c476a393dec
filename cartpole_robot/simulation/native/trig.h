/* Sine and cosine in one call, from additions and multiplications alone.
 *
 * The C library's differ in the last bit from one library and version to the next, and a compiler cannot compute them for several
 * carts at a time. These give the same bits everywhere, alone and in a loop over carts. The polynomials and the parts of pi / 2 are
 * those of FreeBSD's msun (k_sin.c, k_cos.c, e_rem_pio2.c; Sun Microsystems 1993). The error is below 1 ulp up to an eighth turn and
 * 2.5 ulp beyond. */
#ifndef TRIG_H
#define TRIG_H

#include <math.h>

#define TRIG_LARGEST_RAD 1e6 /* up to here n times the first part of pi / 2 is exact */
#define TRIG_TO_NEAREST 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to a whole number, subtracting it gives that back */

/* The sine and cosine of `angle`, at most TRIG_LARGEST_RAD either way. No branches: a loop over it can be vectorised. */
static inline void sine_cosine_small(double angle, double *sine, double *cosine)
{
    const double quarters = (angle * 6.36619772367581382433e-01 + TRIG_TO_NEAREST) - TRIG_TO_NEAREST;
    const double x = ((angle - quarters * 1.57079632673412561417e+00) - quarters * 6.07710050630396597660e-11) -
                     quarters * 2.02226624879595063154e-21;
    const double z = x * x, w = z * z;
    const double s = x + z * x * (-1.66666666666666324348e-01 +
                                  z * (8.33333333332248946124e-03 +
                                       z * (-1.98412698298579493134e-04 + z * 2.75573137070700676789e-06) +
                                       z * w * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)));
    const double r = z * (4.16666666666666019037e-02 +
                          z * (-1.38888888888741095749e-03 + z * 2.48015872894767294178e-05)) +
                     w * w * (-2.75573143513906633035e-07 +
                              z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11));
    const double half = 0.5 * z, rest = 1.0 - half;
    const double c = rest + (((1.0 - rest) - half) + z * r);

    /* -2 to 2; 2 and -2 are the same half turn. */
    const double turn = quarters - 4.0 * ((0.25 * quarters + TRIG_TO_NEAREST) - TRIG_TO_NEAREST);
    const double along = fabs(turn) == 1.0 ? c : s, across = fabs(turn) == 1.0 ? s : c;
    *sine = turn == -1.0 || fabs(turn) == 2.0 ? -along : along;
    *cosine = turn == 1.0 || fabs(turn) == 2.0 ? -across : across;
}

/* The sine and cosine of any angle. */
static inline void sine_cosine(double angle, double *sine, double *cosine)
{
    if (fabs(angle) <= TRIG_LARGEST_RAD) {
        sine_cosine_small(angle, sine, cosine);
    } else {
        *sine = sin(angle);
        *cosine = cos(angle);
    }
}

#endif
