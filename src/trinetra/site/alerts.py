"""Alerts of a shop: which rules apply, who is told of them, and on which channels."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trinetra.events.alerts import RuleName, Severity
from trinetra.site.addresses import url_fault
from trinetra.site.fields import Count, EnvName, Flag, Model, Seconds, Slug, TimeOfDay, Weekday

Minutes = Annotated[float, Field(strict=True, ge=0, le=1440)]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]
ZoneRef = Annotated[
    tuple[str, str], Field(description="[camera id, zone id]", examples=[["till-1", "queue"]])
]
LineRef = Annotated[
    tuple[str, str], Field(description="[camera id, line id]", examples=[["door", "entrance"]])
]


# --- rules ------------------------------------------------------------------------------------


class Rule(Model):
    """What every rule has. Without severity and cooldown, those of docs/alerts.md apply."""

    enabled: Annotated[Flag, Field(description="Whether the rule applies.")] = True
    severity: Annotated[
        Severity | None, Field(description="How urgent its alerts are: info, warning, critical.")
    ] = None
    cooldown_s: Annotated[
        Seconds | None,
        Field(description="Least seconds between two alerts about the same thing."),
    ] = None


class LastingRule(Rule):
    """A rule about a condition that must last for a while."""

    for_s: Annotated[Seconds, Field(description="Seconds for which it must last.")] = 60.0


class QueueLength(LastingRule):
    """Many people in a zone of kind queue."""

    people: Annotated[Count, Field(description="People from which on it is long.")] = 6


class QueueWait(Rule):
    """A customer has been waiting in a zone of kind queue for long."""

    minutes: Annotated[Minutes, Field(gt=0, description="Wait from which on it is told.")] = 10.0


class ZoneLimit(Model):
    """The most people that one zone may hold."""

    zone: ZoneRef
    people: Annotated[Count, Field(description="People from which on it is told.")]


class OccupancyLimit(LastingRule):
    """Many people in the shop, or in a zone."""

    people: Annotated[
        Count | None, Field(description="People in the shop from which on it is told.")
    ] = None
    zones: Annotated[tuple[ZoneLimit, ...], Field(max_length=1000)] = ()
    for_s: Annotated[Seconds, Field(description="Seconds for which it must last.")] = 30.0


class Loitering(Rule):
    """Somebody has been in one of the named zones for long."""

    zones: Annotated[
        tuple[ZoneRef, ...], Field(max_length=1000, description="Zones where a stay is noticed.")
    ] = ()
    minutes: Annotated[Minutes, Field(gt=0, description="Stay from which on it is told.")] = 10.0


class AfterHours(LastingRule):
    """A person in view while the shop is closed; needs opening_hours."""

    for_s: Annotated[Seconds, Field(description="Seconds for which it must last.")] = 10.0
    grace_minutes: Annotated[
        Minutes, Field(description="Time before opening and after closing that staff needs.")
    ] = 30.0


class Tailgating(Rule):
    """A second person right behind the first one, over one of the named lines."""

    lines: Annotated[
        tuple[LineRef, ...], Field(max_length=1000, description="Lines that one at a time passes.")
    ] = ()
    within_s: Annotated[
        Seconds, Field(gt=0, description="Most seconds between the two people.")
    ] = 2.0


class OneWayLine(Model):
    """A line that may not be crossed in one direction."""

    line: LineRef
    direction: Annotated[Literal["in", "out"], Field(description="The direction that is wrong.")]


class WrongDirection(Rule):
    """A person crossed a line in the direction that is not allowed."""

    lines: Annotated[tuple[OneWayLine, ...], Field(max_length=1000)] = ()


class PictureRule(LastingRule):
    """A rule about the picture of a camera, which is judged every few seconds."""

    for_s: Annotated[Seconds, Field(description="Seconds for which it must last.")] = 20.0


class FramesDropped(Rule):
    """Many pictures of a camera are lost."""

    share: Annotated[
        Share, Field(description="Share of the pictures from which on it is told.")
    ] = 0.1
    over_s: Annotated[Seconds, Field(gt=0, description="Seconds over which it is taken.")] = 120.0


class Latency(Rule):
    """Results come late."""

    p99_s: Annotated[
        Seconds,
        Field(gt=0, description="Time from picture to result that 1 in 100 may exceed."),
    ] = 5.0
    over_s: Annotated[Seconds, Field(gt=0, description="Seconds over which it is taken.")] = 300.0


class FigureIncomplete(Rule):
    """A camera was not watched during the opening hours, so that its figures are incomplete."""

    minutes: Annotated[Minutes, Field(gt=0, description="Time from which on it is told.")] = 10.0


class Rules(Model):
    """The rules; every one has a default, and applies unless it is switched off."""

    watchlist: Rule = Rule()
    vip: Rule = Rule()
    plate_watchlist: Rule = Rule()
    impossible_transition: Rule = Rule()
    queue_length: QueueLength = QueueLength()
    queue_wait: QueueWait = QueueWait()
    occupancy: OccupancyLimit = OccupancyLimit()
    loitering: Loitering = Loitering()
    after_hours: AfterHours = AfterHours()
    tailgating: Tailgating = Tailgating()
    wrong_direction: WrongDirection = WrongDirection()
    camera_offline: LastingRule = LastingRule()
    camera_frozen: PictureRule = PictureRule()
    camera_covered: PictureRule = PictureRule()
    camera_moved: PictureRule = PictureRule()
    frames_dropped: FramesDropped = FramesDropped()
    latency: Latency = Latency()
    drift: Rule = Rule()
    index_unavailable: LastingRule = LastingRule(for_s=15.0)
    figure_incomplete: FigureIncomplete = FigureIncomplete()


# --- channels ---------------------------------------------------------------------------------


class Channel(Model):
    """What every kind of channel has; a new kind is also added to ``AnyChannel``."""

    key: ClassVar[str]
    id: Slug
    names: Annotated[
        Flag,
        Field(description="Whether customers are named, by id and name, and plates are told."),
    ] = False

    def unset_variables(self, environ: Mapping[str, str]) -> list[str]:
        """Return the names of the variables with secrets that are not set."""
        return [name for name in self._variables() if not environ.get(name)]

    def _variables(self) -> Iterator[str]:
        yield from ()


class WebhookChannel(Channel):
    """JSON by HTTP, signed as Standard Webhooks describes it."""

    key = "webhook"
    webhook: Annotated[
        str,
        Field(
            repr=False,
            description="https:// or http:// address, without user or password.",
            examples=["https://hooks.shop.com/trinetra"],
        ),
    ]
    secret_env: Annotated[
        EnvName | None,
        Field(description="Name of the environment variable with the secret that signs."),
    ] = None
    allow_private: Annotated[
        Flag, Field(description="Whether the receiver may be in a private network.")
    ] = False
    closings: Annotated[Flag, Field(description="Whether the end of a condition is told too.")] = (
        False
    )
    timeout_s: Annotated[
        float, Field(strict=True, ge=1, le=30, description="Most seconds until an answer.")
    ] = 5.0

    @field_validator("webhook")
    @classmethod
    def _usable(cls, url: str) -> str:
        return _checked_url(url, ("https", "http"))

    def _variables(self) -> Iterator[str]:
        if self.secret_env:
            yield self.secret_env


class AppriseChannel(Channel):
    """E-mail, Slack, Teams, Telegram, ntfy and others, by an Apprise URL."""

    key = "apprise_env"
    apprise_env: Annotated[
        EnvName,
        Field(description="Name of the environment variable with the Apprise URL."),
    ]

    def _variables(self) -> Iterator[str]:
        yield self.apprise_env


class MqttChannel(Channel):
    """An MQTT broker, where Home Assistant finds the shop."""

    key = "mqtt"
    mqtt: Annotated[
        str,
        Field(
            repr=False,
            description="mqtt:// or, with TLS, mqtts:// address, without user or password.",
            examples=["mqtt://192.168.1.4:1883"],
        ),
    ]
    username_env: Annotated[
        EnvName | None, Field(description="Name of the environment variable with the user name.")
    ] = None
    password_env: Annotated[
        EnvName | None, Field(description="Name of the environment variable with the password.")
    ] = None
    topic: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_/-]{1,100}$", description="Topic of the shops."),
    ] = "trinetra"
    discovery: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9_/-]{1,100}$", description="Home Assistant's discovery topic."),
    ] = "homeassistant"

    @field_validator("mqtt")
    @classmethod
    def _usable(cls, url: str) -> str:
        return _checked_url(url, ("mqtt", "mqtts"))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.password_env and not self.username_env:
            raise PydanticCustomError("credentials", "password_env needs username_env too")
        return self

    def _variables(self) -> Iterator[str]:
        yield from (name for name in (self.username_env, self.password_env) if name)


CHANNELS: tuple[type[Channel], ...] = (WebhookChannel, AppriseChannel, MqttChannel)
CHANNEL_KEYS = tuple(channel.key for channel in CHANNELS)


def _channel_kind(channel: object) -> str | None:
    if isinstance(channel, Mapping):
        return next((key for key in CHANNEL_KEYS if key in channel), None)
    return channel.key if isinstance(channel, Channel) else None


AnyChannel = Annotated[
    Annotated[WebhookChannel, Tag(WebhookChannel.key)]
    | Annotated[AppriseChannel, Tag(AppriseChannel.key)]
    | Annotated[MqttChannel, Tag(MqttChannel.key)],
    Discriminator(
        _channel_kind,
        custom_error_type="channel",
        custom_error_message=f"a channel needs one of the keys {', '.join(CHANNEL_KEYS)}",
    ),
]


def _checked_url(url: str, schemes: tuple[str, ...]) -> str:
    if fault := url_fault(url, schemes):
        raise PydanticCustomError("channel_url", "{fault}", {"fault": fault})
    return url


# --- recipients -------------------------------------------------------------------------------


class Hours(Model):
    """A span of time on some days of the week, in the shop's time zone."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)]
    opens: Annotated[TimeOfDay, Field(description="Like 09:00, in quotes.")]
    closes: Annotated[
        TimeOfDay, Field(description="Like 20:00; a time not after opens is on the next day.")
    ]


class Recipient(Model):
    """Who is told of which alerts, when, and on which channels."""

    id: Slug
    channels: Annotated[
        tuple[Slug, ...], Field(min_length=1, max_length=50, description="Ids of channels.")
    ]
    rules: Annotated[
        tuple[RuleName, ...], Field(max_length=50, description="Rules to be told of; all if empty.")
    ] = ()
    min_severity: Annotated[Severity, Field(description="Less urgent alerts are not sent.")] = (
        "info"
    )
    hours: Annotated[
        tuple[Hours, ...],
        Field(
            max_length=50,
            description="When messages are sent; always if empty. What happens at other times "
            "waits, and is dropped if it is over by then.",
        ),
    ] = ()
    quiet: Annotated[
        tuple[Hours, ...],
        Field(max_length=50, description="When no messages are sent; as hours, but reversed."),
    ] = ()
    critical_any_time: Annotated[
        Flag, Field(description="Whether critical alerts ignore hours, quiet and max_per_day.")
    ] = True
    max_per_day: Annotated[Count, Field(description="Most messages on one day.")] = 100
    after_minutes: Annotated[
        Minutes,
        Field(description="Escalation: told only if it is not acknowledged after so long."),
    ] = 0.0


class Alerts(Model):
    """Rules, channels and recipients of alerts. Without channels alerts are listed only."""

    rules: Rules = Rules()
    channels: Annotated[tuple[AnyChannel, ...], Field(max_length=50)] = ()
    recipients: Annotated[tuple[Recipient, ...], Field(max_length=200)] = ()
