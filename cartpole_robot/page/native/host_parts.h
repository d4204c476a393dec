/* What the host's files share: host.c has the line and the requests on it, host_sequence.c what they are asked for. */
#ifndef HOST_PARTS_H
#define HOST_PARTS_H

#include "host.h"

void host_go(host_t *host, const world_t *world, host_phase_t phase);

void host_write(host_t *host, world_t *world, const void *message, size_t length, bool may_be_lost);

void host_say_hello(host_t *host, world_t *world);

/* Into a phase that waits for the acknowledgement of CFG, or of that MODE. */
void host_request(host_t *host, world_t *world, host_phase_t phase, uint8_t mode, uint8_t options);

/* Whether the request that the phase waits for is acknowledged; it is repeated, and at last given up. */
bool host_is_acknowledged(host_t *host, world_t *world);

void host_open_session(host_t *host, world_t *world);

/* The operator's goal is dropped. */
void host_give_up(host_t *host, world_t *world, host_trouble_t trouble);

/* The next STATE that the phase has not seen yet. */
bool host_next_state(host_t *host);

/* What the phase does with what has arrived. */
void host_continue(host_t *host, world_t *world, controllers_t *controllers);

#endif
