"""Failures of requests to the REST API."""

from trinetra.client.models import Problem
from trinetra.errors import ServerUnavailable, TrinetraError


class ApiProblem(TrinetraError):
    """The API refused a request; ``status`` and ``detail`` are those of its problem document.

    ``problem`` is the whole document.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        request_id: str | None = None,
        problem: Problem | None = None,
    ) -> None:
        super().__init__(detail if request_id is None else f"{detail} (request {request_id})")
        self.problem = problem or Problem(title="", status=status, detail=detail)
        self.status = status
        self.detail = detail
        self.request_id = request_id


class NotAuthorized(ApiProblem):
    """The token or session is missing, has expired or may not do this."""


class Unreachable(ServerUnavailable):
    """No server answered at this address."""
