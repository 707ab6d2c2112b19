"""Composes the page about accuracy from both baselines: real footage first, then the twin."""

from collections.abc import Mapping
from typing import Any

from trinetra.benchmarks import accuracy_table, real_table

_TITLE = "# Accuracy of the platform\n"


def as_markdown(real: Mapping[str, Any], twin: Mapping[str, Any]) -> str:
    """Return the page, from `benchmarks/real.json` and `benchmarks/accuracy.json`."""
    return "\n".join([_TITLE, real_table.as_markdown(real), accuracy_table.as_markdown(twin)])
