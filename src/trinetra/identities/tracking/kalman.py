"""Kalman filter for boxes: constant velocity of center, width and height.

After Bewley et al., SORT, 2016. It uses plain numbers: a view shows a handful of objects, and
NumPy's overhead per call would be several times the cost of the arithmetic.
"""

import math
from dataclasses import dataclass

import msgspec

from trinetra.events.schema import Box

_SIZE_MOBILITY = 0.2
"""Sizes change more slowly than positions: ratio of the standard deviations of their velocities."""


@dataclass(frozen=True, slots=True)
class MotionNoise:
    """Standard deviations relative to the box height: of a measurement, and of the velocity.

    Relative, because the same walk covers more pixels close to the camera, and detectors err in
    proportion to the size of an object: one setting then fits near and far people.
    """

    position: float = 0.05
    velocity: float = 0.35


class Axis(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of one coordinate: value, velocity per second, and their covariance matrix."""

    value: float
    velocity: float
    value_var: float
    covariance: float
    velocity_var: float


Motion = tuple[Axis, Axis, Axis, Axis]
"""Center x, center y, width and height, modeled as independent of each other."""


def initial_motion(box: Box, noise: MotionNoise) -> Motion:
    """Return the initial motion of a box that was seen once, with unknown velocity."""
    x, y, w, h = _measured(box)
    scale = max(h, 1.0)
    position_var = _square(noise.position * scale)
    center_velocity_var = _square(noise.velocity * scale)
    size_velocity_var = _square(noise.velocity * scale * _SIZE_MOBILITY)
    return (
        Axis(x, 0.0, position_var, 0.0, center_velocity_var),
        Axis(y, 0.0, position_var, 0.0, center_velocity_var),
        Axis(w, 0.0, position_var, 0.0, size_velocity_var),
        Axis(h, 0.0, position_var, 0.0, size_velocity_var),
    )


def predict(motion: Motion, elapsed_s: float, noise: MotionNoise) -> Motion:
    """Return the motion ``elapsed_s`` later; process noise is white acceleration."""
    x, y, w, h = motion
    # The variance of the velocity grows by the noise per second: frames arrive at irregular
    # intervals, so the noise must depend on the elapsed time and not on the number of frames.
    drift = noise.velocity * max(h.value, 1.0)
    center_noise = _square(drift) * elapsed_s
    size_noise = _square(drift * _SIZE_MOBILITY) * elapsed_s
    return (
        _predict_axis(x, elapsed_s, center_noise),
        _predict_axis(y, elapsed_s, center_noise),
        _at_least_one(_predict_axis(w, elapsed_s, size_noise)),
        _at_least_one(_predict_axis(h, elapsed_s, size_noise)),
    )


def slowed(motion: Motion, lifetimes: float) -> Motion:
    """Return the motion with velocities that have decayed for so many mean lifetimes."""
    left = math.exp(-lifetimes)
    x, y, w, h = (msgspec.structs.replace(a, velocity=a.velocity * left) for a in motion)
    return x, y, w, h


def update(motion: Motion, box: Box, noise: MotionNoise) -> Motion:
    """Return the motion after a measurement of its box."""
    measured = _measured(box)
    variance = _square(noise.position * max(measured[3], 1.0))
    x, y, w, h = motion
    return (
        _update_axis(x, measured[0], variance),
        _update_axis(y, measured[1], variance),
        _update_axis(w, measured[2], variance),
        _update_axis(h, measured[3], variance),
    )


def box_of(motion: Motion) -> Box:
    """Return the box as last estimated."""
    x, y, w, h = motion
    half_w, half_h = w.value / 2, h.value / 2
    return x.value - half_w, y.value - half_h, x.value + half_w, y.value + half_h


def _measured(box: Box) -> tuple[float, float, float, float]:
    """Return a box as center, width and height."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _square(value: float) -> float:
    return value * value


def _predict_axis(axis: Axis, elapsed_s: float, noise: float) -> Axis:
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
    """Return a size of at least one pixel: extrapolated shrinking could make it negative."""
    return size if size.value >= 1.0 else msgspec.structs.replace(size, value=1.0)


def _update_axis(axis: Axis, measured: float, noise: float) -> Axis:
    # Scalar form of the Kalman gain: the axes are independent and only the value is measured, so
    # no matrix has to be inverted.
    total = axis.value_var + noise
    gain, velocity_gain = axis.value_var / total, axis.covariance / total
    innovation = measured - axis.value
    return Axis(
        axis.value + gain * innovation,
        axis.velocity + velocity_gain * innovation,
        axis.value_var - gain * axis.value_var,
        axis.covariance - gain * axis.covariance,
        axis.velocity_var - velocity_gain * axis.covariance,
    )
