"""Why the platform said what it said, in plain words, from nothing but its events."""

from trinetra.explanation.decision import Naming
from trinetra.explanation.explain import Account, Moment, account_of
from trinetra.explanation.gathering import Gathering, subjects_of

__all__ = ["Account", "Gathering", "Moment", "Naming", "account_of", "subjects_of"]
