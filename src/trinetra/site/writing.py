"""Writes a site that was read from no file, such as that of the demo, as the text of one."""

from collections.abc import Iterator, Mapping
from typing import Any

from trinetra.site.edits import block_key
from trinetra.site.schema import Site


def site_text(site: Site) -> str:
    """Return the text of a site file that says the same as ``site``, without its defaults."""
    document = site.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        if name == "cameras":
            yield f"{name}:"
            for camera in value:
                yield from _camera(camera)
        elif isinstance(value, Mapping):
            yield f"{name}:"
            for key, part in value.items():
                yield from block_key(key, part, "  ")
        else:
            yield from block_key(name, value, "")


def _camera(camera: Mapping[str, Any]) -> Iterator[str]:
    told = {key: value for key, value in camera.items() if value != []}
    if labels := told.get("labels"):
        told["labels"] = sorted(labels)  # a set has no order of its own
    first, *others = (line for key, value in told.items() for line in block_key(key, value, "    "))
    yield f"  - {first.lstrip()}"
    yield from others
