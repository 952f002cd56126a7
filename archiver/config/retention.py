"""[[retention.rule]]: how long archives are kept. The first rule that matches one governs it.

Each rule is checked by itself first, then against the others and the rest of the configuration.
A key with a mistake in it has no known value, so no conflict with it is reported as well.
"""

import re
from collections.abc import Sequence
from datetime import date

from archiver.config.toml_tables import Table
from archiver.policy.conflicts import Lock, conflicts
from archiver.policy.period import Period
from archiver.policy.rules import EXPIRE, NOT_A_DAY, Policy, Rule, Scope

# Names, with the wildcards of fnmatch(3).
PATTERN = re.compile(r"[A-Za-z0-9._*?\[\]!-]{1,100}", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def read_policy(
    table: Table, *, host: str, sources: Sequence[str], named: bool, locks: Sequence[Lock]
) -> Policy:
    """Take [retention]; what is wrong with it is noted in its table.

    named: whether the names of host and sources are free of mistakes. locks: those of the targets.
    """
    if "rule" not in table.rest:
        table.known.append("rule")
    tables = table.tables("rule") if "rule" in table.rest else []
    table.finish()
    policy = Policy(tuple(_rule(each) for each in tables))
    named = named and not any("match" in each.faulty for each in tables)
    found = [
        (tables[conflict.number], conflict.keys[0], conflict.reason)
        for conflict in conflicts(policy, host=host, sources=sources, locks=locks)
        if tables[conflict.number].faulty.isdisjoint(conflict.keys)
        and (named or "match" not in conflict.keys)
    ]
    for rule, key, reason in found:
        rule.problem(key, reason)
    return policy


def _rule(table: Table) -> Rule:
    endless = {"minimum", "maximum"}.isdisjoint(table.rest)
    rule = Rule(
        name=table.name("name", None),
        match=_match(table),
        minimum=table.checked("minimum", str(NOT_A_DAY), Period.parse) or NOT_A_DAY,
        maximum=table.optional("maximum", Period.parse),
        immediate=table.optional("immediate", Period.parse),
        basis=table.checked("basis", "", _basis) or "",
        expire=table.one_of("expire", EXPIRE),
    )
    table.finish()
    if endless:
        table.clash(("minimum", "maximum"), "a rule needs a minimum, a maximum, or both")
    return rule


def _match(rule: Table) -> Scope:
    table = rule.table("match", optional=True)
    scope = Scope(
        sources=table.checked("source", "*", _patterns, list) or Scope.sources,
        hosts=table.checked("host", "*", _patterns, list) or Scope.hosts,
        first=table.optional("from", _day, date),
        last=table.optional("to", _day, date),
    )
    table.finish()
    if table.faulty:
        rule.faulty.add("match")
    return scope


def _patterns(value: object) -> tuple[str, ...]:
    patterns = value if isinstance(value, list) else [value]
    if not patterns or not all(isinstance(e, str) and PATTERN.fullmatch(e) for e in patterns):
        raise ValueError(
            f"{value!r} is not a name such as maillog, a pattern such as mail*, or a list of these"
        )
    return tuple(patterns)


def _day(value: object) -> date:
    if isinstance(value, date):
        return value
    text = str(value)
    try:
        if DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is not a date such as 2026-12-31")


def _basis(text: str) -> str:
    """Take one line: it is printed inside the sentences of reasons and certificates."""
    if len(text) > 200 or not text.isprintable():
        raise ValueError("it must be one line of at most 200 characters")
    return text.strip()
