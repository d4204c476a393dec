"""The verb `cartpole-robot page`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, print_result
from cartpole_robot.commands.verbs import Parser, details, examples

if TYPE_CHECKING:
    from cartpole_robot.page.offline import OfflinePage


def add_page(page: Parser) -> None:
    """Declare the arguments of `page`."""
    details(
        page,
        "One file that works offline: the firmware's own C, the cart and the policies run in the browser. Visitors can "
        "drag the pole, change and break the cart, and see its state, duty and faults.",
    )
    examples(page, "runs/diy --out page.html", "runs/diy runs/swing --cart diy_arduino --out page.html")
    page.set_defaults(run=_page, extra="sim")
    page.add_argument(
        "policies",
        type=Path,
        nargs="+",
        metavar="POLICY",
        help="policies for the page, each a policy.npz or its run folder; lqr for none: every page has the regulator",
    )
    options.cart(page, otherwise="that of the first policy; required with lqr alone")
    options.out(page, "FILE.html", "the page to write")
    options.json(page)


def _page(arguments: argparse.Namespace) -> int:
    from cartpole_robot.page.offline import write_offline_page

    made = write_offline_page(arguments.policies, arguments.out, arguments.cart)
    print_result(arguments, made.as_dict(), _text(made))
    return DONE


def _text(made: OfflinePage) -> str:
    lines = [f"the page is in {made.path}, {made.size / 1000:.0f} kB; open it in a browser"]
    lines.append(f"  cart         {made.cart}")
    lines.append(f"  controllers  {', '.join(made.controllers)}")
    lines += [f"  note: {note}" for note in made.notes]
    return "\n".join(lines)
