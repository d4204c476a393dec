"""The verb `cartpole-robot carts`."""

from __future__ import annotations

import argparse

from cartpole_robot.commands import options
from cartpole_robot.commands.output import DONE, print_result
from cartpole_robot.commands.verbs import Parser, examples


def add_carts(carts: Parser) -> None:
    """Declare the arguments of `carts`."""
    examples(carts, "", "show diy_arduino")
    carts.set_defaults(run=_list, extra="sim")
    options.json(carts)
    carts.usage = f"{carts.prog} [-h] [--json] [show NAME|FILE]"
    below = carts.add_subparsers(metavar="show", prog=carts.prog, help=argparse.SUPPRESS)
    show = below.add_parser(
        "show", description="Show every parameter with its unit and source.", formatter_class=carts.formatter_class
    )
    examples(show, "diy_arduino")
    show.set_defaults(run=_show)
    show.add_argument("name", metavar="NAME|FILE", help="a cart's name, or a .toml file")
    options.json(show)


def _list(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import cart_names, load_cart
    from cartpole_robot.cart.listing import key_figures, list_text

    carts = [load_cart(name) for name in cart_names()]
    print_result(arguments, [key_figures(cart) for cart in carts], list_text(carts))
    return DONE


def _show(arguments: argparse.Namespace) -> int:
    from cartpole_robot.cart.cart_file import load_cart
    from cartpole_robot.cart.listing import show_text

    cart = load_cart(arguments.name)
    print_result(arguments, {**cart.as_dict(), "sources": dict(cart.sources)}, show_text(cart))
    return DONE
