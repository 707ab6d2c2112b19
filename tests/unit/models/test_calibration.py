"""Calibration files: found for their model, refused for others, and applied by resolvers."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from trinetra.errors import ConfigurationError
from trinetra.impostors import ImpostorTail
from trinetra.models.calibration import (
    CalibrationFile,
    ReferenceStatistics,
    calibrated,
    calibration_path,
    write_calibration,
)
from trinetra.models.manifest import (
    FaceEmbedderModel,
    ImpostorStatistics,
    SizedTail,
    load_manifest,
)
from trinetra.site import Site
from trinetra.wiring.config import consolidation_policy, recognition_policy, resolver_policy
from trinetra.wiring.thresholds import open_set_target


def embedder() -> FaceEmbedderModel:
    return load_manifest().profile("default").face_embedder


def measured(**changes: object) -> CalibrationFile:
    found = CalibrationFile(
        model=embedder().version,
        sha256="0" * 64,
        declared=embedder().sha256,
        measured_at=datetime(2026, 11, 22, tzinfo=UTC),
        people=40,
        pictures=200,
        similarity=0.8,
        thresholds=(),
        curve=(),
        reference=ReferenceStatistics((), (), ()),
    )
    return msgspec.structs.replace(found, **changes)


def site(**matching: float) -> Site:
    camera = {"id": "door", "role": "entrance", "source": {"url": "rtsp://127.0.0.1:8554/door"}}
    policies = {"matching": matching} if matching else {}
    return Site.model_validate(
        {"site": "shop", "timezone": "UTC", "cameras": [camera], "policies": policies}
    )


def test_resolvers_take_the_measured_threshold_and_keep_the_gap_for_doubt(tmp_path: Path) -> None:
    write_calibration(calibration_path(tmp_path, embedder()), measured())
    policy = recognition_policy(site(), calibrated(embedder(), tmp_path).calibration).matching
    assert policy.similarity == 0.8
    assert policy.new_below == pytest.approx(0.74)


def test_what_the_site_file_says_goes_before_what_was_measured(tmp_path: Path) -> None:
    write_calibration(calibration_path(tmp_path, embedder()), measured())
    model = calibrated(embedder(), tmp_path)
    policy = recognition_policy(site(similarity=0.75), model.calibration).matching
    assert policy.similarity == 0.75


def test_merging_keeps_its_distance_to_a_threshold_that_the_calibration_raised(
    tmp_path: Path,
) -> None:
    write_calibration(calibration_path(tmp_path, embedder()), measured(similarity=0.9))
    calibration = calibrated(embedder(), tmp_path).calibration
    policy = consolidation_policy(site(), calibration)
    assert policy.merge_at > policy.propose_at > 0.9
    policy = consolidation_policy(site(), embedder().calibration)
    assert (policy.merge_at, policy.propose_at) == (0.84, 0.78)


@pytest.mark.parametrize("similarity", [0.5, 0.72, 0.8, 0.9, 0.99])
def test_no_identities_are_merged_whose_faces_would_not_match(
    tmp_path: Path, similarity: float
) -> None:
    write_calibration(calibration_path(tmp_path, embedder()), measured(similarity=similarity))
    calibration = calibrated(embedder(), tmp_path).calibration
    assert consolidation_policy(site(), calibration).merge_at >= similarity


def test_a_set_merge_limit_below_the_measured_threshold_is_refused_with_both(
    tmp_path: Path,
) -> None:
    write_calibration(calibration_path(tmp_path, embedder()), measured(similarity=0.9))
    calibration = calibrated(embedder(), tmp_path).calibration
    given = site().model_dump(exclude_unset=True)
    given["policies"] = {"consolidation": {"merge_at": 0.85}}
    with pytest.raises(ConfigurationError, match=r"0\.85 is less than 0\.9.*calibration"):
        consolidation_policy(Site.model_validate(given), calibration)


def test_a_reorder_window_has_room_for_all_frames_of_its_time() -> None:
    given = site().model_dump(exclude_unset=True)
    given["policies"] = {"tracking": {"reorder_window_s": 10.0}}
    policy = resolver_policy(Site.model_validate(given))
    fastest = max(camera.fps_ceiling for camera in site().cameras)
    assert policy.window[0] > 10.0 * fastest


def test_without_a_calibration_the_manifest_holds(tmp_path: Path) -> None:
    assert calibrated(embedder(), tmp_path) == embedder()


@pytest.mark.parametrize("other", [{"model": "other@1"}, {"declared": ("1" * 64,)}])
def test_a_calibration_of_another_network_is_refused(tmp_path: Path, other: dict) -> None:
    write_calibration(calibration_path(tmp_path, embedder()), measured(**other))
    with pytest.raises(ConfigurationError, match="trinetra models calibrate again"):
        calibrated(embedder(), tmp_path)


def test_a_file_that_is_no_calibration_is_named(tmp_path: Path) -> None:
    path = calibration_path(tmp_path, embedder())
    path.parent.mkdir()
    path.write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match="not a calibration file"):
        calibrated(embedder(), tmp_path)


def test_thresholds_are_derived_from_the_target_unless_the_site_fixes_the_similarity() -> None:
    calibration = embedder().calibration
    target = open_set_target(site(false_positive_identification_rate=0.01), calibration)
    assert target is not None
    assert target.rate == 0.01
    assert set(target.tails) == {32.0, 48.0}
    kept = open_set_target(site(margin=0.05), calibration)
    assert kept is not None
    assert kept.keeps == {"margin"}
    assert open_set_target(site(similarity=0.75), calibration) is None


def test_a_rate_cannot_be_asked_of_a_network_without_impostor_statistics() -> None:
    bare = msgspec.structs.replace(embedder().calibration, impostors=None)
    assert open_set_target(site(), bare) is None
    with pytest.raises(ConfigurationError, match="no impostor statistics"):
        open_set_target(site(false_positive_identification_rate=0.01), bare)


@pytest.mark.parametrize(("people", "taken"), [(30, True), (29, False)])
def test_the_tail_of_a_calibration_is_taken_if_it_has_enough_people(
    tmp_path: Path, people: int, taken: bool
) -> None:
    own = ImpostorStatistics(
        tails=(SizedTail(face_px=32, tail=ImpostorTail(0.6, 0.02, 0.01)),),
        people=people,
        pictures=100,
        measured_on="this shop",
    )
    write_calibration(calibration_path(tmp_path, embedder()), measured(impostors=own))
    found = calibrated(embedder(), tmp_path).calibration.impostors
    assert found == (own if taken else embedder().calibration.impostors)
