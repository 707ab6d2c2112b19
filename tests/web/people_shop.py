"""The web on the shop of tests/flows/api_shop.py, with customers, reports and a journal."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from tests.flows.api_shop import NOON, RECORDED, SITE, common
from tests.web.shop import SignedIn, StoppedClock

from trinetra.adapters.memory.gallery import MemoryGallery
from trinetra.adapters.sql.insight_store import SqlInsightStore
from trinetra.client import AsyncClient
from trinetra.events.context import ContextEntry
from trinetra.events.customers import CustomerChange
from trinetra.events.schema import TrackPlate, VehicleVisit, Visit
from trinetra.identities.decision.enrollment import enrolled, faces_of
from trinetra.identities.tracking.track_faces import Shot
from trinetra.insights.metrics.catalog import ROLLUP_RULES
from trinetra.models.manifest import load_manifest
from trinetra.ports import Template
from trinetra.settings import Settings, load_settings
from trinetra.site import site_from_text
from trinetra.values import CameraId, CustomerId, EventId, IdentityKind, SiteId
from trinetra.web.access import Role
from trinetra.web.app import inner_app
from trinetra.web.middleware import Envelope
from trinetra.wiring.figures import prepare_figures
from trinetra.wiring.stores import open_context_store, open_customer_log
from trinetra.wiring.web import backend_of, with_people

SHOP = site_from_text(SITE)
MODEL = load_manifest().profile("default").face_embedder
ANN, BOB, EVE = map(CustomerId, ("ann", "bob", "eve"))
BOBS_VISIT = Visit(
    **common("v3", 30),
    started_at=NOON,
    cameras=(CameraId("door"),),
    visit_number=2,
    customer_id=BOB,
    kind=IdentityKind.ANONYMOUS,
)
SCRIPT = "<script>alert('x')</script>"
PLATE = TrackPlate("plt_1", 0.9, 4, "DE", f"B {SCRIPT}")


@dataclass
class PeopleShop:
    """An open shop: its settings, its app and the store behind it."""

    settings: Settings
    store: SqlInsightStore
    app: object
    inner: object
    signed_in: SignedIn
    clock: StoppedClock
    gallery: MemoryGallery

    def http(self, role: Role | None = Role.ADMIN) -> httpx.AsyncClient:
        self.signed_in.role = role
        transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url="http://shop")

    def client(self, role: Role | None = Role.ADMIN) -> AsyncClient:
        self.signed_in.role = role
        transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
        return AsyncClient("http://shop", transport=transport)

    async def know(
        self, who: CustomerId, name: str, kind: IdentityKind = IdentityKind.VIP, seed: int = 0
    ) -> None:
        """Enroll a person, with a face that the seed tells."""
        shot = Shot(face(seed), 0.8, 90.0, NOON)
        faces = [Template(MODEL.version, entry) for entry in faces_of(who, kind, [shot])]
        basis = {"consent": True, "purpose": "a test"}
        await self.write(enrolled(who, name, kind, NOON, **basis), faces)

    async def propose(self, one: CustomerId, two: CustomerId, score: float = 0.8) -> None:
        change = {"change": "merge_proposed", "by": "resolver", "score": score}
        await self.write(
            CustomerChange(change_id=f"p{one}{two}", customer_id=one, other=two, at=NOON, **change)
        )

    async def write(self, change: CustomerChange, faces: list[Template] | None = None) -> None:
        async with open_customer_log(self.settings) as customer_log:
            await customer_log.write([change], faces or [])


def face(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=MODEL.dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


def vehicle(name: str, minute: int, plate: TrackPlate | None = PLATE) -> VehicleVisit:
    """Return a vehicle that stays for a minute."""
    return VehicleVisit(
        **common(name, minute),
        left_at=NOON,
        stay_s=60.0,
        label="car",
        stays=(EventId("s1"),),
        cameras=(CameraId("door"),),
        plate=plate,
    )


@asynccontextmanager
async def open_people_shop(
    folder: Path, environ: Mapping[str, str] | None = None
) -> AsyncIterator[PeopleShop]:
    """Open the shop in a folder, for the block."""
    settings = load_settings().model_copy(update={"data_dir": folder, "store_url": None})
    clock = StoppedClock()
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{folder / 'insights.db'}"
        store = await stack.enter_async_context(SqlInsightStore.open(url, ROLLUP_RULES))
        await prepare_figures(store, SHOP, settings, clock)
        await store.record((*RECORDED, BOBS_VISIT))
        await store.record([vehicle(f"car{n}", n) for n in range(3)])
        gallery = MemoryGallery(MODEL.dimension)
        context = await stack.enter_async_context(open_context_store(settings))
        await context.record([promotion()])
        bare = backend_of(SHOP, store, clock)
        opening = with_people(bare, lambda: SHOP, store, settings, clock, gallery)
        backend = await stack.enter_async_context(opening)
        signed_in = SignedIn(Role.ADMIN)
        inner = inner_app(backend, signed_in)
        yield PeopleShop(settings, store, Envelope(inner), inner, signed_in, clock, gallery)


def promotion() -> ContextEntry:
    span = {"starts_at": NOON, "ends_at": NOON.replace(hour=20)}
    return ContextEntry(
        site_id=SiteId("shop"), kind="promotion", name="two for one", text=SCRIPT, **span
    )
