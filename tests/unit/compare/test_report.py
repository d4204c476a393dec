import dataclasses
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from cartpole_robot.cart.cart_file import load_cart
from cartpole_robot.commands.cli import main
from cartpole_robot.compare.animation_figure import frames_of
from cartpole_robot.compare.attribution import Attribution, Blame
from cartpole_robot.compare.comparison import CompareRequest, Comparison, compare
from cartpole_robot.compare.html_report import report_page, write_report
from cartpole_robot.compare.picture import draw_comparison
from cartpole_robot.compare.quantities import Interval
from cartpole_robot.compare.trajectories import Trajectories, evenly, shown_range, trajectories
from cartpole_robot.compare.words import interval_text, report_text, rounded_text, summary
from cartpole_robot.errors import UsageError
from cartpole_robot.recording.format import Recording
from cartpole_robot.rollout.record import RolloutRequest, record_rollout
from tests.chromium import chromium
from tests.conftest import Completed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECTIONS = (
    "summary",
    "animation",
    "trajectories",
    "horizons",
    "attribution",
    "parameters",
    "closed-loop",
    "distributions",
    "latencies",
)
BLAMED = Attribution(
    blames=(
        Blame(term="delay", label="delay", unit="s", in_simulation=0.02, best=0.0333, explained=0.93),
        Blame(term="encoder_sign", label="encoder signs", unit="", in_simulation="a", best="b", explained=0.2),
        Blame(term="dead_zone", label="dead zone", unit="duty", in_simulation=0.03, best=0.03, explained=0.0),
    ),
    gap=(0.002, 0.01),
    windows=7,
    window_s=0.5,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def record(folder: Path) -> Callable[..., Recording]:
    def made(name: str, seconds: float, **changes: Any) -> Recording:
        asked: dict[str, Any] = {"policy": Path("lqr"), "rig": "sim", "cart": "diy_arduino", "backend": "c", "seed": 1}
        out = folder / f"{name}.parquet"
        return record_rollout(RolloutRequest(duration_s=seconds, out=out, **{**asked, **changes}))

    return made


@pytest.fixture(scope="module")
def simulated(record: Callable[..., Recording]) -> Recording:
    return record("simulated", 4.0)


@pytest.fixture(scope="module")
def recorded(record: Callable[..., Recording]) -> Recording:
    return record("<b>bold & $new", 4.0, rig="virtual", seed=2, excites=True)


@pytest.fixture(scope="module")
def comparison(simulated: Recording, recorded: Recording) -> Comparison:
    found = compare(CompareRequest(simulated=str(simulated.path), recorded=recorded.path, attributes=False))
    return dataclasses.replace(found, attribution=BLAMED, notes=("a <i>note</i>",))


@pytest.fixture(scope="module")
def alone(comparison: Comparison) -> Comparison:
    """What a comparison with a cart alone holds."""
    return dataclasses.replace(
        comparison,
        simulated=None,
        attribution=None,
        simulated_loop=None,
        agreement=None,
        distances=(),
        latencies=(None, comparison.latencies[1]),
        notes=(),
    )


@pytest.fixture(scope="module")
def page_file(comparison: Comparison, folder: Path) -> Path:
    path = folder / "new folder" / "report.html"
    write_report(comparison, path)
    return path


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as started:
        yield started


class Opened:
    """Pages without a network, and all their errors, messages and requests."""

    def __init__(self, browser: "Browser") -> None:
        self.context = browser.new_context(viewport={"width": 1200, "height": 900})
        self.context.set_offline(True)
        self.wrong: list[str] = []

    def open(self, path: Path) -> "Page":
        page = self.context.new_page()
        page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", lambda request: self.wrong.append(f"asks for {request.url}"))
        page.goto(path.as_uri())
        self.wrong.remove(f"asks for {path.as_uri()}")
        return page


@pytest.fixture(scope="module")
def opened(browser: "Browser") -> Iterator[Opened]:
    opened = Opened(browser)
    yield opened
    opened.context.close()


@pytest.fixture(scope="module")
def shared_page(opened: Opened, page_file: Path) -> "Page":
    return opened.open(page_file)


@pytest.fixture
def page(opened: Opened, shared_page: "Page") -> "Iterator[Page]":
    yield shared_page
    assert opened.wrong == []


def drawn(page: "Page", trace: int) -> list[tuple[float, float]]:
    """Corners of what a trace of the cart-poles draws, in pixels; none where it draws nothing."""
    path = page.evaluate(
        "k => document.querySelectorAll('#cart-pole .scatterlayer .trace')[k]"
        "?.querySelector('path.js-line')?.getAttribute('d') ?? ''",
        trace,
    )
    return [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+),([-\d.]+)", path)]


def drawn_state(page: "Page", pole: int) -> tuple[float, float]:
    """Position in m and angle in rad, measured in the drawing."""
    (hinge_x, hinge_y), (tip_x, tip_y) = drawn(page, pole)
    x_m = page.evaluate("x => document.getElementById('cart-pole')._fullLayout.xaxis.p2d(x)", hinge_x)
    return x_m, math.atan2(tip_x - hinge_x, hinge_y - tip_y)


def scrub(page: "Page", frame: int) -> None:
    page.locator("#scrubber").evaluate(
        "(slider, k) => { slider.value = k; slider.dispatchEvent(new Event('input')); }", frame
    )


# ---- the page in a browser ----


def test_page_opens_offline_with_all_its_sections(page: "Page") -> None:
    assert page.evaluate("[...document.querySelectorAll('section')].map(s => s.id)") == [
        f"section-{name}" for name in SECTIONS
    ]
    plots = page.evaluate("[...document.querySelectorAll('.js-plotly-plot')].map(p => p.id)")
    assert plots == [
        "cart-pole",
        "trajectories",
        "horizon-position",
        "horizon-angle",
        "attribution",
        *(
            f"distribution-{name}"
            for name in ("cart_position_m", "cart_speed_m_s", "pole_angle_rad", "pole_speed_rad_s")
        ),
        "latency-command_age",
    ]
    for name in plots:
        assert page.locator(f"#{name} .main-svg").first.is_visible()
    assert "Lateness: not measured." in page.locator("#section-latencies").inner_text()
    for sentence in ("Under the recorded commands the simulation of diy_arduino", "Delay explains 93 %"):
        assert sentence in page.locator("#section-summary").inner_text()


def test_names_and_notes_are_text_and_not_markup(page: "Page") -> None:
    assert page.title() == "simulated.parquet against <b>bold & $new.parquet"
    assert page.locator(".subtitle").inner_text() == "simulated.parquet against <b>bold & $new.parquet"
    assert page.locator(".notes").inner_text().strip() == "a <i>note</i>"
    assert page.evaluate("document.querySelectorAll('b, i').length") == 0


@pytest.mark.parametrize("frame", [0, 60, 99, 100, 175, 200])
def test_scrubber_draws_both_carts_as_they_were(page: "Page", comparison: Comparison, frame: int) -> None:
    scrub(page, frame)
    row = comparison.recorded.rows[frame]
    x_m, angle_rad = drawn_state(page, 1)
    assert x_m == pytest.approx(row["cart_position_m"], abs=5e-4)
    assert angle_rad == pytest.approx(row["pole_angle_rad"], abs=2e-3)
    assert page.locator("#time").inner_text() == f"{0.02 * frame:.2f}"
    assert float(page.locator("#recorded-angle").inner_text().replace("\N{MINUS SIGN}", "-")) == pytest.approx(
        1e3 * row["pole_angle_rad"], abs=0.6
    )
    runs = [run for run in comparison.open_loop.runs if run.time_s[0] < 0.02 * frame + 1e-6 < run.time_s[-1] + 0.01]
    if not runs:
        assert drawn(page, 3) == []
        assert page.locator("#angle-error").inner_text() == "\N{EN DASH}"
        return
    run = runs[-1]  # one that begins counts more than one that ends
    entry = int(np.argmin(np.abs(run.time_s - 0.02 * frame)))
    x_m, angle_rad = drawn_state(page, 3)
    assert x_m == pytest.approx(run.simulated[entry, 0], abs=5e-4)
    assert math.sin(angle_rad - run.simulated[entry, 1]) == pytest.approx(0.0, abs=2e-3)
    error = float(page.locator("#position-error").inner_text().replace("\N{MINUS SIGN}", "-"))
    assert error == pytest.approx(1e3 * (run.simulated[entry, 0] - run.recorded[entry, 0]), abs=0.06)


@pytest.mark.realtime
def test_play_moves_the_carts_in_real_time_until_paused(page: "Page") -> None:
    scrub(page, 0)
    before = drawn(page, 1)
    page.locator("#play").click()
    began = page.evaluate("performance.now()")
    page.wait_for_function("Number(document.getElementById('scrubber').value) >= 25")
    took_s = 1e-3 * (page.evaluate("performance.now()") - began)
    assert 0.3 < took_s < 2.0  # half a second, on a machine that may have more to do
    page.locator("#play").click()
    page.wait_for_function("document.getElementById('play').textContent.includes('Play')")
    stopped_at = page.locator("#scrubber").input_value()
    page.wait_for_timeout(300)  # the picture of the last moment may come later, on a busy machine
    after = drawn(page, 1)
    assert after != before
    page.wait_for_timeout(150)
    assert (page.locator("#scrubber").input_value(), drawn(page, 1)) == (stopped_at, after)
    page.locator("#speed").select_option("4")
    scrub(page, 190)
    page.locator("#play").click()
    page.wait_for_function("document.getElementById('play').textContent.includes('Play')")
    assert page.locator("#scrubber").input_value() == "200"


def test_page_fits_a_narrow_screen_and_paper(page: "Page") -> None:
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_function("[...document.querySelectorAll('.js-plotly-plot')].every(p => p._fullLayout.width < 500)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 500
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths = "[...document.querySelectorAll('.js-plotly-plot')].map(p => p._fullLayout.width)"
    page.wait_for_function(f"JSON.stringify(({widths}).slice(1, 4)) === '[680,332,332]'")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"Math.max(...{widths}) < 500")
    page.set_viewport_size({"width": 1200, "height": 900})


def test_click_on_the_curves_moves_the_carts(page: "Page") -> None:
    page.evaluate("document.getElementById('trajectories').emit('plotly_click', {points: [{x: 1.5}]})")
    assert page.locator("#time").inner_text() == "1.50"
    page.wait_for_function("Math.abs(document.getElementById('trajectories').layout.shapes[0].x0 - 1.5) < 1e-6")


def hanging(found: Comparison) -> Comparison:
    """The same with a pole that hangs and goes round."""
    rows = found.recorded.rows.copy()
    rows["pole_angle_rad"] = np.angle(np.exp(1j * (math.pi + 8.0 * np.sin(np.linspace(0.0, 12.0, len(rows))))))
    series = np.unwrap(rows["pole_angle_rad"])
    runs = []
    for run in found.open_loop.runs:
        first = round(run.time_s[0] / 0.02)
        angles = series[first : first + len(run.time_s)]
        pair = np.column_stack([run.recorded[:, 0], angles])
        runs.append(dataclasses.replace(run, recorded=pair, simulated=pair + 0.1))
    open_loop = dataclasses.replace(found.open_loop, runs=tuple(runs))
    recorded = dataclasses.replace(found.recorded, rows=rows)
    return dataclasses.replace(found, recorded=recorded, open_loop=open_loop)


def test_page_of_a_hanging_pole_shows_all_of_it(opened: Opened, alone: Comparison, tmp_path: Path) -> None:
    found = hanging(alone)
    write_report(found, tmp_path / "hanging.html")
    page = opened.open(tmp_path / "hanging.html")
    low, high = page.evaluate("document.getElementById('cart-pole')._fullLayout.yaxis.range")
    assert low < -0.5
    assert high > 0.5
    for frame in (30, 120):
        scrub(page, frame)
        angle = found.recorded.rows["pole_angle_rad"][frame]
        assert math.sin(drawn_state(page, 1)[1] - angle) == pytest.approx(0.0, abs=2e-3)
    assert opened.wrong == []


def test_page_of_a_short_recording_names_what_is_missing(
    opened: Opened, record: Callable[..., Recording], tmp_path: Path
) -> None:
    short = record("short", 0.3, seed=3)
    found = compare(CompareRequest(simulated="diy_arduino", recorded=short.path, attributes=False))
    write_report(found, tmp_path / "short.html")
    draw_comparison(found, tmp_path / "short.png")
    page = opened.open(tmp_path / "short.html")
    text = page.locator("body").inner_text()
    for message in (
        "no rollout: the cart alone",
        "No stretch of the recording is long enough to simulate",
        "They need a simulated rollout as well as the recorded one.",
        "Not requested, or the recording is too short.",
    ):
        assert message in text
    scrub(page, 5)
    assert drawn_state(page, 1)[1] == pytest.approx(short.rows["pole_angle_rad"][5], abs=2e-3)
    assert opened.wrong == []


def test_window_of_a_long_recording_follows_the_carts(opened: Opened, alone: Comparison, tmp_path: Path) -> None:
    rows = np.concatenate([alone.recorded.rows[:200]] * 15)
    rows["tick"] = np.arange(len(rows))
    rows["mcu_time_us"] = 20_000 * rows["tick"]
    recorded = dataclasses.replace(alone.recorded, rows=rows)
    write_report(dataclasses.replace(alone, recorded=recorded), tmp_path / "long.html")
    page = opened.open(tmp_path / "long.html")
    shown = "document.getElementById('trajectories')._fullLayout.xaxis.range"
    assert page.evaluate(shown) == [0, 20]
    assert "The first 20 s are shown" in page.locator("#section-trajectories").inner_text()
    scrub(page, 499)
    now = float(page.locator("#time").inner_text())
    assert now == pytest.approx(0.02 * 2999 * 499 / 599, abs=0.02)
    page.wait_for_function(f"{shown}[0] < {now} && {now} < {shown}[1] && {shown}[0] > 20")
    assert opened.wrong == []


def test_one_run_is_enough_for_page_and_picture(record: Callable[..., Recording], tmp_path: Path) -> None:
    short = record("one run", 0.75, seed=3)
    found = compare(CompareRequest(simulated="diy_arduino", recorded=short.path, attributes=False))
    one = dataclasses.replace(found.open_loop, runs=found.open_loop.runs[:1])
    found = dataclasses.replace(found, open_loop=one)
    assert len(found.open_loop.runs) == 1
    write_report(found, tmp_path / "one.html")
    draw_comparison(found, tmp_path / "one.png")


# ---- the file ----


def test_page_asks_for_nothing_outside(page_file: Path) -> None:
    text = page_file.read_text(encoding="utf-8")
    markup = re.sub(r"<script[^>]*>.*?</script>", "", text, flags=re.DOTALL)
    assert "http" not in markup
    assert re.findall(r"<script[^>]*\bsrc\b", text) == []
    assert text.count("plotly.js v") == 1
    assert 1_000_000 < len(text) < 15_000_000


def test_what_is_there_is_left_as_it_was(comparison: Comparison, tmp_path: Path) -> None:
    for name, write, option in (("a.html", write_report, "--out"), ("a.png", draw_comparison, "--png")):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UsageError, match=f"exists already.* choose another {option}"):
            write(comparison, tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.png"]


def test_parameters_are_listed_with_their_best_values_alone(comparison: Comparison) -> None:
    text = report_page(comparison)
    table = text[text.index('id="section-parameters"') : text.index('id="section-closed-loop"')]
    cells = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", table)[1:]]
    assert cells[0] == ["delay", "s", "0.02", "0.0333", "93.0 %"]
    assert cells[-1] == ["encoder signs", "", "a", "b", "20.0 %"]
    assert ["motor gain (stall force)", "N", "25.7", "-", "-"] in cells


def test_a_cart_alone_has_one_column(alone: Comparison) -> None:
    text = report_page(alone)
    table = text[text.index('id="section-closed-loop"') : text.index('id="section-distributions"')]
    assert "<th>recorded</th>" in table
    assert "<th>simulated</th>" not in table
    assert "simulated" not in report_text(alone).split("closed loop")[1].split("\n")[0]


def test_picture_shows_both_colours(comparison: Comparison, alone: Comparison, tmp_path: Path) -> None:
    for name, found in (("both", comparison), ("alone", alone)):
        draw_comparison(found, tmp_path / f"{name}.png")
        picture = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"), np.int16)
        assert picture.shape[1] >= 1000
        for colour in ((0x1F, 0x5A, 0x99), (0xDE, 0x87, 0x28)):
            assert np.count_nonzero(np.abs(picture - colour).max(axis=2) < 12) > 2000


# ---- what is shown ----


def test_long_recording_is_thinned_evenly_and_keeps_its_time() -> None:
    time_s = 0.02 * np.arange(15_001)
    pair = np.column_stack([np.sin(time_s), np.cos(time_s)])
    found = Trajectories(
        time_s=time_s,
        recorded=pair,
        duty=np.zeros(15_001),
        run_s=np.zeros(0),
        simulated=np.zeros((0, 2)),
        simulated_at_ticks=np.full((15_001, 2), np.nan),
        since_s=np.full(15_001, np.nan),
    )
    frames = frames_of(found, load_cart("diy_arduino"))
    assert len(frames["time_s"]) == 600
    assert (frames["time_s"][0], frames["time_s"][-1]) == (0.0, 300.0)
    assert np.ptp(np.diff(frames["time_s"])) < 0.0201
    assert frames["recorded"][0] == pytest.approx(np.sin(frames["time_s"]), abs=1e-5)
    assert set(frames["simulated"][1]) == {None}
    assert frames["first"] == 0
    json.dumps(frames, allow_nan=False)


def test_a_run_that_begins_counts_more_than_one_that_ends(comparison: Comparison) -> None:
    found = trajectories(comparison)
    runs = comparison.open_loop.runs
    assert len(runs) >= 2
    shared = int(np.flatnonzero(found.time_s == runs[1].time_s[0])[0])
    assert runs[0].time_s[-1] == runs[1].time_s[0]
    assert found.simulated_at_ticks[shared].tolist() == runs[1].simulated[0].tolist()
    assert found.since_s[shared] == 0.0
    assert found.run_s[found.starts].tolist() == [run.time_s[0] for run in runs]
    assert np.isnan(found.simulated_at_ticks[: round(runs[0].time_s[0] / 0.02)]).all()


def test_axis_shows_all_that_was_recorded_and_the_beginning_of_what_runs_away() -> None:
    recorded = np.array([-1.0, 1.0])
    assert shown_range(recorded, np.array([np.nan, 50.0]), 0.1) == pytest.approx((-1.15, 2.15))
    assert shown_range(recorded, np.array([0.5]), 0.1) == pytest.approx((-1.1, 1.1))
    assert shown_range(np.zeros(2), np.array([9.0]), 0.1)[1] == pytest.approx(0.21)
    low, high = shown_range(np.zeros(2), np.zeros(0), 0.1)
    assert low < 0.0 < high


def test_evenly_spread_entries_hold_both_ends() -> None:
    assert evenly(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert evenly(101, 11).tolist() == list(range(0, 101, 10))
    assert evenly(0, 5).tolist() == []


# ---- words ----


def test_text_fits_a_terminal(comparison: Comparison, alone: Comparison) -> None:
    for found in (comparison, alone):
        assert max(map(len, report_text(found).split("\n"))) <= 110


def test_numbers_are_rounded_without_exponents() -> None:
    assert [rounded_text(v, 3) for v in (1234.5, 0.12345, 10.0, -0.0012, math.nan)] == [
        "1230",
        "0.123",
        "10",
        "-0.0012",
        "-",
    ]
    assert interval_text(Interval(value=1999.0, low=1500.4, high=2501.0)) == "2000 (1500-2500)"


@pytest.mark.parametrize(
    ("later_s", "expected"),
    [
        (Interval(value=0.013, low=0.011, high=0.015), "13 ms later than the simulated one"),
        (Interval(value=-0.013, low=-0.015, high=-0.011), "95 % within 11 to 15 ms"),
        (Interval(value=-0.033, low=-0.042, high=0.06), None),
    ],
)
def test_delay_is_reported_where_it_is_known(comparison: Comparison, later_s: Interval, expected: str | None) -> None:
    open_loop = dataclasses.replace(comparison.open_loop, later_s=later_s)
    text = " ".join(summary(dataclasses.replace(comparison, open_loop=open_loop)))
    assert (expected in text) if expected else ("Under the same commands" not in text)


# ---- the command ----


def test_json_names_the_files_and_is_alone(
    simulated: Recording, recorded: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(simulated.path), str(recorded.path), "--no-attribution"]
    files = ["--out", str(tmp_path / "r.html"), "--png", str(tmp_path / "p.png")]
    assert main([*words, *files, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["report"], result["picture"]) == (str(tmp_path / "r.html"), str(tmp_path / "p.png"))
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert Image.open(tmp_path / "p.png").format == "PNG"
    assert main([*words, *files]) == 2
    assert "exists already" in capsys.readouterr().err


def test_text_is_followed_by_where_the_report_is(
    comparison: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cartpole_robot.compare.comparison.compare", lambda request, progress: comparison)
    assert main(["compare", "diy_arduino", "any.parquet"]) == 0
    text = capsys.readouterr().out
    assert text == report_text(comparison) + "\n"
    assert main(["compare", "diy_arduino", "any.parquet", "--out", str(tmp_path / "r.html")]) == 0
    assert capsys.readouterr().out == f"{text}\n  written: {tmp_path / 'r.html'}\n"
    assert main(["compare", "diy_arduino", "any.parquet", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["report"], result["picture"]) == (None, None)


@pytest.mark.parametrize(("option", "name", "right"), [("--out", "a.htm", "a.html"), ("--png", "a.jpg", "a.png")])
def test_other_endings_are_refused_before_anything_is_done(
    option: str, name: str, right: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "diy_arduino", "nothing.parquet", option, str(tmp_path / name)]) == 2
    message = capsys.readouterr().err
    assert option in message
    assert right in message


@pytest.mark.parametrize("package", ["plotly", "jinja2"])
def test_missing_package_names_the_extra_before_the_work(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from cartpole_robot.commands.cli import main\n"
        "sys.exit(main(['compare', 'diy_arduino', 'nothing.parquet', '--out', 'never.html']))"
    )
    done: Completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'cartpole-robot[sim,report]'" in done.stderr
    assert package in done.stderr
