"""Which lines of crontabs and of scripts that cron runs take a log away.

Nobody can understand a shell script by reading single lines of it. What is plain (`mv LOG …`,
`savelog LOG`, `> LOG`) is reported as certain, also after `cd DIRECTORY` and with a variable that
was set before; a line that only names the log together with such a command is reported as a guess.
"""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

# A file that is an argument of one of these is afterwards gone, or another one.
TAKE_AWAY = frozenset({"bzip2", "gzip", "mv", "rm", "savelog", "shred", "truncate", "xz", "zstd"})
# A line that names a log along with one of these may be about to rotate it.
SUSPICIOUS = re.compile(r"(?<![\w-])(?:cp|dd|logrotate|mv|newsyslog|rotate\w*|savelog|tee)(?!\w)|>")
ROTATORS = frozenset({"logrotate", "newsyslog"})
# Words that may stand before the program of a command.
BEFORE = frozenset({
    "!", "command", "do", "else", "env", "exec", "if", "ionice", "nice", "sudo", "then", "time",
})  # fmt: skip
ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
ENDS = frozenset({";", "&", "&&", "|", "||", "(", ")", ";;", "|&", "\n"})
# minute hour day month weekday, or one word such as @daily.
TIMES = re.compile(r"[ \t]*(?:@\w+|(?:[-*/,\w]+[ \t]+){4}[-*/,\w]+)[ \t]+(.*)")
# What stands beyond that many characters of a line is not read: nobody wrote it by hand.
LONGEST = 4096


@dataclass(frozen=True)
class Claim:
    """A line that seems to take the log away. program: the one it runs. certain: not a guess."""

    line: int
    program: str
    certain: bool


@dataclass
class Shell:
    """What a shell would know after the lines read so far: its directory and variables."""

    directory: str = ""
    variables: dict[str, str] = field(default_factory=dict)

    def expanded(self, text: str) -> str:
        return VARIABLE.sub(lambda found: self.variables.get(found[1] or found[2], found[0]), text)

    def path(self, word: str) -> str:
        return os.path.normpath(os.path.join(self.directory, word))


def claims(text: str, logs: frozenset[str], *, table: bool, user: bool) -> Iterator[Claim]:
    """Yield the lines that take a log away. logs: the paths by which it is known.

    table: the text is a crontab, each line of which begins with times; user: and a user's name.
    """
    names = {os.path.basename(log) for log in logs}
    if not any(name in text for name in names):
        return
    # Not /var/log/maillogs, nor /var/log/maillog.0.
    named = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, logs))})(?![\w.-])")
    shell = Shell()
    for number, row in lines(text):
        command = _command(row, user=user) if table else row
        for words in commands(command):
            expanded = [shell.expanded(word) for word in words]
            program, arguments = _program(expanded, shell)
            if program == "cd":
                shell.directory = shell.path(arguments[0]) if arguments else ""
            elif taker := _takes_away(program, arguments, logs, shell):
                yield Claim(number, taker, certain=True)
                break
        else:
            if named.search(shell.expanded(row)) and SUSPICIOUS.search(command):
                yield Claim(number, "a command", certain=False)
        if table:
            shell.directory = ""  # each line has a shell of its own


def configurations(text: str, *, table: bool, user: bool) -> Iterator[tuple[str, str, int]]:
    """Yield the configurations that logrotate and newsyslog are run with: program, file, line."""
    if not any(program in text for program in ROTATORS):
        return
    shell = Shell()
    for number, row in lines(text):
        for words in commands(_command(row, user=user) if table else row):
            program, arguments = _program([shell.expanded(word) for word in words], shell)
            if program in ROTATORS:
                state = {"-s", "--state", "-m", "--mail", "-l", "--log", "-a", "-R", "-S", "-t"}
                for before, word in zip(["", *arguments], arguments, strict=False):
                    if word.startswith("/") and before not in state:
                        yield program, word, number


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither blank nor comments, with their numbers from 1."""
    for number, row in enumerate(text.split("\n"), start=1):
        if row.strip() and not row.lstrip().startswith("#"):
            yield number, row[:LONGEST]


def _command(row: str, *, user: bool) -> str:
    """Return the command of a crontab's line; of an assignment, the whole line."""
    found = TIMES.match(row)
    if found is None:
        return row
    command = found[1].partition(" ")[2] if user else found[1]
    # crontab(5): the first % ends the command.
    return re.split(r"(?<!\\)%", command, maxsplit=1)[0].replace("\\%", "%")


def commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each simple command in a line; `>` and the like are words, too."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.commenters = "#"
        # These occur in names and patterns.
        lexer.wordchars += "$%{}@:,+[]^=!"
        line_words = list(lexer)
    except ValueError:  # a quote that does not end here
        line_words = line.split()
    words: list[str] = []
    for word in line_words:
        if word in ENDS:
            yield words
            words = []
        else:
            words.append(word)
    yield words


def _program(words: list[str], shell: Shell) -> tuple[str, list[str]]:
    """Return the program of a simple command, and its arguments; note assignments in `shell`."""
    for at, word in enumerate(words):
        if assigned := ASSIGNED.fullmatch(word):
            shell.variables[assigned[1]] = assigned[2]
        elif word not in BEFORE and not word.startswith("-"):
            return os.path.basename(word), words[at + 1 :]
    return "", []


def _takes_away(program: str, arguments: list[str], logs: frozenset[str], shell: Shell) -> str:
    """Return the program or `>` with which a command takes the log away; "" if it does not."""
    for before, word in zip([program, *arguments], arguments, strict=False):
        if word.startswith("-") or shell.path(word) not in logs:
            continue
        if before in {">", ">|"}:
            return ">"
        if before in {">>", "<"}:
            continue
        if program in TAKE_AWAY:
            return program
    # `> LOG` without any program.
    if program in {">", ">|"} and arguments and shell.path(arguments[0]) in logs:
        return ">"
    return ""
