"""Keys are taken apart in one place; what a name does not say is not guessed."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.archives.names import Key, parse

IN = "host=mx1/source=maillog/"
AT = "date=2026-11-30/maillog-20261129T230000Z-000007"
DAY = date(2026, 11, 30)


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        (f"{IN}{AT}.log.zst", Key("mx1", "maillog", DAY, 7, ".log.zst")),
        (f"{IN}{AT}.manifest.json", Key("mx1", "maillog", DAY, 7, ".manifest.json")),
        (f"{IN}{AT}.idx", Key("mx1", "maillog", DAY, 7, ".idx")),
        (f"{IN}runs/maillog-000001-000004.run", Key("mx1", "maillog")),
        ("host=mx1/ledger/00000012.json", Key("mx1", number=12, suffix=".json")),
        # Not ours, not yet, or not any more.
        (f"{IN}{AT}.manifest.json.sig", Key("mx1", "maillog", DAY)),
        (f"{IN}{AT}.log.zst.seed", Key("mx1", "maillog", DAY)),
        (f"{IN}date=2026-11-31/maillog-1.log.zst", Key("mx1", "maillog", None, 1, ".log.zst")),
        (f"{IN}date=20261130/maillog-1.log.zst", Key("mx1", "maillog", None, 1, ".log.zst")),
        (f"{IN}date=2026-11-30/maillog.manifest.json", Key("mx1", "maillog", DAY)),
        (f"{IN}date=2026-11-30/a/b-1.log.zst", Key("mx1", "maillog", DAY)),
        ("host=mx1/ledger/12.json", Key("mx1")),
        ("host=mx1/ledger/00000012.json.sig", Key("mx1")),
        ("host=mx1/log/tile/0/000", Key("mx1")),
        ("host=/source=maillog/x", Key()),
        ("elsewhere/00000012.json", Key()),
        ("", Key()),
    ],
)
def test_a_key_says_what_its_name_says(key: str, parts: Key) -> None:
    assert parse(key) == parts


@given(st.text())
def test_any_text_is_taken_apart(text: str) -> None:
    assert parse(text) == Key()
    assert parse(f"host=mx1/{text}").host == "mx1"
    assert parse(f"{IN}{text}").source == "maillog"
