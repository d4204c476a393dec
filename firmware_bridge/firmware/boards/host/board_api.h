/* A board with the firmware, for another C extension that ticks it without Python in between.
 *
 * `firmware_bridge._host` has a capsule with a `board_api_t` for each kind: `BOARD_API` for Firmware, the C built for this
 * machine, `CHIP_API` for ChipMailbox, the emulated chip. `firmware_bridge._stepper` has one for the Firmware of a stepper. */
#ifndef BOARD_API_H
#define BOARD_API_H

#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#define BOARD_API_NAME "firmware_bridge._host.BOARD_API"
#define CHIP_API_NAME "firmware_bridge._host.CHIP_API"
#define STEPPER_API_NAME "firmware_bridge._stepper.BOARD_API"
#define BOARD_API_VERSION 3

typedef struct {
    int version;
    PyTypeObject *type; /* of the boards that these functions take */
    /* One millisecond. Returns 1 if the motor is driven until the next: a bridge with `drive` pulses of PULSE_PERIOD (0: shorted), a
     * stepper with steps that are `drive` on the mean. 0 if the bridge is open, the driver disabled; -1 with an exception. */
    int (*tick)(PyObject *board, int32_t cart_counts, int32_t pole_counts, unsigned inputs, unsigned supply_mv, double *drive);
    int (*feed)(PyObject *board, const uint8_t *bytes, Py_ssize_t length); /* -1 with an exception */
    bool (*has_sent)(PyObject *board);
} board_api_t;

#endif
