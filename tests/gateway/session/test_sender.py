"""What a request tells of its sender."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session.sender import plain_address, plain_text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        (None, None),
        ("unknown", None),
        ("203.0.113.7, 10.0.0.1", None),
        ("203.0.113.7\r\nX: y", None),
        ("٢٠٣.0.113.7", None),
    ],
)
def test_only_an_address_is_an_address(text: str | None, address: str | None) -> None:
    assert plain_address(text) == address


@given(st.text(max_size=500) | st.text(st.characters(categories=("Cs",)), max_size=5))
def test_any_user_agent_fits_a_column(text: str) -> None:
    """Bytes outside ASCII reach us as lone surrogates, which no database takes."""
    kept = plain_text(text, 300)
    assert kept is None or (len(kept.encode()) <= 1200 and "\0" not in kept and len(kept) <= 300)
