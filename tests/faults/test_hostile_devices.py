"""Devices that do anything but what a cart does, on a pseudo-terminal, against the verbs that move a cart.

Each verb ends by its deadline with status 1 and one line that says what is wrong, and its last word to the device is to
stop the motor.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cartpole_robot.cart.cart_file import load_cart
from tests.faults.hostile_device import BEHAVIOURS
from tests.policy_on_board import regulating_policy

pytestmark = pytest.mark.realtime

ROOT = Path(__file__).parent.parent.parent
NOT_OFF = r"the cart did not confirm DISARM; switch it off \("
SILENCE = "no measurement for 0.5 s: the link is lost"
NONSENSE = "the cart sends nonsense, "
IMPLAUSIBLE = "implausible measurement: "
GONE = "the port is gone; plug the cart in again"

EITHER = "either"  # the host may get through, or not: by how fast it reads
# What the verb says; None where it copes, and ends with status 0.
CASES: dict[str, str | None] = {
    "deploy: does everything right": None,
    "deploy: silent from HELLO": "nothing answered in 3 s",
    "deploy: silent from CFG": "the cart does not acknowledge CFG",
    "deploy: silent from HEALTH_REQUEST": "the cart does not answer any more",
    "deploy: silent from PING": "no PONG within 1 s",
    "deploy: silent from DISARM": f"does not acknowledge MODE .*; {NOT_OFF}no answer, 10 times asked",
    "deploy: silent from HOME": f"does not acknowledge MODE .*; {NOT_OFF}no answer",
    "deploy: silent while it homes": f"{SILENCE}.*; {NOT_OFF}no answer",
    "deploy: silent from ARM": f"does not acknowledge MODE .*; {NOT_OFF}no answer",
    "deploy: silent from CMD": f"{SILENCE}.*; {NOT_OFF}no answer.*; saved to ",
    "deploy: DISARM never confirmed": f"the run ended: {NOT_OFF}no answer, 10 times asked.*; saved to ",
    "deploy: DISARM confirmed, stays ARMED": f"the run ended: {NOT_OFF}it acknowledged, and is ARMED at duty 0.00",
    "deploy: DISARM confirmed, duty in force": f"the run ended: {NOT_OFF}it acknowledged, and is READY at duty 0.18",
    "deploy: DISARM refused": f"the cart refuses DISARM: NOT_NOW; {NOT_OFF}it answered NOT_NOW",
    "deploy: ARMED after HELLO": "the cart is ARMED after HELLO, which disarms it; switch it off",
    "deploy: flood of STATE": f"{NONSENSE}.*its clock jumps or runs too fast",
    "deploy: flood of STATE, Ctrl-C": "",
    "deploy: flood of one STATE": f"{NONSENSE}tick .* twice",
    "deploy: flood of PONG": EITHER,
    "deploy: flood of PONG, Ctrl-C": "",
    "deploy: flood of PONG and nothing else": f"{SILENCE}.*; {NOT_OFF}no answer",
    "deploy: flood of PONG and nothing else, Ctrl-C": f"the run ended: .*{NOT_OFF}no answer",
    "deploy: flood of PONG and nothing else from DISARM": f"{NOT_OFF}no answer",
    "deploy: flood of PONG and nothing else from HOME": f"{NOT_OFF}no answer",
    "deploy: flood of ACK": EITHER,
    "deploy: flood of EVENT from the start": EITHER,
    "deploy: flood of HELLO from the start": EITHER,
    "deploy: flood of garbage": EITHER,
    "deploy: flood of garbage, Ctrl-C": "",
    "deploy: flood of garbage from the start": EITHER,
    "deploy: flood of zeros": EITHER,
    "deploy: ACK of unknown code": f"{NONSENSE}ACK with code 99, expected 0 to 14",
    "deploy: ACK of a field that CFG has not": f"{NONSENSE}ACK OUT_OF_RANGE with detail 200, expected 0 to 24",
    "deploy: ACK of a real field": "the cart refuses CFG: OUT_OF_RANGE: max_duty_q15 = ",
    "deploy: ACK of an unknown fault": f"{NONSENSE}ACK UNHEALTHY with detail 99, expected 0 to 31",
    "deploy: ACK of an unknown self-test": f"{NONSENSE}ACK SELF_TEST with detail 99, expected 0 to 3",
    "deploy: ARM refused": "the cart refuses ARM: NO_LIMITS",
    "deploy: ARM confirmed, stays READY": "the run ended: the cart is READY, expected ARMED",
    "deploy: HOME refused": "the cart refuses HOME: NOT_NOW",
    "deploy: HOME confirmed, stays DISARMED": "the cart is DISARMED, expected",
    "deploy: STATE of unknown state": f"{NONSENSE}STATE with state 77, expected 0 to 5",
    "deploy: STATE of unknown fault": f"{NONSENSE}STATE with fault 200, expected 0 to 31",
    "deploy: STATE HOMING while driven": "the run ended: the cart is HOMING, expected ARMED",
    "deploy: FAULT without a fault": "the run ended: the cart is FAULT, expected ARMED",
    "deploy: duty beyond full drive": f"{NONSENSE}STATE with applied_q15 -32768",
    "deploy: HELLO_ACK of unknown state": f"{NONSENSE}HELLO_ACK with state 99, expected 0 to 5",
    "deploy: HELLO_ACK of unknown fault": f"{NONSENSE}HELLO_ACK with fault 99, expected 0 to 31",
    "deploy: HELLO_ACK of another version": f"{NONSENSE}HELLO_ACK with version 9, expected 5",
    "deploy: HELLO_ACK of another protocol": "cart speaks 0001, host ....: reflash",
    "deploy: HELLO_ACK to another nonce": "something sends bytes",
    "deploy: EVENT of unknown state": f"{NONSENSE}EVENT with state 99, expected 0 to 5",
    "deploy --on-board: POLICY of unknown self-test": f"{NONSENSE}POLICY with self_test 99, expected 0 to 3",
    "deploy: TRACE of 255 samples": f"{NONSENSE}TRACE with count 255, expected 0 to 8",
    "deploy: TRACE of a count too far": f"{NONSENSE}TRACE with cart_counts 2147483647",
    "deploy: HEALTH of full counters": None,
    "deploy: PONG of any time": None,
    "deploy: tick backwards": f"{NONSENSE}tick .*: its ticks run backwards",
    "deploy: tick stands still": f"{NONSENSE}tick .* twice",
    "deploy: tick jumps by 2^31": f"{NONSENSE}tick .* after tick .*: its ticks run backwards or jump",
    "deploy: tick and time jump by a minute": f"{NONSENSE}.*: its clock jumps or runs too fast",
    "deploy: time stands still": f"{NONSENSE}.*: its clock stands still",
    "deploy: time backwards": f"{NONSENSE}.*: its clock runs backwards",
    "deploy: time at half speed": f"{NONSENSE}.*: its clock runs",
    "deploy: a twentieth of its pace": f"{NONSENSE}.*a quarter of the host's speed",
    "excite: a twentieth of its pace": f"{NONSENSE}.*a quarter of the host's speed",
    "deploy: cart counts flip by 1500": f"{IMPLAUSIBLE}the cart's encoder moved [-+]1500 counts",
    "deploy: pole counts flip by 700": f"{IMPLAUSIBLE}the pole's encoder moved [-+]700 counts",
    "deploy: cart far away": f"{IMPLAUSIBLE}the cart's encoder reads 1073741823 counts, at most 5744",
    "deploy: cart farther than any track": f"{NONSENSE}STATE with cart_counts 2147483647",
    "deploy: pole beyond half a turn": f"{NONSENSE}STATE with pole_counts -2147483648",
    "deploy: cart's speed extreme": f"{IMPLAUSIBLE}the cart's speed is 134217728 counts per second",
    "deploy: pole's speed extreme": f"{IMPLAUSIBLE}the pole's speed is -134217728 counts per second",
    "deploy: wrong CRC": f"{SILENCE}",
    "deploy: wrong CRC from the start": "something sends bytes",
    "deploy: frames cut short": f"{SILENCE}",
    "deploy: frames doubled": f"{NONSENSE}tick .* twice",
    "deploy: frames too long": f"{SILENCE}",
    "deploy: garbage between frames": EITHER,
    "deploy: one byte at a time": EITHER,
    "deploy: boot text at first": None,
    "deploy: text for ever": "something sends bytes",
    "deploy: echo": "something sends bytes",
    "deploy: cart and echo": None,
    "deploy: port gone at HELLO": GONE,
    "deploy: port gone at CFG": GONE,
    "deploy: port gone at HOME": f"{GONE}; {NOT_OFF}.*{GONE}",
    "deploy: port gone at ARM": f"{GONE}; {NOT_OFF}.*{GONE}",
    "deploy: port gone at CMD": f"the run ended: .*{GONE}; {NOT_OFF}.*; saved to ",
    "deploy: port gone at DISARM": f"{GONE}; {NOT_OFF}",
    "deploy: reads nothing once armed": f"the run ended: {NOT_OFF}no answer",
    "deploy: restarts": "the run ended: the cart has restarted",
    "deploy: restarts by every cause": "the run ended: the cart has restarted",
    "deploy: restarts and keeps its session": f"{NONSENSE}tick .*: its ticks run backwards",
    "deploy: STATEs of another session": "the run ended: the cart has restarted",
    "deploy: ACK of CFG after 0.3 s": None,
    "deploy: ACK of CFG after 2 s": "the cart does not acknowledge CFG",
    "deploy: ACK of ARM after 2 s": "the cart does not acknowledge MODE",
    "deploy: PONG after 0.03 s": None,
    "deploy: PONG after 3 s": "no PONG within 1 s",
    "record: DISARM never confirmed": f"the rollout ended early: {NOT_OFF}no answer.*rows of it are in ",
    "record: DISARM confirmed, stays ARMED": f"the rollout ended early: {NOT_OFF}it acknowledged, and is ARMED",
    "record: silent from CMD": f"the rollout ended early: {SILENCE}.*; {NOT_OFF}",
    "record: silent from HOME": NOT_OFF,
    "record: flood of PONG, Ctrl-C": "",
    "record: flood of PONG and nothing else, Ctrl-C": f"{NOT_OFF}no answer",
    "record: tick backwards": f"{NONSENSE}tick .*: its ticks run backwards",
    "record: cart counts flip by 1500": IMPLAUSIBLE,
    "record: port gone at CMD": f"{GONE}; {NOT_OFF}",
    "excite: DISARM never confirmed": NOT_OFF,
    "excite: DISARM confirmed, ARMED again": "the cart is ARMED after DISARM",
    "excite: STATE of unknown state": f"{NONSENSE}STATE with state 77",
    "evaluate: DISARM never confirmed": NOT_OFF,
    "evaluate: DISARM confirmed, stays ARMED": NOT_OFF,
    "evaluate: silent from CMD": f"{SILENCE}.*; {NOT_OFF}",
    "evaluate: cart counts flip by 1500": IMPLAUSIBLE,
    "train: falls, DISARM never confirmed": f"{NOT_OFF}.*--resume",
    "check-rig: DISARM confirmed, stays HOMING": f"NO  motor off .*{NOT_OFF}it acknowledged, and is HOMING",
    "check-rig: silent from CLEAR": f"NO  motor off .*{NOT_OFF}no answer",
    "check-rig: silent while it homes": f"no measurement for 1 s.*{NOT_OFF}no answer",
    "check-rig: silent from HEALTH_REQUEST": NOT_OFF,
    "check-rig: flood of garbage from the start": EITHER,
    "check-rig: flood of PONG and nothing else from HOME": f"NO  motor off .*{NOT_OFF}no answer",
    "check-rig: STATEs of another session": None,
    "check-rig: ACK of unknown code": f"NO  link .*{NONSENSE}ACK with code 99",
    "check-rig: HOME refused": "the cart refuses HOME: NOT_NOW",
    "check-rig: port gone at HOME": f"{GONE}.*{NOT_OFF}",
    "check-rig without --arm: text for ever": "something sends bytes",
    "jog: silent from JOG_RIGHT": f"does not acknowledge MODE .*; {NOT_OFF}",
    "jog: DISARM confirmed, stays HOMING": NOT_OFF,
    "jog: DISARM refused": NOT_OFF,
    "jog: flood of PONG": EITHER,
    "jog: flood of PONG and nothing else from JOG_RIGHT": NOT_OFF,
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every case, many at a time: they mostly wait."""
    folder = tmp_path_factory.mktemp("hostile")
    policy = folder / "policy.npz"
    regulating_policy(load_cart("diy_arduino")).save(policy)
    words = [sys.executable, "-m", "tests.faults.hostile_verbs", str(policy), str(folder), *CASES]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900.0, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {outcome["case"]: outcome for outcome in found}


@pytest.mark.parametrize("case", CASES)
def test_hostile_device_ends_the_verb_in_one_line_with_the_motor_off(
    outcomes: dict[str, dict[str, Any]], case: str
) -> None:
    found, message = outcomes[case], CASES[case]
    assert found["status"] is not None, f"it hung: {found}"
    assert "Traceback" not in found["text"], found["text"]
    if message == EITHER:
        assert found["status"] in (0, 1), found
        message = None if found["status"] == 0 else ""
    assert found["status"] == (0 if message is None else 1), found
    if message is not None:
        assert re.search(message, found["text"], re.DOTALL), found
    errors = [line for line in found["text"].splitlines() if line.startswith("cartpole-robot: ")]
    if found["case"].partition(":")[0] not in ("check-rig", "check-rig without --arm", "evaluate"):
        assert len(errors) == (message is not None), found
    assert found["is_motor_off"], found


def test_every_behaviour_meets_a_verb() -> None:
    met = {case.partition(": ")[2].removesuffix(", Ctrl-C") for case in CASES}
    assert met >= set(BEHAVIOURS) - {"silent from JOG_RIGHT"}
    assert len(met) >= 52
