/* Fuses and signature, read by a program as DS40002061B has it: a write to SPMCSR, then LPM within three cycles, and no EEPROM being
 * written, which takes 3.4 ms. simavr reads flash, and writes at once. */
#ifndef CHIP_BYTES_H
#define CHIP_BYTES_H

#include <simavr/sim_avr.h>
#include <stdbool.h>

#include "mailbox.h"

/* Once; the bytes are those of `world` at the moment of reading. */
void chip_bytes_begin(avr_t *avr, const world_t *world);

/* Whether the next instruction was such an LPM and has been executed here; in its place avr_run() would read flash. */
bool chip_bytes_have_run(avr_t *avr);

#endif
