"""What Fly's refusals mean: the texts seen in production, each with the word we have for it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provisioner.errors import (
    CloudBroken,
    CloudError,
    CloudSilent,
    LeaseHeld,
    NameTaken,
    NoCapacity,
    NotAllowed,
    NotThere,
    RateLimited,
    Refused,
    Scope,
    WrongState,
)
from provisioner.fly.faults import fault

TOKEN = "fm2_lJPECAAAAAAAAB1axBBsecretsecret"
HELD = "machine ID 148e272f0d3389 lease currently held by ada@example.com, expires at 2026-08-21T10:11:12Z"
UNTIL = datetime(2026, 8, 21, 10, 11, 12, tzinfo=UTC)
UNIQUE = (
    "already_exists: unique machine name violation, machine ID 148e272f0d3389 already exists with name "
    '"jarvis-prod-0123456789ab"'
)
RESERVE = "could not reserve resource for machine: "
QUOTA = "memory usage would be 96 GB, which is over the allowed quota. please consider other regions"

# status, code, text → kind, what it carries
TABLE = [
    (400, None, "invalid_argument: timeout: value must be inside range [1s, 1m0s]", Refused, {}),
    (400, None, "volume not found", NotThere, {}),
    (400, None, "no capacity in region ams", NoCapacity, {"scope": Scope.REGION}),
    (409, None, "no capacity", NoCapacity, {"scope": Scope.REGION}),
    (401, None, "Authenticate: token validation error", NotAllowed, {}),
    (403, None, "forbidden", NotAllowed, {}),
    (403, None, QUOTA, NoCapacity, {"scope": Scope.ORGANISATION}),
    (404, None, "machine not found", NotThere, {}),
    (408, None, "request timed out", CloudSilent, {}),
    (
        408,
        None,
        "deadline_exceeded: machine failed to reach desired state, started, currently stopped",
        WrongState,
        {"current": "stopped"},
    ),
    # 409: six meanings
    (409, None, HELD, LeaseHeld, {"until": UNTIL}),
    (409, "error", HELD, LeaseHeld, {"until": UNTIL}),
    (409, None, "lease currently held by 1234@tokens.fly.io", LeaseHeld, {"until": None}),
    (409, None, "lease currently held by x, expires at tomorrow", LeaseHeld, {"until": None}),
    (409, None, UNIQUE, NameTaken, {"machine_id": "148e272f0d3389"}),
    (409, None, "already_exists: unique machine name violation", NameTaken, {"machine_id": None}),
    (
        409,
        None,
        "aborted: machine update failed due to concurrent update",
        WrongState,
        {"current": "updating"},
    ),
    (409, None, "machine is replacing: concurrent update in progress", WrongState, {"current": "replacing"}),
    (409, None, RESERVE + "insufficient CPUs available to fulfill request", NoCapacity, {"scope": Scope.HOST}),
    (409, None, RESERVE + "insufficient memory available to fulfill request", NoCapacity, {"scope": Scope.HOST}),
    (409, None, "insufficient IPs available to fulfill request", NoCapacity, {"scope": Scope.HOST}),
    (409, None, "insufficient resources available to fulfill request", NoCapacity, {"scope": Scope.HOST}),
    (409, "unknown", "insufficient resources available to fulfill request", NoCapacity, {"scope": Scope.HOST}),
    (409, None, "current_version does not match", WrongState, {"current": None}),
    # 412: five meanings
    (
        412,
        None,
        "failed_precondition: unable to start machine from current state: 'created'",
        WrongState,
        {"current": "created"},
    ),
    (
        412,
        None,
        "failed_precondition: unable to start machine from current state: 'hibernating'",
        WrongState,
        {"current": "hibernating"},
    ),
    (412, None, "machine is already started", WrongState, {"current": "started"}),
    (
        412,
        None,
        "failed_precondition: machine getting replaced, refusing to start",
        WrongState,
        {"current": "replacing"},
    ),
    (
        412,
        None,
        "insufficient resources to create new machine with existing volume 'vol_1'",
        NoCapacity,
        {"scope": Scope.VOLUME_HOST},
    ),
    (412, None, "volume vol_1 is already attached to machine 1781", Refused, {}),
    (412, None, "machine_version does not match", Refused, {}),
    # the code outranks the text and the status
    (412, "volume_placement_capacity", "whatever", NoCapacity, {"scope": Scope.VOLUME_HOST}),
    (422, "insufficient_capacity", "whatever", NoCapacity, {"scope": Scope.REGION}),
    (503, "insufficient_capacity", "whatever", NoCapacity, {"scope": Scope.REGION}),
    (422, None, "could not find a candidate host", NoCapacity, {"scope": Scope.REGION}),
    (422, "name_taken", "Validation failed: Name has already been taken", NameTaken, {"machine_id": None}),
    (422, None, "Validation failed: Name has already been taken", NameTaken, {"machine_id": None}),
    (422, None, "uniqueness constraint violated", NameTaken, {"machine_id": None}),
    (
        422,
        None,
        "Validation failed: Name under 63 chars using numbers, lowercase letters and dashes",
        Refused,
        {},
    ),
    (418, None, "deploys to this host are temporarily disabled", NoCapacity, {"scope": Scope.HOST}),
    (500, None, "deploys to this host are temporarily disabled", NoCapacity, {"scope": Scope.HOST}),
    (500, None, "internal", CloudBroken, {}),
    (504, None, "", CloudBroken, {}),
    (405, None, "", Refused, {}),
    # a text counts only where it was seen
    (500, None, "no capacity", CloudBroken, {}),
    (422, None, HELD, Refused, {}),
    (404, None, UNIQUE, NotThere, {}),
    # neither a redirect nor an unreadable success tells that nothing was done
    (302, None, "", CloudBroken, {}),
    (200, None, "<html>", CloudBroken, {}),
]


@pytest.mark.parametrize(("status", "code", "text", "kind", "carries"), TABLE)
@pytest.mark.parametrize("key", ["error", "message"])
def test_each_text_of_fly_has_its_word(key, status, code, text, kind, carries):
    body = {key: text} | ({"status": code} if code else {})
    error = fault("start", status, json.dumps(body).encode(), {"fly-request-id": "01R"})
    assert type(error) is kind
    assert {name: getattr(error, name) for name in carries} == carries
    assert (error.status, error.request_id) == (status, "01R")
    assert text in str(error)


def test_a_disk_that_still_hangs_on_its_machine_can_be_deleted_later_but_never_mounted():
    attached = b'{"error": "failed_precondition: volume vol_1 is currently attached to machine 148e"}'
    assert isinstance(fault("delete_volume", 412, attached, {}), WrongState)
    assert isinstance(fault("create_machine", 412, attached, {}), Refused)


def test_a_text_outside_json_counts_as_well():
    assert isinstance(fault("start", 409, HELD.encode(), {}), LeaseHeld)


@pytest.mark.parametrize("status", [400, 408, 409, 412, 422])
def test_a_wait_on_a_replaced_version_is_known_whatever_its_status(status):
    """Which 4xx it is, Fly does not document."""
    error = fault("wait", status, b'{"error": "failed to reach started, currently replaced"}', {})
    assert isinstance(error, WrongState)
    assert error.current == "replaced"


def test_a_wait_that_ran_out_is_never_a_lost_answer():
    assert isinstance(fault("wait", 408, b"", {}), WrongState)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_retry_after_counts_only_if_it_is_a_number(header, seconds):
    error = fault("start", 429, b"", {"retry-after": header})
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_a_message_is_one_short_line():
    error = fault("start", 500, b"first\nsecond " + b"x" * 100_000, {})
    assert str(error).startswith("start: 500 first second xxx")
    assert len(str(error)) < 400


def test_what_went_out_as_a_secret_does_not_come_back_in_an_error():
    key = "k1:c2VjcmV0c2VjcmV0"
    body = {"error": f"invalid env JARVIS_GUARD_KEYS={key} for FlyV1 fm2_other"}
    error = fault("create_machine", 400, json.dumps(body).encode(), {}, hide=[TOKEN, key])
    assert str(error) == "create_machine: 400 invalid env JARVIS_GUARD_KEYS=[hidden] for [hidden]"


def test_one_macaroon_of_several_is_hidden_too():
    """A Fly token is often a list; Fly may complain about one part of it."""
    error = fault("start", 401, b"bad caveat in fo1_secret", {}, hide=["fm2_first,fo1_secret"])
    assert str(error) == "start: 401 bad caveat in [hidden]"


words = st.sampled_from([row[2] for row in TABLE]) | st.text()


@given(
    action=st.sampled_from(["start", "wait", "create_machine", "destroy"]),
    status=st.integers(100, 599),
    before=words,
    after=words,
    code=st.none() | st.text() | st.sampled_from(["name_taken", "unknown", "insufficient_capacity"]),
    shape=st.sampled_from(["error", "message", "raw", "list"]),
)
@example("start", 412, "unable to start machine from current state: '", "'", None, "error")
@example("start", 409, "unique machine name violation, machine ID ", " already exists", None, "error")
def test_the_token_is_in_no_error(action, status, before, after, code, shape):
    text = before + TOKEN + after
    body = {"raw": text, "list": json.dumps([text])}.get(shape) or json.dumps({shape: text, "status": code})
    headers = {"fly-request-id": text, "retry-after": TOKEN}
    error = fault(action, status, body.encode("utf-8", "surrogatepass"), headers, hide=[TOKEN])
    seen = repr([str(error), repr(error), *(getattr(error, name) for name in vars(error))])
    assert TOKEN not in seen


@given(status=st.integers(-1, 1000), body=st.binary(), headers=st.dictionaries(st.text(), st.text()))
@example(500, b"[" * 60_000, {})
def test_any_answer_gives_some_error(status, body, headers):
    assert isinstance(fault("start", status, body, headers), CloudError)
