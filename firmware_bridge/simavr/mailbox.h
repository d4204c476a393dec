/* What the emulated chip and the world around it say to each other: shared memory, a millisecond at a time.
 *
 * The world writes `world_t`, then raises `asked`; the chip runs on from there, and as soon as the safety tick of that
 * millisecond has driven the bridge it writes `chip_t` and raises `answered`: both then work side by side until the
 * millisecond is over. Each side first looks for a moment, then sleeps on the other's number (a futex), with its own flag
 * up, so that neither side keeps a core busy while it waits. Where looking did not help, because both sides share a core, a
 * side sleeps at once for the next waits: looking would only keep the other from its work.
 */
#ifndef MAILBOX_H
#define MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define MAILBOX_VERSION 5u
#define MAILBOX_BYTES 8192
#define MAILBOX_LINE_BYTES 2048 /* the serial line carries 50 bytes in a millisecond */
#define MAILBOX_LOOK_NS 100000 /* a millisecond of the chip takes some 20 us */
#define MAILBOX_NAPS 63         /* waits without a look after one that did not help */

enum world_drive { WORLD_DRIVES_DC = 1, WORLD_DRIVES_STEPPER = 2 }; /* enum drive */
enum { WORLD_ALARM = 8 }; /* among the contacts: BOARD_ALARM */
enum chip_enable { ENABLE_OPEN = 0, ENABLE_LOW = 1, ENABLE_HIGH = 2 };
enum world_order { ORDER_NONE = 0, ORDER_RESET = 1, ORDER_HANG_PROGRAM = 2, ORDER_LOSE_TICK = 3 };

/* The chip's surroundings at the beginning of a millisecond. */
typedef struct {
    int32_t cart_counts; /* where the encoders stand now */
    int32_t pole_counts;
    int32_t skew_ppm;      /* how much faster than nominal the chip's clock runs */
    uint16_t supply_mv;    /* of the motor */
    uint8_t contacts;      /* the first three of enum input_flag: open contacts; a stepper's driver: WORLD_ALARM */
    uint8_t cut;           /* encoder channels with a cut wire; bits as on port C: cart B, cart A, pole B, pole A */
    uint8_t swapped;       /* encoders with A and B exchanged: 1 the cart's, 2 the pole's */
    uint8_t spiked;        /* channels that spikes hit, as in `cut` */
    uint8_t spikes;        /* that many in this millisecond */
    uint8_t order;         /* enum world_order, once */
    uint8_t reset_cause;   /* enum reset_cause, with ORDER_RESET */
    uint16_t rail_mv;      /* what the chip runs on, and its converter measures against */
    uint8_t fuses[3];      /* low, high, extended */
    uint8_t lock_bits;
    uint16_t bootloader;   /* the last word of flash, from the next reset on */
    uint16_t signature;    /* its last two bytes */
    uint8_t drive;         /* what is wired to PB0 to PB2: a bridge, or a stepper's driver */
    uint16_t line_length;  /* bytes that the host has sent since the last millisecond */
    uint8_t line[MAILBOX_LINE_BYTES];
} world_t;

/* The shortest times at a stepper driver's pins so far, in cycles; UINT32_MAX: there was none. */
typedef struct {
    uint32_t high, low, period; /* of STEP; the period from one rising edge to the next */
    uint32_t setup, hold;       /* from a change of DIR to a rising edge of STEP, and from the edge to the change */
} step_times_t;

/* The chip, when it has driven the bridge, or at the end of a millisecond in which it did not. A stepper's chip answers at the end of
 * the millisecond, with what its pins will have done when the next one's encoders are looked at: all but the last tenth is past by then,
 * and what is left follows from the timer's registers. */
typedef struct {
    int32_t pulses;        /* cycles of 800 in which the bridge drives: positive forwards, 0 shorted */
    uint8_t is_open;       /* the bridge is open and drives nothing */
    uint32_t ticks;        /* ticks of the chip's millisecond timer since its reset */
    uint32_t resets;       /* since the emulator began */
    uint64_t cycles;       /* likewise, and those it was awake */
    uint64_t awake_cycles;
    uint64_t policy_cycles; /* those of the policy in the image, interrupts apart */
    uint32_t longest_latency;   /* cycles from a tick to the bridge */
    uint32_t longest_interrupt; /* cycles from entry to return */
    uint32_t bytes_lost;   /* that came faster than the chip took them */
    int32_t steps;         /* pulses at STEP that have ended, with DIR low, less those with DIR high; wraps */
    int32_t step_area;     /* of this millisecond's, how long ago they ended, added up in half microseconds with their signs */
    uint8_t is_left;       /* the level of DIR */
    uint8_t enable;        /* enum chip_enable: open is what a pin is that the chip lets go of */
    step_times_t step_times;
    uint32_t longest_step_write; /* cycles from a BOTTOM of Timer1 to the last write to OCR1x before the next */
    uint32_t lost_bottoms; /* of Timer1, whose interrupt came too late for the next */
    uint16_t line_length;  /* bytes that have left the chip's pin since the last millisecond */
    uint8_t line[MAILBOX_LINE_BYTES];
} chip_t;

typedef struct {
    uint32_t version;
    uint32_t bytes;
    _Alignas(64) _Atomic uint32_t asked;
    _Atomic uint32_t is_chip_asleep;
    _Alignas(64) _Atomic uint32_t answered;
    _Atomic uint32_t is_world_asleep;
    _Alignas(64) world_t world;
    _Alignas(64) chip_t chip;
} mailbox_t;

_Static_assert(sizeof(mailbox_t) <= MAILBOX_BYTES, "the mailbox fits its memory");

/* Raises `number` to `value` and wakes whoever sleeps on it. */
void mailbox_raise(_Atomic uint32_t *number, uint32_t value, _Atomic uint32_t *is_other_asleep);

/* Whether `number` reaches `value` while it is looked at, for a moment; `naps` is how many waits will do without. */
bool mailbox_look(_Atomic uint32_t *number, uint32_t value, unsigned *naps);

/* Whether `number` has reached `value`: sleeps until it does, `most_ms` at the longest. */
bool mailbox_sleep(_Atomic uint32_t *number, uint32_t value, _Atomic uint32_t *is_asleep, int most_ms);

#endif
