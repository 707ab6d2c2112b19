"""Conditional answers (RFC 9110): 304 without content where the caller has what is asked for."""

import hashlib
from http import HTTPStatus

from fastapi import Request, Response

_FRESH = {"Cache-Control": "private, no-cache"}
"""The caller may keep it, but asks each time whether it is still the same."""


def answered(
    request: Request,
    content: bytes,
    *,
    tag: str | None = None,
    media_type: str = "application/json",
    file_name: str | None = None,
) -> Response:
    """Return content with its ETag, or 304 if the caller's If-None-Match names it.

    ``tag`` stands for the content where that also tells when it was made; without it the ETag
    follows from the content.
    """
    etag = f'"{tag or tag_of(content)}"'
    headers = {"ETag": etag, **_FRESH}
    if _is_known(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if file_name:
        headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return Response(content, media_type=media_type, headers=headers)


def tag_of(*contents: bytes) -> str:
    """Return a digest of contents, in their order."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:32]


def _is_known(known: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
    return "*" in tags or etag in tags
