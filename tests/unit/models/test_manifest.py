"""The packaged manifest, and the errors for invalid ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.errors import ConfigurationError
from trinetra.models.convert import _CONVERSIONS
from trinetra.models.fetch import ensure_model
from trinetra.models.manifest import (
    WEIGHTS_SUFFIX,
    Calibration,
    load_manifest,
    parse_manifest,
    profile,
)
from trinetra.models.progress import SilentProgress
from trinetra.values import Role

ALL_MODELS = load_manifest().model
DEFAULT_MODELS = profile("default").required
OPTIONAL_MODELS = {m.name: m for name in load_manifest().profiles for m in profile(name).optional}


def test_the_default_profile_binds_nobody() -> None:
    assert profile("default").notices == ()


def test_the_reference_profile_tells_both_of_its_terms() -> None:
    agpl, non_commercial = profile("reference").notices
    assert "AGPL-3.0" in agpl
    assert "non-commercial" in non_commercial


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'turbo'.*default, reference"):
        profile("turbo")


def test_a_model_cannot_do_another_task() -> None:
    with pytest.raises(ConfigurationError, match="yunet-2023mar is for face_find, not for detect"):
        load_manifest().compose(
            detector="yunet-2023mar",
            face_finder="yunet-2023mar",
            face_embedder="mobilefacenet-fr",
        )


def test_names_and_versions_are_unique_and_a_file_is_one_network() -> None:
    for key in ("name", "version"):
        values = [getattr(model, key) for model in ALL_MODELS]
        assert len(set(values)) == len(values)
    files = {(model.file, model.sha256) for model in ALL_MODELS}
    assert len(files) == len({file for file, _ in files})


def test_an_embedder_with_another_beside_it_has_the_dimensions_of_both() -> None:
    pair = profile("accurate")
    assert pair.face_beside == load_manifest().find("mobilefacenet-fr")
    alone = load_manifest().find("face-reidentification-retail-0095")
    assert pair.face_embedder.file == alone.file
    assert pair.face_embedder.dimension == alone.dimension + pair.face_beside.dimension
    assert pair.face_beside in pair.required


@pytest.mark.parametrize("model", DEFAULT_MODELS, ids=lambda model: model.name)
def test_a_default_model_has_a_digest_a_url_and_a_package(model) -> None:
    assert model.sha256
    assert model.size_bytes > 0
    assert {type(source).__name__ for source in model.source} >= {"UrlSource"}
    assert len(model.source) > 1


@pytest.mark.parametrize("model", OPTIONAL_MODELS.values(), ids=lambda model: model.name)
def test_an_optional_model_has_a_digest_binds_nobody_and_tells_how_to_obtain_it(model) -> None:
    assert model.sha256
    assert model.license in {"Apache-2.0", "MIT"}
    assert not model.notice
    assert model.obtain


@pytest.mark.parametrize(
    "model", [model for model in ALL_MODELS if model.weights], ids=lambda model: model.name
)
def test_the_sources_of_an_ir_deliver_its_graph_and_its_weights(model) -> None:
    graph = (model.file, model.sha256[0])
    weights = (model.file.replace(".xml", WEIGHTS_SUFFIX), model.weights.sha256)
    for source in model.source:
        assert [(file.name, file.sha256) for file in source.files] == [graph, weights]
        assert source.convert is None


def test_a_profile_keeps_the_optional_networks_that_there_are() -> None:
    whole = profile("default")
    assert whole.having([model.name for model in whole.models]) == whole
    assert whole.having(["nanodet-g-416"]).models == whole.required


def test_a_site_without_plates_needs_no_network_for_them() -> None:
    whole = profile("default")
    lost = {model.task for model in whole.models} - {m.task for m in whole.without_plates().models}
    assert lost == {"plate_find", "plate_read"}


PEOPLE, VEHICLES = {"person"}, {"bicycle", "car", "motorcycle", "bus", "truck"}


def test_a_camera_has_the_detector_of_its_role() -> None:
    whole = profile("default")
    for role in set(Role) - {Role.VEHICLE}:
        assert whole.detector_for(role, PEOPLE).name == "person-detection-0201"
    vehicles = whole.detector_for(Role.VEHICLE, VEHICLES)
    assert vehicles.name == "person-vehicle-bike-detection-2004"


@pytest.mark.parametrize(
    ("role", "labels"),
    [(Role.TRACKING, {"person", "car"}), (Role.VEHICLE, {"truck"}), (Role.VEHICLE, {"car"})],
    ids=["only people", "cars and trucks alike", "buses as cars"],
)
def test_a_camera_whose_labels_the_special_detector_cannot_tell_has_the_general_one(
    role: Role, labels: set[str]
) -> None:
    assert profile("default").detector_for(role, labels).name == "nanodet-g-416"


def test_a_camera_has_the_general_detector_where_that_of_its_role_is_missing() -> None:
    without = profile("default").having(["person-vehicle-bike-detection-2004"])
    assert without.detector_for(Role.ENTRANCE, PEOPLE) == without.detector
    assert without.detector_for(Role.VEHICLE, VEHICLES) != without.detector


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.name)
def test_a_model_can_be_fetched_or_tells_how_to_obtain_it(model) -> None:
    assert model.source or model.obtain


@pytest.mark.parametrize("model", ALL_MODELS, ids=lambda model: model.name)
def test_every_named_conversion_exists(model) -> None:
    assert {source.convert for source in model.source if source.convert} <= set(_CONVERSIONS)


def test_all_sources_of_a_model_deliver_the_same_raw_files() -> None:
    for model in DEFAULT_MODELS:
        raw = {frozenset((file.name, file.sha256) for file in s.files) for s in model.source}
        assert len(raw) == 1


def test_class_lists_are_filled_in() -> None:
    names = profile("default").detector.class_names
    assert len(names) == 80
    assert (names[0], names[2]) == ("person", "car")


@given(st.floats(-1, 1))
def test_similarity_and_cosine_are_inverse(cosine: float) -> None:
    calibration = Calibration()
    assert calibration.to_cosine(calibration.to_similarity(cosine)) == pytest.approx(cosine)


def test_the_specified_threshold_is_cosine_0_44() -> None:
    assert Calibration().to_cosine(0.72) == pytest.approx(0.44)


def test_rounding_beyond_one_stays_on_the_scale() -> None:
    assert Calibration().to_similarity(1.0000001) == 1.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"profiles = 3\nclass_lists = {}\nmodel = []", "profiles"),
        (b"profiles = {}\nclass_lists = {}\nmodel = []\nmodels = 1", "models"),
        (b'profiles = {}\nclass_lists = {}\n[[model]]\nclass_list = "coco"', "coco"),
        (b"profiles = [", "manifest"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_reason(text: bytes, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parse_manifest(text)


IN_A_WHEEL = "pp-ocrv6-det-small"
"""Fetched with pip where it is needed; the folder of ready-made files has none."""


@pytest.mark.weights
@pytest.mark.parametrize(
    "model",
    [model for model in ALL_MODELS if model.sha256 and model.name != IN_A_WHEEL],
    ids=lambda model: model.name,
)
def test_the_ready_made_file_is_accepted(model, models_dir, tmp_path) -> None:
    found = ensure_model(
        model, models_dir=models_dir, cache_dir=tmp_path, progress=SilentProgress()
    )
    assert found.name == model.file
    assert found.is_relative_to(models_dir)
