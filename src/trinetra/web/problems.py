"""Answers to failed requests: problem documents (RFC 9457), pages for browsers."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from trinetra.client.models import Problem
from trinetra.client.problems import ApiProblem
from trinetra.errors import (
    ConfigurationError,
    CustomerConflict,
    FileRefused,
    ModelUnavailable,
    PhotoRejected,
    ServerUnavailable,
    SourceUnavailable,
    StorageFull,
    TrinetraError,
    UnknownCustomer,
)
from trinetra.redaction import mask_urls
from trinetra.telemetry import get_logger
from trinetra.web.access import NotAuthenticated, NotPermitted

log = get_logger("web")
MEDIA_TYPE = "application/problem+json"


_DESCRIBED: Mapping[str, Any] = {
    "description": "What happened, and what to do (RFC 9457).",
    "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
}
RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": {**_DESCRIBED}, "5XX": {**_DESCRIBED}}
"""How OpenAPI describes failures, for every route of the API."""


class NotFound(TrinetraError):
    """What was asked for does not exist."""


class Conflict(TrinetraError):
    """The change contradicts the present state, which the detail names."""


class Invalid(TrinetraError):
    """The request cannot be understood; the detail says what is wrong with it."""


class Outdated(TrinetraError):
    """What the caller wants to change has changed meanwhile; ``more`` goes into the answer."""

    def __init__(self, detail: str, more: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.more = more


class Faulty(Invalid):
    """A document has faults, which ``more`` lists in the answer."""

    def __init__(self, detail: str, more: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.more = more


class ConditionMissing(TrinetraError):
    """A change must name the state that the caller read: the header If-Match is missing."""


class TooLarge(TrinetraError):
    """What was sent is larger than is read; the detail says how large it may be."""


class TooManyRequests(TrinetraError):
    """The caller must wait ``retry_after_s``."""

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


_STATUS: Mapping[type[TrinetraError], HTTPStatus] = {
    NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    NotPermitted: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    FileRefused: HTTPStatus.CONFLICT,
    Outdated: HTTPStatus.PRECONDITION_FAILED,
    ConditionMissing: HTTPStatus.PRECONDITION_REQUIRED,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    ConfigurationError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    SourceUnavailable: HTTPStatus.BAD_GATEWAY,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    CustomerConflict: HTTPStatus.CONFLICT,
    UnknownCustomer: HTTPStatus.NOT_FOUND,
    PhotoRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    ModelUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    ServerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageFull: HTTPStatus.SERVICE_UNAVAILABLE,
}
_RETRY_AFTER_S = 5


def install(app: FastAPI) -> None:
    """Let the app answer every failure with a problem document."""
    app.add_exception_handler(TrinetraError, _planned)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def status_of(failure: TrinetraError) -> HTTPStatus:
    """Return the HTTP status of a planned failure; that of the API's answer, if a page asked it."""
    if isinstance(failure, ApiProblem):
        return HTTPStatus(failure.status)
    for kind in type(failure).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def problem(
    request: Request,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """Return a problem document."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": getattr(request.state, "request_id", None),
        **more,
    }
    body = msgspec.json.encode(document)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


async def _planned(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, TrinetraError)  # noqa: S101  as installed
    status = status_of(failure)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", path=request.url.path, cause=mask_urls(str(failure)))
    more = failure.more if isinstance(failure, Outdated | Faulty) else {}
    detail = mask_urls(str(failure))
    return problem(request, status, detail, headers_of(failure), **more)


def headers_of(failure: TrinetraError) -> dict[str, str]:
    """Return the headers that the answer to a failure needs."""
    status = status_of(failure)
    if isinstance(failure, TooManyRequests):
        return {"Retry-After": str(max(1, round(failure.retry_after_s)))}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(_RETRY_AFTER_S)}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    return {}


async def _invalid(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, RequestValidationError)  # noqa: S101  as installed
    faults = [
        {"where": "/".join(map(str, error["loc"])), "what": error["msg"]}
        for error in failure.errors()
    ]
    detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults)
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, faults=faults)


async def _http(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)  # noqa: S101  as installed
    detail = failure.detail if isinstance(failure.detail, str) else str(failure.detail)
    return problem(request, failure.status_code, detail, failure.headers)
