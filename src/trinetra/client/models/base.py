"""What all resources share: their base, problems, and pages of lists."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")
Granularity = Literal["minute", "hour", "day", "week", "month", "range"]


class Resource(BaseModel):
    """Base of all resources; unknown fields of a newer server are ignored."""

    model_config = ConfigDict(frozen=True)


class SetupFinding(Resource):
    """Something to know about a site file, at its line and column (from 1).

    An ``error`` prevents that the file is used, a ``warning`` does not.
    """

    kind: Literal["error", "warning"]
    message: str
    hint: str = ""
    line: int | None = None
    column: int | None = None
    path: str = ""


class Problem(Resource):
    """A failure (RFC 9457); ``request_id`` finds it in the server's log.

    Of a change to the site file that met another one (412): ``etag`` names the present file, and
    ``diff`` shows what the other one changed, None if that is not known. Of an invalid site file
    (422): ``findings``.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str | None = None
    etag: str | None = None
    diff: str | None = None
    findings: tuple[SetupFinding, ...] = ()


class Page(Resource, Generic[Item]):
    """A part of a list; ``next_cursor`` fetches the next one, None at the end."""

    items: tuple[Item, ...]
    next_cursor: str | None = None
