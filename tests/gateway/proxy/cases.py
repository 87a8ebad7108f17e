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
    odd: bool = False
    """Not for the fast lane, although the Machine gets it."""


def get(fields: bytes = b"", target: bytes = b"/", host: bytes = H, method: bytes = b"GET") -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + host + fields + b"\r\n"


def passes(
    name: str,
    sent: bytes,
    seen: bytes | None = None,
    said: bytes = OK,
    gets: bytes | None = None,
    odd: bool = False,
    hangs_up: bool = False,
) -> Case:
    seen, gets = sent if seen is None else seen, said if gets is None else gets
    return Case(name=name, sent=sent, seen=seen, said=said, gets=gets, odd=odd, hangs_up=hangs_up)


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
    *[passes(f"method {m}", get(method=m.encode())) for m in ["DELETE", "OPTIONS", "PATCH", "PUT", "POST"]],
    *[passes(f"method {m}", get(method=m.encode()), odd=True) for m in ["PROPFIND", "REPORT", "PURGE", "LINK", "TRACE"]],
    passes("target untouched", get(target=b"//a/../b/%2e%2E/%zz?x=[1]&y={|}\"<>^`\\#f")),
    passes("raw bytes in the target", get(target=b"/\xc3\xa9?\xff"), odd=True),
    passes("asterisk", get(target=b"*", method=b"OPTIONS"), odd=True),
    passes("absolute form", get(target=b"http://evil:8/p?q"), seen=get(target=b"/p?q", host=b"Host: evil:8\r\n"), odd=True),
    passes("absolute form without a path", get(target=b"HTTP://evil"), seen=get(host=b"Host: evil\r\n"), odd=True),
    passes("absolute form, query only", get(target=b"http://e?q"), seen=get(target=b"/?q", host=b"Host: e\r\n"), odd=True),
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
    passes("nominated fields", get(b"X-A: 1\r\nConnection: x-a, keep-alive\r\nX-B: 2\r\n"), get(b"X-B: 2\r\n"), odd=True),
    passes("nominating what must stay", get(b"Connection: host, keep-alive\r\n"), get()),
    passes("nominated cookie", get(b"Cookie: a=b\r\nConnection: Cookie\r\n"), get(), odd=True),
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
    passes("another upgrade", get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), get(), odd=True),
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
    refused("method in small letters", get(method=b"get")),
    refused("method that is no token", get(method=b"G@T")),
    refused("DEL in the target", get(target=b"/\x7f")),
    refused("NUL in the target", get(target=b"/\0")),
    refused("space in the target", get(target=b"/a b")),
    refused("CR in the target", get(target=b"/\r")),
    refused("version in small letters", b"GET / http/1.1\r\n" + H + b"\r\n"),
    refused("version with zeros", b"GET / HTTP/01.1\r\n" + H + b"\r\n"),
    refused("HTTP/1.10", b"GET / HTTP/1.10\r\n" + H + b"\r\n"),
    refused("space behind the version", b"GET / HTTP/1.1 \r\n" + H + b"\r\n"),
    refused("space before the method", b" GET / HTTP/1.1\r\n" + H + b"\r\n"),
    refused("fold behind the request line", b"GET / HTTP/1.1\r\n A: b\r\n" + H + b"\r\n"),
    refused("folded with a tab", get(b"A: b\r\n\tc\r\n")),
    refused("tab before colon", get(b"A\t: b\r\n")),
    refused("no colon after a known name", get(b"Cookie\r\n")),
    refused("name beyond ASCII", get(b"\xc3\xa9: b\r\n")),
    refused("NUL in a name", get(b"A\0B: b\r\n")),
    refused("quote in a name", get(b'"A": b\r\n')),
    *[refused(f"control {c:#04x}", get(b"A: b%cc\r\n" % c)) for c in (0x0B, 0x0C, 0x1B, 0x1F, 0x7F)],
    refused("LF before CR", get(b"A: b\n\rC: d\r\n")),
    refused("CR CR LF", get(b"A: b\r\r\n")),
    refused("bare CR and bare LF further on", get(b"A: b\rC: d\nE: f\r\n")),
    refused("control and bare CR", get(b"A: b\0c\rD: e\r\n")),
    refused("a field of a forgotten draft", get(b"Sec-WebSocket-Key1: x\r\n")),
    refused("257 fields", get(b"".join(b"A%d: b\r\n" % i for i in range(256))), 431),
    passes("256 fields", get(b"".join(b"A%d: b\r\n" % i for i in range(255)))),
    passes("Host with odd bytes", get(host=b"Host: a/b?\r\n"), odd=True),
    passes("Host is empty", get(host=b"Host:\r\n"), odd=True),
    passes("Host in capitals with a port", get(host=b"HOST:[::1]:8080\r\n")),
    refused("Host twice, spelled apart", get(host=H + b"hOsT: y\r\n")),
    passes("https in absolute form", get(target=b"https://e/p"), seen=get(target=b"/p", host=b"Host: e\r\n"), odd=True),
    passes("absolute OPTIONS without a path", get(target=b"http://e", method=b"OPTIONS"), seen=get(target=b"*", host=b"Host: e\r\n", method=b"OPTIONS"), odd=True),
    passes("keep-alive said", get(b"Connection: keep-alive\r\n"), get()),
    passes("keep-alive said oddly", get(b"connection: ,Keep-ALIVE , \r\n"), get()),
    passes("nominated authorization", get(b"Authorization: x\r\nConnection: authorization\r\n"), get(), odd=True),
    passes("nominated in two lines", get(b"Connection: a\r\nA: 1\r\nB: 2\r\nConnection: b\r\n"), get(), odd=True),
    passes("TE nominated", get(b"TE: trailers\r\nConnection: TE\r\n"), get(), odd=True),
    passes("empty cookie", get(b"Cookie:\r\n"), get()),
    passes("three cookie lines", get(b"Cookie: a=1\r\ncookie: jarvis=s\r\nCOOKIE: \tb=2;c\r\n"), get(b"Cookie: a=1; b=2;c\r\n")),
    passes("two authorizations", get(b"Authorization: a\r\nAuthorization: b\r\n")),
    passes("length with spaces", POST + b"Content-Length: \t 3 \r\n\r\nabc"),
    passes("length with zeros", POST + b"Content-Length: 003\r\n\r\nabc"),
    passes("length 0 with GET", get(b"Content-Length: 0\r\n")),
    passes("length in disguise beside one", POST + b"Content-Length: 3\r\nContent_Length: 5\r\n\r\nabc", POST + b"Content-Length: 3\r\n\r\nabc"),
    passes("HEAD with a body", get(b"Content-Length: 3\r\n", method=b"HEAD") + b"abc", said=answer(b"Content-Length: 5\r\n")),
    refused("two different lengths", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    refused("TE and CL", POST + CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n"),
    refused("two codings", POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n"),
    *[refused(f"coding {v!r}", POST + b"Transfer-Encoding: " + v + b"\r\n\r\n0\r\n\r\n") for v in (b"chunked,", b",chunked", b"chunked gzip", b'"chunked"', b"chunked\xa0")],
    passes("coding in capitals", POST + b"TRANSFER-ENCODING:CHUNKED\r\n\r\n0\r\n\r\n", POST + CHUNKED + b"\r\n0\r\n\r\n"),
    passes("coding in disguise", POST + b"Transfer_Encoding: gzip\r\n" + CHUNKED + b"\r\n0\r\n\r\n", POST + CHUNKED + b"\r\n0\r\n\r\n"),
    passes("chunked GET", get(CHUNKED) + b"0\r\n\r\n", get(CHUNKED) + b"0\r\n\r\n"),
    passes("trailers announced", POST + b"Trailer: X-T\r\n" + CHUNKED + b"\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"),
    passes("expecting", POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", odd=True),
    passes("expecting without a body", get(b"Expect: 100-continue\r\n"), get(), odd=True),
    passes("expecting something else", get(b"Expect: tea\r\n"), get(), odd=True),
    passes("upgrade that is refused", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), said=answer(b"Content-Length: 2\r\n", b"no", b"403 No")),
    passes("upgrade spelled oddly", get(b"UPGRADE: WebSocket\r\nConnection: x,upgrade\r\nX: 1\r\n"), get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), odd=True),
    passes("upgrade without Connection", get(b"Upgrade: websocket\r\n"), get(), odd=True),
    passes("upgrade with POST", POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", POST + b"\r\n", odd=True),
    passes("upgrade with a body", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n") + b"ab", get(b"Content-Length: 2\r\n") + b"ab", odd=True),
    passes("upgrade to a choice", get(b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), get(), odd=True),
]  # fmt: skip

CHUNK_FAULTS: Final = {
    "size with minus": b"-3\r\nabc\r\n0\r\n\r\n",
    "size with underscore": b"1_0\r\nabc\r\n0\r\n\r\n",
    "no hexadecimal": b"g\r\nabc\r\n0\r\n\r\n",
    "space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "CR in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "NUL in an extension": b"3;\0\r\nabc\r\n0\r\n\r\n",
    "bare LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "no end of the data": b"3\r\nabc0\r\n\r\n",
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
    Case(name="HTTP/1.0 client", odd=True, sent=b"GET / HTTP/1.0\r\n\r\n", seen=b"GET / HTTP/1.1\r\nHost:\r\n\r\n", gets=answer(b"Content-Length: 2\r\nConnection: close\r\n", b"ok"), ends=True),
    Case(name="HTTP/1.0 keep-alive", odd=True, sent=b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", seen=get(), gets=answer(b"Content-Length: 2\r\nConnection: keep-alive\r\n", b"ok")),
    Case(name="HTTP/1.0 gets no chunks", odd=True, sent=b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", seen=get(), said=answer(CHUNKED, b"3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n"), gets=answer(b"Connection: close\r\n", b"abcde"), ends=True),
    Case(name="HTTP/1.0 gets no 103", odd=True, sent=b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", seen=get(), said=b"HTTP/1.1 103 E\r\n\r\n" + OK, gets=answer(b"Content-Length: 2\r\nConnection: keep-alive\r\n", b"ok")),
    Case(name="HTTP/1.0 to the end, cut", odd=True, sent=b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", seen=get(), said=answer(CHUNKED, b"3\r\nabc\r\n"), hangs_up=True, gets=answer(b"Connection: close\r\n", b"abc"), ends=True, reset=True),
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
    passes("several informational", get(), said=answer(status=b"102 Processing") + answer(b"Link: <a>\r\n", status=b"103 Early Hints") + OK),
    passes("nothing in 200", get(), said=answer(b"Content-Length: 0\r\n")),
    passes("205", get(), said=answer(b"Content-Length: 0\r\n", status=b"205 Reset Content")),
    passes("an unknown status", get(), said=answer(b"Content-Length: 1\r\n", b"x", b"999 What")),
    passes("304 in chunks", get(), said=answer(CHUNKED, status=b"304 Not Modified"), gets=answer(status=b"304 Not Modified")),
    passes("HEAD in chunks", get(method=b"HEAD"), said=answer(CHUNKED), gets=answer()),
    passes("surplus after 204", get(), said=answer(status=b"204 No Content") + b"evil", gets=answer(status=b"204 No Content")),
    passes("surplus after chunks", get(), said=answer(CHUNKED, b"1\r\na\r\n0\r\n\r\n") + OK, gets=answer(CHUNKED, b"1\r\na\r\n0\r\n\r\n")),
    passes("extensions of chunks", get(), said=answer(CHUNKED, b"1;x=y\r\na\r\n0;z\r\n\r\n"), gets=answer(CHUNKED, b"1\r\na\r\n0\r\n\r\n")),
    passes("an event stream", get(), said=answer(b"Content-Type: text/event-stream\r\n" + CHUNKED, b"9\r\ndata: a\n\n\r\n0\r\n\r\n")),
    passes("upgrade offered back", get(), said=answer(b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n"), gets=answer(b"Content-Length: 0\r\n")),
    passes("HTTP/1.0 keep-alive answer", get(), said=answer(b"Connection: keep-alive\r\nContent-Length: 2\r\n", b"ok", version=b"1.0"), gets=OK),
    passes("nothing until the end", get(), said=answer(), hangs_up=True, gets=answer(CHUNKED, b"0\r\n\r\n")),
    Case(name="client closes, in capitals", sent=get(b"CONNECTION: keep-alive, CLOSE\r\n"), seen=get(), gets=answer(b"Content-Length: 2\r\nConnection: close\r\n", b"ok"), ends=True),
    Case(name="client closes, chunks", sent=get(b"Connection: close\r\n"), seen=get(), said=answer(CHUNKED, b"1\r\na\r\n0\r\n\r\n"), gets=answer(CHUNKED + b"Connection: close\r\n", b"1\r\na\r\n0\r\n\r\n"), ends=True),
    Case(name="nothing of a promised body", sent=get(), seen=get(), said=answer(NO_BODY), hangs_up=True, gets=answer(NO_BODY), ends=True, reset=True),
    *[Case(name=f"bad chunk {c!r}", sent=get(), seen=get(), said=answer(CHUNKED, c), gets=answer(CHUNKED), ends=True, reset=True) for c in (b"+1\r\na\r\n", b"0x1\r\na\r\n", b"1 \r\na\r\n", b"1\na\r\n", b"1\r\nab\r\n", b"\r\n\r\n")],
    garbled("informational with a length", answer(b"Content-Length: 3\r\n", status=b"103 E") + OK),
    garbled("informational without end", answer(status=b"100 Continue") * 40),
    garbled("lengths in a list", answer(b"Content-Length: 3, 3\r\n", b"abc")),
    garbled("two codings answered", answer(CHUNKED + CHUNKED, b"0\r\n\r\n")),
    garbled("identity answered", answer(b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n")),
    *[garbled(f"status {c!r}", answer(status=c)) for c in (b"099 X", b"1000 X", b"2OO OK", b"+200 OK", b" 200 OK", b"200OK")],
    garbled("an empty line first", b"\r\n" + OK),
    garbled("version in small letters", OK.lower()),
    garbled("no colon answered", answer(b"A\r\nContent-Length: 0\r\n")),
    garbled("empty name answered", answer(b": b\r\nContent-Length: 0\r\n")),
    garbled("folded with a tab, answered", answer(b"A: b\r\n\tc\r\nContent-Length: 0\r\n")),
    garbled("bare CR answered", answer(b"A: b\rC: d\r\nContent-Length: 0\r\n")),
    garbled("control answered", answer(b"A: \x01\r\nContent-Length: 0\r\n")),
    garbled("name beyond ASCII answered", answer(b"\xc3: b\r\nContent-Length: 0\r\n")),
]  # fmt: skip
