"""An output that cannot show every character, such as a file in ASCII: it shows plain ones, and no command fails."""

from __future__ import annotations

import codecs
import io
import sys
from typing import Final

NAME: Final = "telebeat.plain"  # of the error handler, for `codecs`

#: What our tables have, in ASCII; one for one, so that columns stay in line.
PLAIN: Final = {"–": "-", "−": "-", "×": "x", "→": ">", "·": ".", "µ": "u", "μ": "u", "±": "~", "…": "."}


def show_all() -> None:
    """Let the standard output and the standard error take every character from now on."""
    codecs.register_error(NAME, plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=NAME)


def plain(error: UnicodeError) -> tuple[str, int]:
    r"""What is written instead, as `codecs.register_error` wants it: `PLAIN`, else ``\u00e9``, which JSON reads.

    Raises
    ------
    UnicodeError
        If it is no character that cannot be encoded.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(PLAIN.get(character) or escaped(character) for character in wrong), error.end


def json(text: str) -> str:
    """A JSON text for the standard output, which means the same where that is not UTF-8 and letters are escaped."""
    utf_8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    return text if utf_8 else "".join(c if c.isascii() else escaped(c) for c in text)


def escaped(character: str) -> str:
    """In UTF-16, as JSON has it; a surrogate, half a character of a file's name that is no UTF-8, as it is."""
    code = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[k : k + 4]}" for k in range(0, len(code), 4))
