"""The verbs `cartpole-robot import` and `convert`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cartpole_robot.commands.options import Verbs, add_verb
from cartpole_robot.errors import UsageError

_FORMATS = ("csv", "minari", "video")


def add_dataset_verbs(verbs: Verbs) -> None:
    """Add the two."""
    read = add_verb(
        verbs,
        "import",
        "make a recording of somebody's CSV, by a map of its columns",
        "cartpole-robot import swing.csv --map docs/maps/sensorsini_50hz.toml --out rollouts/swing.parquet",
    )
    read.add_argument("source", type=Path, metavar="FILE.csv", help="one row a control period, with a header")
    read.add_argument(
        "--map", type=Path, required=True, metavar="MAP.toml", help="what the columns mean; docs/maps has examples"
    )
    read.add_argument("--out", type=Path, required=True, metavar="FILE", help="recording to write; must not exist")
    read.add_argument("--cart", metavar="NAME|FILE", help="which cart was recorded (default: the map's)")
    read.add_argument(
        "--angle-sign", type=int, choices=(1, -1), help="the angle's sign, whatever map and motion say of it"
    )
    read.add_argument(
        "--duty-sign", type=int, choices=(1, -1), help="the duty's sign, whatever map and motion say of it"
    )
    read.add_argument("--json", action="store_true", help="print what was found as JSON")
    read.set_defaults(run=_import, extra="sim")

    convert = add_verb(
        verbs,
        "convert",
        "make a CSV, a Minari dataset or a video of a recording",
        "cartpole-robot convert rollouts/first.parquet --to video --out first.mp4",
    )
    convert.add_argument("recording", type=Path, metavar="REC", help="a recording, finished or cut off")
    convert.add_argument(
        "--to", required=True, choices=_FORMATS, help="csv (with its map), minari, or video (mp4, gif)"
    )
    convert.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PATH",
        help="what to write, must not exist: FILE.csv, FILE.mp4 or FILE.gif; for minari the folder of datasets",
    )
    convert.add_argument(
        "--dataset-id", metavar="ID", help="name of the Minari dataset (default: cartpole_robot/NAME-v0)"
    )
    convert.add_argument("--json", action="store_true", help="print what was written as JSON")
    convert.set_defaults(run=_convert, extra="datasets")


def _import(arguments: argparse.Namespace) -> int:
    from cartpole_robot.datasets.foreign_recording import ImportRequest, import_recording
    from cartpole_robot.datasets.import_report import import_record, import_text

    imported = import_recording(
        ImportRequest(
            source=arguments.source,
            column_map=arguments.map,
            out=arguments.out,
            cart=arguments.cart,
            angle_sign=arguments.angle_sign,
            duty_sign=arguments.duty_sign,
            confirm=_confirm if sys.stdin.isatty() and sys.stderr.isatty() else None,
        )
    )
    for warning in imported.warnings:
        print(f"cartpole-robot: warning: {warning}", file=sys.stderr)
    print(json.dumps(import_record(imported), indent=2) if arguments.json else import_text(imported))
    return 0


def _confirm(question: str) -> bool:
    print(f"{question} [y/n] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _convert(arguments: argparse.Namespace) -> int:
    from cartpole_robot.recording.reader import read_recording

    if arguments.dataset_id is not None and arguments.to != "minari":
        raise UsageError(f"--dataset-id names a Minari dataset, and --to is {arguments.to}; leave it out")
    recording = read_recording(arguments.recording)
    if not len(recording.rows):
        raise UsageError(f"{recording.path}: has no rows; it was cut off before the first, record again")
    record: dict[str, object]
    if arguments.to == "csv":
        from cartpole_robot.datasets.csv_export import export_csv

        record = export_csv(recording, arguments.out)
    elif arguments.to == "video":
        from cartpole_robot.datasets.video import export_video

        record = export_video(recording, arguments.out)
    else:
        from cartpole_robot.datasets.minari_export import export_minari

        record = export_minari(recording, arguments.out, arguments.dataset_id)
    if arguments.json:
        print(json.dumps(record, indent=2))
    else:
        for name, value in record.items():
            print(f"  {name:<14} {value}")
    return 0
