"""How long the microcontroller takes from a control step to its action, computed from the size of the network.

The figures are those of `boards/avr/policy_image.c`, instruction by instruction (DS40002061B, 31), with every hidden unit
active; the emulated chip has the last word (tests/hil/test_decision_time.py).
"""

from __future__ import annotations

from cartpole_robot.errors import UsageError
from cartpole_robot.policy.network import Int16Network
from firmware_bridge.build import CLOCK_HZ

MOST_DECISION_MS = 12.0  # from the control step, with both encoders at 20,000 edges a second
_PRODUCT = 28  # a weight from flash, four multiplications, what they add
_IN_REGISTERS = 7  # inputs; one of another is read from memory
_MOST_LOOPED = 128  # hidden units; beyond, the values are added in a loop
_PER_SLICE = 133  # a turn of the main loop
_PER_DECISION = 2_400  # observation, the rest of the head, the largest value
_FREE_PER_MS = 8_300  # cycles that interrupts, safety ticks and the wait for them leave of 16,000
_BEFORE_MS = 0.74  # the safety tick with its STATE


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
    return sums + activation + values + 4


def _units_at_once(inputs: int, outputs: int) -> int:
    products = inputs + outputs + outputs // 2
    return 2 if products > 10 else 3 if products > 7 else 5


def decision_cycles(inputs: int, hidden: int, outputs: int, shift: int) -> int:
    """The processor's cycles for a decision, interrupts and safety ticks apart."""
    slices = -(-hidden // _units_at_once(inputs, outputs))
    return _PER_DECISION + slices * _PER_SLICE + hidden * _unit_cycles(inputs, hidden, outputs, shift)


def decision_ms(inputs: int, hidden: int, outputs: int, shift: int) -> float:
    """From the control step to the action, in ms, with 40,000 edges a second."""
    return _BEFORE_MS + decision_cycles(inputs, hidden, outputs, shift) / _FREE_PER_MS


def check_in_time(network: Int16Network) -> None:
    """Raise `UsageError`, with the time and the most hidden units, for a network that decides too late."""
    (hidden, inputs), outputs, shift = network.hidden_weight.shape, len(network.output_weight), network.hidden_shift
    takes_ms = decision_ms(inputs, hidden, outputs, shift)
    if takes_ms <= MOST_DECISION_MS:
        return
    most = max(units for units in range(1, hidden) if decision_ms(inputs, units, outputs, shift) <= MOST_DECISION_MS)
    raise UsageError(
        f"on board: a network of {inputs} inputs, {hidden} hidden units and {outputs} actions decides {takes_ms:.1f} ms "
        f"({decision_cycles(inputs, hidden, outputs, shift):,} cycles of {CLOCK_HZ // 1_000_000} MHz) after the control "
        f"step, expected at most {MOST_DECISION_MS:g} ms; train one with at most {most} hidden units, or run it on a host"
    )
