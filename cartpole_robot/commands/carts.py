"""The verb `cartpole-robot carts`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cartpole_robot.commands import options
from cartpole_robot.commands.carts_new import add_new
from cartpole_robot.commands.copying import copy_packaged
from cartpole_robot.commands.output import DONE, print_result
from cartpole_robot.commands.verbs import Parser, examples


def add_carts(carts: Parser) -> None:
    """Declare the arguments of `carts`."""
    examples(carts, "", "show diy_arduino", "copy diy_arduino my_cart.toml", "new --out my_cart.toml")
    carts.set_defaults(run=_list, extra="sim")
    options.json(carts)
    carts.usage = f"{carts.prog} [-h] [--json] [show CART | copy NAME FILE | new ...]"
    below = carts.add_subparsers(metavar="show|copy|new", prog=carts.prog, help=argparse.SUPPRESS)
    show = below.add_parser(
        "show", description="Show every parameter with its unit and source.", formatter_class=carts.formatter_class
    )
    examples(show, "diy_arduino")
    show.set_defaults(run=_show)
    show.add_argument("name", metavar="NAME|FILE", help="a cart's name, a .toml file, or a .urdf file")
    options.json(show)
    copy = below.add_parser(
        "copy",
        description="Copy the file of a known cart, with its comments and sources, to change it.",
        formatter_class=carts.formatter_class,
    )
    examples(copy, "diy_arduino my_cart.toml")
    copy.set_defaults(run=_copy)
    copy.add_argument("name", metavar="NAME", help="a known cart's name")
    copy.add_argument(
        "file", type=Path, metavar="FILE", help="the new cart file, ending in .toml; its name is the new cart's name"
    )
    options.json(copy)
    new = below.add_parser("new", formatter_class=carts.formatter_class)
    add_new(new)


def _list(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import cart_names, load_cart
    from cartpole_robot.cart.listing import key_figures, list_text

    carts = [load_cart(name) for name in cart_names()]
    print_result(arguments, [key_figures(cart) for cart in carts], list_text(carts))
    return DONE


def _copy(arguments: argparse.Namespace) -> int:
    from cartpole_robot.files.packaged import CARTS

    return copy_packaged(arguments, CARTS, arguments.name, arguments.file, option="FILE")


def _show(arguments: argparse.Namespace) -> int:
    if arguments.name.endswith(".urdf"):
        return _show_urdf(arguments)
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.cart.listing import show_text

    cart = load_cart(arguments.name)
    print_result(arguments, {**cart.as_dict(), "sources": dict(cart.sources)}, show_text(cart))
    return DONE


def _show_urdf(arguments: argparse.Namespace) -> int:
    """Print the numbers first: an error about one is read next to the others."""
    from cartpole_robot.cart.urdf_file import check_urdf, read_urdf_file, urdf_text

    body = read_urdf_file(Path(arguments.name))
    record = {**body.numbers(), "pole_zero_rad": body.pole_zero_rad, "end_stop_m": body.end_stop_m, **body.friction}
    print_result(arguments, {**record, "fault": body.fault()}, urdf_text(body))
    check_urdf(body)
    return DONE
