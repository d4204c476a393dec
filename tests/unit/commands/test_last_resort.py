"""What the command line prints about errors of its own, and text from files on the way to the terminal."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest

from cartpole_robot.commands import carts, cli
from cartpole_robot.commands.output import print_text
from cartpole_robot.errors import RunError, UsageError


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(carts, "_list", fail)


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("float division"),
        RuntimeError("one\ntwo \x1b[31m"),
        KeyError("x" * 1_000_000),
        AssertionError(),
        RecursionError("too deep"),
        MemoryError(),
        ImportError("broken", name="cartpole_robot.cart"),
        UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"),
    ],
)
def test_error_of_the_program_is_one_line_and_its_traceback_a_file(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failing(monkeypatch, error)
    assert cli.main(["carts"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.isprintable()
    assert len(line) < 1000
    found = re.fullmatch(
        rf"cartpole-robot: an error of this program: {type(error).__name__}\b.*; please report it with the file (\S+)",
        line,
    )
    assert found is not None, line
    path = Path(found[1])
    assert path.parent == tmp_path
    assert path.stat().st_mode & 0o077 == 0, "the command line may name what others must not see"
    text = path.read_text()
    assert "Traceback (most recent call last):" in text
    assert "in fail" in text
    assert text.startswith("cartpole-robot ")


def without_reader(monkeypatch: pytest.MonkeyPatch, name: str) -> io.TextIOWrapper:
    """That standard stream as a pipe whose reader has gone, as with `| head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, name, stream)
    return stream


def test_reader_of_the_result_that_is_gone_changes_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        print_text("one row")
        raise RunError("the run failed")

    with without_reader(monkeypatch, "stdout") as stdout, without_reader(monkeypatch, "stderr"):
        assert cli.main(["carts"]) == 0
        stdout.write("what Python flushes at its end")
    monkeypatch.setattr(carts, "_list", fail)
    with without_reader(monkeypatch, "stdout"), without_reader(monkeypatch, "stderr"):
        assert cli.main(["carts"]) == 1


def test_run_that_a_broken_pipe_cut_short_is_not_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, BrokenPipeError())
    assert cli.main(["carts"]) == 1
    assert "stopped: whatever read its messages is gone" in capsys.readouterr().err


def test_traceback_is_printed_where_no_file_can_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    failing(monkeypatch, ZeroDivisionError("float division"))
    assert cli.main(["carts"]) == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last):" in err
    assert err.splitlines()[-1].startswith("cartpole-robot: an error of this program: ZeroDivisionError")


def test_error_of_the_user_cannot_control_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, UsageError("bad \x1b]0;owned\x07\nsecond line " + "y" * 1_000_000))
    assert cli.main(["carts"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(r"cartpole-robot: bad \x1b]0;owned\x07\nsecond line yyy")
    assert line.isprintable()
    assert len(line) < 3000


def test_description_of_a_cart_cannot_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = Path(carts.__file__).parent.parent / "cart" / "known" / "gym.toml"
    path = tmp_path / "mine.toml"
    text = re.sub(
        r"^description = .*$", r'description = "\\u001b[2Jcleared' + "z" * 100_000 + '"', known.read_text(), flags=re.M
    )
    path.write_text(text)
    assert cli.main(["carts", "show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"\x1b[2Jcleared" in out
    assert max(map(len, out.splitlines())) < 3000
