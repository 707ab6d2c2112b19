"""Readers of ground truth and of events; errors name file and line."""

from trinetra.evaluation.reading.events import Gathered, events_in, read_events, read_evidence
from trinetra.evaluation.reading.truths import TruthFormat, read_truth

__all__ = ["Gathered", "TruthFormat", "events_in", "read_events", "read_evidence", "read_truth"]
