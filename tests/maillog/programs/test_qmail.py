"""qmail-send's lines, from the founding document and from a real qmail."""

import pytest

from archiver.maillog.programs.qmail import FAMILY
from tests.maillog.programs.contract import assert_found_in_bulk, assert_linear, keys_of, told

TEXTS = {
    b"new msg 139804": ("new", {"queue_id": b"139804"}),
    b"info msg 139804: bytes 1360 from < test@server.rete.dom > qp 663 uid 0": (
        "queued",
        {
            "queue_id": b"139804",
            "size": b"1360",
            "sender": b" test@server.rete.dom ",
            "qp": b"663",
            "uid": b"0",
        },
    ),
    b"delivery 4: success: did_0+1+0/qp_521/": (
        "delivery success",
        {"delivery": b"4", "reason": b"did_0+1+0/qp_521/", "new_qp": b"521"},
    ),
    b"delivery 17: success: 67.28.113.11_accepted_message./Remote_host_said:_250_ok_dirdel/": (
        "delivery success",
        {
            "delivery": b"17",
            "reason": b"67.28.113.11_accepted_message./Remote_host_said:_250_ok_dirdel/",
            "relay_ip": b"67.28.113.11",
        },
    ),
}


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    assert TEXTS[text] == told(FAMILY, text)


def test_a_sender_that_looks_like_the_end_of_its_line_is_a_sender() -> None:
    text = b"info msg 5: bytes 2 from <a> qp 1 uid 0> qp 77 uid 8"
    assert {("queue_id", b"5"), ("qp", b"77"), ("address", b"a> qp 1 uid 0")} == keys_of(
        FAMILY.parse(text)
    )


@pytest.mark.parametrize(
    "text",
    [
        b"delivery 3: failure: did_0+1+0/qp_9/new msg 8",
        b"x new msg 5",
        b"new msg 5 ",
        b"bounce msg 5 qp",
    ],
)
def test_what_is_not_qmails_own_makes_no_keys(text: bytes) -> None:
    assert not keys_of(FAMILY.parse(text))


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, TEXTS)


@pytest.mark.parametrize("hostile", [b"> qp 1 uid 0", b"did_1+0+0/", b"1.", b"<"])
def test_hostile_senders_and_reasons_take_linear_time(hostile: bytes) -> None:
    for begin in (
        b"info msg 5: bytes 2 from <",
        b"delivery 3: success: ",
        b"delivery 3: failure: ",
    ):
        assert_linear(FAMILY.parse, begin, hostile)
