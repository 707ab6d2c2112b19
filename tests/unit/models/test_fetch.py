"""Search order for a network's file, and files that must never be returned."""

import threading
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from trinetra.errors import ModelUnavailable, StorageFull
from trinetra.models.fetch import ensure_model, find_model
from trinetra.models.manifest import Weights

WEIGHTS = b"weights" * 500


@pytest.fixture
def cache_dir(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def spec(site, make_spec, url_source):
    site.files["raw.bin"] = WEIGHTS
    return make_spec(url_source(site.remote("raw.bin")), content=WEIGHTS)


@pytest.fixture
def ensure(cache_dir, progress, downloader):
    def find(spec, models_dir: Path | None = None) -> Path:
        return ensure_model(
            spec,
            models_dir=models_dir,
            cache_dir=cache_dir,
            progress=progress,
            downloader=downloader,
        )

    return find


@pytest.fixture
def models_folder(tmp_path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_the_models_folder_comes_first(spec, ensure, models_folder, site) -> None:
    (models_folder / spec.file).write_bytes(WEIGHTS)
    assert ensure(spec, models_folder) == models_folder / spec.file
    assert site.asked == []


def test_a_file_below_the_models_folder_is_chosen_by_its_digest(
    spec, ensure, models_folder, site
) -> None:
    for precision, content in (("FP16", b"half the weights"), ("FP32", WEIGHTS)):
        (models_folder / "tiny" / precision).mkdir(parents=True)
        (models_folder / "tiny" / precision / spec.file).write_bytes(content)
    assert ensure(spec, models_folder) == models_folder / "tiny" / "FP32" / spec.file
    assert site.asked == []


def test_looking_for_a_file_fetches_nothing(spec, ensure, cache_dir, models_folder, site) -> None:
    places = {"models_dir": models_folder, "cache_dir": cache_dir}
    assert find_model(spec, **places) is None
    assert site.asked == []
    path = ensure(spec)
    assert find_model(spec, **places) == path
    path.write_bytes(WEIGHTS[:100])
    assert find_model(spec, **places) is None


def test_what_the_models_folder_lacks_is_fetched(spec, ensure, models_folder, cache_dir) -> None:
    assert ensure(spec, models_folder) == cache_dir / "models" / spec.file


def test_a_truncated_file_in_the_models_folder_is_reported_and_left_alone(
    spec, ensure, models_folder, site, digest
) -> None:
    own = models_folder / spec.file
    own.write_bytes(WEIGHTS[:-1])
    with pytest.raises(ModelUnavailable) as failure:
        ensure(spec, models_folder)
    message = str(failure.value)
    for part in (str(own), "3499 bytes", "3500 bytes", digest(WEIGHTS), digest(WEIGHTS[:-1])):
        assert part in message
    assert "Replace it" in message
    assert own.read_bytes() == WEIGHTS[:-1]
    assert site.asked == []


def test_a_models_folder_that_does_not_exist_is_a_mistake(spec, ensure, tmp_path) -> None:
    with pytest.raises(ModelUnavailable, match=r"does not exist.*TRINETRA_MODELS_DIR"):
        ensure(spec, tmp_path / "modles")


def test_a_folder_in_place_of_the_file_is_reported(spec, ensure, models_folder) -> None:
    (models_folder / spec.file).mkdir()
    with pytest.raises(ModelUnavailable, match="cannot read"):
        ensure(spec, models_folder)


def test_the_second_time_nothing_is_asked_for(spec, ensure, site) -> None:
    first = ensure(spec)
    assert ensure(spec) == first
    assert first.read_bytes() == WEIGHTS
    assert len(site.asked) == 1


def test_a_damaged_cached_file_is_set_aside_and_fetched_again(spec, ensure, progress) -> None:
    path = ensure(spec)
    path.write_bytes(WEIGHTS[:100])
    assert ensure(spec).read_bytes() == WEIGHTS
    assert path.with_name(f"{spec.file}.damaged").read_bytes() == WEIGHTS[:100]
    assert "damaged" in progress.notes[0]


def test_nothing_but_the_file_and_its_receipt_stays_in_the_cache(spec, ensure, cache_dir) -> None:
    ensure(spec)
    left = {path.name for path in cache_dir.rglob("*") if path.is_file()}
    assert left == {spec.file, f"{spec.file}.receipt.json", f".{spec.file}.lock"}


def test_the_next_source_is_asked_when_the_first_has_nothing(
    site, make_spec, url_source, ensure, progress
) -> None:
    site.files["good.bin"] = WEIGHTS
    missing = url_source(site.remote("missing.bin", WEIGHTS))
    spec = make_spec(missing, url_source(site.remote("good.bin")), content=WEIGHTS)
    assert ensure(spec).read_bytes() == WEIGHTS
    assert "missing.bin: HTTP status 404" in progress.notes[0]


def test_when_no_source_works_all_that_was_tried_is_named(
    site, make_spec, url_source, ensure, cache_dir
) -> None:
    sources = [url_source(site.remote(name, WEIGHTS)) for name in ("one.bin", "two.bin")]
    with pytest.raises(ModelUnavailable) as failure:
        ensure(make_spec(*sources, content=WEIGHTS))
    for part in ("tiny.onnx", "one.bin", "two.bin", str(cache_dir), "TRINETRA_MODELS_DIR"):
        assert part in str(failure.value)


def test_a_file_that_is_the_users_own_is_taken_as_it_is(make_spec, ensure, models_folder) -> None:
    spec = make_spec(obtain="Export your own.")
    (models_folder / spec.file).write_bytes(b"anything")
    assert ensure(spec, models_folder) == models_folder / spec.file


def test_without_it_the_user_is_told_how_to_obtain_it(make_spec, ensure) -> None:
    with pytest.raises(ModelUnavailable, match="Export your own"):
        ensure(make_spec(obtain="Export your own."))


def test_a_full_disk_says_so(spec, ensure, cache_dir) -> None:
    raw = cache_dir / "models" / "raw" / spec.name
    raw.mkdir(parents=True)
    (raw / "raw.bin.part").symlink_to("/dev/full")
    with pytest.raises(StorageFull, match="free some"):
        ensure(spec)


def test_a_cache_that_is_no_folder_is_reported_with_the_setting(spec, ensure, cache_dir) -> None:
    cache_dir.write_bytes(b"a file")
    with pytest.raises(ModelUnavailable, match="TRINETRA_CACHE_DIR"):
        ensure(spec)


def test_processes_that_start_together_fetch_once(spec, ensure, site) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(ensure(spec))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(site.asked) == 1


@pytest.fixture
def convertible(site, make_spec, url_source):
    """A source of a small real network, whose finished bytes are not in the manifest."""
    shape = [1, 1, 2, 2]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["image"], ["result"])],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, shape)],
    )
    site.files["raw.onnx"] = helper.make_model(graph).SerializeToString()
    return make_spec(url_source(site.remote("raw.onnx"), convert="dynamic_batch"))


def test_a_converted_file_is_known_again_by_its_receipt(convertible, ensure, site) -> None:
    assert ensure(convertible) == ensure(convertible)
    assert len(site.asked) == 1


def test_a_converted_file_that_was_cut_short_is_found_out(convertible, ensure, site) -> None:
    path = ensure(convertible)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert ensure(convertible).read_bytes() == whole
    assert len(site.asked) == 2


def test_a_damaged_receipt_proves_nothing(convertible, ensure, site) -> None:
    path = ensure(convertible)
    path.with_name(f"{path.name}.receipt.json").write_bytes(b"{")
    ensure(convertible)
    assert len(site.asked) == 2


def test_a_new_version_is_converted_anew(convertible, ensure, site, make_spec) -> None:
    ensure(convertible)
    ensure(make_spec(*convertible.source, version="tiny@2"))
    assert len(site.asked) == 2


def test_raw_files_of_a_stopped_run_are_not_fetched_again(
    convertible, ensure, site, cache_dir
) -> None:
    raw = cache_dir / "models" / "raw" / convertible.name
    raw.mkdir(parents=True)
    (raw / "raw.onnx").write_bytes(site.files["raw.onnx"])
    ensure(convertible)
    assert site.asked == []


def test_a_source_that_cannot_be_converted_is_one_that_failed(
    site, make_spec, url_source, ensure
) -> None:
    site.files["raw.onnx"] = b"no network"
    spec = make_spec(url_source(site.remote("raw.onnx"), convert="dynamic_batch"))
    with pytest.raises(ModelUnavailable, match=r"tiny cannot be converted from it: raw\.onnx"):
        ensure(spec)


GRAPH = b"<net name='tiny'/>"


@pytest.fixture
def ir(site, make_spec, url_source, digest):
    site.files |= {"tiny.xml": GRAPH, "tiny.bin": WEIGHTS}
    return make_spec(
        url_source(site.remote("tiny.xml"), site.remote("tiny.bin")),
        content=GRAPH,
        file="tiny.xml",
        weights=Weights(sha256=digest(WEIGHTS), size_bytes=len(WEIGHTS)),
    )


def test_an_ir_is_fetched_with_its_weights_beside_it(ir, ensure, site) -> None:
    path = ensure(ir)
    assert path.read_bytes() == GRAPH
    assert path.with_suffix(".bin").read_bytes() == WEIGHTS
    assert ensure(ir) == path
    assert len(site.asked) == 2


def test_an_ir_whose_weights_are_damaged_is_fetched_again(ir, ensure) -> None:
    weights = ensure(ir).with_suffix(".bin")
    weights.write_bytes(WEIGHTS[:-1])
    ensure(ir)
    assert weights.read_bytes() == WEIGHTS


@pytest.mark.parametrize("weights", [None, WEIGHTS[:-1]], ids=["missing", "truncated"])
def test_an_ir_of_the_users_without_its_weights_is_reported(
    ir, ensure, models_folder, site, weights
) -> None:
    (models_folder / "tiny.xml").write_bytes(GRAPH)
    if weights is not None:
        (models_folder / "tiny.bin").write_bytes(weights)
    with pytest.raises(ModelUnavailable, match=r"tiny\.bin is missing or not the declared file"):
        ensure(ir, models_folder)
    assert site.asked == []
