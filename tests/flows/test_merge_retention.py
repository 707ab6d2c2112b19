"""The insight engine keeps the retention of anonymous people in the customer log too."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.flows.test_erasure_on_a_cluster import container, running

from trinetra.customers.customer_feed import read_people
from trinetra.events.customers import CustomerChange
from trinetra.values import CustomerId
from trinetra.wiring.stores import open_customer_log


async def test_merges_older_than_anonymous_people_are_kept_are_deleted(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    changes = [
        CustomerChange(
            change_id=who,
            change="merged",
            customer_id=CustomerId(who),
            other=CustomerId(f"{who}_too"),
            at=now - timedelta(days=days),
        )
        for who, days in {"old": 31, "young": 29}.items()
    ]
    engine = container(tmp_path, "engine")
    async with open_customer_log(engine) as customer_log:
        await customer_log.write(changes)
        async with running(container(tmp_path, "resolver"), engine):
            while len(merged := (await read_people(customer_log)).merged) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert merged == {"young": "young_too"}
