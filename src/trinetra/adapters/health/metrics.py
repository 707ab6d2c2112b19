"""HealthFacts from the metrics of this process, and from those that other processes serve."""

import asyncio
from collections.abc import Collection, Sequence

import httpx

from trinetra.errors import ServerUnavailable
from trinetra.ports import Sample
from trinetra.redaction import mask_urls
from trinetra.telemetry import get_logger, own_samples, samples_of

_TIMEOUT_S = 3.0
_MOST_BYTES = 8 << 20
_log = get_logger("alert-service")


class OwnMetrics:
    """The metrics of this process."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    async def read(self) -> list[Sample]:
        """Return the values of the metrics that alerts are about."""
        return own_samples(self._names)


class ScrapedMetrics:
    """The metrics of other processes, read from their ``/metrics``."""

    def __init__(self, urls: Sequence[str], names: Collection[str]) -> None:
        self._urls = urls
        self._names = names
        self._silent: set[str] = set()

    async def read(self) -> list[Sample]:
        """Return the values of all services that answer; ServerUnavailable if none does."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            answers = await asyncio.gather(*(self._scrape(client, url) for url in self._urls))
        found = [samples for samples in answers if samples is not None]
        if not found:
            raise ServerUnavailable(
                f"none of {', '.join(map(mask_urls, self._urls))} answers: check "
                "TRINETRA_ALERT_METRICS_URLS"
            )
        return [sample for samples in found for sample in samples]

    async def _scrape(self, client: httpx.AsyncClient, url: str) -> list[Sample] | None:
        try:
            async with client.stream("GET", url) as answer:
                answer.raise_for_status()
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part[: _MOST_BYTES - len(body)]  # what is cut off cannot be parsed
            samples = samples_of(bytes(body), self._names)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as cause:
            if url not in self._silent:
                _log.warning("no metrics", url=url, cause=str(cause) or type(cause).__name__)
            self._silent.add(url)
            return None
        self._silent.discard(url)
        return samples
