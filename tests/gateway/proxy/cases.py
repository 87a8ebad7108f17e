# ruff: noqa: E501  one case a line
"""What must come out for what goes in, as bytes. Any lane can be held to this table."""

from dataclasses import dataclass
from typing import Final

H: Final = b"Host: x\r\n"
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request, one answer. `seen` and `gets` are exact."""

    name: str
    sent: bytes
    seen: bytes = b""
    """What reaches the Machine; nothing: the request is refused before."""
    said: bytes = OK
    hangs_up: bool = False
    """The Machine closes after what it said."""
    gets: bytes = b""
    """What the client gets; for a refusal only how that begins."""
    ends: bool = False
    """The client's connection ends after it; else it serves another request."""
    reset: bool = False
    """... and so that a truncated answer is known as such."""


def get(fields: bytes = b"", target: bytes = b"/", host: bytes = H, method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + host + fields + b"\r\n"


def passes(name: str, sent: bytes, seen: bytes | None = None, said: bytes = OK, gets: bytes | None = None) -> Case:
    return Case(
        name=name, sent=sent, seen=sent if seen is None else seen, said=said, gets=said if gets is None else gets
    )


def refused(name: str, sent: bytes, status: int = 400) -> Case:
    return Case(name=name, sent=sent, gets=b"HTTP/1.1 %d" % status, ends=True)


def garbled(name: str, said: bytes) -> Case:
    return Case(name=name, sent=get(), seen=get(), said=said, gets=b"HTTP/1.1 502", hangs_up=True)


def answer(fields: bytes = b"", body: bytes = b"", status: bytes = b"200 OK", version: bytes = b"1.1") -> bytes:
    return b"HTTP/" + version + b" " + status + b"\r\n" + fields + b"\r\n" + body


CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
POST: Final = b"POST / HTTP/1.1\r\n" + H

REQUESTS: Final = [
    passes("plain", get()),
    *[passes(f"method {m}", get(method=m.encode())) for m in ["DELETE", "OPTIONS", "PATCH", "PROPFIND", "REPORT", "PURGE", "LINK"]],
    passes("target untouched", get(target=b"//a/../b/%2e%2E/%zz?x=[1]&y={|}\"<>^`\\#f")),
    passes("raw bytes in the target", get(target=b"/\xc3\xa9?\xff")),
    passes("asterisk", get(target=b"*", method=b"OPTIONS")),
    passes("absolute form", get(target=b"http://evil:8/p?q"), seen=get(target=b"/p?q", host=b"Host: evil:8\r\n")),
    passes("absolute form without a path", get(target=b"HTTP://evil"), seen=get(host=b"Host: evil\r\n")),
    passes("absolute form, query only", get(target=b"http://e?q"), seen=get(target=b"/?q", host=b"Host: e\r\n")),
    refused("absolute form with a user", get(target=b"http://a@evil/")),
    refused("another scheme", get(target=b"ftp://x/")),
    refused("no target form", get(target=b"x")),
    refused("CONNECT", get(target=b"x:1", method=b"CONNECT"), 405),
    refused("unknown method", get(method=b"BREW")),
    passes("empty lines before", b"\r\n\r\n" + get(), seen=get()),
    passes("field bytes and case kept", get(b"x-ODD:  a \xe9\xff\t b\r\nEmpty:\r\n")),
    passes("repeated fields kept in order", get(b"A: 1\r\nB: 2\r\nA: 3\r\n")),
    passes("range", get(b"Range: bytes=0-1\r\nIf-Range: \"x\"\r\n")),
    passes("hop by hop", get(b"Keep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: x\r\nProxy-Connection: a\r\n"), get()),
    passes("nominated fields", get(b"X-A: 1\r\nConnection: x-a, keep-alive\r\nX-B: 2\r\n"), get(b"X-B: 2\r\n")),
    passes("nominating what must stay", get(b"Connection: host, keep-alive\r\n"), get()),
    passes("nominated cookie", get(b"Cookie: a=b\r\nConnection: Cookie\r\n"), get()),
    passes("identity", get(b"X-Jarvis-User: e\r\nx-jarvis_user: e\r\nX_JARVIS_ASSERTION: e\r\n"), get()),
    passes("forwarding", get(b"X-Forwarded-For: 1\r\nForwarded: for=1\r\nx_real_ip: 1\r\nX-Forwarded_Host: e\r\n"), get()),
    passes("the platform's", get(b"Fly-Client-IP: 1\r\nFLY_REGION: e\r\n"), get()),
    passes("framing in disguise", get(b"Content_Length: 5\r\nTransfer_Encoding: chunked\r\nConnec_tion: a\r\n"), get(b"Connec_tion: a\r\n")),
    passes("cookies joined", get(b"Cookie: a=1\r\nX: y\r\nCookie: b=2\r\n"), get(b"X: y\r\nCookie: a=1; b=2\r\n")),
    passes("our cookies removed", get(b"Cookie: a=1;jarvis=s; b=\"2;\"\r\n"), get(b"Cookie: a=1; b=\"2;\"\r\n")),
    passes("only our cookies", get(b"Cookie: JARVIS=s; jarvis-flow-12=x\r\n"), get()),
    passes("first of our cookies", get(b"Cookie: jarvis=s; jarvisx=1;jarvis = 2\r\n"), get(b"Cookie: jarvisx=1\r\n")),
    passes("nameless of ours", get(b"Cookie: =jarvis=s; x=jarvis=s\r\n"), get(b"Cookie: x=jarvis=s\r\n")),
    passes("authorization", get(b"Authorization: Basic abc\r\n")),
    passes("another upgrade", get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), get()),
    passes("via stays the client's", get(b"Via: 1.1 a\r\n")),
    passes("64 KB cookie", get(b"Cookie: a=" + b"x" * 60_000 + b"\r\n")),
    refused("head too large", get(b"Cookie: a=" + b"x" * 70_000 + b"\r\n"), 431),
    refused("too many fields", get(b"".join(b"A%d: b\r\n" % i for i in range(300))), 431),
    refused("target too long", get(target=b"/" + b"x" * 40_000), 414),
    refused("target too long for a head", get(target=b"/" + b"x" * 70_000), 414),
    refused("no Host", b"GET / HTTP/1.1\r\n\r\n"),
    refused("two Hosts", get(host=H + H)),
    refused("bare LF", b"GET / HTTP/1.1\nHost: x\n\r\n\r\n"),
    refused("bare LF in a field", get(b"A: b\nC: d\r\n")),
    refused("bare CR", get(b"A: b\rC: d\r\n")),
    refused("NUL", get(b"A: \0\r\n")),
    refused("control", get(b"A: \x01\r\n")),
    refused("folded", get(b"A: b\r\n c\r\n")),
    refused("space before colon", get(b"A : b\r\n")),
    refused("no colon", get(b"A\r\n")),
    refused("empty name", get(b": b\r\n")),
    refused("bad name", get(b"a@: b\r\n")),
    refused("two spaces", b"GET  / HTTP/1.1\r\n" + H + b"\r\n"),
    refused("tab", b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n"),
    refused("HTTP/2.0", b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
    refused("HTTP/1.2", b"GET / HTTP/1.2\r\n" + H + b"\r\n"),
    refused("HTTP/0.9", b"GET /\r\n\r\n"),
    refused("h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    passes("length", POST + b"Content-Length: 3\r\n\r\nabc"),
    passes("length 0", POST + b"Content-Length: 0\r\n\r\n"),
    passes("body with GET", get(b"Content-Length: 3\r\n") + b"abc"),
    refused("CL and TE", POST + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    refused("two lengths", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    *[refused(f"length {v!r}", POST + b"Content-Length: " + v + b"\r\n\r\nabc") for v in (b"+3", b"-3", b"3,3", b"0x3", b"3 3", b"", b"1_0", b"9" * 19)],
    *[refused(f"coding {v!r}", POST + b"Transfer-Encoding: " + v + b"\r\n\r\n0\r\n\r\n") for v in (b"xchunked", b"gzip, chunked", b"chunked, chunked", b"chunked;q=1", b"identity", b"\x0bchunked", b"")],
    refused("chunked HTTP/1.0", b"POST / HTTP/1.0\r\n" + H + CHUNKED + b"\r\n0\r\n\r\n"),
    passes("chunked", POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"),
    passes("chunk extensions", POST + CHUNKED + b"\r\n3;a=b\r\nabc\r\n0;c\r\n\r\n", POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"),
    passes("trailers", POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\nCookie: evil=1\r\nX-T: 1\r\n\r\n", POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"),
]  # fmt: skip

CHUNK_FAULTS: Final = {
    "size with plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size with space": b"3 \r\nabc\r\n0\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "bare LF after size": b"3\nabc\r\n0\r\n\r\n",
    "too long a chunk": b"3\r\nabcd\r\n0\r\n\r\n",
    "huge size": b"fffffffffffffffff\r\n",
    "LF in extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "endless size line": b"3;" + b"a" * 5000,
}

NO_BODY: Final = b"Content-Length: 5\r\n"
ANSWERS: Final = [
    passes("reason and fields", get(), said=answer(b"x-ODD:  a \xe9\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n", status=b"299 Very  odd \xe9")),
    passes("no reason", get(), said=answer(b"Content-Length: 0\r\n", status=b"200 ")),
    passes("HEAD", get(method=b"HEAD"), said=answer(NO_BODY)),
    passes("204", get(), said=answer(status=b"204 No Content")),
    passes("304 with a length", get(), said=answer(NO_BODY + b"ETag: \"x\"\r\n", status=b"304 Not Modified")),
    passes("206", get(), said=answer(b"Content-Range: bytes 0-1/5\r\nContent-Length: 2\r\n", b"ab", b"206 Partial Content")),
    passes("chunked", get(), said=answer(CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")),
    passes("answer trailers", get(), said=answer(CHUNKED, b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"), gets=answer(CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")),
    passes("hop by hop back", get(), said=answer(b"Keep-Alive: timeout=5\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\nTrailer: a\r\nContent-Length: 0\r\n"), gets=answer(b"Content-Length: 0\r\n")),
    passes("our cookies are not set", get(), said=answer(b"Set-Cookie: jarvis=e; Domain=x\r\nset-cookie:\t JARVIS =e\r\nSet-Cookie: =jarvis=e\r\nSet-Cookie: jarvis-flow-9=e\r\nSet-Cookie: jarvisx=1\r\nSet-Cookie: jarvis\r\nContent-Length: 0\r\n"), gets=answer(b"Set-Cookie: jarvisx=1\r\nContent-Length: 0\r\n")),
    passes("early hints", get(), said=answer(b"Link: </a>\r\n", status=b"103 Early Hints") + OK),
    passes("unasked 100", get(), said=b"HTTP/1.1 100 Continue\r\n\r\n" + OK, gets=OK),
    Case(name="close-delimited", sent=get(), seen=get(), said=answer(b"A: b\r\n", b"abc"), hangs_up=True, gets=answer(b"A: b\r\nTransfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n")),
    Case(name="HTTP/1.0 answer", sent=get(), seen=get(), said=answer(b"Content-Length: 2\r\n", b"ok", version=b"1.0"), gets=OK),
    Case(name="upstream says close", sent=get(), seen=get(), said=answer(b"Connection: close\r\nContent-Length: 2\r\n", b"ok"), hangs_up=True, gets=OK),
    Case(name="surplus", sent=get(), seen=get(), said=OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", gets=OK),
    Case(name="surplus after HEAD", sent=get(method=b"HEAD"), seen=get(method=b"HEAD"), said=answer(NO_BODY, b"12345"), gets=answer(NO_BODY)),
    Case(name="short body", sent=get(), seen=get(), said=answer(b"Content-Length: 9\r\n", b"abc"), hangs_up=True, gets=answer(b"Content-Length: 9\r\n", b"abc"), ends=True, reset=True),
    Case(name="short chunked", sent=get(), seen=get(), said=answer(CHUNKED, b"3\r\nabc\r\n"), hangs_up=True, gets=answer(CHUNKED, b"3\r\nabc\r\n"), ends=True, reset=True),
    Case(name="bad chunk", sent=get(), seen=get(), said=answer(CHUNKED, b"3\r\nabc\r\nzz\r\n"), gets=answer(CHUNKED), ends=True, reset=True),
    Case(name="client closes", sent=get(b"Connection: close\r\n"), seen=get(), gets=answer(b"Content-Length: 2\r\nConnection: close\r\n", b"ok"), ends=True),
    Case(name="HTTP/1.0 client", sent=b"GET / HTTP/1.0\r\n\r\n", seen=b"GET / HTTP/1.1\r\nHost:\r\n\r\n", gets=answer(b"Content-Length: 2\r\nConnection: close\r\n", b"ok"), ends=True),
    Case(name="HTTP/1.0 keep-alive", sent=b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", seen=get(), gets=answer(b"Content-Length: 2\r\nConnection: keep-alive\r\n", b"ok")),
    Case(name="HTTP/1.0 gets no chunks", sent=b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", seen=get(), said=answer(CHUNKED, b"3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n"), gets=answer(b"Connection: close\r\n", b"abcde"), ends=True),
    Case(name="HTTP/1.0 gets no 103", sent=b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", seen=get(), said=b"HTTP/1.1 103 E\r\n\r\n" + OK, gets=answer(b"Content-Length: 2\r\nConnection: keep-alive\r\n", b"ok")),
    Case(name="HTTP/1.0 to the end, cut", sent=b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", seen=get(), said=answer(CHUNKED, b"3\r\nabc\r\n"), hangs_up=True, gets=answer(b"Connection: close\r\n", b"abc"), ends=True, reset=True),
    garbled("CL and TE answered", answer(b"Content-Length: 3\r\n" + CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")),
    garbled("two lengths answered", answer(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc")),
    garbled("bad length answered", answer(b"Content-Length: +3\r\n", b"abc")),
    garbled("bad coding answered", answer(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")),
    garbled("chunked HTTP/1.0 answered", answer(CHUNKED, b"0\r\n\r\n", version=b"1.0")),
    garbled("folded answer", answer(b"A: b\r\n c\r\nContent-Length: 0\r\n")),
    garbled("bare LF answered", answer(b"A: b\nC: d\r\nContent-Length: 0\r\n")),
    garbled("NUL answered", answer(b"A: \0\r\nContent-Length: 0\r\n")),
    garbled("space before colon answered", answer(b"Content-Length : 2\r\n", b"ok")),
    garbled("no status", b"HTTP/1.1 OK\r\n\r\n"),
    garbled("HTTP/2 answered", answer(version=b"2.0")),
    garbled("SSH answered", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    garbled("101 nobody asked for", answer(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", status=b"101 Switching Protocols")),
    garbled("head without end", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000),
    garbled("silence", b""),
    garbled("half a head", b"HTTP/1.1 200 OK\r\nCont"),
]  # fmt: skip
