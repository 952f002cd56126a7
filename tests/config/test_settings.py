"""The configuration: the documents tell what it takes, every problem is told at once with its
line, and nothing but a ConfigError ever comes of a file that is wrong.
"""

import dataclasses
import json
import math
import os
import re
import socket
import subprocess
import typing
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.config.settings import Config, Reopen, parse
from archiver.config.targets import LocalTarget, S3Target
from archiver.config.toml_tables import duration_in_seconds, size_in_bytes
from archiver.errors import ConfigError
from archiver.policy.period import Period
from tests import TOP
from tests.world.host import ARCHIVER, command, tree

TOML = Path("/etc/archiver/archiver.toml")
DOCUMENT = (TOP / "docs/configuration.md").read_text()
EXAMPLES = re.findall(r"(?s)```toml\n(.*?)```", (TOP / "README.md").read_text() + DOCUMENT)
SMALLEST, FULL = str(EXAMPLES[0]), str(EXAMPLES[-1])
# The documents' examples name the targets so; a bucket's keys have a table of their own.
NAMED = {LocalTarget: "local", S3Target: "offsite"}
GENERAL, BUCKETS = DOCUMENT.split("\n### A target that is a bucket\n")
ROWS = [
    (key.replace("NAME", name), kind, default)
    for text, name in ((GENERAL, "local"), (BUCKETS, "offsite"))
    for key, kind, default in re.findall(r"(?m)^\| `([\w.]+)` \| (\w+) \| ([^|]+) \| ", text)
]
BUCKET = re.findall(r"(?s)```\n(\[storage.*?)```", BUCKETS)[0]
TYPES = {key: kind for key, kind, _ in ROWS}
DEFAULTS = {key: default.strip("`") for key, _, default in ROWS}


def problems(text: str) -> list[tuple[int, str]]:
    """Return each problem that is found: its line and what is said of it."""
    with pytest.raises(ConfigError) as raised:
        parse(text, TOML)
    assert (raised.value.exit_status, str(TOML) in raised.value.hint) == (10, True)
    rows = [row.split(":", 2) for row in raised.value.message.split("\n")]
    told = [(int(line), what.strip()) for _, line, what in rows]
    assert told == sorted(told, key=lambda problem: problem[0])
    return told


def keys(kind: Any = Config, prefix: str = "", where: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key of the file, and its name in `config show`, as the dataclasses have them."""
    names = {"zone": "timezone", "sources": "source", "targets": "target", "rules": "rule"}
    names |= {"hosts": "host", "first": "from", "last": "to"}
    no_keys = {(Config, "path"), *((target, "name") for target in NAMED)}
    hints = typing.get_type_hints(kind)
    for name in (field.name for field in dataclasses.fields(kind)):
        many = typing.get_origin(hints[name]) is tuple
        inner = typing.get_args(hints[name])[0] if many else hints[name]
        key, shown = f"{prefix}{names.get(name, name)}", where + name
        every = set(typing.get_args(inner) or [inner]) - {Reopen, Period}
        tables = sorted(filter(dataclasses.is_dataclass, every), key=str)
        for number, table in enumerate(tables):
            below = f"{key}.{NAMED[table]}." if table in NAMED else f"{key}."
            yield from keys(table, below, f"{shown}[{number}]." if many else f"{shown}.")
        if not tables and (kind, name) not in no_keys:
            yield key, shown


def lines_of_keys(text: str) -> dict[str, tuple[str, int]]:
    """Return where each key stands: its whole line, and the number of that. usb: another local."""
    found: dict[str, tuple[str, int]] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\[+([\w.]+)\]", line):
            table = match[1].replace("usb", "local") + "."
        elif match := re.match(r"(\w+) = ", line):
            found.setdefault(table + match[1], (line, number))
    return found


WHERE = lines_of_keys(FULL)


# What a key needs, or is needed by.
TOGETHER = {
    "access_key_id": ("secret_access_key", "session_token"),
    "secret_access_key": ("access_key_id", "session_token"),
    "expirer_access_key_id": ("expirer_secret_access_key", "expirer_session_token"),
    "expirer_secret_access_key": ("expirer_access_key_id", "expirer_session_token"),
    "sse": ("kms_key_id",),
    "object_lock": ("lock_for",),
    "lock_for": ("object_lock",),
    "maximum": ("expire",),
    "basis": ("maximum", "expire"),
}


def with_value(key: str, value: str, text: str = FULL) -> str:
    """Return the example with another value for a key, in the same line."""
    line = WHERE[key][0] + "\n"
    assert line in text
    return text.replace(line, f"{key.rpartition('.')[2]} = {value}\n", 1)


def without(key: str, text: str = FULL) -> str:
    """Return the example without a key."""
    return text.replace(WHERE[key][0] + "\n", "", 1)


# -- the documents ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", EXAMPLES, ids=["README", "FreeBSD", "every key"])
def test_the_documents_examples_work(text: str) -> None:
    """As they stand there."""
    assert [source.name for source in parse(text, TOML).sources] == ["maillog"]


def test_every_key_is_documented_and_every_documented_key_is_there() -> None:
    """In the table of configuration.md; and its last example sets them all."""
    assert {"schema", *dict(keys())} == TYPES.keys() == WHERE.keys()


@pytest.mark.parametrize("key", TYPES)
def test_a_key_left_out_is_as_documented(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If required, an error at its table; else the default is what the document says."""
    monkeypatch.setattr(socket, "getfqdn", lambda: "mx1")
    above, _, name = key.rpartition(".")
    default, text = DEFAULTS[key], FULL
    for other in TOGETHER.get(name, ()):
        text = without(f"{above}.{other}", text)
    if default == "required":
        rows = FULL.splitlines()[: WHERE[key][1]]
        table = max((n for n, row in enumerate(rows, 1) if row.startswith("[")), default=1)
        assert (table, f"`{key}` is missing") == problems(without(key))[0]
    elif default == "as the log has it":
        assert getattr(parse(without(key), TOML).sources[0], name) is None
    elif default == "for good":
        assert getattr(parse(without(key), TOML).storage.targets[0], name) is None
    elif default == "none":
        (rule,) = parse(without(key, text), TOML).retention.rules
        ends = {"from": rule.match.first, "to": rule.match.last}
        assert vars(rule).get(name, ends.get(name)) is None
    else:
        value = '"mx1"' if key == "host.name" else default
        left_out = parse(without(key, text), TOML)
        assert parse(with_value(key, value, text), TOML) == left_out
        assert (left_out == parse(FULL, TOML)) == (WHERE[key][0] == f"{name} = {value}")


def test_a_name_service_is_asked_only_if_there_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be down, and then makes every command wait for half a minute."""
    monkeypatch.delattr(socket, "getfqdn")
    assert parse(SMALLEST, TOML).host.name == "mx1"


# -- what a value may be ---------------------------------------------------------------------

# TOML that is wrong for every key of a documented type, or for one key.
WRONG = {
    "text": "5 true 1.5 [] {} 2020-01-01",
    "number": '"5" true 1.5 [] {} 12:00:00 -1 99999 0',
    "size": '"x" true 1.5 [] {} -1 "-1B" "1.5MB" "" "1mb" "1TB" "٣B"',
    "duration": '"x" true 1.5 [] {} -1 "-1s" "" "5minutes" "inf" "1e3s" "nan" "٣s"',
    "share": '5 0.05 true [] {} "" "5" "%" "0%" "0.0%" "101%" "-5%" "x%" "5%%" "٣%"',
    "list": '5 true "ip" {} [5] [["ip"]]',
    "index.keys": '["ip","adress"]',
    "notify.mail_to": r'["a","b\nc"] [""] ["-oQ/tmp"] ["a,b"] ["é@x"] '
    '["a:b"] ["a@"] ["a@["] ["a@b@c"] [".a"] ["a..b"]',
    "notify.mail_from": r'"a\nb" "-f" "a,b"',
    "notify.ping_url": '"x" "ftp://a/" "http://" "http://a:0/" "http://é/" "http://a:x/" "vault:x"',
    "notify.webhook_url": r'"x" "//a" "https://a\u0020b" "http://[::1" "file:" "https://u:p@a/"',
    "notify.timeout": '0 "0.05s" "301s"',
    "notify.remind": '0 "59s" "367d"',
    "hooks.before": r'["","a"] ["a\u0000"]',
    "hooks.timeout": '0 "25h"',
    "metrics.listen": """
        "9762" ":9762" "0.0.0.0:9762" "192.0.2.1:80" "127.0.0.1" "127.0.0.1:0" "127.0.0.1:65536"
        "localhost:9762" "[::]:9762" "[::1]" "::1:80" "127.0.0.256:80" "127.1:80" """,
    "log.to": '"" "stdout" "/dev/log"',
    "log.format": '"" "xml"',
    "log.facility": '"" "mail" "MAIL" "kern" "local8" "auth"',
    "path": r'5 true 1.5 [] {} "" "a\u0000b"',
    "boolean": '"true" "" 0 1 1.5 [] {} 12:00:00',
    "period": r"""
        5 true 1.5 [] {} 2020-01-01 "" "P" "P1" "21D" "21" "p21d" "-P1D" "P-1D" "P1.5Y" "PT24H"
        "P1DT1H" "P1Y1W" "P1W1D" "P1D1M" "P1M1Y" "P1Y1Y" "P101Y" "P1201M" "P5219W" "P36526D"
        "P100Y1D" "P99999999Y" "P٣D" "P1D\n" "P1D\u0000" """,
    "date": r"""
        5 true 1.5 [] {} "" "x" "2020" "2020-1-1" "20200101" "2020-02-30" "2020-W01-1" "٢٠٢٠-01-01"
        "2020-01-01T00:00:00" "2020-01-01\n" 2020-01-01T00:00:00 2020-01-01T00:00:00Z 12:00:00 """,
    "pattern": r"""
        5 true 1.5 {} 2020-01-01 "" [] [5] [["ip"]] ["a",""] "a/b" "a,b" "é" "a\n" "a\u0000" """,
    "reference": r"""
        5 true 1.5 [] {} 2020-01-01 "AKIAIOSFODNN7EXAMPLE" "cred" "cred:" "cred:a/b" "cred:.."
        "cred:é" "cred:a\n" "cred:a:b" "file:" "file:a\u0000b" "env:" "env:1A" "env:A-B" "env:A\n"
        "vault:x" "CRED:x" """,
    "name": r'5 true 1.5 [] {} "" "-x" "a/b" "a\n" "é"' + f' "{"x" * 65}"',
    # No time at all, or more than poll(2) takes.
    "source.reopen_timeout": f'0 "0s" "25d" "{"9" * 400}s" {"9" * 400} "0.00001ms"',
    "source.mode": "640 0o1640 0o177",  # a plain 640 is 0o1200, which nobody means
    "source.min_size": '"3GiB"',
    "compress.level": "20",
    "storage.required": "4",  # there are three stores
    "compress.frame_size": '0 16383 "9MiB"',
    "source.reopen": r"""
        "" ":" "none:x" "\tnone" "NONE" "pidfile" "pidfile:" "systemctl:" "command:" "command:\t"
        "command:'" "signal:HUP" "pidfile:\u0000" "command:a\u0000" "systemctl:\u0000" """,
    # The last are names of this machine only, or of clocks that count leap seconds: a manifest
    # carries the name for ever.
    "host.timezone": r"""
        "" "." "é" "Europe" "Europe/" "europe/rome" "Rome" "CEST2" "UTC\n" "+01:00" "Europe/Rome/x"
        "/etc/localtime" "../Europe/Rome" "zone.tab" "tzdata.zi" "a\u0000b"
        "localtime" "posixrules" "right/Europe/Rome" "posix/Europe/Rome" """,
    "schedule.at": '"" "24:00" "0:05" "00:00:60" "midnight" "00:00:05Z" "00:00:05.5" "٣٣:00"',
    "schedule.jitter": '"13h"',
    "schedule.scrub": '"" "Weekly" "yearly"',
    "schedule.hang_after": '0 "0.5s" "8d"',
    "retention.rule.basis": r'"a\nb" "a\u0000b" "\u2028" ' + f'"{"x" * 201}"',
    "retention.rule.expire": '"" "Auto" "never"',
    "retention.rule.match.source": f'"{"x" * 101}"',
    "storage.target.local.type": '"" "Local" "ftp"',
    "storage.target.offsite.type": '"" "S3" "ftp"',
}
RIGHT = {
    "source.mode": "0o640 0o200 0o777 416",
    "source.reopen_timeout": '1 "1ms" "1d" "0.2s"',
    "compress.frame_size": '"16KiB" "8MiB" 16384',
    "schedule.at": '"00:00" "23:59:59" "03:30"',
    "schedule.jitter": '0 "12h"',
    "schedule.scrub": '"never" "daily" "weekly" "monthly"',
    "schedule.scrub_sample": '"0.001%" "100%" "33.3%"',
    "schedule.hang_after": '1 "7d"',
    "notify.mail_to": '["root"] ["a+b@example.org","c@[192.0.2.1]","d@[IPv6:2001:db8::1]"]',
    "notify.ping_url": '"http://127.0.0.1:8000/ping/x" "file:x" "env:X" "https://a.example/?b=c"',
    "notify.remind": '"1m" "366d"',
    "hooks.before": '["x",""]',
    "metrics.listen": '"127.0.0.1:1" "[::1]:65535" "127.8.9.1:9762"',
    "log.facility": '"cron" "user" "local0" "local7"',
    "retention.rule.minimum": '"P0D" "P0Y" "P1Y1M" "P393D" "P56W" "P12M27D" "P0Y0M0D" "P001Y"',
    "retention.rule.maximum": '"P100Y" "P1200M" "P36525D" "P5217W" "P1Y1M" "P2Y6M15D"',
    "retention.rule.match.source": '"*" "maillog" "[lm]ail*" ["x","mail*"] "m?????g"',
    "retention.rule.match.from": '2000-02-29 "2000-02-29" "2039-12-31"',
}
REOPENS = ["none", "pidfile:/run/a.pid", "systemctl:rsyslog", "command:/bin/sh -c 'a; b:c'"]
# Empty is no path, say, unless it is what is meant when nothing is said.
WRONG_VALUES = [
    (key, value)
    for key in TYPES
    for value in f"{WRONG[TYPES[key]]} {WRONG.get(key, '')}".split()
    if value != DEFAULTS[key]
]


@pytest.mark.parametrize(("key", "value"), WRONG_VALUES)
def test_a_wrong_value_is_an_error(key: str, value: str) -> None:
    """Of another type, or out of bounds: an error at its line, by its name, and no other."""
    told = problems(with_value(key, value))
    assert {WHERE[key][1]} == {line for line, _ in told}
    assert key.rpartition(".")[2] in told[0][1] or TYPES[key] == "name"


@pytest.mark.parametrize(("key", "value"), [(k, v) for k in RIGHT for v in RIGHT[k].split()])
def test_a_right_value_is_none(key: str, value: str) -> None:
    """At the very bounds."""
    assert parse(with_value(key, value), TOML)


@pytest.mark.parametrize("text", REOPENS)
def test_kinds_of_reopen(text: str) -> None:
    """The four of the document, each with its argument as it stands."""
    source = parse(with_value("source.reopen", f'"{text}"'), TOML).sources[0]
    kind, _, argument = text.partition(":")
    assert Reopen(kind, argument) == source.reopen


@pytest.mark.parametrize("key", TYPES)
def test_a_misspelt_key_is_an_error(key: str) -> None:
    """At its line, with the right one beside it; one that is like no other, without."""
    (line, number), name = WHERE[key], key.rpartition(".")[2]
    misspelt = FULL.replace(line, line.replace(f"{name} =", f"{name[:-1]} ="), 1)
    said = (number, f"unknown key `{key[:-1]}`; did you mean `{name}`?")
    told = problems(misspelt)
    assert said in told
    assert [said] == told or DEFAULTS[key] == "required"
    strange = FULL.replace(line, f"{line}\nxyzzy = 1", 1)
    assert [(number + 1, f"unknown key `{key.removesuffix(name)}xyzzy`")] == problems(strange)


@given(st.integers(0, 10**30), st.sampled_from(["", " "]), st.integers(0, 3))
def test_sizes(number: int, space: str, power: int) -> None:
    """Powers of 1000, powers of 1024 with an i, or a number of bytes."""
    unit = ["", "k", "M", "G"][power]
    assert size_in_bytes(f"{number}{space}{unit}B") == number * 1000**power
    if power:
        assert size_in_bytes(f"{number}{space}{unit.upper()}iB") == number * 1024**power
    assert size_in_bytes(number) == size_in_bytes(str(number)) == number


@given(st.integers(0, 10**9), st.sampled_from(["", " "]), st.integers(0, 4))
def test_durations(thousandths: int, space: str, unit: int) -> None:
    """With a fraction or without, or a number of seconds."""
    name, seconds = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)][unit]
    text = f"{thousandths // 1000}.{thousandths % 1000:03}{space}{name}"
    assert math.isclose(thousandths / 1000 * seconds, duration_in_seconds(text))
    assert duration_in_seconds(thousandths) == duration_in_seconds(f"{thousandths}s") == thousandths


NUMBERS = st.from_regex(r"\d+(\.\d+)? ?(B|[KMG]iB|[kKMG]B|ms|[smhd])?", fullmatch=True)
HUGE = st.sampled_from(["9" * 400, "9" * 400 + "d", 9**400, "9" * 5000, "1." + "9" * 5000])
ODD = st.floats() | st.integers() | st.booleans() | st.none() | HUGE


@given(st.text(max_size=12) | NUMBERS | ODD)
def test_a_size_or_duration_of_anything(value: object) -> None:
    """A number that can be reckoned with and is not negative, or ValueError."""
    for read in (size_in_bytes, duration_in_seconds):
        with suppress(ValueError):
            assert 0 <= read(value) < math.inf
            assert not isinstance(value, bool)


# -- every problem, with its line ------------------------------------------------------------

# Each line that ends with #! has a problem. All that TOML 1.0 allows stands around them.
MESS = '''\
schema = 2 #!
zebra = 1 #! not a line's end: #!
# a\u2028b\u2029c\x85d [[source]]
compress = { level = 99, frame_size = 1 } #!
host.name = "-" #!
host . "timezone" = 5 #!
host.state_dir = "[storage]" # ] [compress]
host.spool_dir = """
[storage]
required = 9\\
"""
[[source]] # the [first]
name = "a"
path = "a"
reopen = "none"
\t"m\\u006Fde"\t=\t1 #!
owner = \'\'\'
[[source]]
""" mode = 5
\'\'\'
group = """"x\\"""
[host]
""""" # """
extra = [ #!
  [1], # ]
  ["""
[y]"""]
]
'min_size' = "x" #!
[source.more] #!
mode = 5
  [[ "source" ]] #!
name = "a" #!
path = "b/../a" #!
mode = 640 #!
[source.'even.more'] #!
[storage] # [storage.target.x]
required = 9 #!
[storage.target."a.b"]
type = "ftp" #!
path = "store"
[ storage . target . "a b" ] #!
type = "local"
path = "./store" #!
[storage.target.far]
bucket = "Mail" #!
type = "s3"
lock_for = "1d" #!
session_token = "env:TOKEN" #!
kms_key_id = "alias/mail" #!
[storage.target.far . "secret_access_key"] #!
[storage.target]
wide = { type = "s3", bucket = "mail", object_lock = "compliance" } #!
[storge.x] #!
'''
REST = re.sub(r"(?s)\[\[source.*?(?=\[storage)", "", SMALLEST)
MESSES = {
    "mess": MESS,
    "list": 'source = [ #!\n{ name = "a", path = "a", mode = 5 }\n]\n' + REST,
    "no source, so every night would end with 0": "source = [] #!\n" + REST,
    "part first": re.sub("state_dir.*", "", SMALLEST.replace("[host]", "[host.x] #!\n[host] #!")),
    "no store": SMALLEST.partition("[storage]")[0] + "[storage] #!\nrequired = 1\n",
}


@pytest.mark.parametrize("mess", MESSES)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "dos"])
def test_every_problem_is_named_with_its_line(place: Path, mess: str, end: str) -> None:
    """All at once, as an editor counts lines; a list is named where it begins."""
    path, text = place / "archiver.toml", MESSES[mess]
    path.write_bytes(text.replace("\n", end).encode())
    said = command("-c", path, "config", "validate")
    expected = [n for n, line in enumerate(text.split("\n"), 1) if line.endswith("#!")]
    numbers = re.findall(rf"{re.escape(str(path))}:(\d+): ", said.err)
    assert (expected, 10) == ([int(n) for n in dict.fromkeys(numbers)], said.status)


VALUES = ["1", "-1", "true", '""', "[]", "{}", "[{}]", "1.5", "nan", "2020-01-01", "9" * 5000]
PARTS = ["[[source]]", "[host.x]", "x = [", "]", '"""', "'''", "= {", "}", "\r", "\0", "[" * 5000]
NAMES = [key.rpartition(".")[2] for key in TYPES] + ["host", "source", "storage.target", "a.b"]
ASSIGNMENTS = st.builds("{} = {}".format, st.sampled_from(NAMES), st.sampled_from(VALUES))
LINES = st.sampled_from((SMALLEST + FULL).splitlines() + PARTS) | st.text(max_size=30) | ASSIGNMENTS


@settings(max_examples=400, deadline=None)
@given(st.lists(LINES, max_size=25).map("\n".join) | st.text())
def test_anything_at_all(text: str) -> None:
    """A configuration, or a ConfigError that says why, at lines that there are."""
    try:
        parse(text, TOML)
    except ConfigError as error:
        numbers = re.findall(rf"(?m)^{TOML}:(\d+): ", error.message)
        assert set(map(int, numbers)) <= set(range(1, text.count("\n") + 2))


# -- the file, and the commands about it -----------------------------------------------------

UNREADABLE = {
    "empty": b"",
    "not TOML": SMALLEST.encode() + b"[",
    "not UTF-8": SMALLEST.replace("mx1", "m\xfc1").encode("latin-1"),
    "NUL": SMALLEST.encode() + b"# \0\n",
    "a byte order mark": b"\xef\xbb\xbf" + SMALLEST.encode(),
    "nested deeply": b"a = " + b"[" * 100_000,
    "a number of 9999 digits": b"schema = " + b"9" * 9999,
}


@pytest.mark.parametrize("kind", [*UNREADABLE, "missing", "a directory"])
def test_a_file_that_is_none(place: Path, kind: str) -> None:
    """10, a sentence with the file's name, a hint, and never a traceback."""
    path = place if kind == "a directory" else place / "archiver.toml"
    if kind in UNREADABLE:
        path.write_bytes(UNREADABLE[kind])
    said = command("-c", path, "run")
    assert (said.status, said.out, str(path) in said.err) == (10, b"", True)
    assert re.match(r"archiver: (?!unexpected)[^\n]{10}(.|\n)*\n  try: .+\n$", said.err)


@pytest.mark.parametrize("given_as", ["etc/a.toml", "./etc/../etc/a.toml", "/"])
def test_relative_paths_are_relative_to_the_file(
    place: Path, monkeypatch: pytest.MonkeyPatch, given_as: str
) -> None:
    """Wherever the command is called, and however its file is named; absolute ones stay."""
    (place / "etc").mkdir()
    monkeypatch.chdir(place)
    text = re.sub(r'"(pidfile:)?/[a-z./]+/', r'"\1', SMALLEST).replace('"mail"', '"../mail"')
    etc, found = f"{place}/etc", []
    path = f"{etc}/a.toml" if given_as == "/" else given_as
    for content in (text, SMALLEST):
        (place / "etc/a.toml").write_text(content)
        data = json.loads(command("-c", path, "config", "show", "--json").out)["data"]
        (source,), (target,) = data["sources"], data["storage"]["targets"]
        host = [data["host"][key] for key in ("state_dir", "spool_dir")]
        paths = [*host, source["path"], source["reopen"]["argument"], target["path"]]
        found.append([os.path.normpath(each) for each in paths])
    names = ("archiver", ".archiver", "maillog", "syslog.pid")
    assert [*(f"{etc}/{name}" for name in names), f"{place}/mail"] == found[0]
    assert re.findall(r'"(?:pidfile:)?(/.+?)"', SMALLEST) == found[1]


def test_init_writes_the_commented_configuration(place: Path) -> None:
    """The one in config/, valid as it is, with every key in it, set or in a comment."""
    path = place / "etc/archiver/archiver.toml"
    assert command("-c", path, "config", "init", "--plain").status == 0
    assert (TOP / "config/archiver.toml").read_bytes() == path.read_bytes()
    # FreeBSD's differs in a path and in what is said of others.
    sample = (TOP / "config/archiver.freebsd.toml.sample").read_text()
    assert parse(sample, path).host.state_dir == Path("/var/db/archiver")
    ours = path.read_text().splitlines()
    changed = [row for row in sample.splitlines() if row not in ours]
    assert [row.split(" = ")[0] for row in changed[1:]] == ["state_dir", "path"]
    assert len(sample.splitlines()) == len(ours)
    assert command("-c", path, "config", "validate").status == 0
    uncommented = re.sub(r"(?m)^# (?=\w+ = |\[)", "", path.read_text())
    assert TYPES.keys() == lines_of_keys(uncommented).keys()
    assert parse(uncommented, path)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_init_never_overwrites(place: Path, make: Callable[[Path], None]) -> None:
    """2, and what is there stays: a file, a directory, a link, and what lies beside it."""
    make(place / "archiver.toml")
    (place / "archiver.toml.tmp").write_bytes(b"a neighbour")
    before = tree(place)
    said = command("-c", place / "archiver.toml", "config", "init")
    assert (2, True, before) == (said.status, "exists already" in said.err, tree(place))


def test_a_failing_init_leaves_nothing(place: Path) -> None:
    """A disk that takes half of it: nothing that somebody would edit, or that bars the next try."""
    path = place / "archiver.toml"
    argv = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", ARCHIVER, "-c", f"{path}", "config", "init"]
    ended = subprocess.run(argv, capture_output=True, check=False)
    assert (ended.returncode, b"File too large" in ended.stderr) == (3, True)
    assert list(place.iterdir()) == []
    assert command("-c", path, "config", "init").status == 0


SHOWN = {
    "smallest": SMALLEST,
    "a bucket": SMALLEST.partition("[storage.t")[0] + BUCKET,
    "full": FULL,
}


@pytest.mark.parametrize("text", SHOWN.values(), ids=SHOWN)
def test_show_shows_every_key(place: Path, text: str) -> None:
    """Defaults, absolute paths and the file itself included; as text, and the same as JSON."""
    (path := place / "archiver.toml").write_text(text)
    lines = command("-c", path, "config", "show").out.decode().splitlines()
    told = dict(line.split(" = ", 1) for line in lines)
    names = [name for name in dict(keys()).values() if "targets" not in name]
    ruled = "retention" in text
    expected = {"path", *(name for name in names if ruled or "retention" not in name)}
    expected |= set() if ruled else {"retention.rules"}
    for number, name in enumerate(re.findall(r"storage\.target\.(\w+)", text)):
        fields = dataclasses.fields(S3Target if name == "offsite" else LocalTarget)
        expected |= {f"storage.targets[{number}].{field.name}" for field in fields}
    assert expected == {re.sub(r"\.reopen\..+", ".reopen", name) for name in told}
    said = command("-c", path, "--json", "config", "show").out
    for name, value in told.items():
        leaf: Any = json.loads(said)["data"]
        for part in re.findall(r"\w+", name):
            leaf = leaf[int(part) if part.isdecimal() else part]
        plain = f"0o{leaf:o}" if name.endswith("mode") and leaf else str(leaf)
        plain = json.dumps(leaf) if isinstance(leaf, list) else plain
        assert value == plain or (leaf is None and value.startswith("("))
