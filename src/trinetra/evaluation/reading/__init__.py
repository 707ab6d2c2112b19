"""Readers of truths and of events; what is malformed is told with file and line."""

from trinetra.evaluation.reading.events import Gathered, read_events
from trinetra.evaluation.reading.truths import TruthFormat, read_truth

__all__ = ["Gathered", "TruthFormat", "read_events", "read_truth"]
