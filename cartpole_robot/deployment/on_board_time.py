"""How long the microcontroller takes from a control step to its action, computed from the size of the network.

The figures are those of `boards/avr/policy_image.c`, instruction by instruction (DS40002061B, 31), with every hidden
unit active; the emulated chip has the last word (tests/hil/test_decision_time.py).
"""

from __future__ import annotations

from cartpole_robot.errors import UsageError
from cartpole_robot.policy.network import Int16Network
from firmware_bridge.constants import MAX_HIDDEN

MOST_DECISION_MS = 12.0  # from the control step, with both encoders at 20,000 edges a second
_PRODUCT = 28  # a weight from flash, four multiplications, what they add
_IN_REGISTERS = 7  # inputs; one of another is read from memory
_MOST_LOOPED = 128  # hidden units; beyond, the values are added in a loop
_PER_SLICE = 225  # a turn of the main loop, and the inputs into registers
_PER_DECISION = 1_700  # observation, history, the largest value
_FREE_PER_MS = 9_050  # cycles that interrupts, safety ticks and the wait for them leave of 16,000
_BEFORE_MS = 0.83  # the safety tick with its STATE


def _unit_cycles(inputs: int, hidden: int, outputs: int, shift: int) -> int:
    """The cycles of an active hidden unit."""
    in_registers = min(inputs, _IN_REGISTERS)
    sums = 12 + inputs * _PRODUCT + in_registers + 4 * (inputs - in_registers)
    saturated = 9 if shift <= 15 else 0
    shifted = 4 * (16 - shift) if shift <= 16 else 2 * (shift - 16)
    activation = 7 + saturated + shifted + 1
    if (inputs, outputs) == (4, 2):
        values = outputs * _PRODUCT
    elif hidden > _MOST_LOOPED:
        values = outputs * (_PRODUCT + 16 + 5) + 2
    else:
        values = outputs * (_PRODUCT + 16)
    return sums + activation + values + 8


def decision_cycles(inputs: int, hidden: int, outputs: int, shift: int) -> int:
    """The processor's cycles for a decision, interrupts and safety ticks apart."""
    at_once = 4000 // (80 + 38 * (inputs + outputs + outputs // 2))  # as policy_image.c has it
    own = hidden * _unit_cycles(inputs, hidden, outputs, shift)
    slices = -(-hidden // at_once) + own // _FREE_PER_MS  # each tick cuts one short
    return _PER_DECISION + own + slices * _PER_SLICE


def decision_ms(inputs: int, hidden: int, outputs: int, shift: int) -> float:
    """From the control step to the action, in ms, with 40,000 edges a second."""
    return _BEFORE_MS + decision_cycles(inputs, hidden, outputs, shift) / _FREE_PER_MS


def most_hidden(inputs: int, outputs: int, shift: int) -> int:
    """The most hidden units that decide in time."""
    return max(
        units for units in range(1, MAX_HIDDEN) if decision_ms(inputs, units, outputs, shift) <= MOST_DECISION_MS
    )


def check_in_time(network: Int16Network) -> float:
    """The time of `network` from the control step to the action, in ms, with both encoders turning.

    Raises `UsageError`, with the time and the most hidden units, if that is too late.
    """
    (hidden, inputs), outputs, shift = network.hidden_weight.shape, len(network.output_weight), network.hidden_shift
    takes_ms = decision_ms(inputs, hidden, outputs, shift)
    if takes_ms <= MOST_DECISION_MS:
        return takes_ms
    most, cycles = most_hidden(inputs, outputs, shift), decision_cycles(inputs, hidden, outputs, shift)
    raise UsageError(
        f"on board: a network of {inputs} inputs, {hidden} hidden units and {outputs} actions decides "
        f"{takes_ms:.1f} ms ({cycles:,} cycles) after the control step, expected at most {MOST_DECISION_MS:g} ms; "
        f"train one with at most {most} hidden units, or run it on a host"
    )
