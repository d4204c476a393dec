/* The bridge: 20 kHz pulses on one half bridge while the other stays at ground; both at ground; or open. */
#ifndef MOTOR_H
#define MOTOR_H

#include "../../hal.h"

/* The bridge stays open. */
void motor_begin(void);

void motor_drive(motor_t motor);

/* The last cycle of a pulse period, as the timer has it. */
uint16_t motor_pulse_top(void);

/* As fast as can be. */
void motor_open(void);

#endif
