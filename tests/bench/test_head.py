"""The request head that everybody gets."""

import pytest

from bench.head import COOKIE_BYTES, HEAD_BYTES, as_arguments, as_text, head_lines


@pytest.mark.parametrize("cookie", ["jarvis=" + "k" * 43, "jarvis=short"])
def test_the_head_weighs_what_the_facts_weighed_whatever_our_cookie(cookie: str) -> None:
    """1.7 KB with 1.1 KB of cookies, or figures of two days cannot be compared."""
    lines = head_lines(cookie)
    head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:12345\r\n{as_text(lines)}\r\n"
    cookies = dict(lines)["Cookie"]
    assert (len(head), len(cookies)) == (HEAD_BYTES, COOKIE_BYTES)
    assert f"; {cookie}; " in cookies


def test_wrk_and_the_load_generator_send_the_same_lines() -> None:
    lines = head_lines("jarvis=x")
    assert [f"{line}\r\n" for line in as_arguments(lines)[1::2]] == as_text(lines).splitlines(keepends=True)
