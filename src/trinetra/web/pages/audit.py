"""Audit: lines counted by hand, and how the platform's counts compare."""

from typing import Annotated

from fastapi import APIRouter, Response

from trinetra.client.models import LineInfo
from trinetra.web.locales import message
from trinetra.web.pages.page import Page, page

router = APIRouter()
RIGHT, LEFT = message("to the right in the picture"), message("to the left in the picture")
DOWN, UP = message("down in the picture"), message("up in the picture")


@router.get("/audit")
async def audit(page: Annotated[Page, page]) -> Response:
    """Return the lines, those first that should be counted, and the counts by hand so far."""
    lines = (await page.client.audited_lines()).items
    found = await page.client.audits(limit=50)
    site = await page.client.site()
    return page.render("audit.html", lines=lines, audits=found.items, site=site)


@router.get("/audit/{camera_id}/{line_id}")
async def count(page: Annotated[Page, page], camera_id: str, line_id: str) -> Response:
    """Return the page on which a line is counted by hand."""
    site = await page.client.site()
    lines = [line for c in site.cameras if c.id == camera_id for line in c.lines]
    line = next((one for one in lines if one.id == line_id), None)
    return page.render(
        "audit_count.html",
        camera_id=camera_id,
        line_id=line_id,
        line=line,
        line_words=page.words.text(_way_in(line)) if line else "",
    )


def _way_in(line: LineInfo) -> str:
    """Return the direction of ``in`` in the picture: to the right of a-b, whose rows go down."""
    right, down = line.a[1] - line.b[1], line.b[0] - line.a[0]
    if abs(right) > abs(down):
        return RIGHT if right > 0 else LEFT
    return DOWN if down > 0 else UP
