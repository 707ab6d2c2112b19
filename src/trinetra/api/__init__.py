"""The Python API; ``import trinetra`` has the same names."""

from trinetra.api.clips import ClipRun, ClipScore, run_clip, score_clip
from trinetra.api.files import load_site, read_events
from trinetra.api.shop import Shop
from trinetra.errors import ConfigurationError, TrinetraError
from trinetra.evaluation.clip import Counts
from trinetra.insights.metrics.definition import Metric
from trinetra.insights.why import Explanation, why_left_out
from trinetra.site import Site

__all__ = [
    "ClipRun",
    "ClipScore",
    "ConfigurationError",
    "Counts",
    "Explanation",
    "Metric",
    "Shop",
    "Site",
    "TrinetraError",
    "load_site",
    "read_events",
    "run_clip",
    "score_clip",
    "why_left_out",
]
