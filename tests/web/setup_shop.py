"""A site file in a folder, and the web that changes it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.web.shop import SignedIn

from trinetra.adapters.clock import SystemClock
from trinetra.replay.event_history import FileHistory
from trinetra.site import load_site
from trinetra.web.access import Role
from trinetra.web.app import inner_app
from trinetra.web.backend import Backend
from trinetra.web.middleware import Envelope
from trinetra.wiring.camera_desk import SiteCameraDesk
from trinetra.wiring.setup_desk import SiteFileDesk
from trinetra.wiring.web import site_info

SITE = """\
# The shop at the corner
site: corner
timezone: Europe/Berlin
cameras:
  - id: door
    role: entrance
    source: {url: "rtsp://192.0.2.1:554/user=a_password=hidden"}  # by the ladder
    lines:
      - {id: main, a: [0.1, 0.5], b: [0.9, 0.5]}  # chalked on the floor
  - id: till
    role: tracking
    source: {url: "rtsp://192.0.2.2/x"}
topology:
  edges:
    - {from: door, to: till, distance_m: 12}
"""


@dataclass
class SetupShop:
    """The file, the app, and clients of every role."""

    path: Path
    events: Path
    app: Any
    inner: Any
    signed_in: SignedIn

    def client(self, role: Role | None = Role.ADMIN) -> httpx.AsyncClient:
        self.signed_in.role = role
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://shop")

    async def etag(self) -> str:
        return (await self.client().get("/v1/setup")).headers["etag"]

    async def put(self, etag: str, **proposal: Any) -> httpx.Response:
        return await self.client().put("/v1/setup", json=proposal, headers={"If-Match": etag})


def made_shop(folder: Path, text: str = SITE) -> SetupShop:
    path, events = folder / "site.yaml", folder / "events.jsonl"
    path.write_text(text)
    events.touch()
    clock, signed_in = SystemClock(), SignedIn(Role.ADMIN)
    backend = Backend(
        site=lambda: site_info(load_site(path), clock),
        figures=None,  # type: ignore[arg-type]  nothing here asks for figures
        setup=SiteFileDesk(path, clock, lambda: FileHistory(events)),
        camera_desk=SiteCameraDesk(lambda: load_site(path), {}, clock),
    )
    inner = inner_app(backend, signed_in)
    return SetupShop(path, events, Envelope(inner), inner, signed_in)


@asynccontextmanager
async def open_setup(folder: Path) -> AsyncIterator[SetupShop]:
    yield made_shop(folder)
