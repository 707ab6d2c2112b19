"""Scores of plates: what counts as exact, how characters are counted, and what a check refuses."""

from pathlib import Path

import pytest

from trinetra.benchmarks.real_plates import (
    OURS,
    PlatePhoto,
    PlateResult,
    _sheets,
    find_photos,
    plate_shortfalls,
)
from trinetra.errors import ConfigurationError


def result(plate, text, region="eu", reader=OURS, took_s=0.1):
    return PlateResult(PlatePhoto(region, Path(f"{plate}.jpg"), plate), reader, text, took_s)


@pytest.mark.parametrize(
    ("plate", "text", "errors"),
    [("AB12", "AB12", 0), ("AB12", "A812", 1), ("AB12", "AB1", 1), ("AB12", "", 4)],
)
def test_each_wrong_or_lost_character_is_an_error(plate, text, errors):
    assert result(plate, text).errors == errors
    assert result(plate, text).is_exact is (errors == 0)


def test_noise_beyond_the_plate_costs_no_more_than_the_whole_plate():
    assert result("AB12", "XXXXXXXXXXXX").errors == 4


def test_regions_and_all_photos_have_a_sheet_with_a_wilson_interval():
    results = [result("AB12", "AB12"), result("CD34", "C034"), result("EF56", "EF56", "us")]
    eu, us, whole = _sheets(results)
    assert [sheet.basis["photos"] for sheet in (eu, us, whole)] == [2, 1, 3]
    assert (eu.value("exact", OURS), us.value("exact", OURS)) == (0.5, 1.0)
    assert whole.value("characters", OURS) == pytest.approx(11 / 12)
    interval = next(score.interval for score in whole.scores if score.name == "exact")
    assert interval.low == pytest.approx(0.208, abs=0.001)
    assert interval.high == pytest.approx(0.939, abs=0.001)


def test_a_check_refuses_two_plates_fewer_and_allows_one():
    def sheets(exact):
        texts = [f"AB{n}" if n < exact else "" for n in range(5)]
        return _sheets([result(f"AB{n}", text) for n, text in enumerate(texts)])

    assert plate_shortfalls(sheets(4), sheets(5)) == []
    assert plate_shortfalls(sheets(3), sheets(5)) == [
        "exact plates of eu are 3, were 5",
        "exact plates of all are 3, were 5",
    ]


def test_a_folder_without_labels_and_a_damaged_label_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="REGION/PHOTO"):
        find_photos(tmp_path)
    (tmp_path / "eu").mkdir()
    (tmp_path / "eu" / "a.txt").write_text("a.jpg\t1\t2\t3\tAB12\n")
    with pytest.raises(ConfigurationError, match=r"a\.txt:1: 5 fields"):
        find_photos(tmp_path)
    (tmp_path / "eu" / "a.txt").write_text("a.jpg\t1\t2\t3\t4\tab-12\n")
    assert find_photos(tmp_path)[0].plate == "AB12"
