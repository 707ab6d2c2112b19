"""Single policies are changed to try them out; what cannot be set is told with what was meant."""

import pytest

from trinetra.errors import ConfigurationError
from trinetra.site import Site
from trinetra.site.overrides import with_overrides


def shop(**more: object) -> Site:
    camera = {"id": "door", "role": "entrance", "source": {"url": "rtsp://127.0.0.1:8554/door"}}
    return Site.model_validate({"site": "shop", "timezone": "UTC", "cameras": [camera], **more})


def test_values_are_set_by_full_path_and_by_short_path() -> None:
    changed = with_overrides(
        shop(),
        [
            "policies.matching.margin=0.05",
            "stays.visit_gap_s=60",
            "matching.similarity=0.8",
            "topology.max_walking_speed_mps = 3",
            "retention.anonymous_days=null",
        ],
    )
    assert changed.policies.matching.margin == 0.05
    assert changed.policies.stays.visit_gap_s == 60
    assert changed.policies.matching.similarity == 0.8
    assert changed.topology.max_walking_speed_mps == 3
    assert changed.policies.retention.anonymous_days is None


def test_without_any_the_site_stays_as_it_is() -> None:
    site = shop(policies={"matching": {"margin": 0.1}})
    assert with_overrides(site, []) == site


def test_a_default_that_follows_from_a_value_follows_it_here_too() -> None:
    assert with_overrides(shop(), ["matching.similarity=0.6"]).policies.matching.new_below == 0.6


def test_a_value_that_contradicts_another_one_is_refused_with_both() -> None:
    with pytest.raises(ConfigurationError, match=r"merge_at 0\.6 is less than 0\.72"):
        with_overrides(shop(), ["consolidation.merge_at=0.6"])


def test_the_last_of_several_counts() -> None:
    changed = with_overrides(shop(), ["matching.margin=0.1", "matching.margin=0.2"])
    assert changed.policies.matching.margin == 0.2


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("matching.similarty=0.7", "did you mean matching.similarity"),
        ("policies.matching.simlarity=0.7", "did you mean policies.matching.similarity"),
        ("cameras=3", "unknown key"),
        ("topology.edges=[]", "unknown key"),
        ("matching.similarity=1.7", "less than or equal to 1"),
        ("matching.similarity=high", "should be a number"),
        ("matching.similarity", "write KEY=VALUE"),
        ("matching.similarity=", "write KEY=VALUE"),
        ("matching.similarity=[1", "not closed"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_to_do(assignment: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        with_overrides(shop(), [assignment])


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as fault:
        with_overrides(shop(), ["nonsense=1", "more"])
    assert len(str(fault.value).splitlines()) == 2


def test_values_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="new_below"):
        with_overrides(shop(), ["matching.similarity=0.5", "matching.new_below=0.6"])
