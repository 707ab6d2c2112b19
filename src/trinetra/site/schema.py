"""The site file as a whole: one shop, its time zone, opening hours and cameras."""

from functools import cache
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from trinetra.errors import ConfigurationError
from trinetra.retail_calendar.public_holidays import public_holidays
from trinetra.site.alert_conflicts import alert_conflicts
from trinetra.site.alerts import Alerts
from trinetra.site.cameras import Camera
from trinetra.site.conflicts import find_conflicts
from trinetra.site.fields import Model, Slug, TimeOfDay, Weekday
from trinetra.site.policies import Policies
from trinetra.site.relations import contradictions
from trinetra.site.topology import Topology
from trinetra.values import SiteId


@cache
def timezones() -> frozenset[str]:
    """Return the names of all IANA time zones."""
    return frozenset(available_timezones())


def _known_timezone(name: str) -> str:
    if name not in timezones():
        raise PydanticCustomError("timezone", "not an IANA time zone")
    return name


Timezone = Annotated[str, AfterValidator(_known_timezone), Field(examples=["Europe/Berlin"])]


class OpeningSpan(Model):
    """Opening and closing time on some days of the week, in the shop's time zone."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)]
    opens: Annotated[TimeOfDay, Field(description="Like 09:00, in quotes.")]
    closes: Annotated[
        TimeOfDay, Field(description="Like 20:00; a time not after opens is on the next day.")
    ]


class Calendar(Model):
    """How figures are put together by week and year, and whose public holidays the shop has."""

    country: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Z]{2}$",
            examples=["DE"],
            description="Country of the public holidays, ISO 3166-1; if left out, none are known.",
        ),
    ] = None
    subdivision: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Z0-9]{1,3}$",
            examples=["BY"],
            description="Subdivision with holidays of its own, ISO 3166-2 without the country.",
        ),
    ] = None
    week_starts: Annotated[Literal["mon", "sun"], Field(description="First day of the week.")] = (
        "mon"
    )
    year: Annotated[
        Literal["calendar", "fiscal_4_5_4"],
        Field(description="Months, or the 4-5-4 periods of the National Retail Federation."),
    ] = "calendar"

    @model_validator(mode="after")
    def _holidays_are_known(self) -> Self:
        if self.country is not None:
            try:
                public_holidays(self.country, self.subdivision, ())
            except ConfigurationError as cause:
                raise PydanticCustomError("calendar", "{text}", {"text": str(cause)}) from cause
        elif self.subdivision is not None:
            raise PydanticCustomError("calendar", "a subdivision needs its country")
        return self


class Door(Model):
    """A doorway that several lines see: whoever passes it counts once.

    A line that is part of no door is a door of its own, unless its camera is calibrated (`floor`)
    and a line of another one lies in the same place on the floor.
    """

    id: Slug
    lines: Annotated[
        tuple[tuple[str, str], ...],
        Field(
            min_length=1,
            max_length=20,
            description="The lines that cross this doorway, each as [camera id, line id].",
        ),
    ]


class Site(Model):
    """One shop: its cameras, their topology, and the policies in force."""

    model_config = ConfigDict(title="TRINETRA site file")

    site: Annotated[Slug, Field(description="Id of the site; it is part of every event.")]
    timezone: Annotated[Timezone, Field(description="IANA time zone of the shop's clock.")]
    opening_hours: Annotated[
        tuple[OpeningSpan, ...],
        Field(max_length=100, description="If left out, the shop counts as always open."),
    ] = ()
    calendar: Calendar = Calendar()
    cameras: Annotated[tuple[Camera, ...], Field(min_length=1, max_length=1000)]
    doors: Annotated[tuple[Door, ...], Field(max_length=100)] = ()
    topology: Topology = Topology()
    policies: Policies = Policies()
    alerts: Alerts = Alerts()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        written = self.model_dump(mode="json", exclude_unset=True)
        for conflict in [
            *find_conflicts(self.model_dump(mode="json")),
            *alert_conflicts(written),
        ]:
            raise PydanticCustomError("conflict", conflict.message)
        if found := contradictions(self):
            text = "; ".join(f"{conflict.message} ({conflict.hint})" for conflict in found)
            raise PydanticCustomError("contradictions", "{text}", {"text": text, "found": found})
        return self

    @property
    def site_id(self) -> SiteId:
        """The id, as used in the rest of the system."""
        return SiteId(self.site)
