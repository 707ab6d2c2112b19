"""Discovery of labeled recordings: every documented layout, and messages for what is missing."""

import json
from pathlib import Path

import pytest

from trinetra.errors import ConfigurationError
from trinetra.evaluation.footage import LabeledView
from trinetra.evaluation.reading.footage import FoundFootage, find_footage

ROW = "1,1,10,20,30,40,1,-1,-1,-1\n"
LINE = {"id": "door", "a": [0.5, 0.4], "b": [0.5, 1.0]}


def put(path: Path, text: str | dict[str, object] = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def only(found: FoundFootage) -> LabeledView:
    assert len(found.views) == 1, found
    return found.views[0]


def test_a_video_beside_its_labels_is_a_view(tmp_path: Path) -> None:
    video, labels = put(tmp_path / "hall" / "hall.mp4"), put(tmp_path / "hall" / "gt.txt", ROW)
    put(tmp_path / "hall" / "seqinfo.ini", "[Sequence]\nframeRate=10\nseqLength=3\n")
    view = only(find_footage(tmp_path))
    assert (view.name, view.scene, view.fps) == ("hall", "hall", 10)
    assert (view.source, view.labels, view.counts) == (video, labels, None)


def test_motchallenge_folders_are_found_as_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "MOT17" / "train" / "MOT17-09-FRCNN"
    put(folder / "img1" / "000001.jpg")
    put(folder / "det" / "det.txt", ROW)
    labels = put(folder / "gt" / "gt.txt", ROW)
    put(folder / "seqinfo.ini", "[Sequence]\nframeRate=30\nseqLength=525\nimDir=img1\n")
    view = only(find_footage(tmp_path))
    assert view.name == "MOT17/train/MOT17-09-FRCNN"
    assert (view.source, view.labels, view.fps) == (folder / "img1", labels, 30)


def test_pictures_may_lie_beside_their_labels(tmp_path: Path) -> None:
    put(tmp_path / "hall" / "1.jpg")
    put(tmp_path / "hall" / "gt.txt", ROW)
    put(tmp_path / "album" / "holiday.jpg")
    found = find_footage(tmp_path)
    assert only(found).source == tmp_path / "hall"
    assert only(found).fps == 25
    assert "its frame rate is unknown and taken as 25" in found.problems[0]


def test_the_folder_itself_may_be_one_recording(tmp_path: Path) -> None:
    put(tmp_path / "a.avi")
    put(tmp_path / "gt.txt", ROW)
    assert only(find_footage(tmp_path)).name == tmp_path.name


def test_cvml_is_matched_by_the_name_of_its_recording(tmp_path: Path) -> None:
    for name, view in (("cols1gt", "OneLeaveShop1cor"), ("fols1gt", "OneLeaveShop1front")):
        put(tmp_path / "shop" / f"{view}.mpg")
        put(tmp_path / "shop" / f"{name}.xml", f'<?xml version="1.0"?><dataset name="{view}"/>')
    found = {view.name: view.labels for view in find_footage(tmp_path).views}
    assert found == {
        "shop/oneleaveshop1cor": tmp_path / "shop" / "cols1gt.xml",
        "shop/oneleaveshop1front": tmp_path / "shop" / "fols1gt.xml",
    }


def test_cvml_may_have_the_name_of_the_video(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / f"{name}.avi")
        put(tmp_path / f"{name}.xml", '<dataset name="S2.L1"/>')
    views = find_footage(tmp_path).views
    assert [v.labels for v in views] == [tmp_path / "a.xml", tmp_path / "b.xml"]


def test_views_of_one_folder_are_told_apart_by_prefix(tmp_path: Path) -> None:
    for key in ("cor", "front"):
        put(tmp_path / "shop" / f"Walk1{key}.mpg")
        put(tmp_path / "shop" / f"{key}_gt.txt", ROW)
    put(tmp_path / "shop" / "spec_cor.json", {"lines": [LINE]})
    cor, front = find_footage(tmp_path).views
    assert (cor.name, front.name) == ("shop/cor", "shop/front")
    assert cor.labels == tmp_path / "shop" / "cor_gt.txt"
    assert front.counts is None
    assert cor.counts is not None
    assert cor.counts.lines[0].into_us is None, "nobody counted at a line that is only specified"


def test_counts_of_boxes_and_by_hand_are_read(tmp_path: Path) -> None:
    put(tmp_path / "door.mp4")
    event = {"dir": "pos", "frame": 50, "pm": 5, "who": "a man"}
    put(
        tmp_path / "counts_manual.json",
        {"fps": 25, "lines": [LINE | {"pos": 1, "neg": 0, "events": [event]}]},
    )
    zone = {"id": "table", "poly": [[0, 0], [1, 0], [1, 1]], "list": [{"from": 1, "to": 50}]}
    put(tmp_path / "counts.json", {"lines": [], "zones": [zone]})
    counts = only(find_footage(tmp_path)).counts
    assert counts is not None
    assert (counts.lines[0].into_us, counts.lines[0].out_us) == ((2_000_000,), ())
    assert counts.zones[0].stays_us == ((0, 2_000_000),)
    facts = counts.facts(start_us=1_000_000, min_dwell_s=2.0)
    assert [c.at_us for c in facts.crossings or ()] == [3_000_000]
    assert [s.entered_us for s in facts.stays or ()] == [1_000_000]
    assert counts.facts(0, min_dwell_s=2.5).stays == ()


def test_hand_counts_of_several_views_name_their_files(tmp_path: Path) -> None:
    document: dict[str, object] = {"fps": 25}
    for key in ("left", "right"):
        put(tmp_path / "pair" / f"{key}.mp4")
        document[key] = {"file": f"{key}.mp4", "lines": [LINE | {"id": key, "events": []}]}
    put(tmp_path / "pair" / "counts_manual.json", document)
    found = find_footage(tmp_path).views
    lines = {view.name: view.counts and view.counts.lines[0].id for view in found}
    assert lines == {"pair/left": "left", "pair/right": "right"}


def test_notes_add_what_the_labels_do_not_say(tmp_path: Path) -> None:
    put(tmp_path / "hall" / "hall.mp4")
    put(tmp_path / "hall" / "gt.txt", ROW)
    put(
        tmp_path / "footage.toml",
        "[hall]\nscene='mall'\nignore=[[0.1,0.2,0.3,0.4]]\npeople=[2,4]\nempty_s=[[1,2.5]]\n"
        "identifiable=0\nignores_cut_off=true\n",
    )
    view = only(find_footage(tmp_path))
    assert (view.scene, view.ignored) == ("mall", ((0.1, 0.2, 0.3, 0.4),))
    assert view.counts is not None
    assert view.counts.people == (2, 4)
    assert (view.empty_us, view.identifiable) == (((1_000_000, 2_500_000),), 0)
    assert view.ignores_cut_off


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    put(tmp_path / "bare" / "bare.mp4")
    put(tmp_path / "footage.toml", "['bare/left']\npeople=1\n")
    found = find_footage(tmp_path)
    assert found.views == ()
    assert [problem.split(str(tmp_path))[-1] for problem in found.problems] == [
        "/bare/bare.mp4: neither labels nor counts beside it; left out",
        "",
    ]
    assert "bare/left" in found.problems[1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("footage.toml", "[hall]\npeople='many'\n", "footage.toml: Expected"),
        ("footage.toml", "[hall\n", "footage.toml: "),
        ("hall/counts.json", '{"lines": [{"id": "x"}]}', "counts.json: Object missing"),
        ("hall/counts.json", "{", "counts.json: "),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    put(tmp_path / "hall" / "hall.mp4")
    put(tmp_path / name, text)
    with pytest.raises(ConfigurationError, match=message):
        find_footage(tmp_path)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a folder of labeled recordings"):
        find_footage(tmp_path / "nowhere")
