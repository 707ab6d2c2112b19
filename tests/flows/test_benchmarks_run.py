"""Benchmarks that take minutes run at their smallest: figures are not judged, only that they come.

A benchmark that no test runs breaks unseen when what it measures changes.
"""

from pathlib import Path

from trinetra.benchmarks import alerts, purchases, web, web_pages
from trinetra.benchmarks import insights as insights_bench
from trinetra.benchmarks.accuracy import Store
from trinetra.benchmarks.insight_days import StoreSize
from trinetra.benchmarks.insight_year import YearPlan
from trinetra.settings import Settings

WEEK = YearPlan(days=8, recorded=1)
SMALL = StoreSize(cameras=6, shoppers_per_hour=20.0)


def test_receipts_of_a_simulated_shop_are_attributed() -> None:
    run = purchases.measure_run(Store(shoppers_per_hour=240.0, hours=0.1), seed=1)
    assert run.sales == len(run.buyers) > 0
    assert {score.name for score in purchases.scores_of([run])} >= {
        "receipt_precision",
        "receipt_recall",
        "sales_conversion_error",
    }


async def test_figures_of_a_filled_store_are_timed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'insights.db'}"
    found = await insights_bench.year_figures(url, WEEK, 1, SMALL, rounds=1)
    assert found["recorded days equal those filled in"] is True
    assert found.keys() >= insights_bench.QUESTIONS.keys()


def test_every_page_is_timed_with_its_calls() -> None:
    found = web_pages.run(rounds=1, plan=WEEK, days=1, size=SMALL)
    assert [name for name, told in found.items() if "slowest call /v1/" not in told] == []


def test_alerts_reach_the_receiver(tmp_path: Path) -> None:
    found = alerts.run(10, 100.0, Settings(data_dir=tmp_path))
    assert (found["events"], found["repeated"]) == (10, 0)


def test_viewers_of_live_pictures_are_served() -> None:
    found = web.run(cameras=1, viewers=1, streams=1, seconds=1.0)
    assert found.keys() >= {"besides_encoding_share", "walls_a_second", "streams_share"}
