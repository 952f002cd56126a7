"""The manual pages, made of docs/commands.md, docs/configuration.md and the commands themselves.

A verb's section becomes its page: the first code block is the synopsis, the table that begins with
options the OPTIONS, its sub-headings sub-sections. One line about it comes from the command, and a
page whose options are not those of its command is refused: so --help, the document and the page
agree. What comes out is mdoc(7), which mandoc(1) of FreeBSD and Debian reads, and groff.

    python -m docs.manpages        writes docs/man anew (`make man`)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from archiver.cli.main import cli

HERE = Path(__file__).parent
# Pages are the same whenever they are made. To be changed by hand when what they say changes much.
DATE = "November 27, 2026"
FILES = (
    ("Pa /etc/archiver/archiver.toml", "the configuration on Linux"),
    ("Pa /usr/local/etc/archiver/archiver.toml", "the configuration on FreeBSD"),
)
# What groff sets as a typographic sign; pages are there to be copied from (groff_char(7)).
PLAIN = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}


@dataclass(frozen=True)
class Block:
    """kind: "text", "code", "table" or "list". lines: of a list, each item's, unindented."""

    kind: str
    lines: tuple[str, ...]
    items: tuple[tuple[str, ...], ...] = ()
    numbered: bool = False


# -- the document's side -------------------------------------------------------------------

ITEM = re.compile(r"(- |\d+\. )")


def sections(document: str, level: int) -> dict[str, str]:
    """Return what stands below each heading of a level; what stands before them under ""."""
    pieces: dict[str, str] = {}
    heading, fenced = "", False
    for line in document.splitlines(keepends=True):
        fenced ^= line.lstrip().startswith("```")
        if not fenced and line.startswith("#" * level + " "):
            heading = line[level:].strip()
            pieces[heading] = ""
        elif fenced or not re.match(r"# ", line):
            pieces[heading] = pieces.get(heading, "") + line
    return pieces


def blocks(lines: list[str]) -> Iterator[Block]:  # noqa: C901 (each kind of block ends in its way)
    """Take a section apart."""
    at = 0
    while at < len(lines):
        line, start = lines[at], at
        at += 1
        if not line.strip() or line.startswith("<!--"):
            continue
        if line.startswith("```"):
            while lines[at] != "```":
                at += 1
            yield Block("code", tuple(lines[start + 1 : at]))
            at += 1
        elif line.startswith("|"):
            while at < len(lines) and lines[at].startswith("|"):
                at += 1
            yield Block("table", tuple(lines[start:at]))
        elif found := ITEM.match(line):
            indent = " " * len(found[0])
            while at < len(lines) and (
                ITEM.match(lines[at]) or lines[at].startswith(indent) or not lines[at].strip()
            ):
                at += 1
            items: list[list[str]] = []
            for each in lines[start:at]:
                if ITEM.match(each):
                    items.append([])
                items[-1].append(each[len(indent) :])
            yield Block("list", (), tuple(map(tuple, items)), numbered=found[0] != "- ")
        else:
            while at < len(lines) and lines[at].strip() and not re.match(r"[|]|```|- ", lines[at]):
                at += 1
            yield Block("text", tuple(lines[start:at]))


def cells(row: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


# -- mdoc's side ---------------------------------------------------------------------------


def escaped(text: str, *, plain: bool) -> str:
    """Write text so that roff takes nothing in it for its own. plain: as it would be typed."""
    signs = PLAIN if plain else {"\\": r"\e"}
    written = "".join(signs.get(sign, sign) for sign in text)
    return re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", written)


def safe(line: str) -> str:
    """A line that is text, whatever it begins with."""
    return rf"\&{line}" if line[:1] in {".", "'"} else line


def linked(text: str) -> str:
    """Name the manual page that a link leads to; of other links, what they are called."""

    def page(found: re.Match[str]) -> str:
        name, target = found[1], found[2]
        if verb := re.search(r"#archiver-([a-z-]+)$", target):
            return f"**archiver-{verb[1]}**(1)"
        if target.startswith("commands.md"):
            return f"{name} (**archiver**(1))"
        if target.startswith("configuration.md"):
            called = "" if name == "configuration.md" else name
            return f"{called} (**archiver.toml**(5))" if called else "**archiver.toml**(5)"
        return name

    return re.sub(r"\[([^\]]+)\]\(([^)]*)\)", page, text)


def inline(text: str) -> list[str]:
    """Write a paragraph: each sentence begins a line, code is bold, emphasis is underlined."""
    written = ""
    for piece in re.split(r"(`[^`]+`|\*\*.+?\*\*|(?<!\w)\*[^*\s][^*]*\*)", linked(text)):
        if piece.startswith("`"):
            written += rf"\fB{escaped(piece[1:-1], plain=True)}\fR"
        elif piece.startswith("**"):
            written += rf"\fB{escaped(piece[2:-2].replace('`', ''), plain=False)}\fR"
        elif piece.startswith("*") and len(piece) > 2:
            written += rf"\fI{escaped(piece[1:-1], plain=False)}\fR"
        else:
            written += escaped(piece, plain=False)
    sentences = re.split(r"(?<=[.!?]) +(?=[A-Z\\(])", " ".join(written.split()))
    return [safe(sentence) for sentence in sentences]


def word(text: str) -> str:
    """An argument of a macro that is none itself, and no punctuation."""
    written = escaped(text, plain=False)
    return rf"\&{written}" if len(text) <= 3 and not text.isdigit() else written


def macros(usage: str) -> list[str]:
    """Mark up a usage line, such as `fetch --date D|D..D [OPTIONS]`, a macro for each word."""
    marked: list[str] = []
    for gap, bit in re.findall(r"( *)(\[|\]|[^\s\[\]]+)", usage):
        macro = {"[": "Oo", "]": "Oc"}.get(bit)
        if macro is None:
            if bit in {"|", "…", "..."}:
                macro = "No " + {"…": "...", "|": r"\&|"}.get(bit, bit)
            elif bit.startswith("-") and bit != "-":
                macro = f"Fl {escaped(bit[1:], plain=False)}"
            else:
                kind = "Ar" if re.search(r"[A-Z]|\|", bit) else "Cm"
                macro = f"{kind} {word(bit)}"
        if marked and not gap and not marked[-1].startswith("Oo") and macro != "Oc":
            marked[-1] += f" Ns {macro}"
        else:
            marked.append(macro)
    return marked


def tag(cell: str) -> str:
    """The head of an entry: options if these are what stands there."""
    names = re.findall(r"`([^`]+)`", cell)
    if names and all(re.match(r"-|[A-Z]+…?$", name) for name in names):
        return ".It " + " , ".join(" ".join(macros(name)) for name in names)
    return f".It {' '.join(inline(cell))}"


def table(block: Block) -> Iterator[str]:
    """Each row is an entry: its first cell the head, the others named by their columns."""
    header, _, *rows = map(cells, block.lines)
    yield ".Bl -tag -width Ds"
    for row in rows:
        yield tag(row[0])
        told = [
            cell if name in {"", "meaning"} else f"{name}: {cell}"
            for name, cell in zip(header[1:], row[1:], strict=True)
            if cell
        ]
        if header[1:] == ["type", "default", "meaning"]:
            told = [f"{row[1]}; {'required' if row[2] == 'required' else 'default: ' + row[2]}"]
            told.append(row[3])
        for number, text in enumerate(told):
            if number:
                yield ".br"
            yield from inline(text)
    yield ".El"


def written(several: list[Block]) -> Iterator[str]:
    """Write blocks as mdoc. Paragraphs are parted; nothing is where a macro parts anyway."""
    for number, block in enumerate(several):
        if number and block.kind == "text":
            yield ".Pp"
        if block.kind == "text":
            yield from inline(" ".join(block.lines))
        elif block.kind == "code":
            yield ".Bd -literal -offset indent"
            yield from (safe(escaped(line, plain=True)) for line in block.lines)
            yield ".Ed"
        elif block.kind == "table":
            yield from table(block)
        else:
            yield ".Bl -enum" if block.numbered else ".Bl -bullet"
            for item in block.items:
                yield ".It"
                yield from written(list(blocks(list(item))))
            yield ".El"


def is_options(block: Block) -> bool:
    return block.kind == "table" and bool(re.match(r"\| option \|", block.lines[0]))


def prose(text: str) -> Iterator[str]:
    """Write a section with its sub-sections."""
    for heading, below in sections(text, 3).items():
        if heading:
            yield f".Ss {' '.join(inline(heading))}"
        yield from written(list(blocks(below.splitlines())))


def page(title: str, name: str, about: str, *body: str, number: int = 1) -> str:
    head = (f".Dd {DATE}", f".Dt {title.upper()} {number}", ".Os", ".Sh NAME", f".Nm {name}")
    return "\n".join((*head, f".Nd {about}", *body, ""))


def see_also(*pages: tuple[str, int]) -> list[str]:
    ordered = sorted(set(pages), key=lambda each: (each[1], each[0]))
    ends = [" ,"] * (len(ordered) - 1) + [""]
    named = zip(ordered, ends, strict=True)
    return [".Sh SEE ALSO", *(f".Xr {name} {number}{end}" for (name, number), end in named)]


# -- the pages -----------------------------------------------------------------------------


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        elif command:
            yield (*path, name), command


def options(command: click.Command) -> set[str]:
    shown = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return {name for each in shown for name in (*each.opts, *each.secondary_opts)}


def of_verb(path: tuple[str, ...], command: click.Command, below: str) -> str:
    """Return a verb's page.

    Raises: ValueError: the section has no usage, or tells of other options than the command has.
    """
    first, *rest = blocks(sections(below, 3)[""].splitlines())
    called = f"archiver {' '.join(path)}"
    if first.kind != "code":
        raise ValueError(f"{called}: its section does not begin with its usage")
    tables = [block for block in rest if is_options(block)]
    rows = [cells(row)[0] for block in tables for row in block.lines[2:]]
    told = set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z0-9-]*", " ".join(rows)))
    if told != options(command):
        raise ValueError(f"{called}: of its options, only one side has {told ^ options(command)}")
    synopsis = []
    for line in first.lines:
        before, _, after = line.partition(called)
        synopsis += [
            ".Nm archiver",
            *(f".{each}" for each in macros(before.replace("archiver", ""))),
        ]
        synopsis += [f".Cm {' '.join(map(word, path))}", *(f".{each}" for each in macros(after))]
    name = f"archiver-{'-'.join(path)}"
    subsections = below[len(sections(below, 3)[""]) :]
    body = [".Sh SYNOPSIS", *synopsis, ".Sh DESCRIPTION"]
    body += written([block for block in rest if not is_options(block)])
    body += prose(subsections)
    if tables:
        body += [".Sh OPTIONS", *written(tables)]
    body += [".Sh EXIT STATUS", "They are those of all verbs:", ".Xr archiver 1 ."]
    about = (command.short_help or "").rstrip(".")
    also = see_also(("archiver", 1), ("archiver.toml", 5))
    return page(name, name, about[:1].lower() + about[1:], *body, *also)


def of_command(text: str, paths: list[tuple[str, ...]]) -> str:
    """Return the page of the command itself: what all verbs have in common."""
    parts = sections(text, 2)
    first, *rest = blocks(parts.pop("").splitlines())
    body = [".Sh SYNOPSIS", ".Nm", *(f".{each}" for each in macros(first.lines[0][9:]))]
    body += [".Sh DESCRIPTION", *written(rest), ".Sh OPTIONS", *prose(parts["Global options"])]
    body += [".Sh FILES", ".Bl -tag -width Ds"]
    body += [line for path, what in FILES for line in (f".It {path}", what)]
    body.append(".El")
    for heading in (each for each in parts if not each.startswith(("archiver ", "Global "))):
        name = "EXIT STATUS" if heading == "Exit statuses" else heading
        body += [f".Sh {name.upper()}", *prose(parts[heading])]
    also = see_also(*((f"archiver-{'-'.join(path)}", 1) for path in paths), ("archiver.toml", 5))
    return page("archiver", "archiver", "rotate mail logs, archive them, find them", *body, *also)


def of_configuration(text: str) -> str:
    """Return the page of the configuration file."""
    parts = sections(text, 2)
    body = [".Sh DESCRIPTION", *prose(parts.pop(""))]
    for heading, below in parts.items():
        body += [f".Sh {' '.join(inline(heading)).upper()}", *prose(below)]
    also = see_also(("archiver", 1), ("archiver-config-init", 1), ("archiver-config-validate", 1))
    about = "configuration file of archiver"
    return page("archiver.toml", "archiver.toml", about, *body, *also, number=5)


def pages() -> dict[str, str]:
    """Return every page by the name of its file."""
    text = (HERE / "commands.md").read_text("utf-8")
    made, every = {}, dict(commands(cli))
    below = sections(text, 2)
    for path, command in every.items():
        section = below[f"archiver {' '.join(path)}"]
        made[f"archiver-{'-'.join(path)}.1"] = of_verb(path, command, section)
    made["archiver.1"] = of_command(text, list(every))
    configuration = (HERE / "configuration.md").read_text("utf-8")
    made["archiver.toml.5"] = of_configuration(configuration)
    return made


def main() -> None:
    """Write docs/man anew; a page of a verb that is no more goes."""
    made = pages()
    (HERE / "man").mkdir(exist_ok=True)
    for old in (HERE / "man").glob("*.[15]"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (HERE / "man" / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
