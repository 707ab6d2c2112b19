"""PDF: the HTML report, laid out on A4 pages."""

from weasyprint import HTML

from trinetra.reports.document import Document
from trinetra.reports.html import html_text


def pdf_bytes(document: Document) -> bytes:
    """Return a report as a PDF file."""
    return bytes(HTML(string=html_text(document)).write_pdf())
