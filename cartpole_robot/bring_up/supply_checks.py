"""Steps with a voltmeter: the microcontroller's 5 V, and the motor's supply."""

from __future__ import annotations

from cartpole_robot.bring_up.bench import Bench
from cartpole_robot.bring_up.findings import Finding, fine, skipped, wrong
from cartpole_robot.simulation.hand import Deed

_RAIL_V = (4.5, 5.5)  # a brown-out level of 4.3 V is reached at up to 4.5 V; the chip bears 5.5 V
_RAIL_TOLERANCE = 0.02
_SUPPLY_TOLERANCE = 0.05
_RAIL_DOUBT = 0.05  # a USB port may give 4.75 V, which the chip takes for 5 V until it is calibrated
_STEPS = 4096  # of `bandgap_steps` in the rail


def check_rail(bench: Bench) -> Finding:
    """Whether the 5 V rail is there, and the chip's own reference, which is calibrated by it."""
    health = bench.link.health()
    rail_v = bench.meters.rail_v
    if rail_v is None and bench.operator is not None:
        text = "hold the voltmeter between 5V and GND of the board, type what it shows, Enter (only Enter: left out)"
        rail_v = bench.volts(Deed.READ_RAIL, text)
    shown_v = health.rail_mv / 1000.0
    if rail_v is None:
        return skipped(f"no voltmeter (--rail-v); the chip takes its rail for {shown_v:.2f} V")
    bench.is_rail_known = True
    if shown_v > 0.0:
        bench.supply_scale = rail_v / shown_v  # its converter compares with the rail as the chip knows it
    text = f"{rail_v:.2f} V by the voltmeter, {shown_v:.2f} V by the chip"
    if not _RAIL_V[0] <= rail_v <= _RAIL_V[1]:
        return wrong(
            "rail-off",
            f"{text}, expected {_RAIL_V[0]:g} to {_RAIL_V[1]:g} V",
            "use another USB port, cable or 5 V supply",
        )
    if health.bandgap_steps == 0:
        return wrong("bandgap-unread", f"{text}; the chip has not measured its reference", "flash the firmware again")
    bandgap_v = rail_v * health.bandgap_steps / _STEPS
    measured = {"firmware.bandgap_v": bandgap_v}
    is_calibrated = bench.settings.bandgap_v is not None
    if is_calibrated and abs(shown_v / rail_v - 1.0) > _RAIL_TOLERANCE:
        return wrong(
            "bandgap-off",
            f"{text}: another board than the cart file's",
            f"set firmware.bandgap_v = {bandgap_v:.4f} (--write)",
            measured,
        )
    note = "" if is_calibrated else f"; uncalibrated: firmware.bandgap_v = {bandgap_v:.4f} (--write)"
    return fine(f"{text}{note}", measured)


def check_supply(bench: Bench) -> Finding:
    """Whether the motor's supply is in the cart file's range, and what the firmware reads is what a voltmeter shows."""
    state = bench.state()
    settings = bench.settings
    shown_v = state.supply_mv / 1000.0 * bench.supply_scale
    supply_v = bench.meters.supply_v
    if supply_v is None and bench.operator is not None:
        where = "bridge's B+ and B-" if bench.stepper is None else "driver's supply terminals"
        text = f"hold the voltmeter at the {where}, type what it shows, Enter (only Enter: left out)"
        supply_v = bench.volts(Deed.READ_SUPPLY, text)
    off = 0.0 if supply_v is None else shown_v / supply_v - 1.0
    is_rail_known = bench.is_rail_known or settings.bandgap_v is not None
    if abs(off) > _SUPPLY_TOLERANCE + (0.0 if is_rail_known else _RAIL_DOUBT):
        return wrong(
            "supply-divider-off",
            f"{shown_v:.2f} V by the firmware, {supply_v:.2f} V by the voltmeter: {100.0 * off:+.0f} %",
            f"check the divider at A4: 10 kOhm to the {'bridge' if bench.stepper is None else 'driver'}'s "
            f"{'B+' if bench.stepper is None else '+V'}, 1.8 kOhm to ground; and that both grounds are joined",
        )
    if not settings.supply_min_v <= state.supply_mv / 1000.0 <= settings.supply_max_v:
        return wrong(
            "supply-out-of-range",
            f"{shown_v:.2f} V, expected {settings.supply_min_v:g} to {settings.supply_max_v:g} V",
            "check the power supply, its wires, fuse and relay",
        )
    if supply_v is None:
        return skipped(f"no voltmeter (--supply-v); the firmware reads {shown_v:.2f} V, which is in range")
    bench.supply_scale *= supply_v / shown_v
    return fine(f"{shown_v:.2f} V by the firmware, {supply_v:.2f} V by the voltmeter")
