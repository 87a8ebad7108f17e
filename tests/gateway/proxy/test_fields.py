"""The filter on fields, held to a plain reading of its law: nothing of ours from outside, all else as it came."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.sessions import COOKIE
from gateway.proxy.asked import read_request
from gateway.proxy.block import Blocks
from gateway.proxy.fields import ANSWERED, ASKED, ASKED_INSIDE, Cookies
from gateway.proxy.framing import Malformed
from gateway.proxy.heads import parse_answer
from gateway.proxy.passage import Passage
from gateway.session.cookie import CookieNames, Realm
from provisioner.instance import Endpoint

REALMS = [CookieNames.for_scheme(secure=secure, realm=realm) for secure in (True, False) for realm in Realm]
EXACT = {COOKIE, *(name for names in REALMS for name in names.exact)}
PREFIXES = {names.flow_prefix for names in REALMS}
OURS = Cookies({name.lower().encode() for name in EXACT}, {prefix.lower().encode() for prefix in PREFIXES})
SAID = b"X-Jarvis-User: ada\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n"
"""By us, after all."""
PASSAGE = Passage(endpoint=Endpoint("127.0.0.1", 1), key="k", lines=SAID, ours=OURS)
LAW_PREFIXES = ("x-jarvis-", "x-forwarded", "fly-")
LAW_NAMES = {"forwarded", "x-real-ip"}
SPECIAL = {
    "host", "cookie", "authorization", "expect", "connection", "content-length", "transfer-encoding", "upgrade",
    "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "service-worker", "service-worker-allowed", "sec-websocket-key1", "set-cookie", "content-type",
}  # fmt: skip

names = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0189-_.~!#$%&'*+^`|", min_size=1, max_size=20)
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=20)


@st.composite
def spelled(draw: st.DrawFn, name: str) -> str:
    """`name` in any letters, any `_` for a `-`."""
    turned = [draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in name]
    return "".join(draw(st.sampled_from("-_")) if letter == "-" else letter for letter in turned)


def dashed(name: str) -> str:
    return name.lower().replace("_", "-")


def is_ours(name: str) -> bool:
    return dashed(name) in LAW_NAMES or dashed(name).startswith(LAW_PREFIXES)


ours = st.sampled_from(
    [
        "x-jarvis-user", "x-jarvis-email", "x-jarvis-assertion", "x-jarvis-operator", "x-jarvis-role", "x-forwarded",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix",
        "forwarded", "x-real-ip", "fly-client-ip", "fly-region", "fly-forwarded-port", "fly-replay-src",
    ]
).flatmap(spelled)  # fmt: skip
innocent = names.filter(lambda name: not is_ours(name) and dashed(name) not in SPECIAL | {"close"})
near = st.sampled_from(
    ["x-jarvis", "x-forward", "fly", "x-real-ip2", "xforwarded-for", "my-x-jarvis-user", "forwarded2"]
)
blanks = st.sampled_from(["", " ", "  ", "\t", " \t "])


@st.composite
def a_line(draw: st.DrawFn, name: st.SearchStrategy[str]) -> tuple[str, str]:
    return draw(name), f"{draw(blanks)}{draw(texts)}{draw(blanks)}"


fields = st.lists(a_line(ours) | a_line(innocent | near), max_size=8).flatmap(
    lambda some: st.permutations(some + some[:2])  # also the same again
)
nominated = st.lists(ours | innocent | near, max_size=3)


def as_lines(pairs: list[tuple[str, str]]) -> list[bytes]:
    return [f"{name}:{value}".encode("latin-1") for name, value in pairs]


def three_times(head: bytes) -> bytes:
    """What a Machine gets of it, the same whether its lines are new, known, or known as a whole."""
    blocks = Blocks(ASKED)
    told = {read_request(head, blocks).for_machine(PASSAGE) for _ in range(3)}
    assert len(told) == 1
    return told.pop()


@given(fields, nominated, st.booleans())
def test_nothing_of_ours_reaches_a_machine_and_all_else_does_as_it_came(
    pairs: list[tuple[str, str]], named: list[str], first: bool
) -> None:
    connection = [f"Connection: {', '.join(named)}".encode()] if named else []
    lines = as_lines(pairs)
    sent = [b"Host: x", *connection, *lines] if first else [b"Host: x", *lines, *connection]
    head = b"GET /a HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in sent) + b"\r\n"
    gone = {name.lower() for name in named}
    left = [
        line for (name, _), line in zip(pairs, lines, strict=True) if not is_ours(name) and name.lower() not in gone
    ]
    expected = b"".join(line + b"\r\n" for line in [b"GET /a HTTP/1.1", b"Host: x", *left])
    assert three_times(head) == expected + SAID + b"\r\n"


@given(ours, st.sampled_from([" ", "\t", "\0", "\x0b", "(", "\xe4"]), st.booleans())
def test_a_name_of_ours_with_something_about_it_is_no_name(name: str, odd: str, before: bool) -> None:
    line = (odd + name if before else name + odd) + ": evil\r\n"
    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + line.encode("latin-1") + b"\r\n"
    try:
        read_request(head)
    except Malformed:
        return
    raise AssertionError("it was read")


@given(st.lists(ours, min_size=1, max_size=3))
def test_inside_who_asks_is_said_anew_and_the_rest_is_believed(some: list[str]) -> None:
    """At the Guard: what the gateway said of the way here passes, and nobody's word of who they are."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(f"{name}: v\r\n".encode() for name in some) + b"\r\n"
    told = read_request(head, Blocks(ASKED_INSIDE)).for_machine(PASSAGE).removesuffix(SAID + b"\r\n").decode()
    kept = [line.partition(":")[0] for line in told.split("\r\n")[2:-1]]
    identity = {"x-jarvis-user", "x-jarvis-email", "x-jarvis-assertion"}
    assert kept == [name for name in some if dashed(name) not in identity]


our_cookie = (
    st.sampled_from(sorted(EXACT)) | st.sampled_from(sorted(PREFIXES)).map(lambda prefix: prefix + "AbCd_-09")
).flatmap(lambda name: st.tuples(*(st.sampled_from([c.lower(), c.upper()]) for c in name)).map("".join))
around = st.text("= \t", max_size=3)
behind = st.text(" \t", max_size=2)
our_piece = st.builds(
    lambda lead, name, gap, value: f"{lead}{name}{gap}{value}",
    around, our_cookie, behind, st.just("") | st.text("abc=\"%", max_size=8).map(lambda value: "=" + value),
)  # fmt: skip
free = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=";"), max_size=12)


def of_ours(piece: str) -> bool:
    name = piece.lstrip("= \t").partition("=")[0].rstrip(" \t").lower()
    return name in {each.lower() for each in EXACT} or name.startswith(tuple(each.lower() for each in PREFIXES))


free_piece = st.builds(lambda name, value: f"{name}={value}", free, free).filter(lambda piece: not of_ours(piece))
pieces = st.lists(our_piece | free_piece | st.sampled_from(["jarvistheme=dark", "xjarvis=1", "jarvis-=1"]), max_size=6)


@given(st.lists(pieces, min_size=1, max_size=2))
def test_no_cookie_of_ours_reaches_a_machine_and_all_others_do(jars: list[list[str]]) -> None:
    """Also when HTTP/2 split them into several fields."""
    sent = "".join(f"Cookie: {'; '.join(jar)}\r\n" for jar in jars)
    head = f"GET / HTTP/1.1\r\nHost: x\r\n{sent}\r\n".encode()
    told = three_times(head).removesuffix(SAID + b"\r\n").decode()
    arrived = [line.removeprefix("Cookie: ") for line in told.split("\r\n") if line.startswith("Cookie:")]
    assert len(arrived) <= 1
    seen = [piece.strip(" \t") for line in arrived for piece in line.split(";")]
    wanted = [piece.strip(" \t") for jar in jars for piece in jar if not of_ours(piece)]
    assert [each for each in seen if each] == [each for each in wanted if each]


@given(st.lists(our_piece.map(lambda piece: (True, piece)) | free_piece.map(lambda piece: (False, piece)), max_size=6))
def test_a_machine_sets_every_cookie_but_ours(cookies: list[tuple[bool, str]]) -> None:
    lines = [(mine, f"Set-Cookie: {piece}; Path=/".encode()) for mine, piece in cookies]
    head = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 200 OK", *(line for _, line in lines)))
    assert parse_answer(head, OURS).lines == [b"HTTP/1.1 200 OK", *(line for mine, line in lines if not mine)]


@given(st.sampled_from(["set-cookie", "service-worker-allowed", "keep-alive", "proxy-authenticate"]).flatmap(spelled))
def test_what_ends_at_us_ends_however_it_is_spelled_on_the_way_back_too(name: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nX-A: 1\r\n{name}: jarvis=evil\r\nX-B: 2\r\n".encode()
    for _ in range(2):
        assert parse_answer(head, OURS).lines == [b"HTTP/1.1 200 OK", b"X-A: 1", b"X-B: 2"]
    assert f"{name}: jarvis=evil".encode() not in ANSWERED.usual
