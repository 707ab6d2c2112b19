"""`import trinetra` costs nothing, and has the names of the API at their first use."""

import subprocess
import sys

import pytest

import trinetra
from trinetra import api


def test_importing_the_package_imports_nothing_else() -> None:
    program = (
        "import sys; before = {*sys.modules}; import trinetra; print(*{*sys.modules} - before)"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["trinetra"]


def test_asking_for_figures_imports_arrow_only_with_the_first_table() -> None:
    program = "import sys, trinetra; trinetra.Shop; print('pyarrow' in sys.modules)"
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_the_package_has_every_name_of_the_api() -> None:
    assert trinetra.__all__ == api.__all__
    assert all(getattr(trinetra, name) is getattr(api, name) for name in api.__all__)
    assert set(api.__all__) <= set(dir(trinetra))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'shop_of'"):
        trinetra.shop_of  # noqa: B018


def test_without_arrow_a_table_says_what_to_install() -> None:
    program = """
import sys
sys.modules["pyarrow"] = None
from trinetra.api import tables
tables.events(tables.INSIGHTS["visit"], [], "UTC")
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "tables need the package pyarrow: pip install 'trinetra[arrow]'" in ran.stderr
