"""The words for every way a sign-in can end badly."""

import pytest

from gateway.session.failures import WORDS, Kind, SignInFailed, kind_of, kind_of_code, login_url


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_words(kind: Kind) -> None:
    failed = SignInFailed(kind)
    assert failed.title
    assert failed.words.endswith(".")
    assert 400 <= failed.status < 600
    assert (failed.status == 503) <= (failed.retry_after is not None)
    assert set(WORDS) == set(Kind)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ({}, None),
        ({"error": ""}, None),
        ({"code": "1"}, None),
        ({"error": "access_denied", "error_description": "The user denied"}, Kind.CANCELLED),
        ({"error": "access_denied", "error_code": "signup_disabled"}, Kind.SIGN_UPS_CLOSED),
        ({"error": "access_denied", "error_code": "user_banned"}, Kind.BANNED),
        ({"error": "access_denied", "error_code": "provider_email_needs_verification"}, Kind.EMAIL_UNVERIFIED),
        ({"error": "server_error", "error_code": "unexpected_failure"}, Kind.FAILED),
        ({"error": "server_error"}, Kind.FAILED),
        ({"error": "invalid_request", "error_code": "bad_oauth_state"}, Kind.TOO_SLOW),
        ({"error": "invalid_request", "error_code": "bad_oauth_callback"}, Kind.START_AGAIN),
        ({"error": "<script>", "error_code": "<script>"}, Kind.FAILED),
        ({"error_code": "access_denied"}, Kind.CANCELLED),
    ],
)
def test_what_supabase_writes_into_a_url_picks_the_words(query: dict[str, str], kind: Kind | None) -> None:
    """And none of its text is in them."""
    assert kind_of(query) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("flow_state_not_found", Kind.START_AGAIN),
        ("flow_state_expired", Kind.TOO_SLOW),
        ("bad_code_verifier", Kind.MIXED_UP),
        ("over_request_rate_limit", Kind.BUSY),
        ("", Kind.FAILED),
        (None, Kind.FAILED),
        ("a_code_of_next_year", Kind.FAILED),
    ],
)
def test_codes_of_the_exchange(code: str | None, kind: Kind) -> None:
    assert kind_of_code(code) is kind


def test_the_way_back_keeps_the_deep_link() -> None:
    assert login_url("/") == "/auth/login"
    assert login_url("/n?a=1&b=2#c") == "/auth/login?next=/n%3Fa%3D1%26b%3D2%23c"
