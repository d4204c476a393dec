#include "chip_bytes.h"

#define EECR 0x3F
#define EEPE 0x02u /* the EEPROM is being written: simavr's own is done at once */
#define WRITING_CYCLES 54400 /* 3.4 ms: DS40002061B, table 8-2 */
#define SPMCSR 0x57
#define SPMEN 0x01u
#define BLBSET 0x08u
#define SIGRD 0x20u
#define WITHIN_CYCLES 3 /* of the write, which has taken effect with its instruction */
#define LPM_CYCLES 3
#define LPM_Z 0x9004u /* 1001 000d dddd 0100: lpm Rd, Z */
#define LPM_Z_MASK 0xFE0Fu

static const world_t *surroundings;
static uint8_t asked; /* what was last written to SPMCSR */
static avr_cycle_count_t asked_cycle;

static avr_cycle_count_t end_writing(avr_t *avr, avr_cycle_count_t when, void *unused)
{
    (void)when, (void)unused;
    avr->data[EECR] &= (uint8_t)~EEPE;
    return 0;
}

/* After simavr's own, which has written the byte by now. */
static void on_eecr(avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)unused;
    if ((value & EEPE) == 0)
        return;
    avr->data[address] |= EEPE;
    avr_cycle_timer_cancel(avr, end_writing, NULL);
    avr_cycle_timer_register(avr, WRITING_CYCLES, end_writing, NULL);
}

/* Fuses are not read while the EEPROM is written (DS40002061B, 27.8.6). */
static void on_spmcsr(avr_t *avr, avr_io_addr_t address, uint8_t value, void *unused)
{
    (void)address, (void)unused;
    asked = (avr->data[EECR] & EEPE) == 0 ? value : 0;
    asked_cycle = avr->cycle;
    avr->run_cycle_count = 0; /* avr_run() returns after this instruction, so that the next one can be looked at */
}

void chip_bytes_begin(avr_t *avr, const world_t *world)
{
    surroundings = world;
    avr_register_io_write(avr, EECR, on_eecr, NULL);
    avr_register_io_write(avr, SPMCSR, on_spmcsr, NULL);
}

/* Z 0: low fuse, 1: lock bits, 2: extended fuse, 3: high fuse. */
static uint8_t fuse_at(unsigned z)
{
    const uint8_t bytes[] = {surroundings->fuses[0], surroundings->lock_bits, surroundings->fuses[2], surroundings->fuses[1]};
    return bytes[z & 3u];
}

static uint8_t signature_at(unsigned z)
{
    const uint8_t bytes[] = {0x1E, (uint8_t)(surroundings->signature >> 8), (uint8_t)surroundings->signature};
    return z % 2 == 0 && z / 2 < sizeof bytes ? bytes[z / 2] : 0xFF;
}

bool chip_bytes_have_run(avr_t *avr)
{
    if (asked == 0)
        return false;
    const uint8_t what = asked;
    asked = 0;
    const unsigned code = (unsigned)(avr->flash[avr->pc] | avr->flash[avr->pc + 1] << 8);
    const bool is_asked_for = what == (BLBSET | SPMEN) || what == (SIGRD | SPMEN);
    if (!is_asked_for || (code & LPM_Z_MASK) != LPM_Z || avr->cycle - asked_cycle > WITHIN_CYCLES ||
        avr->state != cpu_Running)
        return false;
    const unsigned z = (unsigned)(avr->data[30] | avr->data[31] << 8);
    avr->data[code >> 4 & 31u] = (what & SIGRD) != 0 ? signature_at(z) : fuse_at(z);
    avr->pc += 2;
    avr->cycle += LPM_CYCLES;
    return true;
}
