"""Tests that no part of an address that may be a credential is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trinetra.redaction import mask_urls, shown_address

SECRET = "Geheim77"
CAMERAS = [
    f"rtsp://10.0.0.7:8554/user=admin_password={SECRET}_channel=1_stream=0.sdp?real_stream",
    f"http://10.0.0.7:8554/cgi/pw/{SECRET}/video.mjpg?usr=admin&pwd={SECRET}",
    f"rtsp://10.0.0.7:8554?pwd={SECRET}",
    f"rtsp://10.0.0.7:8554#{SECRET}",
    f"rtsp://admin:{SECRET}@10.0.0.7:8554/a/b@c",
]
CHARACTERS = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'<>")


@pytest.mark.parametrize("url", CAMERAS)
def test_of_a_cameras_address_only_scheme_host_and_port_are_shown(url: str) -> None:
    assert shown_address(url) == f"{url.partition('://')[0]}://10.0.0.7:8554/…"


@pytest.mark.parametrize("url", ["rtsp://[fe80::1]:554", "http://door.shop", "rtsp://10.0.0.7/"])
def test_an_address_without_anything_to_hide_is_shown(url: str) -> None:
    assert shown_address(url) == url.rstrip("/")


@pytest.mark.parametrize("url", [f"rtsp://admin:x/{SECRET}@10.0.0.7/live", SECRET])
def test_what_cannot_be_told_from_a_credential_is_hidden(url: str) -> None:
    assert SECRET not in shown_address(url)
    assert SECRET not in mask_urls(f"cannot reach {url}") or "://" not in url


@given(
    st.sampled_from(["rtsp", "rtsps", "http", "https"]),
    st.sampled_from(["/", "?", "#", "/a/", "/a?b="]),
    st.text(CHARACTERS, min_size=4),
)
def test_nothing_behind_the_host_is_ever_shown(scheme: str, before: str, secret: str) -> None:
    url = f"{scheme}://host:1{before}{secret}"
    assert shown_address(url) in {f"{scheme}://host:1/…", f"{scheme}://host:1"}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"lost rtsp://h/{SECRET}: retrying", "lost rtsp://h/…: retrying"),
        (f"lost rtsp://u:{SECRET}@h:1/x (again)", "lost rtsp://***@h:1/… (again)"),
        (f"(http://u:{SECRET}@h/x?pwd={SECRET})", "(http://***@h/x?…)"),
        (f"redis://:pa/{SECRET}@h:6379/0, down", "redis://***@h:6379/0, down"),
        (f"postgresql://h/db?password={SECRET}.", "postgresql://h/db?…."),
        ("see http://127.0.0.1:8000/health/ready", "see http://127.0.0.1:8000/health/ready"),
        ("ann@example.org", "ann@example.org"),
    ],
)
def test_texts_keep_everything_but_the_credentials_of_their_urls(text: str, masked: str) -> None:
    assert mask_urls(text) == masked
