"""Upcasts events of older schema versions to the current one, one version at a time.

An upcaster takes the decoded JSON object of version n and returns that of version n + 1. Register
it here under ``(type, n)`` together with a golden file of version n that is never edited again.
"""

from collections.abc import Callable, Mapping
from typing import Any

JsonObject = dict[str, Any]
Upcaster = Callable[[JsonObject], JsonObject]

UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}


def upcast(
    document: JsonObject, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS
) -> JsonObject:
    """Return the document after applying all registered upcasters for it."""
    while lift := upcasters.get((str(document.get("type")), int(document.get("version", 1)))):
        version = int(document.get("version", 1))
        document = {**lift(document), "version": version + 1}
    return document
