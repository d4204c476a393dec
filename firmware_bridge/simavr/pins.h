/* The chip's pins as the world sets them. The port also gets the level as its external one: otherwise a pull-up that is
 * switched on later overrides it. */
#ifndef EMULATOR_PINS_H
#define EMULATOR_PINS_H

#include <simavr/avr_ioport.h>
#include <simavr/sim_avr.h>

typedef struct {
    uint32_t name; /* 'B', 'C' or 'D'; 0 before it is begun */
    avr_ioport_external_t external;
    avr_irq_t *irq[8];
} port_t;

void port_begin(port_t *port, avr_t *avr, uint32_t name);

/* Sets the levels of the pins in `mask`; passes on those that changed. */
void port_set(port_t *port, avr_t *avr, unsigned mask, unsigned levels);

/* All of it again, to a chip that a reset has made forget. */
void port_repeat(port_t *port, avr_t *avr);

#endif
