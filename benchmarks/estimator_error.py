"""How late and how noisy the firmware's speeds are on each cart, against the true speeds of the simulation.

    python -m benchmarks.estimator_error

The regulator balances each cart for a minute. Every millisecond the estimate is compared with the plant: the lag is
the shift at which the two differ least, the noise is the difference that remains there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine_load import machine_line
from cartpole_robot import task
from cartpole_robot.cart.cart_file import cart_names, load_cart
from cartpole_robot.cart.params import CartParams
from cartpole_robot.policy.lqr_design import regulator_of
from cartpole_robot.signals import Measurement, State
from cartpole_robot.simulation.cart import SimulatedCart
from cartpole_robot.simulation.delay import CommandDelay
from cartpole_robot.simulation.estimator import Estimator

SECONDS = 60.0
Series = NDArray[np.float64]


def speeds(cart: CartParams) -> tuple[Series, Series]:
    """(estimated, true) speeds while balancing, each (milliseconds, 2): cart m/s, pole rad/s."""
    assert cart.encoders is not None
    simulated = SimulatedCart(cart, cart.encoders)
    estimator = Estimator(cart.encoders, cart.timing.physics_step_s)
    delay = CommandDelay(cart.delay, cart.timing)
    controller = regulator_of(cart)
    measurement = Measurement()
    estimated, true = [], []

    def on_counts(cart_counts: int, pole_counts: int) -> None:
        estimator.update(cart_counts, pole_counts)
        estimator.write(cart_counts, pole_counts, measurement)
        state = simulated.state()
        estimated.append((measurement.cart_speed_m_s, measurement.pole_speed_rad_s))
        true.append((state.cart_speed_m_s, state.pole_speed_rad_s))

    delay.reset(np.random.default_rng(0))
    counts = simulated.place(State(0.0, 0.0, 0.02, 0.0))
    estimator.reset(*counts)
    estimator.write(*counts, measurement)
    for _ in range(round(SECONDS / cart.timing.control_period_s)):
        simulated.run(delay.duties(controller.duty(task.observation(measurement))), on_counts)
    simulated.close()
    return np.array(estimated), np.array(true)


def lag_and_noise(estimated: Series, true: Series) -> tuple[float, float]:
    """(lag in ms, RMS of the remainder) of one signal, both series at 1 kHz; the lag has a resolution of 0.1 ms."""
    times = np.arange(len(true), dtype=float)
    inner = slice(100, -100)
    rests = [
        (float(np.sqrt(np.mean((estimated - np.interp(times - lag, times, true))[inner] ** 2))), lag)
        for lag in np.arange(0.0, 20.0, 0.1)
    ]
    rest, lag = min(rests)
    return lag, rest


def main() -> None:
    """Print one row per cart and signal."""
    print("cart           signal       lag ms   noise RMS   true RMS   one count in 1 ms")
    for name in cart_names():
        cart = load_cart(name)
        if cart.encoders is None:
            continue
        estimated, true = speeds(cart)
        quanta = (1000.0 / cart.encoders.cart_counts_per_m, 1000.0 / cart.encoders.pole_counts_per_rad)
        for k, (signal, unit) in enumerate((("cart speed", "m/s"), ("pole speed", "rad/s"))):
            lag, noise = lag_and_noise(estimated[:, k], true[:, k])
            size = float(np.sqrt(np.mean(true[:, k] ** 2)))
            print(f"{name:<15}{signal:<13}{lag:6.1f}{noise:12.4f}{size:11.4f}{quanta[k]:12.3f} {unit}")
    print(machine_line())


if __name__ == "__main__":
    main()
