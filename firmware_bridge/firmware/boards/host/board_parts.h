/* What a simulated board is made of, from the keyword arguments of a Python call. */
#ifndef BOARD_PARTS_H
#define BOARD_PARTS_H

#include <Python.h>

#include "simulated_board.h"

#define EQUIP_TEXT                                                                                                            \
    "equip(rail_mv=5000, bandgap_mv=1100, pulse_top=799, fuse_low=0xFF, fuse_high=0xDE, fuse_extended=0xFC, "                  \
    "lock_bits=0xEF, bootloader=0x0404, chip=0x950F): what the board is made of from now on; what is not given stays as it is. Fuses, " \
    "lock bits, bootloader and chip are read at a restart."

/* The keyword arguments of equip(); -1 with an exception. */
static inline int take_parts(PyObject *args, PyObject *kwargs, board_parts_t *parts)
{
    static char *names[] = {"rail_mv", "bandgap_mv", "pulse_top", "fuse_low", "fuse_high", "fuse_extended",
                            "lock_bits", "bootloader", "chip", NULL};
    board_parts_t taken = *parts;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|HHHbbbbHH", names, &taken.rail_mv, &taken.bandgap_mv, &taken.pulse_top,
                                     &taken.fuse_low, &taken.fuse_high, &taken.fuse_extended, &taken.lock_bits,
                                     &taken.bootloader, &taken.chip))
        return -1;
    if (taken.rail_mv == 0) {
        PyErr_SetString(PyExc_ValueError, "a rail of 0 mV runs no board; restart it instead");
        return -1;
    }
    *parts = taken;
    return 0;
}

#endif
