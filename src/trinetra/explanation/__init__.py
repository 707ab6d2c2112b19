"""Why the platform said what it said, in plain words, from nothing but its events."""

from trinetra.explanation.decision import Naming
from trinetra.explanation.explain import Explanation, Moment, explain_events
from trinetra.explanation.gathering import Gathering, subjects_of

__all__ = ["Explanation", "Gathering", "Moment", "Naming", "explain_events", "subjects_of"]
