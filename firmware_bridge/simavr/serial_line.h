/* USART0's two wires: bytes on their way in and out, each taking its ten bits. */
#ifndef SERIAL_LINE_H
#define SERIAL_LINE_H

#include <simavr/sim_avr.h>

#include "mailbox.h"

/* To be called once, and again after every reset. */
void serial_line_begin(avr_t *avr);

/* The chip's speed is looked at, and what the host has sent is put on the wire. */
void serial_line_take(avr_t *avr, const world_t *world);

/* The bytes that have left the chip by now. */
void serial_line_give(avr_t *avr, chip_t *chip);

#endif
