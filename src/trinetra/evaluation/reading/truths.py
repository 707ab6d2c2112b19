"""Reads ground truth in any supported format."""

from enum import StrEnum
from pathlib import Path

from trinetra.evaluation.reading.cvml import read_cvml
from trinetra.evaluation.reading.lines import require_file
from trinetra.evaluation.reading.motchallenge import read_motchallenge
from trinetra.evaluation.reading.twin import read_twin
from trinetra.evaluation.truth import Truth


class TruthFormat(StrEnum):
    """Formats of ground truth files."""

    MOTCHALLENGE = "motchallenge"
    CVML = "cvml"
    TWIN = "twin"


_BY_SUFFIX = {
    ".xml": TruthFormat.CVML,
    ".jsonl": TruthFormat.TWIN,
    ".ndjson": TruthFormat.TWIN,
}


def read_truth(
    path: Path,
    *,
    written_as: TruthFormat | None = None,
    fps: float | None = None,
    label: str | None = "person",
) -> Truth:
    """Return the ground truth in a file; without ``written_as`` the suffix decides the format.

    ``label`` selects the objects of the twin's truth; the other formats annotate only people.
    Raises ConfigurationError with file and line.
    """
    require_file(path)
    match written_as or _BY_SUFFIX.get(path.suffix.lower(), TruthFormat.MOTCHALLENGE):
        case TruthFormat.CVML:
            return read_cvml(path, fps=fps)
        case TruthFormat.TWIN:
            return read_twin(path, label=label)
        case _:
            return read_motchallenge(path, fps=fps)
