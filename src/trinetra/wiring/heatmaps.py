"""Heatmaps of a site: of its floor, or of the picture of one camera."""

from trinetra.events.derivation import Span
from trinetra.insights.heatmap import HeatmapQuery
from trinetra.site import Site


def heatmap_query(site: Site, span: Span, camera: str | None) -> HeatmapQuery:
    """Return the query of the site's floor, or of one of its cameras.

    That is the floor as this camera sees it if it is calibrated, and otherwise its picture.
    """
    chosen = [one for one in site.cameras if camera is None or one.camera_id == camera]
    calibrated = tuple(one.camera_id for one in chosen if one.floor)
    least = site.policies.privacy.least_people
    if camera is not None and not calibrated:
        return HeatmapQuery(span, (chosen[0].camera_id,), least, "picture")
    return HeatmapQuery(span, calibrated, least)
