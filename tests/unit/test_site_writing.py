"""A site that was read from no file is written as one that says the same."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from trinetra.commands.demo import demo_site
from trinetra.models.samples import Clip
from trinetra.site import Site, load_site, site_from_text
from trinetra.site.example import EXAMPLE
from trinetra.site.writing import site_text
from trinetra.values import Role
from trinetra.wiring.simulated_shop import SimulatedShop

CLIPS = {role: Clip(Path(f"/clips/{role}: one, two #3.mp4"), "here") for role in Role}
SITES = {
    "example": site_from_text(EXAMPLE),
    "demo": demo_site(CLIPS, loop=True),
    "simulated": SimulatedShop.of(datetime(2026, 11, 30, 12, tzinfo=UTC)).site,
}


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_a_written_site_says_the_same(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(site_text(site))
    assert load_site(path) == site


def test_the_same_site_is_written_the_same_way_and_without_what_its_roles_set() -> None:
    written = site_text(SITES["simulated"])
    assert "labels: [bicycle, bus, car, motorcycle, truck]" in written
    assert "lines: []" not in written
    assert "native_max_side" not in written
