"""Where people go after signing in: always on our own origin."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.session.next import MAX_LENGTH, safe_next

ORIGIN = "https://my-jarvis.test"


@pytest.mark.parametrize(
    "path", ["/", "/notes", "/notes?tab=1&x=%2F%2F", "/a/b#c", "/a//b", "/@me", "/x:y", "/authors", "/?next=https://x"]
)
def test_paths_of_ours_are_kept_as_they_are(path: str) -> None:
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        "",
        "notes",
        "//evil.test",
        "///evil.test",
        "/\\evil.test",
        "\\/evil.test",
        "\\\\evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "\t//evil.test",
        " //evil.test",
        "https://evil.test",
        "https:evil.test",
        "HTTPS:/evil.test",
        "javascript:alert(1)",
        "data:text/html,x",
        "/a b",
        "/a\r\nSet-Cookie: x=y",
        "/a\0",
        "/ä",
        "/a\u2028b",
        "/\ud800",
        '/"><script>',
        "/" + "a" * MAX_LENGTH,
        "/auth/login?next=/auth/login",
        "/auth/callback?code=1",
        "/auth",
    ],
)
def test_everything_else_goes_home(wanted: str | None) -> None:
    assert safe_next(wanted) == "/"


hostile = st.text(st.sampled_from("/\\.:@?#%[]&=;~ \t\r\n\0-_evil.testhttps09ü⁄／") | st.characters(), max_size=60)


pieces = st.sampled_from(
    [
        "/",
        "\\",
        "//",
        "/\\",
        "\\/",
        ".",
        "..",
        "@",
        ":",
        "?",
        "#",
        "%2f",
        "%5c",
        "\t",
        "\n",
        "evil.test",
        "https:",
        "auth",
    ]
)
made = st.lists(pieces, max_size=5).map("".join)


@given(made | made.map(lambda text: "/" + text) | hostile | hostile.map(lambda text: "/" + text))
def test_nothing_leads_off_our_origin(wanted: str) -> None:
    """Two URL libraries that differ in much agree that the result stays with us, and no header breaks on it."""
    got = safe_next(wanted)
    parts = urlsplit(urljoin(ORIGIN + "/auth/callback", got))
    assert (parts.scheme, parts.netloc) == ("https", "my-jarvis.test")
    assert str(URL(ORIGIN).join(URL(got, encoded=True)).origin()) == ORIGIN
    assert got.startswith("/")
    assert not got.startswith(("//", "/\\"))
    assert got.isascii()
    assert got.isprintable()
    assert safe_next(got) == got
