"""policyd-spf and postgrey: each sees a client and both addresses before there is a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.maillog.programs.policy_services import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    in_bulk,
    keys_of,
    told,
)

SPF = (
    b"Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=198.51.100.31;"
    b" helo=out.sender.example; envelope-from=ann@sender.example; receiver=bob@receiver.example"
)
GREY = (
    b"action=pass, reason=triplet found, delay=312, client_name=out.sender.example,"
    b" client_address=2001:db8::7/128, sender=ann@sender.example, recipient=bob@receiver.example"
)
PEOPLE = {
    ("address", b"ann@sender.example"),
    ("address", b"bob@receiver.example"),
    ("domain", b"sender.example"),
    ("domain", b"receiver.example"),
}


@pytest.mark.parametrize("begin", [b"", b"prepend "])
def test_spf(begin: bytes) -> None:
    name, fields = told(FAMILY, begin + SPF)
    assert (name, fields["verdict"], fields["helo"]) == ("checked", b"Pass", b"out.sender.example")
    assert keys_of(FAMILY.parse(begin + SPF)) == PEOPLE | {
        ("ip", b"198.51.100.31"),
        ("helo", b"out.sender.example"),
    }


def test_grey() -> None:
    name, fields = told(FAMILY, GREY)
    assert (name, fields["action"], fields["delay"]) == ("checked", b"pass", b"312")
    assert keys_of(FAMILY.parse(GREY)) == PEOPLE | {("ip", b"2001:db8::7")}


def test_without_a_sender_or_a_receiver() -> None:
    """A bounce; and a service that is not told for whom the message is."""
    text = SPF.replace(b"ann@sender.example", b"").replace(b"bob@receiver.example", b"<UNKNOWN>")
    assert ("address", b"<>") in keys_of(FAMILY.parse(text))
    assert {kind for kind, _ in keys_of(FAMILY.parse(text))} >= {"ip", "helo", "address"}


@pytest.mark.parametrize(
    "forged", [b"x; client-ip=203.0.113.9", b"x; helo=y; client-ip=203.0.113.9;"]
)
def test_a_helo_that_looks_like_other_pairs_is_not_believed(forged: bytes) -> None:
    text = SPF.replace(b"out.sender.example", forged)
    assert ("ip", b"203.0.113.9") not in keys_of(FAMILY.parse(text))


NAME = st.from_regex(rb"\A[a-z0-9.-]{1,20}\Z")


@given(helo=NAME, sender=NAME, receiver=NAME)
def test_every_key_is_found_in_bulk(helo: bytes, sender: bytes, receiver: bytes) -> None:
    texts = [
        b"prepend Received-SPF: None (mailfrom) identity=mailfrom; client-ip=192.0.2.4; helo=%s;"
        b" envelope-from=%s@a.example; receiver=%s" % (helo, sender, receiver),
        b"action=greylist, reason=new, client_name=%s, client_address=192.0.2.4,"
        b" sender=%s@a.example, recipient=%s@b.example" % (helo, sender, receiver),
    ]
    assert all(len(keys_of(FAMILY.parse(text))) > 3 for text in texts)
    assert_found_in_bulk(FAMILY, texts)


@pytest.mark.parametrize("text", [b"; ", b"identity=a; ", b", ", b"sender=a, ", b"("])
def test_hostile_texts_take_linear_time(text: bytes) -> None:
    for begin in (b"Received-SPF: Pass (", SPF[:60], GREY[:40], b""):
        assert_linear(FAMILY.parse, begin, text)
        assert_linear(lambda text: in_bulk(FAMILY, text), begin, text)
