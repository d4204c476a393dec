/* USART0 at PROTOCOL_BAUD, with a ring buffer each way. */
#ifndef SERIAL_H
#define SERIAL_H

#include <stdbool.h>
#include <stdint.h>

void serial_begin(void);

bool serial_has_received(void);

/* The oldest received byte; false where there is none. */
bool serial_receive(uint8_t *byte);

bool serial_can_send(void);

/* Only when serial_can_send(). */
void serial_send(uint8_t byte);

/* Received bytes that were lost; stays at its largest value. */
uint16_t serial_overruns(void);

#endif
