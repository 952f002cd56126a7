"""Find the line of each key in a TOML document: tomllib does not keep them.

Pure. tomllib has read the document before, so nothing is checked here.
"""

import re
import tomllib
from collections.abc import Iterator

# The path to a key: the names of its tables, and a number where a table is one of an array.
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

    A key inside an inline table or a list is left out: its line is where that begins.
    """
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    here: Place = ()
    for number, words in _statements(text):
        if words[0] == "[":
            here = ()
            for part in _parts([word for word in words if word not in {"[", "]"}]):
                # A name that is an array of tables means its last one.
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
            lines[place] = number  # its own header, even if [a.b] stood before [a]
    return lines


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each header, and each key with its value: its first line and its words."""
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
    """Split a dotted key: `a."b.c"` has two parts."""
    keys = [word for word in words if word != "."]
    return tuple(tomllib.loads(f"x = {key}")["x"] if key[0] in "\"'" else key for key in keys)
