"""Messages to people through Apprise: e-mail, Slack, Teams, Telegram, ntfy and a hundred others."""

import asyncio
from collections.abc import Mapping

import apprise

from trinetra.adapters.notify.people import Naming
from trinetra.errors import ConfigurationError, DeliveryFailed
from trinetra.events.alert_messages import text_of, title_of
from trinetra.events.alerts import Outgoing, Severity

_TYPES: Mapping[Severity, apprise.NotifyType] = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}
_TIMEOUT_S = 20
_TOLD = frozenset({"WARNING", "ERROR", "CRITICAL"})


class AppriseChannel:
    """An AlertChannel on one Apprise URL, which holds the secrets of its service."""

    def __init__(self, url: str, variable: str, naming: Naming) -> None:
        """``variable`` had the URL. Raises ConfigurationError, without the URL."""
        self._variable = variable
        self._naming = naming
        asset = apprise.AppriseAsset(storage_mode=apprise.PersistentStoreMode.MEMORY)
        self._apprise = apprise.Apprise(asset=asset)
        if not self._apprise.add(url) or len(self._apprise) != 1:
            raise ConfigurationError(
                f"{variable} is not one Apprise URL, such as ntfys://TOPIC or "
                "slack://TOKEN: see the list of services in Apprise's documentation; a channel "
                "has one URL"
            )

    async def tend(self) -> None:
        """Do nothing: there is no lasting connection."""

    async def send(self, outgoing: Outgoing) -> None:
        """Send a message. Raises DeliveryFailed."""
        person = outgoing.notice.person
        body = text_of(
            outgoing,
            tells_people=self._naming.tells_people,
            name=await self._naming.name_of(person),
        )
        kind = _TYPES[outgoing.notice.severity]
        # Its plugins block, hence a thread.
        result = await asyncio.to_thread(
            self._apprise.notify,
            body=body,
            title=title_of(outgoing),
            notify_type=kind,
            body_format=apprise.NotifyFormat.TEXT,
            timeout=_TIMEOUT_S,
        )
        if result.status != apprise.AppriseResultStatus.SUCCESS:
            raise DeliveryFailed(
                f"the service behind {self._variable} did not take the message "
                f"({result.status.name.lower()}{_reasons(result)}): check the URL, and whether the "
                "service works"
            )

    async def close(self) -> None:
        """Hold nothing."""


def _reasons(result: apprise.AppriseResult) -> str:
    """Return what Apprise warned of; its lesser messages may contain secrets."""
    texts = [
        entry.message.strip()
        for service in result.results
        for attempt in service
        for entry in attempt
        if entry.level in _TOLD
    ]
    return f": {texts[-1]}" if texts else ""
