"""Camera topology: walking distances and overlaps of views."""

from typing import Annotated

from pydantic import Field

from trinetra.site.fields import Flag, Model


class Edge(Model):
    """A walkable connection between the views of two cameras."""

    from_camera: Annotated[str, Field(alias="from", description="Camera id.")]
    to_camera: Annotated[str, Field(alias="to", description="Camera id.")]
    distance_m: Annotated[
        float,
        Field(strict=True, gt=0, le=10_000, description="Shortest walking distance in meters."),
    ]
    one_way: Annotated[
        Flag, Field(description="Walkable only from `from` to `to`, like an escalator.")
    ] = False


class Topology(Model):
    """Walking distances and overlaps of the cameras' views; pairs that are left out are unknown."""

    edges: tuple[Edge, ...] = ()
    overlaps: Annotated[
        tuple[tuple[str, str], ...],
        Field(description="Pairs of cameras that can see one person at the same time."),
    ] = ()
    max_walking_speed_mps: Annotated[
        float,
        Field(
            strict=True, gt=0, le=15, description="Maximum walking speed of people in this shop."
        ),
    ] = 2.5
    clock_skew_s: Annotated[
        float,
        Field(strict=True, ge=0, le=60, description="Maximum difference between camera clocks."),
    ] = 0.5
