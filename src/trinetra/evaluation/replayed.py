"""Outcome and scores of a replay, gathered from its events as they are written."""

from dataclasses import dataclass
from pathlib import Path

from trinetra.evaluation.outcome import Outcome, OutcomeGathering
from trinetra.evaluation.reading import Gathered, read_truth
from trinetra.evaluation.scores import ScoreSheet
from trinetra.evaluation.scoring import Choices, identities_sheet, insights_sheet, tracks_sheet
from trinetra.evaluation.truth import Facts
from trinetra.events.codec import decode

_FRAMES = (b'{"type":"tracks"', b'{"type":"occupancy"')


@dataclass(frozen=True, slots=True)
class Reference:
    """The truth that a replay is scored against.

    ``is_whole``: the recording covers all that the truth is about. Only then are the counts of the
    whole site compared. Stays shorter than ``min_dwell_s`` are not asked for.
    """

    truth: Path
    is_whole: bool = True
    min_dwell_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The outcome of a replay, and its scores if there is a truth."""

    outcome: Outcome
    sheets: tuple[ScoreSheet, ...] = ()


class ReplayScoring:
    """Gathers the events of one replay."""

    def __init__(self, visit_gap_s: float, reference: Reference | None) -> None:
        """Read the truth. Raises ConfigurationError if that is not possible."""
        self._gathering = OutcomeGathering(visit_gap_s)
        self._reference = reference
        self._truth = read_truth(reference.truth) if reference else None
        self._found = Gathered()

    def add(self, payload: bytes) -> None:
        """Add one event, as on the wire."""
        if self._truth is None and payload.startswith(_FRAMES):
            return  # most of all events, and needed for scores alone
        event = decode(payload)
        self._gathering.add(event)
        if self._truth is not None:
            self._found.add(event)

    def result(self) -> ReplayResult:
        """Return the outcome and the scores of what was added."""
        return ReplayResult(self._gathering.outcome(), tuple(self._sheets()))

    def _sheets(self) -> list[ScoreSheet]:
        if self._truth is None or self._reference is None:
            return []
        truth, findings = self._truth, self._found.findings()
        choices = Choices(min_dwell_s=self._reference.min_dwell_s)
        kinds = [tracks_sheet, identities_sheet]
        if self._reference.is_whole and truth.facts != Facts():
            kinds.append(insights_sheet)
        return [sheet(truth, findings, choices) for sheet in kinds]
