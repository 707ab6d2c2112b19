"""Resolvers killed at any moment produce, together, exactly the output of one that survives."""

from random import Random

import pytest
from tests.faults.resolvers import Fleet, play, twin_stream

from trinetra.events.schema import IdentityEvent
from trinetra.twin.shop import built_in_shop
from trinetra.values import SiteId
from trinetra.wiring.simulation import site_of
from trinetra.wiring.site_graph import site_graph

SITE = site_of(built_in_shop())
STREAM = twin_stream(3, shoppers_per_hour=240.0, hours=0.025)


def fleet() -> Fleet:
    return Fleet(SiteId(SITE.site_id), graph=site_graph(SITE))


@pytest.mark.parametrize("seed", range(4))
async def test_members_killed_and_replaced_say_what_one_undisturbed_says(seed: int) -> None:
    undisturbed = await play(fleet(), STREAM)
    reader = await play(fleet(), STREAM, Random(seed))
    for camera in undisturbed.said.keys() | reader.said.keys():
        assert reader.said[camera] == undisturbed.said[camera]
    assert any(isinstance(e, IdentityEvent) and e.status == "new" for e in reader.events())
