"""The verbs `cartpole-robot import` and `convert`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cartpole_robot.commands import options
from cartpole_robot.commands.copying import check_only_copies, copy_packaged
from cartpole_robot.commands.output import DONE, print_error, print_result, rows_text
from cartpole_robot.commands.verbs import Parser, details, examples
from cartpole_robot.errors import UsageError
from cartpole_robot.files.packaged import MAPS
from cartpole_robot.terminal.printable import printable

_FORMATS = ("csv", "minari", "video")


def add_import(read: Parser) -> None:
    """Declare the arguments of `import`."""
    details(
        read,
        "A map describes the columns. If rows pause or a clock jumps, the file is split into several recordings; the "
        "second gets _2 at the end of its name, and so on.",
    )
    examples(
        read,
        "swing.csv --map my_map.toml --out rollouts/swing.parquet",
        "--map sensorsini_50hz --copy-map my_map.toml",
    )
    read.usage = (
        f"{read.prog} [-h] FILE.csv --map NAME|FILE --out FILE [options]\n"
        f"       {read.prog} [-h] --map NAME --copy-map FILE"
    )
    read.set_defaults(run=_import, extra="sim")
    read.add_argument("source", nargs="?", type=Path, metavar="FILE.csv", help="one row per control period")
    read.add_argument(
        "--map",
        type=Path,
        required=True,
        metavar="NAME|FILE",
        help=f"meaning of the columns: a .toml file, or one of the package's maps: {', '.join(MAPS.names())}",
    )
    read.add_argument("--out", type=Path, metavar="FILE", help="recording to write; must not exist yet")
    read.add_argument(
        "--copy-map", type=Path, metavar="FILE", help="only copy the package's map NAME to this new file, to change it"
    )
    options.cart(read, what="the recorded cart", otherwise="the map's")
    for name in ("angle", "duty"):
        read.add_argument(
            f"--{name}-sign",
            type=int,
            choices=(1, -1),
            help=f"sign of the {name}, overriding the map and the motion",
        )
    options.json(read)


def add_convert(convert: Parser) -> None:
    """Declare the arguments of `convert`."""
    examples(convert, "rollouts/first.parquet --to video --out first.mp4")
    convert.set_defaults(run=_convert, extra="datasets")
    convert.add_argument("recording", type=Path, metavar="REC", help="a recording, complete or interrupted")
    convert.add_argument(
        "--to", required=True, choices=_FORMATS, help="format: csv (with its map), minari, or video (mp4, gif)"
    )
    options.out(convert, "PATH", "FILE.csv, FILE.mp4 or FILE.gif to write; for minari the folder of datasets")
    convert.add_argument(
        "--dataset-id", metavar="ID", help="name of the Minari dataset (default: cartpole_robot/NAME-v0)"
    )
    options.json(convert)


def _import(arguments: argparse.Namespace) -> int:
    if arguments.copy_map is not None:
        check_only_copies(arguments, "--copy-map", {"source": "FILE.csv", "out": "--out", "cart": "--cart"})
        return copy_packaged(arguments, MAPS, str(arguments.map), arguments.copy_map, option="--copy-map")
    missing = [name for name, value in (("FILE.csv", arguments.source), ("--out", arguments.out)) if value is None]
    if missing:
        raise UsageError(f"expected {' and '.join(missing)}; only --copy-map does without")
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
        print_error(f"warning: {warning}")
    print_result(arguments, import_record(imported), import_text(imported))
    return DONE


def _confirm(question: str) -> bool:
    print(f"{printable(question)} [y/n] ", end="", file=sys.stderr, flush=True)
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
    print_result(arguments, record, rows_text(record))
    return DONE
