/* Whether the relay that the e-stop opens is doubted, kept through resets and without power. */
#ifndef RELAY_H
#define RELAY_H

#include <stdbool.h>

bool relay_was_doubted(void);

/* Writes where it has changed: twice for a press of the e-stop. */
void relay_keep(bool is_doubted);

#endif
