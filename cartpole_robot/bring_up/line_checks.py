"""Steps that look at the port, the line and the firmware behind it."""

from __future__ import annotations

from cartpole_robot.bring_up.bench import Bench
from cartpole_robot.bring_up.findings import Finding, fine, skipped, unknown, wrong
from firmware_bridge.answers import reset_cause_name
from firmware_bridge.errors import LinkError, RefusedError
from firmware_bridge.faults import RESETS
from firmware_bridge.transport import SerialTransport

PINGS = 50
_ILLEGAL_MOST = 8  # of the encoders' transitions since the start; as many as the firmware bears within 0.1 s
_LATENCY_MOST_MS = 2
_ROUND_TRIP_SHARE = 0.7  # of the control period: the command must be there before the next control tick
_LATENCY_TIMER_S = 0.011  # a round trip that long is a timer's, not a UART's
_WRONG_RESETS = ("BROWN_OUT", "WATCHDOG")
_LATENCY_REMEDY = (
    "set the USB chip's latency timer to 1 ms: setserial PORT low_latency, or write 1 to "
    "/sys/bus/usb-serial/devices/ttyUSB*/latency_timer (a udev rule makes it permanent)"
)


def check_usb(bench: Bench) -> Finding:
    """Which USB chip is in front of the board."""
    usb = bench.usb
    if usb is None:
        return skipped("the port is not on USB")
    called = f"{usb.ids} {usb.product}".strip()
    if usb.chip is None:
        return unknown(
            f"{called}: a USB chip that the guide does not know",
            "look at the steps latency and round-trip: at least 500 kbaud without errors and the answer well within "
            "a control period are needed",
        )
    if not usb.works:
        return wrong("board-unsuitable", f"{usb.chip} ({called}): {usb.note}", "use an Arduino Uno R3 or a Nano")
    return fine(f"{usb.chip} ({called}); {usb.note}")


def check_latency(bench: Bench) -> Finding:
    """How long the USB chip keeps bytes back, as the system has it."""
    transport = bench.link.transport
    has_mode = isinstance(transport, SerialTransport) and transport.has_low_latency
    timer_ms = None if bench.usb is None else bench.usb.latency_ms
    if timer_ms is not None:
        if timer_ms > _LATENCY_MOST_MS:
            return wrong("latency-16-ms", f"the USB chip's latency timer is at {timer_ms} ms", _LATENCY_REMEDY)
        return fine(f"the latency timer reads {timer_ms} ms")
    if has_mode:
        return fine("low-latency mode is on, as read back from the driver")
    if bench.usb is None:
        return skipped("the port is not on USB; the step round-trip shows its delay")
    return fine("the driver has no latency timer; the step round-trip shows its delay")


def check_firmware(bench: Bench) -> Finding:
    """Which firmware answers, and why it last started."""
    hello = bench.hello
    assert hello is not None
    cause = reset_cause_name(bench.link.protocol, hello.reset_cause)
    text = f"protocol {hello.protocol_hash & 0xFFFF:04x}, build {hello.firmware_id:08x}, started after {cause}"
    try:
        bench.link.check_drive("DC" if bench.stepper is None else "STEPPER")
    except LinkError as error:
        fact, _, remedy = str(error).partition("; ")
        return wrong("other-drive", fact, remedy)
    if cause in _WRONG_RESETS:
        return wrong(f"reset-{cause.lower().replace('_', '-')}", text, RESETS[cause])
    return fine(text)


def check_round_trip(bench: Bench) -> Finding:
    """How long an answer takes, against the control period."""
    trips_s = sorted(bench.link.ping() for _ in range(PINGS))
    median_s, most_s, worst_s = trips_s[PINGS // 2], trips_s[PINGS * 9 // 10], trips_s[-1]
    period_s = bench.cart.timing.control_period_s
    text = (
        f"{1000.0 * median_s:.2f} ms median, {1000.0 * most_s:.2f} ms for 9 of 10, {1000.0 * worst_s:.2f} ms worst of "
        f"{PINGS}; the control period is {1000.0 * period_s:g} ms"
    )
    if most_s <= _ROUND_TRIP_SHARE * period_s:
        return fine(text)
    if median_s >= _LATENCY_TIMER_S:
        return wrong("latency-16-ms", f"{text}: as with a latency timer of 16 ms", _LATENCY_REMEDY)
    return wrong("round-trip-long", text, "use a longer control period, another USB chip, or a machine with less load")


def check_limits(bench: Bench) -> Finding:
    """Whether the firmware takes this cart's limits, and a fault from before can be cleared."""
    link = bench.link
    bench.configure()
    try:
        link.mode("CLEAR")
    except RefusedError as error:
        if error.code != "UNHEALTHY":
            raise
        return fine(f"the firmware holds this cart's; {error}, which the steps below look into")
    return fine("the firmware holds this cart's")


def check_counters(bench: Bench) -> Finding:
    """What the firmware has counted since it started: errors on the line, ticks that were missed."""
    health = bench.link.health()
    names = ("frame_errors", "receive_overruns", "send_overruns", "missed_ticks", "cart_illegal", "pole_illegal")
    counted = {name: getattr(health, name) for name in names if getattr(health, name)}
    text = ", ".join(f"{name} {number}" for name, number in counted.items())
    if max(health.cart_illegal, health.pole_illegal) > _ILLEGAL_MOST:
        return wrong("encoder-noise", text, "shield the encoders' wires, keep them from the motor's, check pull-ups")
    if health.missed_ticks or health.receive_overruns:
        return wrong("ticks-missed", text, "reset the board and check again; if it stays, report it")
    if health.frame_errors or health.send_overruns:
        return wrong("line-errors", text, "check the USB cable, and that nothing else is connected to D0 and D1")
    few = f"{text}: few enough; " if counted else "no errors, no missed tick; "
    return fine(f"{few}the longest tick took {health.longest_tick_us} us")
