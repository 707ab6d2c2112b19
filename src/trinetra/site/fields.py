"""Common base and value types of the site file's models."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from trinetra.values import MAX_PICTURE_SIDE

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["till-2"])]
EnvName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", examples=["TILL_PASSWORD"])]
Unit = Annotated[float, Field(strict=True, ge=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]
Fps = Annotated[float, Field(strict=True, gt=0, le=60)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=86_400)]
Gap = Annotated[float, Field(strict=True, ge=0, le=60)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Days = Annotated[int, Field(strict=True, ge=1, le=3650)]
Pixels = Annotated[int, Field(strict=True, ge=16, le=MAX_PICTURE_SIDE)]
Meters = Annotated[float, Field(strict=True, ge=-10_000, le=10_000)]
FloorPlanPoint = tuple[Meters, Meters]
PicturePoint = tuple[Unit, Unit]

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", examples=["09:00"])]


class Model(BaseModel):
    """Immutable model that forbids unknown keys and hides rejected values from error messages."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
    )
