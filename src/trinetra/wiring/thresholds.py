"""The threshold in force: the site file's, or else that of the face model's calibration."""

from trinetra.models.manifest import Calibration
from trinetra.site.conflicts import Conflict
from trinetra.site.relations import merge_below_match
from trinetra.site.schema import Site


def merge_conflict(site: Site, calibration: Calibration) -> Conflict | None:
    """Return how the site's ``merge_at`` contradicts the threshold of the model in use."""
    limits = site.policies.consolidation
    if "merge_at" not in limits.model_fields_set:
        return None
    given = "similarity" in site.policies.matching.model_fields_set
    return merge_below_match(
        limits.merge_at,
        effective_similarity(site, calibration),
        origin="policies.matching.similarity" if given else "the calibration of the face model",
    )


def effective_similarity(site: Site, calibration: Calibration) -> float:
    """Return the score from which two faces match: the site's, or else the calibration's."""
    matching = site.policies.matching
    given = "similarity" in matching.model_fields_set
    return matching.similarity if given else calibration.min_similarity
