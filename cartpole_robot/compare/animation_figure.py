"""The two cart-poles on one track, as a figure that the report's script moves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.compare.trajectories import LIMIT, RECORDED, SIMULATED, Trajectories, evenly

Floats = NDArray[np.float64]
_MOST_FRAMES = 600  # that a slider can still resolve
_ROOM = 0.12  # of the pole's length, around the drawing
_CART = (0.34, 0.16)  # width and height of the drawn cart, of the pole's length
_MOST_PAST = 1.5  # of the limit: how far a cart that leaves the track is visible
_MOST_OF_TRACK = 0.2  # of the track, however long the pole


def frames_of(found: Trajectories, cart: CartParams) -> dict[str, Any]:
    """What the script needs: the drawing's measures in m, and each signal by frame, None where no simulation runs.

    The frames are ticks of the recording, evenly thinned where there are too many, never interpolated.
    """
    chosen = evenly(len(found.time_s), _MOST_FRAMES)
    length_m, width_m, height_m = _measures(cart)
    return {
        "length_m": length_m,
        "cart_m": [width_m, height_m],
        "time_s": _plain(found.time_s[chosen], 4),
        "recorded": [_plain(found.recorded[chosen, k], 5) for k in (0, 1)],
        "simulated": [_plain(found.simulated_at_ticks[chosen, k], 5) for k in (0, 1)],
        "since_s": _plain(found.since_s[chosen], 4),
        "first": int(np.argmax(np.isfinite(found.since_s[chosen]))),
    }


def cart_pole_figure(found: Trajectories, cart: CartParams) -> Any:
    """Track, limits, and empty carts and poles: traces 0 and 1 the recorded cart and pole, 2 and 3 the simulated."""
    length_m, _, height_m = _measures(cart)
    limit_m = cart.limits.cart_position_m
    positions = np.abs(np.concatenate([found.recorded[:, 0], found.simulated_at_ticks[:, 0], [limit_m]]))
    half_m = min(float(np.nanmax(positions)), _MOST_PAST * limit_m)
    angles = np.concatenate([found.recorded[:, 1], found.simulated_at_ticks[:, 1]])
    is_ever_low = bool(np.nanmin(np.cos(angles)) < 0.3)
    room_m = _ROOM * length_m
    figure = go.Figure()
    for name, colour, opacity in (("recorded", RECORDED, 1.0), ("simulated", SIMULATED, 0.65)):
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines",
            fill="toself",
            fillcolor=colour,
            opacity=opacity,
            name=name,
            line={"color": colour, "width": 1.5},
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines+markers",
            opacity=opacity,
            name=name,
            line={"color": colour, "width": 7},
            marker={"color": colour, "size": [10, 13]},
            showlegend=False,
        )
    track = {"type": "line", "layer": "below"}
    edge_m = half_m + (1.0 if is_ever_low else 0.5) * length_m
    figure.update_layout(
        shapes=[
            {**track, "x0": -edge_m, "x1": edge_m, "y0": 0, "y1": 0, "line": {"color": "#c4cbd3", "width": 3}},
            *(
                {**track, "x0": x, "x1": x, "y0": -height_m, "y1": height_m, "line": {"color": LIMIT, "width": 2}}
                for x in (-limit_m, limit_m)
            ),
        ],
        xaxis={
            "range": [-edge_m - room_m, edge_m + room_m],
            "title": {"text": "track [m]"},
            "constrain": "domain",
            "zeroline": False,
            "showgrid": False,
        },
        yaxis={
            "range": [-length_m - room_m if is_ever_low else -1.5 * height_m, length_m + height_m + room_m],
            "scaleanchor": "x",
            "constrain": "domain",
            "visible": False,
        },
        hovermode=False,
        dragmode=False,
    )
    return figure


def _measures(cart: CartParams) -> tuple[float, float, float]:
    """Length of the pole, width and height of the drawn cart, m."""
    length_m = 2.0 * cart.pole_cart.pole_half_length_m
    width_m = min(_CART[0] * length_m, _MOST_OF_TRACK * 2.0 * cart.limits.cart_position_m)
    return length_m, width_m, width_m * _CART[1] / _CART[0]


def _plain(column: Floats, digits: int) -> list[float | None]:
    return [round(value, digits) if math.isfinite(value) else None for value in column.tolist()]
