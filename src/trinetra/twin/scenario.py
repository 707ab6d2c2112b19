"""Parameters of a run: footfall, customer behavior and camera quality.

Sources: free walking speeds have mean 1.34 and deviation 0.26 m/s (Weidmann, Transporttechnik der
Fussgaenger, 1993; Bohannon, Age and Ageing 26, 1997, found 1.27 to 1.46 m/s for adults under 70);
shoppers are slower. Groups that form freely have sizes of a zero-truncated Poisson law (Coleman and
James, Sociometry 24, 1961). Service times are log-normal (Brown et al., JASA 100, 2005), and so are
most times that people take for a task (Limpert, Stahel and Abbt, BioScience 51, 2001). The medians
themselves are this project's assumptions for a small supermarket.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

from trinetra.errors import ConfigurationError
from trinetra.values import Instant

DAY_S = 86_400.0
_LEAST_HOURS = 1e-6
"""A shorter remainder of a day is a rounding error and is dropped."""
MAX_WALKING_MPS = 2.0
"""Upper limit for everyone in the twin; a site file's default limit is 2.5."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A log-normal duration: its median, the deviation of its logarithm, and its bounds."""

    median_s: float
    sigma: float
    least_s: float
    most_s: float


@dataclass(frozen=True, slots=True)
class Behavior:
    """Customer behavior; fractions are of parties unless a name says otherwise.

    ``balk_at`` is the mean queue length at which a party does not join; ``jockey_lead`` is how much
    shorter another queue must be before a party switches to it. The first ``open_tills`` of the
    plan's tills are staffed, None means all: fewer make longer queues. A fraction
    ``look_alike_share`` of new people gets nearly the face of an earlier person: the cosine of the
    two faces is ``look_alike_face``.
    """

    speed_mps: float = 1.34
    speed_deviation_mps: float = 0.26
    shopping_pace: float = 0.75
    group_rate: float = 0.6
    regular_share: float = 0.25
    car_share: float = 0.35
    buyer_share: float = 0.7
    shelves_mean: float = 2.5
    shelf_stay: Duration = Duration(25.0, 0.8, 3.0, 300.0)
    welcome_share: float = 0.4
    welcome_stay: Duration = Duration(5.0, 0.5, 1.5, 20.0)
    items: Duration = Duration(6.0, 0.8, 1.0, 80.0)
    open_tills: int | None = None
    service_fixed_s: float = 18.0
    service_per_item_s: float = 3.0
    service_sigma: float = 0.35
    patience: Duration = Duration(240.0, 0.7, 30.0, 3600.0)
    balk_at: float = 7.0
    jockey_share: float = 0.6
    jockey_lead: int = 2
    look_alike_share: float = 0.0
    look_alike_face: float = 0.75


@dataclass(frozen=True, slots=True)
class Sensing:
    """Errors of cameras, detector and networks.

    The first fields are factors of noises that were measured on labeled footage
    (``twin/noise.py``); 1 is as measured. ``blur`` multiplies the motion blur of faces, ``delays``
    the fraction ``late_share`` of the frames that arrive later than the usual ``latency_s``, by an
    exponential time of mean ``late_mean_s``: these are assumptions, as no clip shows them.
    """

    misses: float = 1.0
    boxes: float = 1.0
    parts: float = 1.0
    merged: float = 1.0
    ghosts: float = 1.0
    clothes: float = 1.0
    blur: float = 1.0
    delays: float = 1.0
    latency_s: float = 0.12
    late_share: float = 0.01
    late_mean_s: float = 0.4
    max_delay_s: float = 10.0


NOISES = ("misses", "boxes", "parts", "merged", "ghosts", "clothes", "blur", "delays")
"""The factors of ``Sensing``, for sensitivity sweeps."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. ``hours`` counts opening hours only: a day has ``open_hours`` of them.

    Cameras record while the shop is open; the first day opens at ``started_at``. With
    ``embeds_bodies`` the workers have the network that embeds bodies. Raises ConfigurationError for
    invalid values.
    """

    seed: int = 1
    shoppers_per_hour: float = 60.0
    hours: float = 1.0
    started_at: Instant = datetime(2026, 1, 5, 9, tzinfo=UTC)
    open_hours: float = 12.0
    behavior: Behavior = field(default_factory=Behavior)
    sensing: Sensing = field(default_factory=Sensing)
    embeds_bodies: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigurationError("the seed must not be negative: choose 0 or more")
        if not (0 <= self.shoppers_per_hour < math.inf and 0 < self.hours < math.inf):
            raise ConfigurationError(
                "shoppers per hour must be 0 or more, and hours must be above 0"
            )
        if not 0 < self.open_hours <= DAY_S / 3600:
            raise ConfigurationError("open_hours must be above 0 and at most 24")
        if self.behavior.open_tills is not None and self.behavior.open_tills < 1:
            raise ConfigurationError(
                "open_tills must be at least 1: without an open till there are no purchases"
            )

    def windows(self) -> list[tuple[float, float]]:
        """Return the recording windows, one per day, in seconds after ``started_at``."""
        whole, rest = divmod(self.hours, self.open_hours)
        hours = [self.open_hours] * int(whole) + ([rest] if rest > _LEAST_HOURS else [])
        return [(day * DAY_S, day * DAY_S + h * 3600) for day, h in enumerate(hours)]
