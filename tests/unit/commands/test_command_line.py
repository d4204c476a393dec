"""Every mistake on the command line: exit code 2, one line that names it, no traceback, nothing overwritten."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from cartpole_robot.commands.cli import main
from cartpole_robot.commands.extras import extras_for
from cartpole_robot.commands.output import command_text
from cartpole_robot.policy.bundle import load_policy
from cartpole_robot.rollout.evaluation import CALIBRATION_SEED, LONG_RUN_SEED, SELECTION_SEED, VERDICT_SEED
from cartpole_robot.training.job import job_from_folder
from tests.conftest import Completed

CommandLine = Callable[..., Completed]
ROOT = Path(__file__).parent.parent.parent.parent


def assert_refused(done: Completed, *parts: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("cartpole-robot: ")
    for part in parts:
        assert part in lines[0]
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("train", "--cart", "missing.toml"), ("missing.toml", "no such cart file")),
        (("train", "--cart", "jim"), ("'jim'", "expected one of diy_arduino, diy_stepper, gym")),
        (("train", "--preset", "best"), ("'best'", "blog, on_cart, precise, recommended")),
        (("train", "--cart", ""), ("''", "expected one of diy_arduino, diy_stepper, gym")),
        (
            ("record", "lqr", "--start", "swing-up", "--most-distance-m", 5, "--out", "new.parquet"),
            ("--most-distance-m are for several episodes; add --episodes",),
        ),
        (("train", "--seed", 1_000_000), ("seed 1000000", "0 to 999999")),
        (("train", "--resume", "nowhere"), ("nowhere", "is not a run folder")),
        (("train", "--resume", "nowhere", "--seed", 0), ("leave out --seed",)),
        (("train", "--preset", "blog", "--learner", "stock"), ("learner = 'stock'",)),
        (("train", "--actions=0.5"), ("--actions 0.5", "'gym'", "has 1 entries, expected 2 to 8")),
        (("train", "--actions=-1,0.5,1.5"), ("--actions -1,0.5,1.5", "duty 1.5, expected -1 to 1")),
        (("train", "--actions=0.2,0.4"), ("pushes to one side only",)),
        (("train", "--actions=-nan,0.4"), ("duty nan, expected -1 to 1",)),
        (
            ("train", "--cart", "diy_arduino", "--actions=-0.4,0.01,0.4"),
            ("--actions", "0.01, inside the dead zone of 0.03"),
        ),
        (("train", "--resume", "nowhere", "--actions=-1,1"), ("leave out --actions",)),
        (("train", "--init", "nowhere", "--actions=-1,1"), ("--actions and --init", "leave one out")),
        (("evaluate", "missing.npz"), ("missing.npz", "no such policy")),
        (("evaluate", "lqr", "--cart", "gym", "--randomize", "no.toml"), ("no.toml", "no such randomisation file")),
        (("show", "missing.parquet"), ("missing.parquet", "no such recording")),
        (("show", ".journal"), (".journal", "no such recording")),
        (("export", "nowhere", "--out", "x"), ("nowhere", "is not a run folder")),
    ],
)
def test_mistake_is_named_in_one_line(
    command_here: CommandLine, tmp_path: Path, words: tuple[object, ...], parts: tuple[str, ...]
) -> None:
    assert_refused(command_here(*words, cwd=tmp_path), *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--steps", "0"),
        ("train", "--steps", "many"),
        ("train", "--actions=left,right"),
        ("fly",),
        ("evaluate",),
    ],
)
def test_bad_usage_exits_with_2_and_shows_the_usage(command_line: CommandLine, words: tuple[str, ...]) -> None:
    done = command_line(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: cartpole-robot")
    assert "Traceback" not in done.stderr


def test_bad_cart_file_is_named_with_its_key(command_line: CommandLine, tmp_path: Path) -> None:
    from importlib import resources

    text = resources.files("cartpole_robot.cart.known").joinpath("gym.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("gravity_m_s2 = 9.8", "gravity_m_s2 = 9.8\npole_mass_kg = -0.1"))
    assert_refused(
        command_line("train", "--cart", path, cwd=tmp_path), str(path), "pole_mass_kg = -0.1", "greater than 0"
    )
    path.write_text(text.replace("control_period_s = 0.02", "control_period_s = 0.03"))
    assert_refused(command_line("train", "--cart", path, cwd=tmp_path), "0.03 s is not a whole number of 0.02 s")


def test_run_folder_that_exists_is_left_as_it_is(command_here: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep me")
    assert_refused(command_here("train", "--out", tmp_path / "run"), str(tmp_path / "run"), "exists already")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


def test_run_folder_that_cannot_be_made_is_named(command_here: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(command_here("train", "--out", tmp_path / "file" / "run"), "cannot be written (")


def test_training_selection_and_verdict_share_no_start(trained_run: Path) -> None:
    """Literals: moving a range takes two edits. Training draws from generators seeded below a million."""
    summary = json.loads((trained_run / "summary.json").read_text())
    assert (SELECTION_SEED, VERDICT_SEED, LONG_RUN_SEED, CALIBRATION_SEED) == (
        1_000_000,
        2_000_000,
        3_000_000,
        4_000_000,
    )
    for name in ("last_model", "exported", "exported_int16"):
        assert (summary[name]["first_seed"], summary[name]["episodes"]) == (2_000_000, 100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('"seed": 0', '"seed": "x"'),
        ('"config": {', '"config": 5, "_": {'),
        ('"cart": {', '"cart": [1], "_": {'),
        ('"kind": "training"', '"kind": "flight"'),
    ],
)
def test_damaged_run_record_is_named(
    command_here: CommandLine, trained_run: Path, tmp_path: Path, change: str, message: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    text = (trained_run / "run.json").read_text()
    assert change in text
    (run / "run.json").write_text(text.replace(change, message, 1))
    assert_refused(command_here("train", "--resume", run), str(run / "run.json"))


def test_export_again_keeps_the_provenance_of_the_training(
    command_here: CommandLine, trained_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    record = json.loads((run / "run.json").read_text())
    record["versions"]["torch"] = "1.0.0-old"
    (run / "run.json").write_text(json.dumps(record))
    assert command_here("export", run, "--out", tmp_path / "out").returncode == 0
    provenance = load_policy(tmp_path / "out" / "policy.npz").provenance
    assert provenance["versions"]["torch"] == "1.0.0-old"
    assert provenance["exported_again_by"]["versions"]["torch"] != "1.0.0-old"


def test_other_cart_of_the_same_interface_is_noted(
    command_line: CommandLine, trained_run: Path, tmp_path: Path
) -> None:
    from importlib import resources

    text = resources.files("cartpole_robot.cart.known").joinpath("gym.toml").read_text()
    path = tmp_path / "heavy.toml"
    path.write_text(text.replace("gravity_m_s2 = 9.8", "gravity_m_s2 = 9.8\ncart_mass_kg = 1.5"))
    done = command_line("evaluate", trained_run, "--cart", path, "--episodes", 2, "--json")
    note = "the policy was trained on other parameters than those of the cart 'heavy'"
    assert json.loads(done.stdout)["note"].startswith(note)


def test_finished_run_is_not_resumed(command_here: CommandLine, trained_run: Path) -> None:
    assert_refused(command_here("train", "--resume", trained_run), "this training is finished")


def test_evaluation_in_gymnasiums_own_environment(command_line: CommandLine, trained_run: Path) -> None:
    done = command_line("evaluate", trained_run / "policy.npz", "--env", "CartPole-v1", "--episodes", 100, "--json")
    record = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stderr == ""
    assert (record["environment"], record["episodes_survived"], record["mean_steps"]) == ("CartPole-v1", 100, 500.0)


def test_long_episode_in_gymnasiums_own_environment(command_line: CommandLine, trained_run: Path) -> None:
    done = command_line("evaluate", trained_run, "--env", "CartPole-v1", "--episodes", 1, "--steps", 15_000, "--json")
    assert json.loads(done.stdout)["min_steps"] == 15_000


@pytest.mark.parametrize(
    ("env_id", "parts"),
    [
        ("MountainCar-v0", ("takes observations of shape (4,)", "gives (2,)")),
        ("Nothing-v0", ("'Nothing-v0' cannot be made",)),
        ("nowhere:Nothing-v0", ("'nowhere:Nothing-v0' cannot be made",)),
        (":CartPole-v1", ("':CartPole-v1' cannot be made",)),
        ("a:b:CartPole-v1", ("'a:b:CartPole-v1' cannot be made",)),
        ("nowhere:cartpole_robot/CartPole-v1", ("cannot be made",)),
    ],
)
def test_environment_that_does_not_fit_is_named(
    command_line: CommandLine, trained_run: Path, env_id: str, parts: tuple[str, ...]
) -> None:
    assert_refused(command_line("evaluate", trained_run, "--env", env_id), *parts)


def test_cart_of_another_interface_is_refused_with_both_values(
    command_line: CommandLine, trained_run: Path, tmp_path: Path
) -> None:
    from importlib import resources

    text = resources.files("cartpole_robot.cart.known").joinpath("gym.toml").read_text()
    path = tmp_path / "slow.toml"
    path.write_text(text.replace("control_period_s = 0.02", "control_period_s = 0.04"))
    done = command_line("evaluate", trained_run, "--cart", path)
    assert_refused(done, "control_period_s is 0.02, the cart 'slow' has 0.04")


def test_carts_are_listed_with_their_key_figures(command_line: CommandLine) -> None:
    lines = command_line("carts").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == [
        "diy_arduino",
        "diy_stepper",
        "gym",
        "quanser_ip02",
        "sensorsini",
    ]
    found = {cart["name"]: cart for cart in json.loads(command_line("carts", "--json").stdout)}
    assert found["quanser_ip02"]["terminal_speed_m_s"] == pytest.approx(12.6 / (6.26 + 5.4))
    assert found["gym"]["terminal_speed_m_s"] is None


def test_cart_is_shown_with_unit_and_source_of_every_parameter(command_line: CommandLine) -> None:
    text = command_line("carts", "show", "quanser_ip02").stdout
    assert re.search(r"back_emf_n_s_m +6\.26 N s/m +derived from Kt, Km, gear, pinion and R", text)
    assert re.search(r"pole_viscous_n_m_s +0\.0024 N m s/rad +Quanser IP02 and SIP user manuals", text)
    record = json.loads(command_line("carts", "show", "gym", "--json").stdout)
    assert record["sources"]["pole_cart.cart_mass_kg"] == "urdf/cartpole.urdf"
    assert_refused(command_line("carts", "show", "jim"), "'jim'", "expected one of diy_arduino, diy_stepper, gym")


def test_regulator_is_evaluated_like_a_policy(command_line: CommandLine) -> None:
    done = command_line("evaluate", "lqr", "--cart", "quanser_ip02", "--episodes", 3, "--json")
    record = json.loads(done.stdout)
    assert record["episodes_survived"] == 3
    assert 0.1 < record["mean_power_w"] < 30.0
    assert_refused(command_line("evaluate", "lqr"), "name it with --cart")


def test_export_again_writes_the_same_policy(command_line: CommandLine, trained_run: Path, tmp_path: Path) -> None:
    done = command_line("export", trained_run, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    summary = json.loads((trained_run / "summary.json").read_text())
    assert record["policy_hash"] == summary["policy_hash"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"policy.npz", "policy.onnx", "policy_weights.h"}
    assert_refused(command_line("export", trained_run, "--out", tmp_path / "out"), "exists already")


def test_export_of_a_run_on_a_real_cart_does_not_move_it(
    command_here: CommandLine, trained_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    record = json.loads((run / "run.json").read_text())
    record["rig"] = "serial:/dev/a_port_that_is_not_there"
    (run / "run.json").write_text(json.dumps(record))
    done = command_here("export", run, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["policy_hash"] == json.loads((run / "summary.json").read_text())["policy_hash"]


@pytest.mark.parametrize("kept", [0, 100, -1])
def test_truncated_model_is_named_and_nothing_is_written(
    command_here: CommandLine, trained_run: Path, tmp_path: Path, kept: int
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    model = run / "model_selected.npz"
    model.write_bytes(model.read_bytes()[:kept])
    done = command_here("export", run, "--out", tmp_path / "out")
    assert_refused(done, str(model), "is not a readable model")
    assert not (tmp_path / "out").exists()


def test_export_reads_weights_only_and_the_zip_with_trust(
    command_here: CommandLine, trained_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    expected = json.loads((run / "summary.json").read_text())["policy_hash"]
    trusted = command_here("export", run, "--out", tmp_path / "trusted", "--trust", "--json")
    assert json.loads(trusted.stdout)["policy_hash"] == expected
    (run / "model_selected.zip").write_bytes(b"no zip")
    done = command_here("export", run, "--out", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["policy_hash"] == expected
    assert json.loads(done.stdout)["agreement"] == json.loads(trusted.stdout)["agreement"]
    (run / "model_selected.npz").unlink()
    refused = command_here("export", run, "--out", tmp_path / "none")
    assert_refused(refused, "model_selected.npz: is missing", "--trust reads model_selected.zip, which may run code")
    assert not (tmp_path / "none").exists()


@pytest.mark.long
def test_training_on_drawn_carts_is_judged_on_the_cart_itself_and_on_drawn_ones(
    command_line: CommandLine, tmp_path: Path
) -> None:
    ranges = tmp_path / "ranges.toml"
    ranges.write_text("format = 1\n[motor]\nstall_force_n = { factor = [0.7, 1.3] }\n")
    words = ("--cart", "diy_arduino", "--steps", 300, "--randomize", ranges, "--out", tmp_path / "run", "--json")
    done = command_line("train", *words)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["exported_randomized"]["episodes"] == 100
    assert summary["exported_randomized"]["mean_steps"] != summary["exported"]["mean_steps"]
    job = job_from_folder(tmp_path / "run")
    assert job.randomization is not None
    assert job.randomization.as_dict() == {"motor.stall_force_n": {"factor": [0.7, 1.3]}}
    words = (tmp_path / "run", "--randomize", ranges, "--json")
    judged = json.loads(command_line("evaluate", *words).stdout)
    assert judged["mean_steps"] == summary["exported_randomized"]["mean_steps"]


def test_trained_policy_is_recorded_with_its_hash(command_line: CommandLine, trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.parquet"
    done = command_line("record", trained_run, "--duration-s", 2, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["policy_hash"] == load_policy(trained_run / "policy.npz").policy_hash()
    assert (summary["steps"], summary["cart"]) == (100, "gym")


VERBS = (
    *("demo", "train", "evaluate", "export", "page"),
    *("carts", "ports", "check-rig", "bring-up", "jog", "virtual-cart", "deploy", "replay"),
    *("record", "show", "import", "convert", "excite", "identify", "compare"),
    *("study", "score", "stability-map", "firmware"),
)


def printed_help(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
def test_overview_has_every_verb_in_its_group_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed_help(capsys).splitlines()
    assert max(map(len, lines)) <= 80
    titles = ["learn:", "run on a cart:", "work with data:", "experiment:", "firmware:"]
    assert [line for line in lines if line in titles] == titles
    listed = lines[lines.index(titles[0]) : lines.index("options:")]
    rows = [re.fullmatch(r"  (\S+) +(\S.{14,})", line) for line in listed if line and line not in titles]
    assert tuple(row and row[1] for row in rows) == VERBS


@pytest.mark.parametrize("columns", [80, 120])
def test_help_of_every_verb_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for verb in VERBS:
        text = printed_help(capsys, verb)
        assert max(map(len, text.splitlines())) <= columns, text
        assert verb == "firmware" or f"example: cartpole-robot {verb}" in text


ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN = {"PYTHONIOENCODING": "iso-8859-1"}


PRINTING = r"""
import contextlib
from cartpole_robot.commands import cli
from cartpole_robot.terminal.lines import say
from cartpole_robot.terminal.progress import progress_bar
verbs = [verb.name for group in cli.VERB_GROUPS.values() for verb in group]
for words in [["--help"], *([verb, "--help"] for verb in verbs)]:
    with contextlib.suppress(SystemExit):
        cli.main(words)
for words in ("carts", "carts --json", "carts show gym", "carts show gym --json", "evaluate lqr --cart gym --json"):
    assert cli.main(words.split()) == 0
assert cli.main(["evaluate", "lqr", "--cart", "\u4e2d\u00b2\udc80"]) == 2
say("\u2192 \u00b1")
with progress_bar(2, "kg m\u00b2", "step") as bar:
    bar.update(2)
"""


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE, LATIN], ids=["ascii", "C", "latin"])
def test_every_text_can_be_printed_in_every_encoding(environment: dict[str, str], tmp_path: Path) -> None:
    words = [sys.executable, "-c", PRINTING]
    environment = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode("latin-1")
    assert (b"kg m\xb2" if environment.get("PYTHONIOENCODING") == "iso-8859-1" else b"kg m^2") in done.stdout
    assert b"cart '\\u4e2d" in done.stderr


def test_unknown_verb_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    for words, hint in ((["trian"], "did you mean train?"), (["fly"], "cartpole-robot --help lists them")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert f"there is no verb {words[0]!r}; {hint}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--help",), "run on a cart:"),
        (("train", "--learner", "x"), "lean, stock"),
        (("evaluate", "lqr", "--backend", "x"), "c, int16, numpy"),
        (("deploy", "lqr", "--late", "x"), "hold, brake, disarm"),
        (("deploy", "lqr", "--rig", "moon"), "rig 'moon' is not known"),
        (("stability-map", "lqr", "--steps", "0"), "at least 1, got 0"),
    ],
)
def test_arguments_are_read_before_anything_heavy_is_imported(words: tuple[str, ...], part: str) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('numpy', 'serial', 'gymnasium', 'pybullet', 'torch', 'scipy', 'tqdm')))\n"
        "from cartpole_robot.commands.cli import main\n"
        f"main({list(words)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert part in printed or part in printed.replace("', '", ", ")  # Python 3.13 lists choices without quotes
    assert done.returncode == (0 if words == ("--help",) else 2)


@pytest.mark.parametrize(
    ("words", "package", "extra"),
    [
        (("train",), "torch", "train"),
        (("demo",), "plotly", "train,report"),
        (("evaluate", "lqr"), "gymnasium", "sim"),
        (("show", "none.parquet"), "matplotlib", "report"),
        (("compare", "gym", "none.parquet"), "scipy", "sim,report"),
        (("stability-map", "lqr"), "pyarrow", "sim,report"),
        (("study", "gamma"), "matplotlib", "sweep"),
        (("compare", "gym", "none.parquet"), "tqdm", "sim,report"),
    ],
)
def test_missing_package_is_named_with_the_extra_that_has_it(
    tmp_path: Path, words: tuple[str, ...], package: str, extra: str
) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from cartpole_robot.commands.cli import main\n"
        f"sys.exit(main({list(words)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert_refused(done, f"the package {package} is not installed", f"pip install 'cartpole-robot[{extra}]'")
    assert package in packages_of(extra)


@pytest.mark.parametrize(
    ("package", "declared", "expected"),
    [
        ("scipy", "sim", "sim"),
        ("scipy", "report", "report,sim"),
        ("matplotlib", "sim", "sim,report"),
        ("stable_baselines3", "sim", "sim,train"),
        ("PIL", "datasets", "datasets"),
        ("imageio_ffmpeg", "sim", "sim,datasets"),
        ("ray", "sim,report", "sim,report,sweep"),
        ("nobody_knows_it", "sim", "sim"),
    ],
)
def test_extra_that_brings_a_package_is_added_where_the_declared_ones_do_not(
    package: str, declared: str, expected: str
) -> None:
    assert extras_for(package, declared) == expected


def packages_of(extras: str) -> set[str]:
    """What pyproject.toml installs for those extras, in names as `import` has them."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found: set[str] = set()
    for extra in extras.split(","):
        for line in table[extra]:
            inner = re.fullmatch(r"cartpole-robot\[(.*)\]", line)
            found |= packages_of(inner[1]) if inner else {re.split("[>=]", line)[0]}
    return found


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("compare gym none.parquet --out {out}.html", "--out"),
        ("compare gym none.parquet --png {out}.png", "--png"),
        ("identify none.parquet --out {out}.toml", "--out"),
        ("import none.csv --map none.toml --out {out}.parquet", "--out"),
        ("record lqr --cart diy_arduino --out {out}.parquet", "--out"),
        ("excite --cart diy_arduino --out {out}.parquet", "--out"),
        ("deploy lqr --cart diy_arduino --record {out}.parquet", "--record"),
        ("convert {recording} --to csv --out {out}.csv", "--out"),
        ("convert {recording} --to video --out {out}.gif", "--out"),
        ("convert {recording} --to minari --out {out}", "--out"),
        ("show {recording} --out {out}.png", "--out"),
    ],
)
def test_output_that_cannot_be_written_is_named_alike_and_before_the_work(
    command_here: CommandLine, short_recording: Path, tmp_path: Path, words: str, option: str
) -> None:
    (tmp_path / "file").touch()
    before = short_recording.read_bytes()
    for place in (tmp_path / "file" / "out", tmp_path / ("x" * 300)):
        done = command_here(*words.format(out=place, recording=short_recording).split(), cwd=tmp_path)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        reason = "File name too long" if place.parent == tmp_path else f"{place.parent} is not a folder"
        expected = rf"cartpole-robot: {re.escape(str(place))}.* cannot be written \({re.escape(reason)}\); "
        assert re.fullmatch(rf"{expected}choose another {option}", line)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    assert short_recording.read_bytes() == before


@pytest.fixture(scope="module")
def short_recording(command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("short") / "short.parquet"
    done = command_line("record", "lqr", "--cart", "diy_arduino", "--duration-s", "1", "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def test_command_to_continue_reads_back_as_the_same_arguments() -> None:
    arguments = argparse.Namespace(seed=0, cart=None, only=["a b", "c"], none=[], short=True, arm=False, first_seed=7)
    names = ("seed", "cart", "only", "none", "short", "arm", "first_seed")
    text = command_text(["firmware", "campaign", "--out", Path("my runs")], arguments, names)
    words = ["firmware", "campaign", "--out", "my runs", "--seed", "0", "--only", "a b", "c", "--short"]
    assert shlex.split(text) == ["cartpole-robot", *words, "--first-seed", "7"]
