"""Which access tokens count: one good kind, and the table of attacks that must not."""

import json
from collections.abc import Callable
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.session.claims import MAX_TOKEN, Claims, TokenRefused, UnknownKey, issuer_of, parts, verify
from tests.gateway.session import tokens
from tests.gateway.session.tokens import (
    ADA,
    EC_KEY,
    GONE,
    KEYS,
    LEGACY,
    NOW,
    OTHER_EC_KEY,
    RSA_KEY,
    SECRET,
    SESSION,
    TRUST,
    claims,
    hs256,
    part,
    public_jwk,
    sign,
    sign_raw,
)

PEM = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
GOOD = sign(claims())
ED_KEY = Ed25519PrivateKey.generate()


@pytest.mark.parametrize("token", [GOOD, sign(claims(), key=RSA_KEY, alg="RS256", kid="rsa")], ids=["ES256", "RS256"])
def test_a_token_of_our_project_is_believed(token: str) -> None:
    got = verify(token, KEYS, TRUST, now=NOW)
    assert (got.user_id, got.email, got.supabase_session_id) == (ADA, "ada@example.com", SESSION)
    assert got.expires_at == NOW + timedelta(hours=1)


def test_a_legacy_token_is_believed_only_with_the_secret_configured() -> None:
    """HS256 is a project's choice, not the token's."""
    token = sign(claims(), key=SECRET, alg="HS256", kid=None)
    assert verify(token, {}, LEGACY, now=NOW).user_id == ADA
    with pytest.raises(TokenRefused):
        verify(token, KEYS, TRUST, now=NOW)


def _doubled(name: str, value: object) -> bytes:
    text = json.dumps(claims())
    return (text[:-1] + f', "{name}": {json.dumps(value)}}}').encode()


def _tampered(token: str, **changes: object) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{part(claims(**changes))}.{signature}"


def _in(**duration: float) -> int:
    return int((NOW + timedelta(**duration)).timestamp())


OTHER_SUB = "11111111-2222-4333-8444-555555555555"
ATTACKS: dict[str, Callable[[], str]] = {
    # the signature
    "alg none": lambda: f"{part({'alg': 'none', 'typ': 'JWT', 'kid': 'ec'})}.{part(claims())}.",
    "alg none with a signature": lambda: f"{part({'alg': 'none', 'kid': 'ec'})}.{part(claims())}.{GOOD.split('.')[2]}",
    "alg None in other letters": lambda: f"{part({'alg': 'nOnE', 'kid': 'ec'})}.{part(claims())}.AAAA",
    "no alg": lambda: f"{part({'typ': 'JWT', 'kid': 'ec'})}.{part(claims())}.{GOOD.split('.')[2]}",
    "alg is a list": lambda: f"{part({'alg': ['ES256'], 'kid': 'ec'})}.{part(claims())}.{GOOD.split('.')[2]}",
    "HS256 with the public key as secret": lambda: hs256(claims(), PEM, kid="ec"),
    "HS256 with the JWK as secret": lambda: hs256(claims(), json.dumps(public_jwk(EC_KEY, "ec")).encode(), kid="ec"),
    "HS256 with an empty secret": lambda: hs256(claims(), b"", kid="ec"),
    "RS256 token naming the ES256 key": lambda: sign(claims(), key=RSA_KEY, alg="RS256", kid="ec"),
    "ES256 token naming the RS256 key": lambda: sign(claims(), kid="rsa"),
    "PS256 with the RSA key": lambda: sign(claims(), key=RSA_KEY, alg="PS256", kid="rsa"),
    "RS512 with the RSA key": lambda: sign(claims(), key=RSA_KEY, alg="RS512", kid="rsa"),
    "somebody else's key under our key id": lambda: sign(claims(), key=OTHER_EC_KEY),
    "no key id": lambda: sign(claims(), kid=None),
    "empty key id": lambda: sign(claims(), kid=""),
    "key id is a number": lambda: f"{part({'alg': 'ES256', 'kid': 1})}.{part(claims())}.{GOOD.split('.')[2]}",
    "key id is a list": lambda: f"{part({'alg': 'ES256', 'kid': ['ec']})}.{part(claims())}.{GOOD.split('.')[2]}",
    "key id is a path": lambda: sign(claims(), kid="../../etc/passwd"),
    "embedded jwk": lambda: sign(claims(), key=OTHER_EC_KEY, jwk=public_jwk(OTHER_EC_KEY, "ec")),
    "embedded jwk beside a good signature": lambda: sign(claims(), jwk=public_jwk(OTHER_EC_KEY, "ec")),
    "jku": lambda: sign(claims(), key=OTHER_EC_KEY, jku="https://evil.test/jwks.json"),
    "x5u": lambda: sign(claims(), key=OTHER_EC_KEY, x5u="https://evil.test/cert.pem"),
    "x5c": lambda: sign(claims(), key=OTHER_EC_KEY, x5c=["MIIB"]),
    "crit": lambda: sign(claims(), crit=["exp"]),
    "another kind of token": lambda: sign(claims(), typ="at+jwt"),
    "content changed": lambda: _tampered(GOOD, sub=OTHER_SUB),
    "signature of zeros (CVE-2022-21449)": lambda: GOOD.rsplit(".", 1)[0] + "." + part(bytes(64)),
    "empty signature": lambda: GOOD.rsplit(".", 1)[0] + ".",
    "signature cut short": lambda: GOOD[:-8],
    # whose it is
    "another issuer": lambda: sign(claims(iss="https://evil.supabase.co/auth/v1")),
    "issuer with a slash more": lambda: sign(claims(iss=tokens.ISSUER + "/")),
    "no issuer": lambda: sign(claims(iss=GONE)),
    "another audience": lambda: sign(claims(aud="anon")),
    "no audience": lambda: sign(claims(aud=GONE)),
    "audiences in a list": lambda: sign(claims(aud=["authenticated", "other"])),
    "service_role": lambda: sign(claims(role="service_role")),
    "anon role": lambda: sign(claims(role="anon")),
    "no role": lambda: sign(claims(role=GONE)),
    "anonymous": lambda: sign(claims(is_anonymous=True)),
    "anonymous in other words": lambda: sign(claims(is_anonymous="true")),
    "issued to another application": lambda: sign(claims(client_id="some-oauth-client")),
    "no subject": lambda: sign(claims(sub=GONE)),
    "empty subject": lambda: sign_raw(json.dumps(claims(sub="")).encode()),
    "subject is no UUID": lambda: sign(claims(sub="ada")),
    "subject is the nil UUID": lambda: sign(claims(sub="0" * 8 + "-0000-0000-0000-" + "0" * 12)),
    "subject with spaces": lambda: sign(claims(sub=f" {ADA}")),
    "subject in braces": lambda: sign(claims(sub=f"{{{ADA}}}")),
    "subject without dashes": lambda: sign(claims(sub=ADA.hex)),
    "subject is a number": lambda: sign_raw(json.dumps(claims(sub=7)).encode()),
    "no session": lambda: sign(claims(session_id=GONE)),
    "session is no UUID": lambda: sign(claims(session_id="x")),
    "email with a line break": lambda: sign(claims(email="ada@example.com\r\nX-Jarvis-User: root")),
    "email with NUL": lambda: sign(claims(email="ada\0@example.com")),
    "email is a list": lambda: sign(claims(email=["ada@example.com"])),
    # when
    "expired": lambda: sign(claims(exp=_in(seconds=-11))),
    "no end": lambda: sign(claims(exp=GONE)),
    "end is text": lambda: sign_raw(json.dumps(claims(exp=str(_in(hours=1)))).encode()),
    "end is true": lambda: sign_raw(json.dumps(claims(exp=True)).encode()),
    "end is infinite": lambda: sign_raw(json.dumps(claims()).replace(str(_in(hours=1)), "1e999").encode()),
    "end is NaN": lambda: sign_raw(json.dumps(claims()).replace(str(_in(hours=1)), "NaN").encode()),
    "end beyond all calendars": lambda: sign_raw(json.dumps(claims(exp=10**15)).encode()),
    "negative end": lambda: sign_raw(json.dumps(claims(exp=-1)).encode()),
    "no beginning": lambda: sign(claims(iat=GONE)),
    "issued in the future": lambda: sign(claims(iat=_in(minutes=5))),
    "issued in the future, good before that": lambda: sign(claims(iat=_in(minutes=5), nbf=_in(minutes=-5))),
    "not before the future": lambda: sign(claims(nbf=_in(minutes=5))),
    "not before null": lambda: sign_raw(json.dumps(claims(nbf=None)).encode()),
    # its form
    "empty": lambda: "",
    "one part": lambda: "abc",
    "two parts": lambda: GOOD.rsplit(".", 1)[0],
    "four parts": lambda: GOOD + ".AAAA",
    "five parts (JWE)": lambda: "a.b.c.d.e",
    "oversize": lambda: sign(claims(user_metadata={"about": "x" * MAX_TOKEN})),
    "padding": lambda: GOOD + "=",
    "white space": lambda: f" {GOOD}",
    "line break inside": lambda: GOOD[:50] + "\n" + GOOD[50:],
    "standard base64 letters": lambda: GOOD.rsplit(".", 1)[0] + "." + "+/" * 43,
    "bits after the end of base64": lambda: GOOD[:-1] + chr(ord(GOOD[-1]) + 1),  # 64 bytes end in A, Q, g or w
    "letters of other alphabets": lambda: GOOD.replace("e", "е"),
    "a NUL": lambda: GOOD + "\0",
    "header is no JSON": lambda: sign_raw(json.dumps(claims()).encode(), b"{alg:ES256}"),
    "header is a list": lambda: sign_raw(json.dumps(claims()).encode(), b'["ES256"]'),
    "header with alg twice": lambda: sign_raw(
        json.dumps(claims()).encode(), b'{"alg":"none","alg":"ES256","typ":"JWT","kid":"ec"}'
    ),
    "payload is no JSON": lambda: sign_raw(b"sub=ada"),
    "payload is a list": lambda: sign_raw(json.dumps([claims()]).encode()),
    "payload is not UTF-8": lambda: sign_raw(b'{"sub": "\xff"}'),
    "payload in UTF-16": lambda: sign_raw(json.dumps(claims()).encode("utf-16")),
    "payload nested without end": lambda: sign_raw(b"[" * 4000),
    "payload with a number without end": lambda: sign_raw(b'{"exp": ' + b"9" * 5000 + b"}"),
    "subject twice": lambda: sign_raw(_doubled("sub", OTHER_SUB)),
    "end twice": lambda: sign_raw(_doubled("exp", _in(days=99))),
    "a name twice further down": lambda: sign_raw(
        json.dumps(claims()).replace('"provider": "google"', '"provider": "google", "provider": "email"').encode()
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_token_that_is_not_quite_right_is_refused(attack: str) -> None:
    """Each row of the table is one known way to forge, stretch or confuse a JWT."""
    with pytest.raises(TokenRefused) as refused:
        verify(ATTACKS[attack](), KEYS, TRUST, now=NOW)
    assert GOOD[:20] not in str(refused.value)


@pytest.mark.parametrize("attack", [name for name in ATTACKS if "HS256" in name or "none" in name.lower()])
def test_a_project_with_a_legacy_secret_is_no_softer(attack: str) -> None:
    with pytest.raises(TokenRefused):
        verify(ATTACKS[attack](), KEYS, LEGACY, now=NOW)


def test_the_table_fails_for_the_reason_each_row_names() -> None:
    """The rows' own helpers make tokens that are good but for one thing."""
    assert verify(sign_raw(json.dumps(claims()).encode()), KEYS, TRUST, now=NOW)
    assert verify(hs256(claims(), SECRET.encode()), {}, LEGACY, now=NOW)


@pytest.mark.parametrize("name", ["padding", "white space", "line break inside", "standard base64 letters", "a NUL"])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_each_part_has_one_spelling_before_anybody_else_reads_it(name: str, where: int) -> None:
    """Whose token it is, and who wrote it, is read before the signature is looked at."""
    texts = GOOD.split(".")
    texts[where] = {
        "padding": texts[where] + "=",
        "white space": " " + texts[where],
        "line break inside": texts[where][:4] + "\n" + texts[where][4:],
        "standard base64 letters": texts[where][:4] + "+/+/" + texts[where][8:],
        "a NUL": texts[where] + "\0",
    }[name]
    with pytest.raises(TokenRefused, match="base64url"):
        parts(".".join(texts))


@pytest.mark.parametrize("where", [0, 1, 2])
def test_no_part_is_empty(where: int) -> None:
    texts = GOOD.split(".")
    texts[where] = ""
    with pytest.raises(TokenRefused, match="not base64url"):
        parts(".".join(texts))


@pytest.mark.parametrize("raw", [b"{}", b"{ }  "])
def test_bits_behind_the_end_are_another_spelling(raw: bytes) -> None:
    good = part(raw)
    other = good[:-1] + chr(ord(good[-1]) + 1)
    assert parts(f"{part(b'{}')}.{good}.AAAA")[1] == raw
    with pytest.raises(TokenRefused, match="canonical"):
        parts(f"{part(b'{}')}.{other}.AAAA")


OCT = b"a secret that somebody published as a key of theirs"


@pytest.mark.parametrize("alg", ["PS256", "RS384", "RS512", "HS256", "EdDSA", "none"])
def test_two_algorithms_count_whatever_keys_there_are(alg: str) -> None:
    """Should a key for another one ever come among ours, it opens nothing."""
    if alg == "HS256":
        key = {"kty": "oct", "k": part(OCT), "kid": "odd", "alg": alg}
        token = hs256(claims(), OCT, kid="odd")
    elif alg in ("EdDSA", "none"):
        key = {"kty": "OKP", "crv": "Ed25519", "x": part(ED_KEY.public_key().public_bytes_raw()), "kid": "odd"}
        token = sign(claims(), key=ED_KEY, alg="EdDSA", kid="odd")
        if alg == "none":
            token = f"{part({'alg': 'none', 'kid': 'odd'})}.{token.partition('.')[2]}"
    else:
        key = public_jwk(RSA_KEY, "odd", alg=alg)
        token = sign(claims(), key=RSA_KEY, alg=alg, kid="odd")
    with pytest.raises(TokenRefused, match="algorithm"):
        verify(token, {"odd": jwt.PyJWK(key)}, TRUST, now=NOW)


def test_an_unknown_key_is_told_apart() -> None:
    """Fetching the keys again may help there, and nowhere else."""
    with pytest.raises(UnknownKey):
        verify(sign(claims(), kid="rotated"), KEYS, TRUST, now=NOW)


@pytest.mark.parametrize("attack", [name for name in ATTACKS if "key id" in name and "under" not in name])
def test_only_a_key_id_is_worth_fetching_keys(attack: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        verify(ATTACKS[attack](), KEYS, TRUST, now=NOW)
    assert isinstance(refused.value, UnknownKey) is (attack == "key id is a path")


@pytest.mark.parametrize(("seconds", "good"), [(-9, True), (-10, False)])
def test_clocks_may_differ_by_ten_seconds(seconds: int, good: bool) -> None:
    token = sign(claims(exp=_in(seconds=seconds)))
    if good:
        assert verify(token, KEYS, TRUST, now=NOW)
    else:
        with pytest.raises(TokenRefused):
            verify(token, KEYS, TRUST, now=NOW)


def test_a_user_without_email_is_still_somebody() -> None:
    assert verify(sign(claims(email=GONE)), KEYS, TRUST, now=NOW).email == ""


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: f"{part(raw)}.{part(raw)}.{part(raw)}"))
def test_no_text_breaks_the_verifier(text: str) -> None:
    """Anything at all is either refused in words or believed."""
    with pytest.raises(TokenRefused):
        verify(text, KEYS, TRUST, now=NOW)
    assert issuer_of(text) in (None, tokens.ISSUER)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(claims())), json_values)
def test_a_signed_token_with_any_one_claim_replaced_is_refused_or_sound(name: str, value: object) -> None:
    """Even Supabase's own signature under nonsense gives a refusal or claims of the right types, never a crash."""
    token = sign_raw(json.dumps(claims(**{name: value})).encode())
    try:
        got = verify(token, KEYS, TRUST, now=NOW)
    except TokenRefused:
        return
    assert isinstance(got, Claims)
    assert got.user_id.int
    assert got.email.isprintable()
    assert got.expires_at > NOW - timedelta(seconds=10)


@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.sampled_from("AZaz09-_."))
def test_no_letter_of_a_token_can_be_changed(at: int, letter: str) -> None:
    token = GOOD[:at] + letter + GOOD[at + 1 :]
    if token != GOOD:
        with pytest.raises(TokenRefused):
            verify(token, KEYS, TRUST, now=NOW)
