/* What happens before main(): the bridge opens, the watchdog stops, the reset's cause is kept, the stack is painted. */
#ifndef STARTUP_H
#define STARTUP_H

#include <stdint.h>

/* Why the last reset came, enum reset_cause; 0 where nothing tells. */
uint8_t startup_reset_cause(void);

/* Bytes of RAM that the stack has never touched. Each call looks at a few of them: a whole round takes some hundred calls, the first
 * of them an answer from where the stack stands. */
uint16_t startup_stack_free(void);

#endif
