"""Thresholds: fixed by the site file, or derived from the face model's calibration."""

from trinetra.errors import ConfigurationError
from trinetra.identities.decision.open_set import OpenSetTarget
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


def open_set_target(site: Site, calibration: Calibration) -> OpenSetTarget | None:
    """Return what thresholds are derived from; None if the site fixes the similarity.

    None also for a network without impostor statistics; raises ConfigurationError if the site asks
    for a rate that cannot be derived therefore.
    """
    matching = site.policies.matching
    given = matching.model_fields_set
    if "similarity" in given:
        return None
    if calibration.impostors is None:
        if "false_positive_identification_rate" in given:
            raise ConfigurationError(
                "policies.matching.false_positive_identification_rate: no threshold can be derived "
                "for this face model, since it has no impostor statistics; run trinetra models "
                "calibrate, or set policies.matching.similarity"
            )
        return None
    tails = {float(sized.face_px): sized.tail for sized in calibration.impostors.tails}
    return OpenSetTarget(
        matching.false_positive_identification_rate,
        tails,
        frozenset(given & {"margin", "new_below"}),
    )


def effective_similarity(site: Site, calibration: Calibration) -> float:
    """Return the least score from which two faces match: the site's, or the calibration's."""
    matching = site.policies.matching
    given = "similarity" in matching.model_fields_set
    return matching.similarity if given else calibration.min_similarity
