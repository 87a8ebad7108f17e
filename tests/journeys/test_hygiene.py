"""Requests and answers that were made to be misread, through the whole system, on plain sockets.

Each case is named after the class of failure it comes from, with a CVE in which somebody's server fell for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from tests.journeys.visitor import FETCH
from tests.parts.plain_http import NO_TLS
from tests.parts.raw_http import Heard, exchange, request
from tests.parts.system import System

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True, slots=True)
class Insider:
    """Somebody signed in, with a Machine: attacks are worth more from within."""

    system: System
    http: httpx.Client
    user_id: str
    email: str

    @property
    def host(self) -> str:
        return self.system.public.removeprefix("http://")

    @property
    def session(self) -> str:
        return f"jarvis={self.http.cookies['jarvis']}"

    async def asks(self, *lines: str | bytes, target: str = "/headers", method: str = "GET") -> Heard:
        """One request of theirs with `lines` among its fields; the connection ends after it."""
        own = (f"Host: {self.host}", f"Cookie: {self.session}", "Accept: application/json", "Connection: close")
        return await exchange(self.system.public, request(f"{method} {target} HTTP/1.1", *own, *lines))

    async def reached_the_app(self, *lines: str | bytes, target: str = "/headers") -> list[tuple[str, str]]:
        """The fields that the App saw of such a request, names as they came."""
        heard = await self.asks(*lines, target=target)
        assert heard.status == 200, heard.raw
        return [(name, value) for name, value in heard.json["headers"]]

    def note(self, name: str) -> str | None:
        """A file on their Machine's disk: what a smuggled request would have written."""
        answer = self.http.get("/read", params={"name": name}, headers=FETCH)
        return answer.text if answer.status_code == 200 else None


@pytest.fixture(scope="module")
def ada(dev: System) -> Iterator[Insider]:
    email = f"ada-{uuid4().hex[:8]}@example.com"
    with httpx.Client(base_url=dev.public, follow_redirects=True, timeout=45, trust_env=False, verify=NO_TLS) as http:
        answer = http.get("/auth/login", params={"next": "/env", "login_hint": email})
        assert answer.status_code == 200, answer.text
        yield Insider(dev, http, answer.json()["USER_ID"], email)


def values(fields: list[tuple[str, str]], name: str) -> list[str]:
    """All values of a field, by a name that treats `_` as `-`: as a CGI-like App would look for it."""
    return [value for each, value in fields if each.lower().replace("_", "-") == name]


LIES: Final[dict[str, list[str]]] = {
    "spoofed client address (CVE-2022-31813)": ["X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6"],
    "spoofed host (password reset poisoning)": ["X-Forwarded-Host: evil.example", "X-Forwarded-Server: evil.example"],
    "spoofed scheme and port": ["X-Forwarded-Proto: gopher", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil"],
    "RFC 7239": ["Forwarded: for=6.6.6.6;host=evil.example;proto=gopher"],
    "several of one name": ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: evil", "x-forwarded-for: gopher"],
    "underscore for dash (CVE-2015-0219)": ["X_Forwarded_For: 6.6.6.6", "X-Forwarded_Host: evil.example"],
    "underscore identity (CVE-2015-0219)": ["X_Jarvis_User: evil", "x_jarvis-email: evil", "X-Jarvis_Assertion: evil"],
    "identity in other cases": ["x-jarvis-user: evil", "X-JARVIS-EMAIL: evil", "X-Jarvis-Role: evil"],
    "the edge's own words": ["Fly-Client-IP: 6.6.6.6", "fly_forwarded_port: evil", "Fly-Region: moon"],
    "nominated identity (CVE-2022-1388)": ["Connection: X-Jarvis-User, X-Jarvis-Email, X-Jarvis-Assertion"],
    "nominated address (CVE-2024-45410)": ["Connection: X-Forwarded-For, X-Forwarded-Host, Forwarded"],
    "nominated Host": ["Connection: Host"],
    "hop by hop": ["Keep-Alive: evil", "Proxy-Authorization: evil", "TE: trailers, evil", "Trailer: evil"],
    "httpoxy (CVE-2016-5385)": ["Proxy-Connection: evil"],
    "framing in disguise": ["Content_Length: 6", "Transfer_Encoding: evil"],
}


@pytest.mark.parametrize("lie", LIES)
async def test_no_header_makes_the_app_believe_what_we_did_not_say(ada: Insider, lie: str) -> None:
    """Who I am and where I come from is told by the gateway, whatever my request says."""
    fields = await ada.reached_the_app(*LIES[lie])
    everything = "\n".join(f"{name}: {value}" for name, value in fields)
    for word in ("6.6.6.6", "evil", "gopher", "moon"):
        assert word not in everything
    assert values(fields, "x-jarvis-user") == [ada.user_id]
    assert values(fields, "x-jarvis-email") == [ada.email]
    assert values(fields, "x-jarvis-assertion") == []
    assert values(fields, "x-forwarded-for") == ["127.0.0.1"]
    assert values(fields, "x-forwarded-host") == [ada.host]
    assert values(fields, "x-forwarded-proto") == ["http"]
    assert len(values(fields, "forwarded")) == len(values(fields, "host")) == 1
    assert [name for name, _ in fields if "_" in name] == []


async def test_a_nominated_cookie_takes_no_cookie_of_ours_along(ada: Insider) -> None:
    """`Connection: Cookie` may cost me my own cookies; it never lets the session through."""
    heard = await ada.asks("Connection: Cookie", "Cookie: theme=dark")
    assert heard.status in (200, 401)
    assert ada.session.partition("=")[2].encode() not in heard.raw


async def test_the_authority_of_an_absolute_target_is_the_only_truth(ada: Insider) -> None:
    """`GET http://elsewhere/` goes to my own Machine, which is told one host and not two (RFC 9112 §3.2.2)."""
    fields = await ada.reached_the_app(target="http://evil.example:81/headers")
    assert set(values(fields, "host")) == {"evil.example:81"} == set(values(fields, "x-forwarded-host"))


async def test_an_absolute_target_is_no_way_around_our_own_pages(ada: Insider) -> None:
    """Whatever host is named, a path of ours is ours, and sign-in still leads back to our own origin."""
    told = await ada.asks(target="http://evil.example/_gateway/instance")
    assert told.json["state"] == "active"
    stranger = request("GET http://evil.example/auth/login HTTP/1.1", f"Host: {ada.host}", "Connection: close")
    sent = await exchange(ada.system.public, stranger)
    assert sent.status == 303, sent.raw
    assert b"evil" not in sent.raw


SMUGGLED: Final = b"POST /write?name=%b&text=smuggled HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n"


def refused(*lines: str | bytes, line: str = "POST /headers HTTP/1.1", body: bytes = b"", host: bool = True) -> Any:
    return (line, ["Host: {host}"] if host else [], lines, body)


MISFRAMED: Final[dict[str, Any]] = {
    "CL.TE (CVE-2019-18277)": refused("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "TE.CL": refused("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
    "TE.TE, twice": refused("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "TE.TE, the same twice": refused("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "TE.TE, list": refused("Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "TE.TE, vertical tab (CVE-2019-18277)": refused(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "TE.TE, another coding (CVE-2024-1135)": refused("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "TE.TE, quoted": refused('Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "TE.0": refused("Transfer-Encoding: xchunked"),
    "space before the colon (CVE-2019-16869)": refused("Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "tab before the colon": refused(b"Content-Length\t: 0"),
    "two lengths that differ": refused("Content-Length: 0", "Content-Length: 90"),
    "two lengths that agree": refused("Content-Length: 0", "Content-Length: 0"),
    "a list of lengths": refused("Content-Length: 0, 0"),
    "signed length (CVE-2022-24801)": refused("Content-Length: +0"),
    "hexadecimal length": refused("Content-Length: 0x0"),
    "length past 64 bits (CVE-2021-40346)": refused("Content-Length: 18446744073709551616"),
    "length with an underscore": refused("Content-Length: 1_0"),
    "chunk size with a sign (CVE-2022-24801)": refused("Transfer-Encoding: chunked", body=b"+0\r\n\r\n"),
    "chunk size with 0x": refused("Transfer-Encoding: chunked", body=b"0x0\r\n\r\n"),
    "chunk ended by a bare LF": refused("Transfer-Encoding: chunked", body=b"0\n\n"),
    "chunk longer than it says": refused("Transfer-Encoding: chunked", body=b"1\r\nabc\r\n0\r\n\r\n"),
    "folded header (CVE-2022-32215)": refused("Transfer-Encoding:", " chunked", body=b"0\r\n\r\n"),
    "folded by a tab": refused("X-A: b", "\tTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "bare LF between fields (CVE-2022-32214)": refused(b"X-A: b\nTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "bare CR in a value (CVE-2023-30589)": refused(b"X-A: b\rTransfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "NUL in a value": refused(b"X-A: b\x00c"),
    "NUL in a name (CVE-2024-52530)": refused(b"Transfer-Encoding\x00: chunked", body=b"0\r\n\r\n"),
    "a name of nothing (CVE-2023-25725)": refused(": chunked"),
    "no colon (CVE-2019-20444)": refused("Transfer-Encoding"),
    "a space in a name": refused("X A: b"),
    "duplicate Host": refused("Host: evil.example"),
    "no Host": refused(host=False),
    "HTTP/1.0 with chunks": refused("Transfer-Encoding: chunked", line="POST /headers HTTP/1.0", body=b"0\r\n\r\n"),
    "HTTP/0.9": refused(line="GET /headers"),
    "another version": refused(line="GET /headers HTTP/1.2"),
    "a space in the target (CVE-2023-25690)": refused(line="GET /headers HTTP/1.1 x HTTP/1.1"),
    "an authority as target": refused(line="GET evil.example:80 HTTP/1.1"),
    "a user in the target": refused(line="GET http://evil@{host}/headers HTTP/1.1"),
    "another scheme": refused(line="GET gopher://{host}/headers HTTP/1.1"),
    "a method with a control in it": refused(line="GE\x01T /headers HTTP/1.1"),
    "HTTP/2 by prior knowledge": refused(line="PRI * HTTP/2.0", host=False),
}


@pytest.mark.parametrize("attack", MISFRAMED)
async def test_what_two_readers_could_read_differently_ends_the_connection(ada: Insider, attack: str) -> None:
    """A 400 and silence: what stood behind the bad request was never taken for another one."""
    line, host, fields, body = MISFRAMED[attack]
    note = uuid4().hex
    cookie = f"Cookie: {ada.session}"
    hidden = SMUGGLED % (note.encode(), cookie.encode())
    lines = [text.format(host=ada.host) for text in (line, *host)]
    heard = await exchange(ada.system.public, request(*lines, cookie, *fields, body=body) + hidden)
    assert (heard.status, heard.answers) == (400, 1), heard.raw
    assert b"connection: close" in heard.head.lower()
    assert ada.note(note) is None


async def test_the_table_of_attacks_would_notice_a_smuggled_request(ada: Insider) -> None:
    """The same bytes behind an honest request do arrive: so their absence above proves something."""
    note = uuid4().hex
    cookie = f"Cookie: {ada.session}".encode()
    honest = request("GET /headers HTTP/1.1", f"Host: {ada.host}", cookie)
    hidden = SMUGGLED % (note.encode(), cookie + b"\r\nContent-Length: 0\r\nConnection: close")
    heard = await exchange(ada.system.public, honest + hidden)
    assert heard.answers == 2
    assert ada.note(note) == "smuggled"


OVERSIZE: Final = {
    "one huge field": (["X-Big: " + "a" * 70_000], 431),
    "an oversize Cookie": (["Cookie: big=" + "a" * 70_000], 431),
    "very many fields": ([f"X-{number}: a" for number in range(300)], 431),
    "very many cookies": (["Cookie: " + "; ".join(f"c{number}=a" for number in range(12_000))], 431),
}


@pytest.mark.parametrize("case", OVERSIZE)
async def test_a_head_without_measure_is_refused(ada: Insider, case: str) -> None:
    lines, status = OVERSIZE[case]
    heard = await ada.asks(*lines)
    assert (heard.status, heard.answers) == (status, 1)


async def test_an_endless_address_is_refused(ada: Insider) -> None:
    heard = await ada.asks(target="/headers?" + "a" * 40_000)
    assert heard.status == 414


async def test_a_large_jar_is_no_reason_to_refuse(ada: Insider) -> None:
    """Real Apps set long cookies: what a browser can hold for one of them still arrives, without ours."""
    own = "; ".join(f"part{number}={'v' * 1000}" for number in range(7))
    heard = await ada.asks(f"Cookie: {own}")
    assert heard.status == 200, heard.raw
    assert values([tuple(pair) for pair in heard.json["headers"]], "cookie") == [own]


TOSSED: Final = {
    "another session before mine": "jarvis={other}; {mine}",
    "another session behind mine": "{mine}; jarvis={other}",
    "in two fields": "{mine}\r\nCookie: jarvis={other}",
    "a junk session beside mine": "jarvis=x; {mine}",
}


@pytest.mark.parametrize("toss", TOSSED)
async def test_two_sessions_at_once_are_nobody(ada: Insider, toss: str) -> None:
    """A neighbouring page that plants its own session in my browser locks me out at worst; it never signs me in
    as its owner, and I never act in another's name."""
    cookies = TOSSED[toss].format(mine=ada.session, other="A" * 43)
    heard = await exchange(
        ada.system.public,
        request("GET /env HTTP/1.1", f"Host: {ada.host}", f"Cookie: {cookies}", "Connection: close"),
    )
    assert heard.status == 401, heard.raw


PLANTED: Final = {
    "the session": "jarvis=evil",
    "for the whole site": "jarvis=evil; Domain=127.0.0.1; Path=/",
    "in capitals": "JARVIS=evil; Path=/",
    "space around the name": "  jarvis  =evil",
    "tab around the name": "\tjarvis\t=evil",
    "a value without a name": "=jarvis=evil",
    "a spaced value without a name": " = jarvis=evil",
    "the bare name": "jarvis",
    "the bare name with attributes": "jarvis; Path=/; HttpOnly",
    "deleting it": "jarvis=; Max-Age=0; Path=/",
    "a sign-in under way": "jarvis-flow-AAAAAAAA=evil",
    "a sign-in in other letters": "Jarvis-Flow-AAAAAAAA=evil; Path=/auth",
    "who was here last": "jarvis-last=evil",
    "the loop guard": "jarvis-loop=evil; Path=/",
    "an operator's at the dashboard": "jarvis-operator=evil; Path=/",
    "a session at the account pages": "jarvis-account=evil; Domain=localhost",
}


@pytest.mark.parametrize("how", PLANTED)
async def test_a_machine_sets_none_of_our_cookies(ada: Insider, how: str) -> None:
    """Cookie tossing from inside: a hostile App cannot sign me out, or in as somebody else."""
    query = str(httpx.QueryParams({"cookie": PLANTED[how]}))
    heard = await ada.asks(target=f"/plant?{query}&cookie=jarvistheme%3Ddark")
    assert heard.status == 200, heard.raw
    set_cookies = [line for line in heard.head.split(b"\r\n") if line.lower().startswith(b"set-cookie")]
    assert set_cookies == [b"Set-Cookie: jarvistheme=dark"]
