"""Typed client of the REST API ``/v1``, synchronous and asynchronous."""

from trinetra.client.calls import Photo
from trinetra.client.http import AsyncClient, Client
from trinetra.client.problems import ApiProblem, NotAuthorized, Unreachable

__all__ = ["ApiProblem", "AsyncClient", "Client", "NotAuthorized", "Photo", "Unreachable"]
