"""Everything between Python and the motor: the C that runs on the microcontroller, and its host build."""
