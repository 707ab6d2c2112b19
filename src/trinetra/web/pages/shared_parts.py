"""Parts of pages that are the same for several viewers, made once for all of them.

A page that stays open fetches such a part again and again. What it shows may depend on its address,
on the viewer's language and on what the viewer may see, and on nothing else of the viewer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from fastapi import Response
from starlette.responses import HTMLResponse

from trinetra.web.access import Permission
from trinetra.web.pages.page import Page

_EVERY_S = 3.0
"""Less than the time between two fetches of a viewer, who so never sees the same part twice."""
Context = Callable[[], Awaitable[Mapping[str, Any]]]
"""Returns what a template is filled with."""


class _Key(NamedTuple):
    address: str
    language: str
    permissions: frozenset[Permission]


class SharedParts:
    """Keeps the parts of the last seconds; makes one at a time."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._made: dict[_Key, tuple[float, bytes]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def get(self, page: Page, template: str, context: Context) -> Response:
        """Return the part that a page asks for; what ``context`` raises is raised."""
        key = _Key(str(page.request.url), page.words.language, page.caller.permissions)
        async with self._one_at_a_time:
            now_s = self._monotonic()
            self._made = {k: v for k, v in self._made.items() if now_s - v[0] < _EVERY_S}
            if key not in self._made:
                self._made[key] = now_s, bytes(page.render(template, **await context()).body)
            return HTMLResponse(self._made[key][1])


async def render_shared(page: Page, template: str, context: Context) -> Response:
    """Return a part of a page from a template, made at most every few seconds."""
    parts: SharedParts = page.request.app.state.shared_parts
    return await parts.get(page, template, context)
