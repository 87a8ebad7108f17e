"""What the Fly adapter is told, and what it must not repeat."""

import pytest

from provisioner.fly.settings import FlySettings


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ("fm2_abc", "FlyV1 fm2_abc"),
        ("FlyV1 fm2_abc,fm2_def\n", "FlyV1 fm2_abc,fm2_def"),
        ("Bearer fm2_abc", "FlyV1 fm2_abc"),
        ("fo1_abc", "Bearer fo1_abc"),
    ],
)
def test_a_token_is_taken_in_every_form_fly_prints(given, header):
    assert FlySettings(token=given).authorization == header


@pytest.mark.parametrize("token", ["", "  ", "fm2_abc def", "fm2_abc\ndef", "fm2_äbc"])
def test_a_token_no_header_can_carry_is_refused_without_repeating_it(token):
    with pytest.raises(ValueError, match="token is empty or holds") as refused:
        FlySettings(token=token)
    assert "fm2_" not in str(refused.value)


def test_the_token_is_hidden():
    assert "fm2_abc" not in repr(FlySettings(token="fm2_abc"))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://api.machines.dev", "https://api.machines.dev"),
        ("https://api.machines.dev/v1/", "https://api.machines.dev"),
        ("http://_api.internal:4280/", "http://_api.internal:4280"),
    ],
)
def test_the_url_may_end_as_fly_writes_it(given, url):
    assert FlySettings(token="t", api_url=given).api_url == url


@pytest.mark.parametrize("url", ["", "api.machines.dev", "ftp://x", "https://", "https://x?y"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ValueError, match="API URL"):
        FlySettings(token="t", api_url=url)
