"""A camera that falls silent ends its figures, from the resolver's clock to the insight store."""

from contextlib import AsyncExitStack
from dataclasses import replace

from tests.flows.shop import SITE, Person, record, visit
from tests.flows.test_erasure_at_rest import GOES_ON, running
from tests.flows.test_erasure_at_rest import until as written_state
from tests.flows.test_insight_engine import DictStore
from tests.flows.test_known_people import Shop

from trinetra.events.schema import DetectionEvent, Occupancy, TracksEvent
from trinetra.events.topics import RESOLVER_STATE
from trinetra.identities.processor import identity_resolver
from trinetra.insights.processors import SiteInsights, insight_engine
from trinetra.site import Site
from trinetra.streaming.runner import RunnerPolicy, StreamRunner
from trinetra.wiring.config import resolver_policy

TELLS_SOON = replace(GOES_ON, unseen_after_s=0.3)


def engine(shop: Shop, store: DictStore) -> StreamRunner:
    policy = RunnerPolicy(poll_wait_s=0.01, drains_at_stop=False)
    return insight_engine(shop.log, store, shop.clock, SiteInsights(SITE), policy=policy)


def figures(store: DictStore) -> list[tuple[int, bool]]:
    found = sorted(store.of(Occupancy), key=lambda event: event.captured_at)
    return [(event.persons, bool(event.unseen)) for event in found]


async def played(shop: Shop, store: DictStore, events: list[DetectionEvent], last: int) -> None:
    """Run both services on the events, until the last figure is as expected."""
    async with AsyncExitStack() as stack:
        resolver = identity_resolver(shop.log, shop.context, TELLS_SOON)
        for service in (resolver, engine(shop, store)):
            await stack.enter_async_context(running(service))
        await shop.log.append([record(event) for event in events])
        while figures(store)[-1:] != [(last, not last)]:
            await store.has_rows.wait()
            store.has_rows.clear()


async def test_people_in_view_of_a_camera_that_falls_silent_are_not_counted_for_ever() -> None:
    shop, store = Shop(), DictStore()
    in_view = list(visit("door", 0, [Person(5)], seconds=3))[:12]
    await played(shop, store, in_view, last=0)
    assert figures(store)[-2:] == [(1, False), (0, True)]
    (ended,) = [e for e in await shop.told() if isinstance(e, TracksEvent) and e.silent]
    assert ended.ended == (), "its tracks go on: its frames may only be late"


async def test_a_resolver_that_took_over_a_silent_camera_tells_it_as_well() -> None:
    shop, store = Shop(), DictStore()
    in_view = list(visit("door", 0, [Person(5)], seconds=3))[:12]
    async with running(identity_resolver(shop.log, shop.context, GOES_ON)):
        await shop.log.append([record(event) for event in in_view])
        await written_state(shop.log, RESOLVER_STATE, lambda state: b"track/" in state)
    await played(shop, store, [], last=0)
    assert figures(store)[-2:] == [(1, False), (0, True)]


def test_slow_cameras_are_given_more_time() -> None:
    def unseen_after_s(**camera: object) -> float:
        source = {"url": "rtsp://192.0.2.1/main", "timeout_s": camera.pop("timeout_s", 5.0)}
        camera = {"id": "door", "role": "entrance", "source": source, **camera}
        site = Site.model_validate({"site": "shop", "timezone": "UTC", "cameras": [camera]})
        return resolver_policy(site).unseen_after_s

    assert unseen_after_s() == 30.0
    assert unseen_after_s(fps=0.5, fps_floor=0.2) == 30.0
    assert unseen_after_s(timeout_s=60.0) == 180.0
