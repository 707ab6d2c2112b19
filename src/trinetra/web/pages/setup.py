"""Setup: cameras, lines, zones, floor and distances of the site file, and the file itself."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Form, Response
from pydantic import ValidationError

from trinetra.client.models import (
    CameraTry,
    LineState,
    OnvifLogin,
    SetupEdit,
    SetupFile,
    SetupProposal,
)
from trinetra.client.problems import ApiProblem
from trinetra.web.access import Permission, requires
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page
from trinetra.web.sentences import EFFECTS

router = APIRouter(dependencies=[requires(Permission.READ_SETUP)])
_CHANGING = [requires(Permission.WRITE_SETUP)]
HOWS = {
    "live": message("at once, without losing a frame"),
    "reconnect": message("at once; this camera is connected anew"),
    "restart": message("after the next restart"),
}
ROLES = {
    "entrance": message("Entrance: counts who comes in"),
    "tracking": message("Overview: where people walk and stay"),
    "face": message("Faces: recognizes visitors"),
    "billing": message("Till: queues and service"),
    "vehicle": message("Vehicles: parking and plates"),
}
Text = Annotated[str, Form(max_length=300_000)]
Short = Annotated[str, Form(max_length=500)]
Id = Annotated[str, Form(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


@router.get("/setup")
async def setup(page: Annotated[Page, page]) -> Response:
    """Return the page of the site file."""
    try:
        found = await page.client.setup()
    except ApiProblem as problem:
        return page.render("setup_unavailable.html", problem=problem)
    return page.render("setup.html", file=found, due=await _due(page), **_common(page))


@router.get("/setup/cameras/{camera_id}")
async def camera(page: Annotated[Page, page], camera_id: str) -> Response:
    """Return the page on which lines, zones and floor points of a camera are drawn."""
    found = await page.client.setup()
    known = next((one for one in found.cameras if one.id == camera_id), None)
    return page.render(
        "setup_camera.html",
        camera=known,
        camera_id=camera_id,
        effects={told: page.words.text(told) for told in EFFECTS},
        **_common(page),
    )


@router.post("/setup/search", dependencies=_CHANGING)
async def search(page: Annotated[Page, page]) -> Response:
    """Search for cameras; return what answered."""
    try:
        found = await page.client.find_cameras()
    except ApiProblem as problem:
        return _failed(page, problem)
    return page.render("setup_search.html", found=found)


@router.post("/setup/streams", dependencies=_CHANGING)
async def streams(
    page: Annotated[Page, page], address: Short, username: Short = "", password: Short = ""
) -> Response:
    """Ask a camera for its streams; return them."""
    try:
        login = OnvifLogin(address=address, username=username, password=password)
        found = await page.client.onvif_streams(login)
    except ApiProblem as problem:
        return _failed(page, problem)
    except ValidationError as fault:
        return _faulty(page, fault)
    return page.render("setup_streams.html", streams=found.streams)


@router.post("/setup/try", dependencies=_CHANGING)
async def attempt(
    page: Annotated[Page, page], url: Short, username: Short = "", password: Short = ""
) -> Response:
    """Try a camera; return what it delivers, with a picture."""
    try:
        camera = CameraTry(url=url, username=username, password=password)
        found = await page.client.try_camera(camera)
    except ApiProblem as problem:
        return _failed(page, problem)
    except ValidationError as fault:
        return _faulty(page, fault)
    return page.render("setup_tried.html", found=found)


@router.post("/setup/add", dependencies=_CHANGING)
async def add(
    page: Annotated[Page, page],
    camera_id: Id,
    role: Id,
    url: Short,
    username_env: Short = "",
    password_env: Short = "",
) -> Response:
    """Return the review of a site file with one more camera."""
    source = {"url": url, "username_env": username_env, "password_env": password_env}
    given = {name: value for name, value in source.items() if value}
    entry = {"id": camera_id, "role": role, "source": given}
    edit = SetupEdit(path=("cameras", camera_id), value=entry)
    return await _review(page, SetupProposal(edits=(edit,)))


@router.post("/setup/remove", dependencies=_CHANGING)
async def remove(page: Annotated[Page, page], camera_id: Id) -> Response:
    """Return the review of a site file without a camera."""
    edit = SetupEdit(op="remove", path=("cameras", camera_id))
    return await _review(page, SetupProposal(edits=(edit,)))


@router.post("/setup/distance", dependencies=_CHANGING)
async def distance(
    page: Annotated[Page, page], a: Id, b: Id, distance_m: Annotated[float, Form(gt=0, le=10_000)]
) -> Response:
    """Return the review of a site file with the distance of two cameras."""
    found = await page.client.setup()
    edit = _distance_edit(found, a, b, distance_m)
    return await _review(page, SetupProposal(edits=(edit,)))


@router.post("/setup/text", dependencies=_CHANGING)
async def text(page: Annotated[Page, page], text: Text) -> Response:
    """Return the review of a site file that was edited as text."""
    return await _review(page, SetupProposal(text=text.replace("\r\n", "\n")))


@router.get("/setup/distances")
async def distances(page: Annotated[Page, page]) -> Response:
    """Return distances as the walks of the last day suggest them, beside those of the file."""
    try:
        found = await page.client.estimate_distances(24.0)
    except ApiProblem as problem:
        return _failed(page, problem)
    return page.render("setup_distances.html", found=found.items)


@router.post("/setup/write", dependencies=_CHANGING)
async def write(
    page: Annotated[Page, page], proposal: Text, etag: Annotated[str, Form(max_length=64)]
) -> Response:
    """Write a reviewed change; return what came of it."""
    try:
        change = SetupProposal.model_validate_json(proposal)
        found = await page.client.change_setup(change, etag)
    except ApiProblem as problem:
        is_outdated = problem.status == HTTPStatus.PRECONDITION_FAILED
        template = "setup_conflict.html" if is_outdated else "setup_failed.html"
        return page.render(template, problem=problem, proposal=proposal)
    except ValidationError as fault:
        return _faulty(page, fault)
    return page.render("setup_written.html", file=found, **_common(page))


@router.post("/setup/again", dependencies=_CHANGING)
async def again(page: Annotated[Page, page], proposal: Text) -> Response:
    """Return the review of a change that met another one, on the file as it is now."""
    try:
        change = SetupProposal.model_validate_json(proposal)
    except ValidationError as fault:
        return _faulty(page, fault)
    return await _review(page, change)


async def _due(page: Page) -> list[LineState]:
    """Return the lines that should be counted by hand; none where no counts are kept."""
    try:
        return [line for line in (await page.client.audited_lines()).items if line.is_due]
    except ApiProblem as problem:
        if problem.status == HTTPStatus.NOT_FOUND:
            return []
        raise


async def _review(page: Page, proposal: SetupProposal) -> Response:
    try:
        review = await page.client.check_setup(proposal)
    except ApiProblem as problem:
        return _failed(page, problem)
    return page.render(
        "setup_review.html",
        review=review,
        proposal=msgspec.json.encode(proposal.model_dump(mode="json")).decode(),
        **_common(page),
    )


def _distance_edit(found: SetupFile, a: str, b: str, distance_m: float) -> SetupEdit:
    """Return the edit that sets a distance, in the file's own edge if it has one."""
    for row, edge in enumerate(found.edges):
        if {edge.a, edge.b} == {a, b}:
            return SetupEdit(path=("topology", "edges", row, "distance_m"), value=distance_m)
    edge_of = {"from": a, "to": b, "distance_m": distance_m}
    if found.edges:
        return SetupEdit(path=("topology", "edges", f"{a}-{b}"), value=edge_of)
    if "topology" in {line.partition(":")[0] for line in found.text.splitlines()}:
        return SetupEdit(path=("topology", "edges"), value=[edge_of])
    return SetupEdit(path=("topology",), value={"edges": [edge_of]})


def _failed(page: Page, problem: ApiProblem) -> Response:
    return page.render("setup_failed.html", problem=problem, proposal="")


def _faulty(page: Page, fault: ValidationError) -> Response:
    told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in fault.errors())
    return _failed(page, ApiProblem(422, told))


def _common(page: Page) -> dict[str, Any]:
    return {
        "how": {name: page.words.text(told) for name, told in HOWS.items()},
        "roles": {name: page.words.text(told) for name, told in ROLES.items()},
        "may_write": page.caller.may(Permission.WRITE_SETUP),
    }
