"""The epsilon schedule that the blog post describes.

The post prints, for a training of `Max` episodes,

    epsilon(n) = 0.01 + 2 * (1 - 0.01) / Max * (n - Max / 2)

which starts at -0.98 and rises. Its text says the opposite: pure exploration at first, falling to 0.01 by half time.
With the sign of the slope reversed the formula matches the text, and training uses this form:

    epsilon(n) = 0.01 + 2 * (1 - 0.01) / Max * (Max / 2 - n)   up to n = Max / 2, then 0.01
"""

from __future__ import annotations


def annealed_epsilon(progress: float, *, start: float = 1.0, end: float = 0.01, fraction: float = 0.5) -> float:
    """Epsilon after `progress` (0 to 1) of the training: from `start` to `end` linearly over the first `fraction`."""
    if progress >= fraction:
        return end
    return start + (end - start) * max(0.0, progress) / fraction
