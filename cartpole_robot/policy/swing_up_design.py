"""What a swing-up needs of SciPy: the regulator that catches the pole, and the region in which it provably does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cartpole_robot.cart.params import CartParams
from cartpole_robot.cart.parts import Delay
from cartpole_robot.errors import UsageError
from cartpole_robot.policy.lqr import Matrix
from cartpole_robot.policy.lqr_design import LqrWeights, design_lqr
from cartpole_robot.policy.swing_up import SwingUpController, SwingUpDesign, Track
from firmware_bridge.constants import ESTIMATOR_LAG_S

MOST_WRONG = 0.2  # the share by which force, friction and pole length may be wrong
MOST_LATE_S = 0.02
