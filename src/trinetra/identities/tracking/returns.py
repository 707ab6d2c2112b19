"""Resumes paused tracks by people who appear nearby, or where they stood.

A wrongly resumed track makes one person of two, which nothing later can undo, while two tracks of
one person can be joined by identity. So a track is resumed only where the look is unambiguous.
"""

from collections.abc import Mapping
from dataclasses import replace

from trinetra.identities.tracking.appearance import body_cosine, difference
from trinetra.identities.tracking.assignment import best_pairs
from trinetra.identities.tracking.association import Frame, gains
from trinetra.identities.tracking.policy import TrackerPolicy
from trinetra.identities.tracking.tracks import Track, TrackerState, group_of, is_paused

_Pairs = Mapping[tuple[int, int], float]


def can_return(track: Track, policy: TrackerPolicy) -> bool:
    """Return whether a track is known well enough to be recognized after a pause."""
    known = track.look is not None or track.body is not None
    return known and track.hits >= policy.returns.least_hits and track.confirmed


def returned(frame: Frame, pairs: dict[int, int]) -> dict[int, int]:
    """Return track index -> strong detection index of unmatched tracks that look alike nearby."""
    policy = frame.policy
    left = [i for i, t in enumerate(frame.tracks) if i not in pairs and can_return(t, policy)]
    new = sorted(frame.free(pairs))
    close = [(i, d) for i in left for d in new if _in_reach(frame, frame.tracks[i], d)]
    if not close:
        return {}
    tracks, batch = frame.tracks, frame.batch
    bodies = _known({(i, d): body_cosine(tracks[i].body, batch.body(d)) for i, d in close})
    sure = _by_body(bodies, policy)
    stripes = {
        (i, d): None if (i, d) in bodies else difference(tracks[i].look, batch.look(d))
        for i, d in close
    }
    sure |= _by_stripes(_known(stripes), frame)
    return best_pairs(sure) if sure else {}


def stood_still(state: TrackerState, frame: Frame, pairs: dict[int, int]) -> dict[int, int]:
    """Return paused track index -> strong detection index of people who are where they stood.

    No frame has missed these tracks: the camera was silent, or its rate has just dropped. Their
    motion cannot be extrapolated that far, so only a box in nearly the same place continues one.
    """
    policy, at = frame.policy, frame.captured_at
    unmissed = [
        i
        for i, track in enumerate(state.tracks)
        if i not in pairs
        and track.seen_at == state.stepped_at
        and track.confirmed
        and is_paused(track, at, policy)
        and track.unseen_s(at) <= policy.returns.max_pause_s
    ]
    free = frame.free(pairs)
    if not unmissed or not free:
        return {}
    standing = replace(frame, tracks=state.tracks)
    return best_pairs(
        dict(gains(standing, unmissed, free, (0.0, 0.0), policy.returns.stood_overlap))
    )


def _known(values: Mapping[tuple[int, int], float | None]) -> dict[tuple[int, int], float]:
    return {pair: value for pair, value in values.items() if value is not None}


def _rivals(pair: tuple[int, int], values: _Pairs) -> list[float]:
    """Return the values of the pairs that share exactly the track or the detection of a pair."""
    i, d = pair
    return [value for (j, e), value in values.items() if (j == i) != (e == d)]


def _by_body(cosines: _Pairs, policy: TrackerPolicy) -> dict[tuple[int, int], float]:
    returns = policy.returns
    return {
        pair: cosine
        for pair, cosine in cosines.items()
        if cosine >= returns.same_body
        and all(cosine - rival >= returns.body_margin for rival in _rivals(pair, cosines))
    }


def _by_stripes(differences: _Pairs, frame: Frame) -> dict[tuple[int, int], float]:
    returns, unit = frame.policy.returns, frame.stripes_unit
    return {
        pair: 1.0
        for pair, differs in differences.items()
        if differs <= returns.same_stripes * unit
        and all(rival > returns.other_stripes * unit for rival in _rivals(pair, differences))
    }


def _in_reach(frame: Frame, track: Track, detection: int) -> bool:
    """Return whether a person can have moved from a track's last position to a detection."""
    batch, policy = frame.batch, frame.policy
    if group_of(track.label) != group_of(batch.labels[detection]):
        return False
    cosine = batch.face_similarity.get((track.track_id, detection))
    if cosine is not None and cosine < policy.looks.stranger_cosine:
        return False
    x, y, _, h = track.motion
    x1, y1, x2, y2 = batch.boxes[detection]
    returns, gap_s = policy.returns, track.unseen_s(frame.captured_at)
    heights = returns.reach_heights + returns.reach_heights_per_s * gap_s
    reach = min(heights, returns.widest_reach_heights) * h.value
    return abs((x1 + x2) / 2 - x.value) <= reach and abs((y1 + y2) / 2 - y.value) <= reach
