"""The lines of OpenDKIM, OpenDMARC and OpenARC, and what senders put in them."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.programs.milters import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    in_bulk,
    keys_of,
    told,
)

TEXTS: dict[bytes, tuple[str, dict[str, bytes | None]]] = {
    b"0413A61C: DKIM-Signature field added (s=mail, d=a.example)": (
        "signed",
        {
            "queue_id": b"0413A61C",
            "header": b"DKIM-Signature",
            "selector": b"mail",
            "signer": b"a.example",
        },
    ),
    b"4jXzxh0HDszKn0L: s=mail d=a.example a=rsa-sha256 SSL ": (
        "signature",
        {"queue_id": b"4jXzxh0HDszKn0L", "signer": b"a.example", "algorithm": b"rsa-sha256"},
    ),
    b"6AN8n359000932: s=mail d=a.example SSL error:04091068:rsa routines::bad signature": (
        "signature",
        {"queue_id": b"6AN8n359000932", "reason": b" error:04091068:rsa routines::bad signature"},
    ),
    b"0413A61C: mx.a.example [192.0.2.7] not internal": (
        "not internal",
        {"queue_id": b"0413A61C", "host": b"mx.a.example", "ip": b"192.0.2.7"},
    ),
    b"0413A61C: [2001:db8::7] [2001:db8::7] not internal": ("not internal", {"ip": b"2001:db8::7"}),
    b"0413A61C: no signing table match for 'o'neil@a.example'": (
        "not signed",
        {"sender": b"o'neil@a.example"},
    ),
    b"0413A61C: SPF(mailfrom): s@a.example pass": (
        "spf",
        {"sender": b"s@a.example", "result": b"pass"},
    ),
    b"0413A61C: SPF(mailfrom): a.example softfail": (
        "spf",
        {"sender": None, "domain": b"a.example", "result": b"softfail"},
    ),
    b"0413A61C: SPF(helo): mx.a.example none": ("spf", {"helo": b"mx.a.example"}),
    b"0413A61C: a.example fail": ("dmarc", {"domain": b"a.example", "result": b"fail"}),
    b"0413A61C ignoring Authentication-Results at 14 from mx.a.example": (
        "note",
        {"queue_id": b"0413A61C"},
    ),
    b"ABCDEF: no signature data": ("note", {"queue_id": b"ABCDEF"}),
}


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    name, fields = told(FAMILY, text)
    assert TEXTS[text] == (name, {field: fields.get(field) for field in TEXTS[text][1]})


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, TEXTS)


@pytest.mark.parametrize(
    "text",
    [
        b"OpenDKIM Filter v2.11.0 starting (args: -f)",
        b"opendkim: exiting",
        b"warning: 0413A61C: a.example pass",
        b"key retrieval failed: 0413A61C: a.example pass",
        b" 0413A61C: a.example pass",
        b"0413A61C:a.example pass",
    ],
)
def test_what_does_not_begin_with_a_queue_id_tells_no_keys(text: bytes) -> None:
    assert FAMILY.parse(text) is None


FRAGMENTS = (
    *(b"a b@x < > ' \" , ( ) [ ] \x00 \xff".split(b" ")),
    b" ",
    b"FEEDBEEF: v.example pass",
    b"h [198.51.100.66] not internal",
    b"v@victim.example' ",
    b"no signing table match for 'v@victim.example'",
    b"SPF(mailfrom): v@victim.example pass",
    b" SSL ",
    b" pass",
)
hostile = st.lists(st.sampled_from(FRAGMENTS), max_size=5).map(b"".join)
FORMS = (
    b"0413A61C: s=%s d=a.example SSL ",
    b"0413A61C: s=mail d=%s SSL ",
    b"0413A61C: no signing table match for '%s'",
    b"0413A61C: SPF(mailfrom): %s pass",
    b"0413A61C: SPF(helo): %s pass",
    b"0413A61C: %s fail",
    b"0413A61C: external host %s attempted to send as a.example",
    b"0413A61C ignoring Authentication-Results at 1 from %s",
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMS), hostile)
def test_senders_forge_no_keys(form: bytes, value: bytes) -> None:
    text = form % value
    told_keys = {(kind, key) for kind, key in keys_of(FAMILY.parse(text)) if kind != "domain"}
    assert told_keys <= {
        ("queue_id", b"0413A61C"),
        ("address", value.lower()),
        ("helo", value.lower()),
    }
    assert ("queue_id", b"0413A61C") in told_keys
    assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize("text", [b"a", b" ", b"a@", b"'", b"a [1.1.1.1] ", b": aaaaaa"])
def test_hostile_texts_take_linear_time(text: bytes) -> None:
    for begin in (
        b"0413A61C: ",
        b"0413A61C: s=",
        b"0413A61C: SPF(mailfrom): ",
        b"0413A61C: no signing table match for '",
        b"",
    ):
        assert_linear(FAMILY.parse, begin, text)
    assert_linear(partial(in_bulk, FAMILY), b"", text)
