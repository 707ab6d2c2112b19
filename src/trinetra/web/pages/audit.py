"""Audit: lines counted by hand, and how the platform's counts compare."""

from typing import Annotated

from fastapi import APIRouter, Response

from trinetra.web.pages.page import Page, page

router = APIRouter()


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
    return page.render("audit_count.html", camera_id=camera_id, line_id=line_id)
