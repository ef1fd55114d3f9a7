"""The text of WFDB headers, mended where the package `wfdb` reads something else than it says, or nothing.

It is told in lines of bytes, as they are in the file: those that need nothing stay as they are.
"""

from __future__ import annotations

import codecs
import datetime as dt
import decimal
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stream.errors import RecordError

LARGEST_NUMBER: Final = 1e15  # of a gain or rate: beyond any recorder's, and short enough to be written out
SMALLEST_NUMBER: Final = 1e-15  # of a gain or rate: likewise
LARGEST_BASELINE: Final = 1e11  # steps: beyond any converter's 32 bits, while all that follows fits 64 in any unit
SHOWN: Final = 40  # characters of a number that is refused: of thousands of digits nobody needs more
MOST_DECIMALS: Final = 6  # of a second in a time: µs, what Python and `wfdb` keep

#: Marks at the beginning of a text, as editors put them there, and the encodings that they tell.
_MARKS: Final = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_BASELINE: Final = re.compile(r"\((.+)\)")
_TIME: Final = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,2}):)?(\d{1,2})(?:\.(\d+))?", re.ASCII)
_DATE: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_MICRO: Final = re.compile("[µμ]")  # MICRO SIGN (also byte 0xB5 of latin-1) and GREEK SMALL LETTER MU


def texts(path: Path, file: Path) -> tuple[dict[str, list[bytes]], bool]:
    """Lines of the record's header and its segments' by file name, mended, and whether any had to be."""
    lines, marked = _read(path, file)
    first = next((i for i, line in enumerate(lines) if fields_of(line)), None)
    if first is None:
        raise RecordError(f"record {path.name}: {file} is empty; fetch it again")
    _check_record(path, fields_of(lines[first]))
    files = {file.name: lines}
    if "/" in fields_of(lines[first])[0]:
        for line in lines[first + 1 :]:
            name = f"{fields_of(line)[0]}.hea" if fields_of(line) else ""
            if _is_beside(name) and (file.parent / name).is_file() and name not in files:
                files[name], other = _read(path, file.parent / name)
                marked = marked or other
                _check_record(path, next(filter(None, map(fields_of, files[name])), []), f" of {fields_of(line)[0]}")
    mended = {name: _mended(path, found) for name, found in files.items()}
    return mended, marked or mended != files


def lines_of(content: bytes) -> list[bytes]:
    """Lines of a text without the mark that tells its encoding, in UTF-8 if it has one."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            content = content.removeprefix(mark).decode(encoding, errors="replace").encode()
    return content.splitlines()


def _read(path: Path, file: Path) -> tuple[list[bytes], bool]:
    """Lines of a header, and whether they were in an encoding that `wfdb` does not read."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RecordError(f"{file} cannot be read ({error.strerror}); check its permissions") from error
    lines = lines_of(content)
    if any("\0" in field for line in lines for field in fields_of(line)):
        raise RecordError(f"record {path.name}: {file} is no text in ASCII or UTF-8; save it as such or fetch it again")
    return lines, content.startswith(tuple(_MARKS))


def copy(texts: dict[str, list[bytes]], source: Path, folder: Path) -> None:
    """Headers in a folder, with links there to the signal files that they name."""
    for name, lines in texts.items():
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    for file in {fields[0] for lines in texts.values() for line in lines if (fields := fields_of(line))}:
        if _is_beside(file) and (source / file).is_file() and not (folder / file).exists():
            try:
                (folder / file).symlink_to((source / file).resolve())
            except OSError:  # a system on which links need a privilege
                shutil.copyfile(source / file, folder / file)


def _is_beside(name: str) -> bool:
    return name not in {"", ".", "..", "~"} and "\0" not in name and Path(name).name == name


def _text(line: bytes) -> str:
    """A line as it was meant: old recorders write latin-1, in which any bytes are a text."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def fields_of(line: bytes) -> list[str]:
    """Fields of a line, none of a comment."""
    text = _text(line).strip("\ufeff \t\r\v\f")
    return [] if text.startswith("#") else [field for field in re.split(r"[ \t]+", text) if field]


def _check_record(path: Path, fields: Sequence[str], where: str = "") -> None:
    """Refuse a rate for which `wfdb` would take 250 Hz without a word, and a length that it would misread."""
    if len(fields) < 3:
        return  # none is given, and WFDB's own default holds
    found = _NUMBER.match(fields[2])
    if found is None or not _is_rate(found[0]):
        raise RecordError(
            f"record {path.name}: its header gives the sampling rate{where} as {fields[2][:SHOWN]!r}; correct it to "
            "samples per second"
        )
    if len(fields) > 3 and not re.fullmatch(r"\d+(\.0*)?", fields[3], re.ASCII):  # `wfdb` takes the first digits
        raise RecordError(
            f"record {path.name}: its header gives the number of samples{where} as {fields[3][:SHOWN]!r}; correct it "
            "to a whole number"
        )


def _mended(path: Path, lines: Sequence[bytes]) -> list[bytes]:
    """Lines of one header, those as they are that need nothing."""
    result = list(lines)
    several = None
    for i, line in enumerate(lines):
        if not (fields := fields_of(line)):
            continue
        if several is None:
            several = "/" in fields[0]
            mended = _mended_record(fields)
        elif several:
            break  # lines of segments hold a name and a length, nothing to mend
        else:
            mended = _mended_signal(path, fields)
        if mended != fields:
            result[i] = " ".join(mended).encode("ascii", "ignore")
    return result


def _mended_record(fields: list[str]) -> list[str]:
    """Fields of the record line: the rate written out, and no time that cannot be (24:00:00, 31/02/2004)."""
    mended = list(fields)
    if len(fields) > 2 and (found := _NUMBER.match(fields[2])) and _is_rate(found[0]):
        mended[2] = _plain(found[0]) + fields[2][found.end() :]
    if len(fields) > 4:
        time = _TIME.fullmatch(fields[4])
        if time is None or not _is_moment(time, fields[5] if len(fields) > 5 else None):
            return mended[:4]
        if time[4] and len(time[4]) > MOST_DECIMALS:
            mended[4] = fields[4][: MOST_DECIMALS - len(time[4])]
    return mended


def _is_moment(time: re.Match[str], date: str | None) -> bool:
    """Whether there is such a time of day, and such a date if one is given."""
    day = _DATE.match(date or "1/1/1970")
    if day is None:
        return False
    try:
        hour, minute, second = (int(part or 0) for part in time.groups()[:3])
        dt.datetime(int(day[3]), int(day[2]), int(day[1]), hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        return False
    return True


def _mended_signal(path: Path, fields: list[str]) -> list[str]:
    """Fields of a signal line: gain, baseline and ADC zero written out, the unit in ASCII."""
    if len(fields) < 3 or (found := _NUMBER.match(fields[2])) is None:
        return fields
    value = abs(float(found[0]))
    if not SMALLEST_NUMBER <= value <= LARGEST_NUMBER and not _is_zero(found[0]):
        raise RecordError(f"record {path.name}: a gain of {found[0][:SHOWN]} cannot be; correct it in its header")
    before, slash, unit = fields[2][found.end() :].partition("/")
    if baseline := _BASELINE.fullmatch(before):
        before = f"({_whole(path, 'a baseline', baseline[1])})"
    unit = _MICRO.sub("u", unit)
    # Another sign that would be dropped becomes one that no unit has: what is left of "°C" must not be taken for "C".
    unit = "".join(c if c.isascii() or not c.isprintable() else "?" for c in unit)
    mended = [*fields[:2], _plain(found[0]) + before + slash + unit, *fields[3:]]
    if len(fields) > 4 and _NUMBER.fullmatch(fields[4]):
        mended[4] = _whole(path, "an ADC zero", fields[4])
    return mended


def _whole(path: Path, what: str, number: str) -> str:
    """A number of steps without exponent, plus sign and decimals; half a step does not matter."""
    value = float(number) if _NUMBER.fullmatch(number) else math.nan
    if not abs(value) <= LARGEST_BASELINE:
        raise RecordError(f"record {path.name}: {what} of {number[:SHOWN]} cannot be; correct it in its header")
    return number if re.fullmatch(r"-?\d+", number, re.ASCII) else str(round(value))


def _is_rate(number: str) -> bool:
    return not number.startswith("-") and (_is_zero(number) or SMALLEST_NUMBER <= float(number) < LARGEST_NUMBER)


def _is_zero(number: str) -> bool:
    """Whether a number is 0 as it is written; 1e-999 is not, though it is computed as such."""
    return not re.search("[1-9]", re.split("[eE]", number)[0])


def _plain(number: str) -> str:
    """A number without exponent and plus sign, its digits as they are."""
    if "e" not in number.lower():
        return number.removeprefix("+")
    if _is_zero(number):
        return "0"
    return format(decimal.Decimal(number), "f")
