"""Rules are read as they are meant, and what contradicts itself is refused at its line."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from archiver.config.settings import parse
from archiver.errors import ConfigError
from archiver.policy.period import Period
from archiver.policy.rules import KEPT, Policy, Rule, Scope
from tests import TOP
from tests.world.host import Host, command

TOML = Path("/etc/archiver/archiver.toml")
P = Period.parse
PRESETS = sorted(TOP.glob("config/retention-*.toml"))
BEFORE = """\
schema = 1
[host]
name = "mx1"
timezone = "Europe/Rome"
state_dir = "state"
spool_dir = "spool"
[[source]]
name = "maillog"
path = "maillog"
reopen = "none"
[[source]]
name = "authlog"
path = "authlog"
reopen = "none"
[storage]
required = 1
[storage.target.offsite]
type = "s3"
bucket = "mail-archive"
object_lock = "compliance"
lock_for = "30d"
"""


def policy(rules: str) -> Policy:
    return parse(BEFORE + rules, TOML).retention


def problems(rules: str, before: str = BEFORE) -> list[tuple[int, str]]:
    """Return each problem: its line, from 1 where the rules begin, and what is said."""
    with pytest.raises(ConfigError) as raised:
        parse(before + rules, TOML)
    rows = re.findall(rf"(?m)^{TOML}:(\d+): (.*)$", raised.value.message)
    return [(int(line) - before.count("\n"), what) for line, what in rows]


# -- as they are meant -----------------------------------------------------------------------


def test_a_rule_as_it_is_meant() -> None:
    """Every key; the match in one line."""
    found = policy("""\
[[retention.rule]]
name = "pci"
match = { source = ["maillog", "auth*"], host = "mx?", from = 2026-01-01, to = "2026-12-31" }
minimum = "P12M"
maximum = "P2Y6M"
immediate = "P3M"
basis = " PCI DSS 10.5.1 §"
expire = "auto"
[[retention.rule]]
name = "rest"
minimum = "P0D"
""")
    scope = Scope(("maillog", "auth*"), ("mx?",), date(2026, 1, 1), date(2026, 12, 31))
    pci = Rule("pci", scope, P("P12M"), P("P2Y6M"), P("P3M"), "PCI DSS 10.5.1 §", "auto")
    assert (pci, Rule("rest")) == found.rules


@pytest.mark.parametrize(
    "rules", ["", "[retention]\n", "retention = {}\n", "[retention]\nrule = []\n"]
)
def test_no_rules(rules: str) -> None:
    """Everything is kept."""
    at_the_top = rules.startswith("retention")
    text = rules + BEFORE if at_the_top else BEFORE + rules
    assert parse(text, TOML).retention == Policy()


def test_the_order_is_that_of_the_file() -> None:
    found = policy("".join(
        f'[[retention.rule]]\nname = "{name}"\nminimum = "P1Y"\nmatch = {{ source = "{of}" }}\n'
        for name, of in (("z", "maillog"), ("a", "*"))
    ))  # fmt: skip
    assert [each.name for each in found.rules] == ["z", "a"]
    assert found.rule_for("mx1", "maillog", date(2026, 5, 4)) == found.rules[0]


# -- what is wrong ---------------------------------------------------------------------------

MESS = """\
[[retention.rule]] #!
minimum = "1Y" #!
maximum = "P365D" #!
[[retention.rule]]
name = "a"
minimum = "P12M" #!
maximum = "P365D" #!
expire = "auto"
[retention.rule.match]
from = "yesterday" #!
sources = "x" #!
to = 2026-01-01T00:00:00Z #!
[[retention.rule]]
name = "a" #!
minimum = "P1Y"
expire = "auto" #!
match = "maillog" #!
[[retention.rule]] #!
name = "b/c" #!
[[retention.rule]]
name = "d"
maximum = "P21D" #!
match = { source = "maillog", hosts = "*", to = "" } #!
[[retention.rules]] #!
"""


def test_every_problem_is_told_with_its_line() -> None:
    """All at once; what stands within one line is told of that line."""
    expected = [n for n, line in enumerate(MESS.splitlines(), 1) if line.endswith("#!")]
    found = problems(MESS)
    assert expected == sorted({line for line, _ in found})
    text = "\n".join(what for _, what in found)
    assert "`retention.rule.match.hosts`; did you mean `host`?" in text
    assert "a rule needs a minimum, a maximum, or both" in text
    assert "'yesterday' is not a date such as 2026-12-31" in text


NEVER = """\
[[retention.rule]]
name = "a"
minimum = "P1Y"
[[retention.rule]]
name = "b"
minimum = "P1Y"
[retention.rule.match]
source = "maillog"
[[retention.rule]]
name = "c"
minimum = "P1Y"
match = { host = "pay-*" }
"""


def test_rules_that_never_match_are_refused_where_they_match() -> None:
    """A rule without a match is meant for everything, and leaves nothing."""
    said = "it never matches: everything it could match is taken by 'a' before it"
    assert problems(NEVER) == [(7, f"rule 'b': {said}"), (12, f"rule 'c': {said}")]
    twice = problems('[[retention.rule]]\nname = "a"\nminimum = "P1Y"\n' * 2)
    assert [line for line, _ in twice] == [4, 5]


@pytest.mark.parametrize("wrong", ['name = "maillog"', 'name = "mx1"'])
def test_of_names_that_are_wrong_nothing_follows(wrong: str) -> None:
    """Whether a rule matches is not known before they are right."""
    before = BEFORE.replace(wrong, f'{wrong[:-1]}/x"', 1)
    rules = '[[retention.rule]]\nname = "a"\nminimum = "P1Y"\nmatch = { source = "mailog" }\n'
    assert len(problems(rules, before)) == 1
    assert len(problems(rules)) == 1


def test_of_a_match_that_is_wrong_nothing_follows() -> None:
    """Neither of its own rule nor of those after it."""
    (found,) = problems(NEVER.replace('"a"', '"a"\nmatch = { source = 5 }', 1))
    assert found == (3, "`retention.rule.match.source` must be text, not a whole number")


def test_a_lock_that_outlasts_a_maximum_is_refused() -> None:
    """At the maximum, with what would do; a rule for what this host has not is let alone."""
    rules = '[[retention.rule]]\nname = "a"\nmaximum = "P21D"\nbasis = "x"\n'
    ((line, said),) = problems(rules)
    assert line == 3
    assert "compliance lock of target 'offsite'" in said
    assert '"20d"' in said
    assert policy(f'{rules}match = {{ source = "old", to = 2020-01-01 }}\n').rules
    assert parse(BEFORE.replace("30d", "20d") + rules, TOML).retention.rules


def test_a_bucket_without_a_lock_locks_nothing() -> None:
    """Not even what has to go at once."""
    before = re.sub(r"(?m)^(object_lock|lock_for) .*\n", "", BEFORE)
    rules = '[[retention.rule]]\nname = "a"\nmaximum = "P0D"\nbasis = "x"\n'
    assert parse(before + rules, TOML).retention.rules


@pytest.mark.parametrize("rules", ["retention = 5", "retention = []", "retention.rule = {}"])
def test_what_is_no_table_of_rules(rules: str) -> None:
    (found,) = problems("", f"{rules}\n{BEFORE}")
    assert "retention" in found[1]


def test_a_list_of_other_things_is_told_how_to_be_written() -> None:
    (found,) = problems("[retention]\nrule = [5]\n")
    assert found == (2, "`retention.rule` must be written [[retention.rule]]")


# -- the presets -----------------------------------------------------------------------------

LIMITS = {
    "admin-access": ("P6M", None, None, "authlog"),
    "it-garante": ("P0D", "P21D", None, "*"),
    "it-providers": ("P12M", "P72M", None, "*"),
    "pci": ("P12M", None, "P3M", "*"),
}


def test_every_preset_is_told_of() -> None:
    """In the document, and here."""
    assert [f"retention-{name}.toml" for name in LIMITS] == [path.name for path in PRESETS]
    document = (TOP / "docs/configuration.md").read_text()
    assert all(f"](../config/{path.name})" in document for path in PRESETS)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_can_be_added_as_it_is(path: Path) -> None:
    """One rule with its basis, which destroys nothing by itself; it says that it is no advice."""
    text = path.read_text()
    (rule,) = parse(BEFORE.replace("30d", "20d") + text, TOML).retention.rules
    minimum, maximum, immediate, source = LIMITS[rule.name]
    assert (str(rule.minimum), rule.match.sources) == (minimum, (source,))
    assert (rule.maximum and str(rule.maximum)) == maximum
    assert (rule.immediate and str(rule.immediate)) == immediate
    assert (rule.basis != "", rule.expire) == (True, "manual")
    for word in ("no legal advice", "# Basis ", "# Limits "):
        assert word in text


# -- what is told ----------------------------------------------------------------------------

PCI = '[[retention.rule]]\nname = "pci"\nminimum = "P12M"\nbasis = "PCI DSS 10.5.1"\n'
TOLD = "maillog: at least P12M, without a maximum (rule pci; PCI DSS 10.5.1; expires: manual)"


def test_validate_and_status_tell_what_governs(host: Host) -> None:
    """For people, and as JSON."""
    for tables, told in (("", KEPT), (PCI, TOLD)):
        host.configure(tables=tables)
        said = command("-c", host.toml, "config", "validate").out.decode()
        assert said == f"{host.toml}: ok{'; ' if told == KEPT else chr(10)}{told}\n"
        assert told in host.archiver("status").out.decode().splitlines()
        document = command("-c", host.toml, "--json", "config", "validate").out
        assert json.loads(document)["data"]["retention"] == [told]
        assert json.loads(host.archiver("--json", "status").out)["data"]["retention"] == told


def test_show_shows_rules_as_they_are_written(host: Host) -> None:
    host.configure(tables=f"{PCI}match = {{ from = 2026-01-01 }}\n")
    lines = command("-c", host.toml, "config", "show").out.decode().splitlines()
    assert {
        "retention.rules[0].minimum = P12M",
        "retention.rules[0].maximum = (none)",
        'retention.rules[0].match.sources = ["*"]',
        "retention.rules[0].match.first = 2026-01-01",
    } <= set(lines)
