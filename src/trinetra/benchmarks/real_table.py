"""Tables of the scores on labeled recordings, for the terminal and for the page about accuracy."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trinetra.benchmarks.real import Row, means, reach_of
from trinetra.evaluation.scores import Score, ScoreSheet

_FALSE = ("false_identities", "tracks_while_empty")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text: its title, headings, and rows; the first ``names`` columns are names."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int


def tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield the tables of tracks, detections and counts, as far as they were measured."""
    labeled = [row for row in rows if row.value("hota") is not None]
    if labeled:
        yield _tracks([*means(labeled), *labeled])
    if detected := [row for row in labeled if row.score("average_precision")]:
        yield _detections(detected)
    if counted := [row for row in rows if any(_counts(row))]:
        yield _counts_table(counted)


def face_tables(sheets: Sequence[ScoreSheet]) -> Iterator[Table]:
    """Yield the table of faces, if any were scored: a row for each folder of people."""
    if not sheets:
        return
    yield Table(
        "faces",
        ("folder", "people", *(score.name.replace("_", " ") for score in sheets[0].scores)),
        tuple(
            (str(s.basis["folder"]), str(s.basis["people"]), *map(_rate, s.scores)) for s in sheets
        ),
        names=2,
    )


def plate_tables(sheets: Sequence[ScoreSheet]) -> Iterator[Table]:
    """Yield the table of license plates, if any were read: rows for each region and reader."""
    if not sheets:
        return
    yield Table(
        "plates",
        ("region", "reader", "photos", "exact", "share", "characters", "CPU ms a photo"),
        tuple(
            (str(sheet.basis["region"]), reader, *_plates(sheet, reader))
            for sheet in sheets
            for reader in dict.fromkeys(score.of for score in sheet.scores)
        ),
        names=2,
    )


def _plates(sheet: ScoreSheet, reader: str) -> tuple[str, ...]:
    exact, characters, time_s = (
        next(score for score in sheet.scores if (score.name, score.of) == (name, reader))
        for name in ("exact", "characters", "time")
    )
    low, high = exact.interval or (0.0, 1.0)
    return (
        str(exact.n),
        _count(exact.found),
        f"{exact.value or 0:.1%} ({low:.0%} to {high:.0%})",
        f"{characters.value or 0:.1%}",
        f"{1000 * (time_s.value or 0):.0f}",
    )


def _rate(score: Score) -> str:
    """Return a rate with its interval, which is not symmetrical near 0."""
    if score.value is None or score.interval is None:
        return f"{_count(score.value)} of {score.n}"
    low, high = score.interval
    return f"{score.value:.3%} ({low:.3%} to {high:.3%})"


def _tracks(rows: Iterable[Row]) -> Table:
    return Table(
        "tracks",
        ("recording", "fps", "tracker", "HOTA", "IDF1", "MOTA", "switches", "fragmentations"),
        tuple(
            (
                row.view,
                _rate_cell(row.fps),
                row.tracker,
                *(_share(row.score(name)) for name in ("hota", "idf1", "mota")),
                *(_count(row.value(name)) for name in ("id_switches", "fragmentations")),
            )
            for row in rows
        ),
        names=3,
    )


def _detections(rows: Iterable[Row]) -> Table:
    names = ("average_precision", "recall", "precision")
    return Table(
        "detections",
        ("recording", "fps", "average precision", "recall", "precision"),
        tuple(
            (row.view, _rate_cell(row.fps), *(_share(row.score(name)) for name in names))
            for row in rows
        ),
        names=2,
    )


def _counts_table(rows: Sequence[Row]) -> Table:
    return Table(
        "counts",
        (
            "recording",
            "fps",
            "tracks for people",
            "crossings",
            "stays",
            "dwell error",
            "false identities",
            "tracks while empty",
        ),
        (
            *(_sums([r for r in rows if r.fps == fps]) for fps in sorted({r.fps for r in rows})),
            *((row.view, _rate_cell(row.fps), *_counts(row)) for row in rows),
        ),
        names=2,
    )


def _sums(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the row of the sums over all counted recordings at one rate."""
    people, crossings, stays = (
        [score for row in rows if (score := row.score(*name))]
        for name in (("agreement", "people"), ("f1", "crossings"), ("f1", "stays"))
    )
    return (
        "all counted views",
        _rate_cell(rows[0].fps),
        _people(people),
        _matched(crossings),
        _matched(stays),
        "",
        *(_total(row.value(name) for row in rows) for name in _FALSE),
    )


def _counts(row: Row) -> tuple[str, ...]:
    """Return the cells of a row of counts; what was not counted is empty."""
    dwell_s = row.value("dwell_error", "stays")
    return (
        _people([s for s in (row.score("agreement", "people"),) if s]),
        _matched([s for s in (row.score("f1", "crossings"),) if s]),
        _matched([s for s in (row.score("f1", "stays"),) if s]),
        "" if dwell_s is None else f"{dwell_s:+.1f} s",
        *(_total([row.value(name)]) for name in _FALSE),
    )


def _people(scores: Sequence[Score]) -> str:
    found, true = (sum(v or 0 for v in side) for side in _sides(scores))
    return f"{found:g} for {true:g}" if scores else ""


def _matched(scores: Sequence[Score]) -> str:
    found, true = (sum(v or 0 for v in side) for side in _sides(scores))
    hits = sum(score.n or 0 for score in scores)
    return f"{hits} of {true:g}, {found - hits:g} false" if scores else ""


def _sides(scores: Sequence[Score]) -> tuple[list[float | None], list[float | None]]:
    return [score.found for score in scores], [score.truth for score in scores]


def _total(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known):g}" if known else ""


def _rate_cell(fps: float) -> str:
    return f"{fps:g}" if fps else "role"


def _share(score: Score | None) -> str:
    if score is None or score.value is None:
        return ""
    reach = reach_of(score)
    return f"{score.value:.3f}" + ("" if reach is None else f" ± {reach:.3f}")


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


_PAGE = """## On real footage

`trinetra eval real --write` writes this section. Recordings of fixed cameras with labels of every
person in every frame, or with counts taken by eye, run through the platform as wiring builds it:
ingestor, worker, resolver and insight engine, with the settings of a live camera of the role
`entrance`. Its frame rate follows motion between 5 and 10 (`role`), or is fixed. Scored are the
published tracks and insights. Stock trackers (roboflow `trackers` 2.6 with its defaults, but tracks
start at 0.45) get the same boxes. After ± is half of the 95 % interval over
ten spans of time: the clips have 3 to 67 seconds, so single recordings say little, and the four
labeled ones show three places. `docs/evaluation.md` defines the scores and how to add recordings.
"""
_PLATES = """\
Plates are photos of the OpenALPR benchmark (AGPL-3.0; not distributed with this project), read as
frames of a camera of the role `vehicle`. `rapidocr alone` (PP-OCR on the whole photo, its surest
text of four to nine characters) sees the same photos in turn, both on one thread; our time includes
encoding the frame and detecting vehicles. `trinetra` corrects by the formats of all countries of
the region, `without formats` is as read. In parentheses is the 95 % Wilson interval: sixteen photos
cannot tell 93 % from 75 %.
"""
_CREDITS = """\
The recordings are of EC Funded CAVIAR project/IST 2001 37540 (CC BY-SA), and TUD Campus and TUD
Stadtmitte (Andriluka, Roth and Schiele, CVPR 2008 and 2010). They are not distributed with this
project.
"""


def as_text(table: Table) -> str:
    """Return a table for a terminal or a pipe; long rows are not wrapped."""
    cells = (table.headings, *table.rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        names = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        numbers = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        padded = [*list(names)[: table.names], *list(numbers)[table.names :]]
        lines.append("  ".join(padded).rstrip())
    return "\n".join([table.title, *lines, ""])


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the section of the page, from a document of ``as_document``."""
    rows = [Row.of_json(row) for row in document["rows"]]
    parts = [_PAGE]
    faces = [ScoreSheet.of_json(sheet) for sheet in document["faces"]]
    plates = [ScoreSheet.of_json(sheet) for sheet in document.get("plates", ())]
    for table in (*tables(rows), *face_tables(faces), *plate_tables(plates)):
        parts.append(f"### {table.title.capitalize()}\n")
        parts.append("\n".join(_lines(table)) + "\n")
    if plates:
        parts.append(_PLATES)
    return "\n".join([*parts, _CREDITS])


def _lines(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(table.headings) + " |"
    numbers = len(table.headings) - table.names
    yield "|" + " --- |" * table.names + " ---: |" * numbers
    for row in table.rows:
        yield "| " + " | ".join(row) + " |"


def as_document(
    version: str,
    models: Mapping[str, str],
    rows: Iterable[Row],
    faces: Iterable[ScoreSheet] = (),
    plates: Iterable[ScoreSheet] = (),
) -> dict[str, Any]:
    """Return all scores as plain values, with the versions that they were measured on."""
    return {
        "trinetra": version,
        "models": dict(models),
        "rows": [row.as_json() for row in rows],
        "faces": [sheet.as_json() for sheet in faces],
        "plates": [sheet.as_json() for sheet in plates],
    }
