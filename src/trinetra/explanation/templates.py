"""The words for every reason, verdict and change that an event can carry.

A reason that has no words here is told by its own name, so that an older program can read what a
newer one wrote; a test sees to it that this one has words for all it says itself.
"""

from collections.abc import Mapping

DECISIONS: Mapping[str, str] = {
    "similar": "The faces are similar enough to those of somebody who is known.",
    "no_match": "The faces resemble nobody who is known, and they are good enough to be sure of "
    "that: a new identity was made.",
    "resembles_somebody": "The faces resemble somebody, but too little for a match and too much "
    "for a stranger: more faces are needed to tell.",
    "collecting_faces": "The faces resemble nobody so far, but they are too few to make a new "
    "identity of.",
    "too_few_good_faces": "The track ended before it had shown enough good faces.",
    "ambiguous": "Two known people resemble the faces nearly equally: choosing one would be a "
    "guess.",
    "already_in_view": "The best match was in the same frame on another track, and nobody stands "
    "in two places at once.",
    "gate_impossible": "The faces match, but that person cannot have come here in the time.",
    "gate_plausible": "That person can have come here in the time.",
    "gate_unknown": "Nothing speaks against it: where that person was before is not known.",
    "gallery_unavailable": "The gallery of known faces did not answer, or took no new ones.",
    "faces_changed": "The faces of the track became another person's, of whom nothing is known "
    "yet.",
    "seen_on_another_track": "Another track showed the face of whom this one was taken for, and "
    "later: this one was somebody else.",
    "opted_out": "This is somebody who asked to be left out: nothing of it is kept or counted.",
    "erased": "This is somebody who asked to be forgotten meanwhile: nothing of it is kept.",
    "no_face": "The track never showed a face.",
    "face_too_small": "Faces were seen, but all too small to be compared.",
    "face_blurred": "Faces were seen, but blurred.",
    "face_turned_away": "Faces were seen, but turned away.",
    "face_too_dark": "Faces were seen, but too dark.",
    "face_too_bright": "Faces were seen, but too bright.",
    "face_no_native_image": "Faces were seen, but the picture in full size was not kept.",
    "face_poor": "Faces were seen, but of too poor a quality to be compared.",
    "merged": "Two identities were found to be one person: the track goes by the one that stands.",
    "split": "A merge of two identities was undone: the track goes by its own again.",
}
GATE: Mapping[str, str] = {
    "no_recent_sighting": "was not seen lately, so there is no way to check",
    "overlapping_views": "can be in both views at once, since they overlap",
    "no_route": "was at a camera from which the site file gives no way to here",
    "walkable": "can have walked here",
    "too_fast": "cannot have walked here",
    "two_places": "was at another place at the same time, too far away to be the same person",
    "seen_later_there": "was seen at the other place later than here, and can have walked there",
    "against_one_way": "was at a camera from which one cannot come this way, only go there",
    "closed_between": "was seen before the shop was closed, so the way here tells nothing",
}
FACES: Mapping[str, str] = {
    "too_small": "too small",
    "blurred": "blurred",
    "turned_away": "turned away",
    "too_dark": "too dark",
    "too_bright": "too bright",
    "no_native_image": "without a picture in full size",
    "poor": "of too poor a quality",
}
CHANGES: Mapping[str, str] = {
    "created": "came to be",
    "seen": "was seen again",
    "merge_proposed": "may be the same person as {other}",
    "merged": "is from now on {other}",
    "split": "is no longer {other}",
    "renamed": "was described anew",
    "expired": "was deleted, for its time was over",
    "erased": "was erased on request",
}
CAUSES: Mapping[str, str] = {
    "same_face": "Both show the same face.",
    "retention": "It was not seen for as long as the site file keeps it.",
}
KINDS: Mapping[str, str] = {
    "anonymous": "an anonymous visitor",
    "enrolled": "enrolled",
    "vip": "a VIP",
    "staff": "staff, who are not counted as customers",
    "watchlist": "on the watchlist",
    "opted_out": "somebody who opted out: recognised only to be left out",
}


def decision(reason: str) -> str:
    """Return why a decision fell, as a sentence."""
    return DECISIONS.get(reason, f"The reason given is: {plain(reason)}.")


def gate(reason: str) -> str:
    """Return what the gate found, as the rest of a sentence about somebody."""
    return GATE.get(reason, f"is judged by the gate as: {plain(reason)}")


def cause(reason: str) -> str:
    """Return why an identity changed, as a sentence."""
    return CAUSES.get(reason, f"The reason given is: {plain(reason)}.")


def face(reason: str) -> str:
    """Return what makes a face unusable."""
    return FACES.get(reason, plain(reason))


def kind(name: str) -> str:
    """Return what an identity is to the shop."""
    return KINDS.get(name, plain(name))


def plain(name: str) -> str:
    """Return a name of the program as words."""
    return name.replace("_", " ")
