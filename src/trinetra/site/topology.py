"""How the cameras of a shop lie to each other."""

from typing import Annotated

from pydantic import Field

from trinetra.site.fields import Flag, Model


class Edge(Model):
    """A way on foot between what two cameras see."""

    from_camera: Annotated[str, Field(alias="from", description="Camera id.")]
    to_camera: Annotated[str, Field(alias="to", description="Camera id.")]
    distance_m: Annotated[
        float, Field(strict=True, gt=0, le=10_000, description="Shortest way on foot, in metres.")
    ]
    one_way: Annotated[
        Flag, Field(description="It can be walked from `from` to `to` only, like an escalator.")
    ] = False


class Topology(Model):
    """How the cameras' views lie to each other; what is left out counts as not known."""

    edges: tuple[Edge, ...] = ()
    overlaps: Annotated[
        tuple[tuple[str, str], ...],
        Field(description="Pairs of cameras that can see one person at the same time."),
    ] = ()
    max_walking_speed_mps: Annotated[
        float, Field(strict=True, gt=0, le=15, description="Nobody here walks faster.")
    ] = 2.5
    clock_skew_s: Annotated[
        float, Field(strict=True, ge=0, le=60, description="How far camera clocks may differ.")
    ] = 0.5
