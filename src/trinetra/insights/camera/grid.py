"""The cells of heatmaps: 1 m on the floor plan, or a part of the picture without calibration."""

from typing import NamedTuple

from trinetra.events.schema import Point
from trinetra.geometry import Homography

CELL_M = 1.0
COLUMNS, ROWS = 32, 18
"""Of the grid over the picture of a camera that is not calibrated."""
_HALF = 2048
"""Cells lie within this many meters of the floor plan's origin, in x and y."""
_FOOT_ERROR, _EDGE = 0.01, 0.01
"""How exact the lower edge of a box is, and how near to the picture's edge it may be cut off."""


class GridCell(NamedTuple):
    """Column and row of a cell: ``x`` from x to x + 1 in cells, ``y`` alike."""

    x: int
    y: int


def number_of(cell: GridCell) -> int:
    """Return the number of a cell, which is never negative."""
    return (cell.x + _HALF) * 2 * _HALF + cell.y + _HALF


def cell_numbered(number: int) -> GridCell:
    """Return the cell that has a number."""
    x, y = divmod(number, 2 * _HALF)
    return GridCell(x - _HALF, y - _HALF)


def floor_cell(floor: Homography, foot: Point) -> GridCell | None:
    """Return the cell of the floor under a normalized foot point.

    None if the place is not known to about a cell: far away, where a small step in the picture is a
    long way, above the horizon, and at the lower edge, which may hide the feet.
    """
    place = floor.to_floor(*foot) if foot[1] <= 1 - _EDGE else None
    if place is None or max(place.down_m, place.right_m) * _FOOT_ERROR > CELL_M:
        return None
    cell = GridCell(int(place.x_m // CELL_M), int(place.y_m // CELL_M))
    return cell if all(-_HALF <= index < _HALF for index in cell) else None


def picture_cell(foot: Point) -> GridCell:
    """Return the cell of the picture that contains a normalized foot point."""
    x, y = foot
    return GridCell(min(int(x * COLUMNS), COLUMNS - 1), min(int(y * ROWS), ROWS - 1))
