"""Sentences for every reason, verdict and change that an event can carry.

A reason without a sentence here is shown by its own name, so that an older program can explain
events of a newer one; a test ensures that this version has a sentence for every reason it emits.
"""

from collections.abc import Mapping

DECISIONS: Mapping[str, str] = {
    "similar": "The face matches a person that the shop already knows.",
    "no_match": "The face matches no known person, and the pictures are good enough to be sure: "
    "a new identity was created.",
    "resembles_somebody": "The face resembles a known person too little for a match, but too much "
    "for a new identity: more pictures of the face are needed.",
    "collecting_faces": "The face matches no known person so far, but there are not yet enough "
    "pictures of it to create a new identity.",
    "no_movement": "The face has not moved since it was first seen: it may be a poster's or a "
    "photograph's, so no new identity is created.",
    "too_few_good_faces": "The person left before there were enough good pictures of the face.",
    "ambiguous": "Two known people match almost equally well: choosing one would be a guess.",
    "already_in_view": "The best match is visible in the same picture on another track, and a "
    "person cannot be in two places at once.",
    "gate_impossible": "The face matches, but that person cannot have walked here in the time.",
    "gate_plausible": "That person had enough time to walk here.",
    "gate_unknown": "Nothing rules this out: it is not known where that person was before.",
    "gallery_unavailable": "The gallery of known faces did not answer or could not store new ones.",
    "faces_changed": "The track switched to another person, who is not identified yet.",
    "seen_on_another_track": "The person assigned to this track was seen later on another track, "
    "so this track shows another person.",
    "opted_out": "This person opted out: nothing is stored or counted.",
    "erased": "This person's data was erased on request: nothing is stored.",
    "no_face": "The track never showed a face.",
    "face_too_small": "Faces were seen, but all were too small to compare.",
    "face_blurred": "Faces were seen, but they were blurred.",
    "face_turned_away": "Faces were seen, but they were turned away from the camera.",
    "face_too_dark": "Faces were seen, but they were too dark.",
    "face_too_bright": "Faces were seen, but they were too bright.",
    "face_no_native_image": "Faces were seen, but no full-size picture was kept to compare them.",
    "face_no_embedding": "Faces were seen, but the network found no features to compare in them.",
    "face_poor": "Faces were seen, but their quality was too poor to compare.",
    "same_body": "No usable face was seen, but the body looks like that of a customer whose face "
    "was recognized earlier in the same visit. A face would override this.",
    "same_view": "That customer had left this camera's view before.",
    "body_differs": "The track was taken for a customer by the body, but later pictures look "
    "different.",
    "merged": "Two identities turned out to be one person: the track has the remaining identity.",
    "split": "A merge of two identities was undone: the track has its own identity again.",
}
GATE: Mapping[str, str] = {
    "no_recent_sighting": "was not seen recently, so the walk cannot be checked",
    "overlapping_views": "can be in both views at once, because they overlap",
    "no_route": "was at a camera from which the site file has no route to this one",
    "walkable": "had enough time to walk here",
    "too_fast": "cannot have walked here",
    "two_places": "was at another place at the same time, too far away to be the same person",
    "seen_later_there": "was seen at the other place after this, with enough time to walk there",
    "against_one_way": "was at a camera from which people cannot come here, only go there",
    "closed_between": "was last seen before the shop closed, so the walk cannot be checked",
}
FACES: Mapping[str, str] = {
    "too_small": "too small",
    "blurred": "blurred",
    "turned_away": "turned away",
    "too_dark": "too dark",
    "too_bright": "too bright",
    "no_native_image": "no full-size picture",
    "poor": "too poor in quality",
}
CHANGES: Mapping[str, str] = {
    "created": "was created",
    "seen": "was seen again",
    "merge_proposed": "may be the same person as {other}",
    "merged": "was merged into {other}",
    "split": "was separated from {other}",
    "renamed": "was updated",
    "expired": "was deleted at the end of its retention time",
    "erased": "was erased on request",
}
CAUSES: Mapping[str, str] = {
    "same_face": "Both show the same face.",
    "retention": "It was not seen for the retention time in the site file.",
}
KINDS: Mapping[str, str] = {
    "anonymous": "an anonymous visitor",
    "enrolled": "enrolled",
    "vip": "a VIP",
    "staff": "staff, who are not counted as customers",
    "watchlist": "on the watchlist",
    "opted_out": "a person who opted out: recognized only to be excluded",
}


def decision(reason: str) -> str:
    """Return the reason for a decision as a sentence."""
    return DECISIONS.get(reason, f"The reason given is: {plain(reason)}.")


def gate(reason: str) -> str:
    """Return the gate's finding as the predicate of a sentence about a person."""
    return GATE.get(reason, f"is judged by the gate as: {plain(reason)}")


def cause(reason: str) -> str:
    """Return the reason for a change of an identity as a sentence."""
    return CAUSES.get(reason, f"The reason given is: {plain(reason)}.")


def face(reason: str) -> str:
    """Return what makes a face unusable."""
    return FACES.get(reason, plain(reason))


def kind(name: str) -> str:
    """Return how the shop treats an identity."""
    return KINDS.get(name, plain(name))


def plain(name: str) -> str:
    """Return an identifier of the program as words."""
    return name.replace("_", " ")
