"""Where Auth sends browsers: the allow rules and the merging of queries, as tables."""

import pytest

from localcloud.auth.redirects import choose, is_allowed, with_query

SITE = "https://my-jarvis.app"
ALLOW = ("https://*.preview.test/**", "https://exact.test/back", "jarvis://callback", "https://one.test/*/done")


@pytest.mark.parametrize(
    "url",
    [
        "https://my-jarvis.app/auth/callback?s=1",
        "https://my-jarvis.app",
        "http://127.0.0.1:9999/anything",
        "http://127.5.6.7/",
        "https://[::1]:3000/x",
        "https://a.preview.test/deep/down?x=1",
        "https://exact.test/back",
        "https://exact.test/back#not-looked-at",
        "https://one.test/anything/done",
        "jarvis://callback",
    ],
)
def test_allowed(url):
    assert is_allowed(url, site_url=SITE, allow=ALLOW)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://my-jarvis.app:444/",
        "http://my-jarvis.app/",
        "https://my-jarvis.app.evil.test/",
        "https://evil.test/https://my-jarvis.app",
        "https://exact.test/back?s=1",
        "https://a.b.preview.test/x",
        "https://one.test/two/deep/done",
        "http://10.0.0.1/",
        "https://2130706433/",
        "\thttps://my-jarvis.app/",
        "https://my-jarvis.app/ x",
        "https://my-jarvis.app:port/",
        "https://[::1/",
    ],
)
def test_forbidden(url):
    assert not is_allowed(url, site_url=SITE, allow=ALLOW)


def test_any_port_of_a_local_site_is_the_site():
    """Development servers move between ports."""
    assert is_allowed("http://localhost:5173/x", site_url="http://localhost:3000", allow=())
    assert not is_allowed("http://localhost:5173/x", site_url=SITE, allow=())


def test_a_forbidden_target_falls_back_to_referer_then_site():
    assert choose(["https://evil.test", f"{SITE}/page"], site_url=SITE, allow=()) == f"{SITE}/page"
    assert choose(["https://evil.test", ""], site_url=SITE, allow=()) == SITE


def test_the_query_is_merged_and_sorted():
    assert with_query("https://a.test/x?s=1&b=&z=2", {"code": "c d"}) == "https://a.test/x?b=&code=c+d&s=1&z=2"
    assert with_query("https://a.test/x?error=old", {"error": "new"}, fragment={"sb": "", "error": "new"}) == (
        "https://a.test/x?error=new#error=new&sb="
    )
