/* For functions with a loop over carts: compiled once for each width of vector, chosen when the extension is loaded; all compute the
 * same bits. */
#ifndef WIDTH_H
#define WIDTH_H

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define ANY_WIDTH __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ANY_WIDTH
#endif

#endif
