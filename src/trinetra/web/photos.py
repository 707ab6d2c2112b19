"""Photos in forms: bounded while they are read, kept in memory alone, never stored.

Starlette's own parser writes files above 1 MB to disk and bounds none.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from trinetra.web.backend import Photo
from trinetra.web.problems import Invalid, TooLarge

MOST_BYTES = 10 << 20
"""Of one photo: phones write up to 8 MB."""
_FIELDS_BYTES = 64 << 10
_MOST_FIELDS = 16
_NAME_CHARACTERS = 80


class PhotoForm(NamedTuple):
    """A form with photos: these, and the other fields by name."""

    photos: tuple[Photo, ...]
    fields: Mapping[str, str]


class _InMemory(MultiPartParser):
    """Keeps files in memory, and stops reading at one that is too large."""

    spool_max_size = MOST_BYTES + 1

    def on_part_begin(self) -> None:
        super().on_part_begin()
        self._received = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._received += end - start
        if self._received > MOST_BYTES:
            raise _too_large()
        super().on_part_data(data, start, end)


def form_bytes(most: int) -> int:
    """Return how long a form with so many photos may be, for ``max_body_size`` of its route."""
    return most * MOST_BYTES + _FIELDS_BYTES


async def read_photo_form(request: Request, most: int) -> PhotoForm:
    """Return the photos and fields of a form. Raises TooLarge, or Invalid for what is no form."""
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Invalid("send the photos as multipart/form-data")
    parser = _InMemory(
        request.headers,
        _bounded(request, form_bytes(most)),
        max_files=most,
        max_fields=_MOST_FIELDS,
        max_part_size=_FIELDS_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as cause:
        raise Invalid(f"the form cannot be read: {cause.message}") from cause
    try:
        return await _read(form.multi_items())
    finally:
        await form.close()


async def _read(items: list[tuple[str, Any]]) -> PhotoForm:
    photos = [v for name, v in items if name == "photo" and isinstance(v, UploadFile)]
    if not photos:
        raise Invalid("the form has no file named photo")
    fields = {name: value for name, value in items if isinstance(value, str)}
    named = [
        Photo(_name(file.filename, number), await file.read())
        for number, file in enumerate(photos, 1)
    ]
    return PhotoForm(tuple(named), fields)


async def _bounded(request: Request, most: int) -> AsyncGenerator[bytes]:
    """Yield the body as it arrives; raises TooLarge as soon as it is too long."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large()
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > most:
            raise _too_large()
        yield chunk


def _too_large() -> TooLarge:
    return TooLarge(f"a photo may have {MOST_BYTES >> 20} MB: send a smaller copy")


def _name(given: str | None, number: int) -> str:
    """Return how messages call a photo: by its file's name if that can be shown."""
    is_shown = bool(given) and str(given).isprintable() and len(str(given)) <= _NAME_CHARACTERS
    return str(given) if is_shown else f"photo {number}"


def form_schema(fields: type[BaseModel] | None, most: int) -> dict[str, Any]:
    """Return the OpenAPI description of a form with photos and the fields of a model."""
    described = fields.model_json_schema() if fields else {}
    photo = {"type": "string", "format": "binary"}
    photos = photo if most == 1 else {"type": "array", "items": photo, "maxItems": most}
    schema = {
        "type": "object",
        "properties": {"photo": photos, **described.get("properties", {})},
        "required": ["photo", *described.get("required", [])],
    }
    content = {"multipart/form-data": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}
