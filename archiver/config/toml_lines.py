"""Tell in which line of a TOML document each key stands: tomllib keeps no lines.

Pure. The document has been read by tomllib before, so nothing is checked here.
"""

import re
import tomllib
from collections.abc import Iterator

# A key's way through the document: tables by name, and their number where they are many.
Place = tuple[str | int, ...]

WORD = re.compile(
    r"""
      \"{3} (?: \\. | [^\\] )*? \"{3,5} (?!")    # a string of several lines
    | '{3} .*? '{3,5} (?!')                      # the same, without escapes
    | " (?: \\. | [^"\\] )* "                     # a string
    | '[^']*'                                    # the same, without escapes
    | \#[^\n]*                                    # a comment
    | \n | [\[\]{}=.,]
    | [^\s\[\]{}=.,"'\#]+                        # a bare key, or a number and the like
    """,
    re.VERBOSE | re.DOTALL,
)


def lines_of_keys(text: str) -> dict[Place, int]:
    """Return the line, from 1, in which each table and each key of a table begins.

    A key inside an inline table or a list is left out: it stands where that begins.
    """
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    here: Place = ()
    for number, words in _statements(text):
        if words[0] == "[":
            here = ()
            for part in _parts([word for word in words if word not in {"[", "]"}]):
                # Of tables that are many, what is below the name is below the last one.
                here = (*here, counts[here], part) if here in counts else (*here, part)
            if words[1] == "[":
                lines.setdefault(here, number)
                counts[here] = counts.get(here, -1) + 1
            here = (*here, counts[here]) if here in counts else here
            place = here
        else:
            place = (*here, *_parts(words[: words.index("=")]))
        for length in range(1, len(place) + 1):
            lines.setdefault(place[:length], number)
        if words[0] == "[":
            lines[place] = number  # not where a part of the table came before it
    return lines


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each header and of each key with its value, and where they begin."""
    number, begun, depth = 1, 1, 0
    words: list[str] = []
    for word in WORD.findall(text + "\n"):
        if word == "\n" and depth == 0 and words:
            yield begun, words
            words = []
        elif not word.startswith(("\n", "#")):
            begun = begun if words else number
            words.append(word)
            depth += (word in {"[", "{"}) - (word in {"]", "}"})
        number += word.count("\n")


def _parts(words: list[str]) -> Place:
    """Read a dotted key: `a."b.c"` has two parts."""
    keys = [word for word in words if word != "."]
    return tuple(tomllib.loads(f"x = {key}")["x"] if key[0] in "\"'" else key for key in keys)
