"""TRINETRA: multi-camera retail analytics; docs/python.md describes the names here."""

__version__ = "0.1.0"
__all__ = [
    "ClipRun",
    "ClipScore",
    "ConfigurationError",
    "Counts",
    "Explanation",
    "Metric",
    "Shop",
    "Site",
    "TrinetraError",
    "load_site",
    "read_events",
    "run_clip",
    "score_clip",
    "why_left_out",
]

TYPE_CHECKING = False  # typing itself would slow down every command
if TYPE_CHECKING:
    from trinetra.api import (
        ClipRun,
        ClipScore,
        ConfigurationError,
        Counts,
        Explanation,
        Metric,
        Shop,
        Site,
        TrinetraError,
        load_site,
        read_events,
        run_clip,
        score_clip,
        why_left_out,
    )
else:

    def __getattr__(name: str) -> object:
        """Return a name of the Python API, which is imported at its first use (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib  # noqa: PLC0415

        return getattr(importlib.import_module("trinetra.api"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
