"""The reference that the site makes from the code: complete, and explained."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from cartpole_robot.cart.params import SECTIONS
from cartpole_robot.commands.cli import VERB_GROUPS
from cartpole_robot.policy.interface import Interface
from cartpole_robot.recording.format import COLUMNS, Flag
from cartpole_robot.training.config import TrainingConfig
from docs.extension import command_line, records, wire
from docs.extension.command_check import every_verb
from docs.extension.fill import END, TEXTS, filled
from docs.extension.shell import pages
from docs.extension.source import entry_comments, field_comments
from docs.extension.tables import table
from firmware_bridge.faults import DC_FAULTS, FAULTS, RESETS, STEPPER_FAULTS
from firmware_bridge.protocol import read_protocol

DOCS = Path(__file__).parents[3] / "docs"


def rows(text: str) -> list[list[str]]:
    """The cells of every table row in a text."""
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines() if "|" in line]


def test_every_verb_has_a_section_with_each_of_its_options() -> None:
    text = command_line.command_line()
    for verb in every_verb():
        assert re.search(rf"^#+ cartpole-robot {verb}$", text, re.MULTILINE), verb
    assert {verb.name for group in VERB_GROUPS.values() for verb in group} <= set(every_verb())
    assert "carts show" in every_verb()
    (deploy,) = re.findall(r"^### cartpole-robot deploy$(.*?)^###? ", text, re.MULTILINE | re.DOTALL)
    assert "| `--late {hold,brake,disarm}` | What the firmware does at a control tick" in deploy
    assert "(default: hold)" in deploy


def test_every_fault_has_a_row_with_its_number_meaning_and_remedy() -> None:
    numbers = read_protocol().enums["fault"].__members__
    assert set(FAULTS) == set(numbers) - {"NONE"}
    found = {row[0].partition("`]")[0].lstrip("[`"): row for row in rows(wire.faults())}
    for name, text in FAULTS.items():
        row = found[name]
        assert row[1] == str(int(numbers[name]))
        assert "; ".join(part for part in row[3:] if part).lower() == text.lower()
    assert {name for name, row in found.items() if row[2] == "DC"} == DC_FAULTS
    assert {name for name, row in found.items() if row[2] == "stepper"} == STEPPER_FAULTS
    for name in RESETS:
        assert f"| `{name}` |" in wire.faults()


def test_every_message_has_its_type_size_direction_and_fields() -> None:
    text = wire.wire_protocol()
    for message in read_protocol().messages.values():
        (row,) = [row for row in rows(text) if row[0].strip("[").partition("]")[0] == message.NAME and len(row) == 4]
        assert row[1:3] == [str(message.TYPE), str(message.LAYOUT.size)]
        assert row[3].startswith(("Host to cart", "Cart to host")), message.NAME
        if message.FIELDS:
            (section,) = re.findall(rf"^### {message.NAME}$(.*?)^##", text, re.MULTILINE | re.DOTALL)
            assert [row[0].strip("`") for row in rows(section)[2:]] == list(message.FIELDS)


def test_every_enum_of_the_protocol_stands_with_its_members() -> None:
    text = wire.wire_protocol()
    for name, members in read_protocol().enums.items():
        if name not in ("message_type", "fault"):  # the overview and the faults' own page have these
            for member in members:
                assert f"| {int(member)} | `{member.name}` |" in text, name


def test_every_state_is_on_the_page_of_the_states() -> None:
    page = (DOCS / "hardware" / "safety.md").read_text()
    for state in read_protocol().enums["cart_state"].__members__:
        assert f"\n| {state} |" in page


def test_every_extra_is_on_the_page_of_the_installation() -> None:
    declared = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = (DOCS / "start" / "install.md").read_text().partition("| extra |")[2].partition("\n\n")[0]
    firsts = re.findall(r"^\| (`[^|]*) \|", listed, re.MULTILINE)
    assert {extra for first in firsts for extra in re.findall(r"[a-z]+", first)} == set(declared)


def test_every_column_and_flag_of_recordings_is_explained() -> None:
    explained = {row[0].strip("`"): row[3] for row in rows(wire.recording_columns()) if len(row) == 4}
    assert all(explained[name] for name, _, _ in COLUMNS)
    for flag in Flag:
        assert f"| {flag.value} | `{flag.name}` | " in wire.recording_columns()


def test_every_field_of_a_preset_is_explained() -> None:
    notes = field_comments(TrainingConfig)
    missing = [each.name for each in dataclasses.fields(TrainingConfig) if each.name not in notes]
    assert missing == ["name"]  # the name of the file
    text = records.preset()
    for each in dataclasses.fields(TrainingConfig):
        assert each.name == "name" or f"| `{each.name}` |" in text


def test_every_key_of_a_cart_file_stands_in_its_section() -> None:
    text = records.cart_file()
    for section, record in SECTIONS.items():
        (part,) = re.findall(rf"^## `\[{section}\]`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        for each in dataclasses.fields(record):
            assert f"| `{each.name}` |" in part
    (row,) = [row for row in rows(text) if row[0] == "`stall_force_n`"]
    assert row[2:6] == ["number", "N", "required", "`25.7`"]
    assert all(row[1] for row in rows(text) if row[0].strip("`").startswith("is_"))


def test_every_key_of_the_interface_is_in_the_bundles_reference() -> None:
    text = records.policy_bundle()
    for each in dataclasses.fields(Interface):
        assert f"| `{each.name}` |" in text


def test_every_text_is_on_a_page_and_every_mark_has_a_text() -> None:
    used = set(re.findall(r"<!-- generated: ([\w-]+) -->", "".join(page.read_text() for page in pages())))
    assert used - {"faults"} <= set(TEXTS)
    assert set(TEXTS) - used <= {"notebooks"}  # where there are no notebooks, no page lists them
    assert "generated:" not in filled("<!-- generated: faults -->")


@pytest.mark.parametrize("name", sorted(set(TEXTS) - {"live-page", "more-pages"}))  # the front page has other text
def test_reader_of_the_markdown_learns_where_a_generated_text_is(name: str) -> None:
    (stand_in,) = [
        found
        for page in pages()
        for found in re.findall(rf"<!-- generated: {name} -->\n(.+?)\n{END}\n", page.read_text(), re.DOTALL)
    ]
    assert "`make docs`" in stand_in
    page = f"before\n\n<!-- generated: {name} -->\n{stand_in}\n{END}\n\nafter\n"
    assert filled(page) == f"before\n\n{TEXTS[name]()}\n\nafter\n"


def test_end_of_generated_text_without_its_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="has no mark"):
        filled(f"<!-- generated: faults -->\nA sentence.\n\nAnother paragraph.\n{END}\n")


def test_cells_cannot_break_a_table() -> None:
    assert table(("a", "b"), [("x|y", "two\nlines")]).splitlines()[2] == r"| x\|y | two lines |"


class Commented:
    """A class whose comments are read."""

    first: int  # the first
    second: int = 2
    third = "# no comment"  # a comment


def test_comments_are_read_from_the_ends_of_lines() -> None:
    assert field_comments(Commented) == {"first": "the first", "third": "a comment"}
    assert entry_comments('A = (\n    ("x", 1),  # one\n    ("y", 2),\n)\nB = (("x",),)  # two\n', "A") == {"x": "one"}
