"""A webhook goes to the internet, and never into the network that trusts us."""

import pytest

from gateway.webhooks.aim import BadAim, PublicResolver, checked, is_public


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.0.0.8", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fdaa:0:18:a7b::2", False),  # Fly's private network: Machines of users, databases
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:8", False),
        ("64:ff9b:1::a00:8", False),
        ("2002:7f00:1::", False),
        ("2002:a00:8::1", False),
    ],
)
def test_what_the_internet_routes(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://",
        "https:///path",
        "https://user@example.com/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[fdaa::3]:4280/v1/apps",
        "https://169.254.169.254/latest",
        "https://exa mple.com/",
        "https://exämple.com/",
        "https://example.com/\r\nHost: x",
        "https://" + "a" * 2000,
        "",
    ],
)
def test_where_no_webhook_goes(url: str) -> None:
    with pytest.raises(BadAim):
        checked(url, private=False)


@pytest.mark.parametrize("url", ["https://example.com/hook?a=b", "https://93.184.216.34:8443/"])
def test_where_a_webhook_may_go(url: str) -> None:
    assert checked(url, private=False) == url


async def test_a_name_that_leads_inside_is_refused_when_it_is_looked_up() -> None:
    """Also one that led outside when the webhook was made."""
    resolver = PublicResolver()
    with pytest.raises(OSError, match="private"):
        await resolver.resolve("localhost", 443)
    await resolver.close()
