"""Any truth, whatever its format."""

from enum import StrEnum
from pathlib import Path

from trinetra.evaluation.reading.cvml import read_cvml
from trinetra.evaluation.reading.lines import require_file
from trinetra.evaluation.reading.motchallenge import read_motchallenge
from trinetra.evaluation.reading.twin import read_twin
from trinetra.evaluation.truth import Truth


class TruthFormat(StrEnum):
    """In which format a truth is written."""

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
    """Return the truth in a file; without ``written_as`` its suffix tells the format.

    ``label`` chooses what of the twin's truth counts; the other formats annotate people alone.
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
