"""How a box moves: a constant-velocity Kalman filter on centre, width and height.

Bewley et al., SORT, 2016. All is done in plain numbers: a view shows a handful of objects, and
NumPy's overhead per call would be several times what the arithmetic takes.
"""

from dataclasses import dataclass

import msgspec

from trinetra.events.schema import Box

_SIZE_MOBILITY = 0.2
"""Sizes change slower than places: ratio of the standard deviations of their velocities."""


@dataclass(frozen=True, slots=True)
class MotionNoise:
    """How uncertain boxes are, relative to their height: where they are, how fast they turn."""

    position: float = 0.05
    velocity: float = 0.35


class Axis(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One coordinate as the filter knows it: value, velocity per second, and their covariances."""

    value: float
    velocity: float
    value_var: float
    covariance: float
    velocity_var: float


Motion = tuple[Axis, Axis, Axis, Axis]
"""Centre x, centre y, width and height, taken as independent of each other."""


def begun(box: Box, noise: MotionNoise) -> Motion:
    """Return what is known of the motion of a box seen once."""
    x, y, w, h = _measured(box)
    scale = max(h, 1.0)
    position_var = _square(noise.position * scale)
    place_var = _square(noise.velocity * scale)
    size_var = _square(noise.velocity * scale * _SIZE_MOBILITY)
    return (
        Axis(x, 0.0, position_var, 0.0, place_var),
        Axis(y, 0.0, position_var, 0.0, place_var),
        Axis(w, 0.0, position_var, 0.0, size_var),
        Axis(h, 0.0, position_var, 0.0, size_var),
    )


def moved(motion: Motion, elapsed_s: float, noise: MotionNoise) -> Motion:
    """Return the motion some time on, by its velocity; process noise is white acceleration."""
    x, y, w, h = motion
    drift = noise.velocity * max(h.value, 1.0)
    place_noise = _square(drift) * elapsed_s
    size_noise = _square(drift * _SIZE_MOBILITY) * elapsed_s
    return (
        _moved(x, elapsed_s, place_noise),
        _moved(y, elapsed_s, place_noise),
        _at_least_one(_moved(w, elapsed_s, size_noise)),
        _at_least_one(_moved(h, elapsed_s, size_noise)),
    )


def corrected(motion: Motion, box: Box, noise: MotionNoise) -> Motion:
    """Return the motion after its box was seen."""
    measured = _measured(box)
    variance = _square(noise.position * max(measured[3], 1.0))
    x, y, w, h = motion
    return (
        _corrected(x, measured[0], variance),
        _corrected(y, measured[1], variance),
        _corrected(w, measured[2], variance),
        _corrected(h, measured[3], variance),
    )


def box_of(motion: Motion) -> Box:
    """Return the box as last estimated."""
    x, y, w, h = motion
    half_w, half_h = w.value / 2, h.value / 2
    return x.value - half_w, y.value - half_h, x.value + half_w, y.value + half_h


def _measured(box: Box) -> tuple[float, float, float, float]:
    """Return a box as centre, width and height."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _square(value: float) -> float:
    return value * value


def _moved(axis: Axis, elapsed_s: float, noise: float) -> Axis:
    covariance = axis.covariance + elapsed_s * axis.velocity_var
    spread = axis.value_var + elapsed_s * axis.covariance + elapsed_s * covariance
    return Axis(
        axis.value + axis.velocity * elapsed_s,
        axis.velocity,
        spread + noise * elapsed_s * elapsed_s / 3,
        covariance,
        axis.velocity_var + noise,
    )


def _at_least_one(size: Axis) -> Axis:
    """Return a size of one pixel or more."""
    return size if size.value >= 1.0 else msgspec.structs.replace(size, value=1.0)


def _corrected(axis: Axis, measured: float, noise: float) -> Axis:
    total = axis.value_var + noise
    gain, velocity_gain = axis.value_var / total, axis.covariance / total
    surprise = measured - axis.value
    return Axis(
        axis.value + gain * surprise,
        axis.velocity + velocity_gain * surprise,
        axis.value_var - gain * axis.value_var,
        axis.covariance - gain * axis.covariance,
        axis.velocity_var - velocity_gain * axis.covariance,
    )
