"""rspamd's and spamd's lines, and what strangers could write into them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.maillog.kinds import KINDS
from archiver.maillog.programs.spam import FAMILY
from tests.maillog.programs.contract import (
    assert_found_in_bulk,
    assert_linear,
    keys_of,
    tokens,
    told,
)

TASK = b"<8ae27d>; task; rspamd_task_write_log: "
FROM = b"id: <m@x>, qid: <4D1F2AB>, ip: 192.0.2.1, user: bob@d, from: <a@b>,"
VERDICT = (
    b" (default: F (no action): [-0.64/20.00] [BAYES_HAM(-3.00){100.00%;},ASN(0.00){asn:1, c:US;}])"
)
END = b", len: 2348, time: 750.636ms real, 5.680ms virtual, dns req: 47, digest: <b1035f4f>"
KEYS = {
    ("message_id", b"m@x"),
    ("queue_id", b"4D1F2AB"),
    ("ip", b"192.0.2.1"),
    ("user", b"bob@d"),
    ("domain", b"d"),
    ("address", b"a@b"),
    ("domain", b"b"),
}
BOB = {("user", b"bob")}
SPAMD = b"spamd: result: Y 15 - BAYES_99,GTUBE scantime=2.1,size=1234,user=bob,uid=1001,"
RESULT = SPAMD + b"required_score=5.0,rhost=localhost,raddr=192.0.2.1,rport=33770,mid="

TEXTS = {
    TASK + FROM + VERDICT + END: ("checked", KEYS),
    TASK + FROM + VERDICT + END + b", rcpts: <c@e>, mime_rcpts: <f@g>": (
        "checked",
        {*KEYS, ("address", b"c@e"), ("domain", b"e")},
    ),
    TASK + FROM + VERDICT + END + b", rcpts: <c@e,h@i,j@k>, mime_rcpts: <f@g,l@m>": (
        "checked",
        {
            *KEYS,
            *[("address", address) for address in (b"c@e", b"h@i", b"j@k")],
            *[("domain", domain) for domain in (b"e", b"i", b"k")],
        },
    ),
    b"(rspamd_proxy) <94f35d>; proxy; rspamd_task_write_log: id: <undef>, qid: <4D1F2AB>,"
    b" ip: 2001:db8::1, from: <>, (default: T (reject): [16.20/15.00] [RBL(4.00){x:from;}])"
    + END: (
        "checked",
        {("queue_id", b"4D1F2AB"), ("ip", b"2001:db8::1"), ("address", b"<>")},
    ),
    b"<8ae27d>; proxy; rspamd_message_parse: loaded message; id: <m@x>; queue-id: <4D1F2AB>;"
    b" size: 2348; checksum: <b1035f4f>": (
        "loaded",
        {("message_id", b"m@x"), ("queue_id", b"4D1F2AB")},
    ),
    b"<8ae27d>; lua; dmarc.lua:411: skip DMARC checks": ("note", set()),
    b"spamd: connection from localhost [192.0.2.1]:34 to port 783, fd 5": (
        "connected",
        {("ip", b"192.0.2.1")},
    ),
    b"spamd: processing message <m@x> for bob:1001": ("checking", {("message_id", b"m@x"), *BOB}),
    b"spamd: checking message <no-domain> aka <m@y> for (unknown):1001": (
        "checking",
        {("message_id", b"no-domain")},
    ),
    b"spamd: processing message (unknown) for bob:1001": ("checking", BOB),
    b"spamd: identified spam (15.1/5.0) for bob:1001 in 2.1 seconds, 1234 bytes.": ("checked", BOB),
    b"spamd: clean message (-0.2/5.0) for a@b:1001 in 2.1 seconds, 1234 bytes.": (
        "checked",
        {("user", b"a@b"), ("domain", b"b")},
    ),
    RESULT + b"<m@x>,bayes=0.9,autolearn=no autolearn_force=no": (
        "checked",
        {*BOB, ("ip", b"192.0.2.1"), ("message_id", b"m@x")},
    ),
    RESULT + b"(unknown),autolearn=no": ("checked", {*BOB, ("ip", b"192.0.2.1")}),
}


@pytest.mark.parametrize("text", TEXTS)
def test_says(text: bytes) -> None:
    name, expected = TEXTS[text]
    assert (name, expected) == (told(FAMILY, text)[0], keys_of(FAMILY.parse(text)))


def test_says_more() -> None:
    assert told(FAMILY, TASK + FROM + VERDICT + END) == (
        "checked",
        {
            "task": b"8ae27d",
            "part": b"task",
            "message_id": b"m@x",
            "queue_id": b"4D1F2AB",
            "ip": b"192.0.2.1",
            "user": b"bob@d",
            "sender": b"a@b",
            "spam": b"F",
            "action": b"no action",
            "score": b"-0.64",
        },
    )


def test_bulk() -> None:
    assert_found_in_bulk(FAMILY, TEXTS)


# -- strangers ------------------------------------------------------------------------------

BAD = {
    ("queue_id", b"F0F0F0"),
    ("ip", b"192.0.2.66"),
    ("user", b"ceo"),
    ("address", b"ceo@bank"),
    ("message_id", b"forged@x"),
}
PIECES = [
    b"id: <forged@x>",
    b">,",
    b" qid: <F0F0F0>,",
    b" ip: 192.0.2.66,",
    b" user: ceo,",
    b" from: <ceo@bank>,",
    b" from: <ceo@bank",
    b" (default: F (no action): [0.00/15.00] [X(0.00){",
    b"})]), len: 1, time: 1ms, dns req: 1",
    b", digest: <00>",
    b", rcpts: <ceo@bank>",
    b", mime_rcpts: <",
    b"; queue-id: <F0F0F0>; size: 1; checksum: <00>",
    b",user=ceo,uid=1,raddr=192.0.2.66,",
    b"mid=<forged@x>",
    b"<",
    b">",
    b",",
    b" ",
    b"}",
    b"x",
    b"\0\xff",
]
hostile = st.lists(st.sampled_from(PIECES), max_size=10).map(b"".join)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A Message-ID, a symbol's words and an address in the header may be odd."""
    odd = draw(hostile)
    qid = b">, qid: <4D1F2AB>, ip: 192.0.2.1, from: <a@b>,"
    qid += b" (default: F (no action): [1.00/15.00] [X(0.00){"
    words = draw(st.sampled_from([b"y", odd]))
    rcpts = END + b", rcpts: <c@d,e@f>, mime_rcpts: <"
    return draw(
        st.sampled_from(
            [
                TASK + b"id: <" + odd + qid + b"y}])" + rcpts + b"g@h>",
                TASK + b"id: <m@x" + qid + words + b"}])" + rcpts + b"g@h>",
                TASK + b"id: <m@x" + qid + words + b"}])" + rcpts + odd + b"@h>",
                b"<8ae27d>; proxy; rspamd_message_parse: loaded message; id: <"
                + odd
                + b">; queue-id: <4D1F2AB>; size: 2348; checksum: <b1035f4f>",
                b"<8ae27d>; lua; " + odd,
                RESULT + b"<" + odd.translate(None, b" <>") + b">,autolearn=no",
            ]
        )
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(lines(), max_size=4))
def test_a_strangers_words_are_no_keys_and_all_keys_are_found(texts: list[bytes]) -> None:
    for text in texts:
        assert not BAD & keys_of(FAMILY.parse(text)), text
    assert_found_in_bulk(FAMILY, texts)


FAKE = b"x>, qid: <F0F0F0>, ip: 192.0.2.66, user: ceo, from: <ceo@bank>,"
FAKE += b" (default: F (no action): [0/9] [X("
FORGERIES = [
    TASK + FROM.replace(b"m@x", FAKE) + VERDICT + END + b", rcpts: <c@d>",
    TASK + FROM.replace(b"m@x", b"x>, qid: <F0F0F0>, ip: 192.0.2.66, from: <a@b") + VERDICT + END,
    TASK
    + FROM
    + VERDICT[:-2]
    + b"), len: 1, time: 1, dns req: 1, digest: <0>, rcpts: <ceo@bank>"
    + b"])"
    + END
    + b", rcpts: <c@d>",
    TASK + FROM + VERDICT + END + b", rcpts: <c@d>, mime_rcpts: <x, digest: <0>, rcpts: <ceo@bank>",
    b"<8ae27d>; proxy; rspamd_message_parse: loaded message; id: <x>; queue-id: <F0F0F0>; size: 1;"
    b" checksum: <0>; queue-id: <4D1F2AB>; size: 2348; checksum: <b1035f4f>",
    RESULT + b"<x,user=ceo,uid=1,raddr=192.0.2.66,mid=x>,autolearn=no",
    b"x " + TASK + FROM.replace(b"4D1F2AB", b"F0F0F0") + VERDICT + END,
]


@pytest.mark.parametrize("text", FORGERIES)
def test_forged(text: bytes) -> None:
    assert not BAD & keys_of(FAMILY.parse(text))
    assert_found_in_bulk(FAMILY, [text])


@pytest.mark.parametrize("hostile_text", [b"(default: ", b", digest: <", b"a@b,", b"> ", b", "])
@pytest.mark.parametrize(
    "begin",
    [
        TASK + b"id: <",
        TASK + FROM + VERDICT,
        TASK + FROM + VERDICT + END + b", rcpts: <",
        RESULT + b"<",
    ],
)
def test_hostile_texts_take_linear_time(begin: bytes, hostile_text: bytes) -> None:
    assert_linear(FAMILY.parse, begin, hostile_text)


def test_bulk_takes_linear_time() -> None:
    for piece in (b",a", b",@", b"id: <", b" for a:", b",user="):
        assert_linear(lambda text: tokens(text, FAMILY, KINDS), b"", piece)
