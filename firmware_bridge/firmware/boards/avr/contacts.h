/* E-stop and end switches. */
#ifndef CONTACTS_H
#define CONTACTS_H

#include "../../hal.h"

void contacts_begin(void);

void contacts_read(board_inputs_t *inputs);

#endif
