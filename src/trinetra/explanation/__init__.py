"""Explains the platform's decisions in plain words, from its events alone."""

from trinetra.explanation.decision import Naming
from trinetra.explanation.explain import Explanation, Moment, explain_events
from trinetra.explanation.gathering import Gathering, subjects_of

__all__ = ["Explanation", "Gathering", "Moment", "Naming", "explain_events", "subjects_of"]
