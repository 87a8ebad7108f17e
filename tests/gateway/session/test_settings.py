"""The room's settings: every problem at once, no secret shown."""

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from gateway.session.settings import SessionSettings

GOOD: dict[str, Any] = {
    "public_origin": "https://my-jarvis.test",
    "supabase_url": "https://ref.supabase.co",
    "publishable_key": "sb_publishable_do_not_show",
    "secret_key": "sb_secret_do_not_show",
    "legacy_jwt_secret": "legacy_do_not_show_" + "x" * 32,
    "master_keys": {"k1": b"do_not_show_do_not_show_do_not_!"},
}


def test_no_secret_is_ever_shown() -> None:
    assert "do_not_show" not in repr(SessionSettings(**GOOD))


def test_the_issuer_is_exactly_supabases() -> None:
    assert (
        SessionSettings(**GOOD | {"supabase_url": "https://ref.supabase.co/"}).auth_url
        == "https://ref.supabase.co/auth/v1"
    )


def test_every_problem_is_named_at_once() -> None:
    bad = {
        "public_origin": "https://my-jarvis.test/",
        "supabase_url": "ref.supabase.co",
        "publishable_key": "",
        "legacy_jwt_secret": "short_do_not_show",
        "master_keys": {"k1": b"short"},
        "idle_lifetime": timedelta(days=100),
    }
    with pytest.raises(ValueError, match="public_origin") as refused:
        SessionSettings(**GOOD | bad)
    for name in ("supabase_url", "publishable_key", "legacy_jwt_secret", "master key", "idle_lifetime"):
        assert name in str(refused.value)
    assert "do_not_show" not in str(refused.value)


@pytest.mark.parametrize("origin", ["https://h", "http://127.0.0.1:8080", "https://[::1]:8443"])
def test_origins_with_and_without_port(origin: str) -> None:
    assert SessionSettings(**GOOD | {"public_origin": origin}).secure == origin.startswith("https")


def test_every_field_that_can_hold_a_secret_is_out_of_repr() -> None:
    hidden = {field.name for field in fields(SessionSettings) if not field.repr}
    assert hidden == {"publishable_key", "secret_key", "legacy_jwt_secret", "master_keys"}
