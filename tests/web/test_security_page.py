"""The page on security tells what the program does."""

from tests.web.permissions import PAGE, with_table
from tests.web.test_access import PUBLIC_ROUTES

from trinetra.web.security.accounts import LOGIN_LINK_VALID
from trinetra.web.security.passwords import MIN_LENGTH
from trinetra.web.security.sessions import Lifetimes
from trinetra.web.security.throttle import ACCOUNT, ADDRESS

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_table_of_permissions_is_current() -> None:
    assert with_table(TEXT) == TEXT


def test_every_public_route_is_named() -> None:
    for route in PUBLIC_ROUTES - {"GET /login/oidc/callback"}:
        assert f"`{route.partition(' ')[2]}`" in TEXT, route


def test_its_figures_are_those_of_the_program() -> None:
    assert f"at least {MIN_LENGTH} characters" in TEXT
    assert f"after {ACCOUNT.free} failures of an account or {ADDRESS.free} of an address" in TEXT
    assert f"up to {ACCOUNT.max_s / 60:g} minutes" in TEXT
    assert f"within {LOGIN_LINK_VALID.seconds // 60} minutes" in TEXT
    lives = Lifetimes()
    assert (
        f"{lives.idle.seconds // 3600} hours without requests or {lives.absolute.days} days" in TEXT
    )
