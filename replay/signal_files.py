"""Signal files compared with what the header says of them, so that what is wrong is told before they are read.

`wfdb` reads as much as the header promises and ends where numpy does. Whether a file was cut short or its header is
wrong, nobody can know; both are said, with the numbers to judge by.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from replay.parts import Part
from stream.errors import RecordError

#: The value that stands for "no reading" in each WFDB format (signal(5)); formats not listed have none.
NO_READING: Final = {
    "16": -(2**15), "61": -(2**15), "160": -(2**15), "516": -(2**15), "80": -(2**7), "508": -(2**7),
    "212": -(2**11), "310": -(2**9), "311": -(2**9), "24": -(2**23), "524": -(2**23), "32": -(2**31),
}  # fmt: skip

#: All formats that are read; differences (format 8) have no mark for "no reading".
FORMATS: Final = tuple(sorted((*NO_READING, "8"), key=int))

#: Bytes of so many samples, in formats that store each alike.
_BYTES: Final[dict[str, Callable[[int], int]]] = {
    **dict.fromkeys(("8", "80"), lambda samples: samples),
    **dict.fromkeys(("16", "61", "160"), lambda samples: 2 * samples),
    "24": lambda samples: 3 * samples,
    "32": lambda samples: 4 * samples,
    "212": lambda samples: samples // 2 * 3 + samples % 2 * 2,  # two samples in three bytes
    "310": lambda samples: samples // 3 * 4 + (0, 2, 4)[samples % 3],  # three in four, the third in what the two leave
    "311": lambda samples: samples // 3 * 4 + (0, 2, 3)[samples % 3],  # three in four, one after the other
}
FLAC: Final = ("508", "516", "524")  # compressed: how many bytes there are says nothing
DIFFERENCES: Final = "8"
LARGEST_VALUE: Final = 2**31 - 1  # what `wfdb` adds differences up in


def check(record: str, folder: Path, part: Part, columns: list[int]) -> None:
    """Compare the files of some signals of a part with its header.

    Parameters
    ----------
    record : str
        Its name, for what is said.
    folder : Path
        Where the files are.
    part : Part
    columns : list of int
        Signals that are to be read.

    Raises
    ------
    RecordError
        If a file is missing or shorter than the header says, or the header says what cannot be.
    """
    header = part.header
    instants = part.instants
    if instants is None:
        instants = _length(record, folder, header)
    for file in dict.fromkeys(header.file_name[column] for column in columns):
        signals = [i for i, other in enumerate(header.file_name) if other == file]
        _check_group(record, header, file, signals, instants)
        _check_size(record, folder, header, signals, instants)


def _check_group(record: str, header: Any, file: str, signals: list[int], instants: int) -> None:
    """Whether what the header says of the signals of one file can be."""
    if len(formats := sorted({header.fmt[i] for i in signals})) > 1:
        raise RecordError(
            f"record {record}: its header has signals of {file} in formats {' and '.join(formats)}, but all of a file "
            "are in one; correct it"
        )
    if signals[-1] - signals[0] >= len(signals):
        raise RecordError(
            f"record {record}: its header has signals of another file between those of {file}; list them one after "
            "the other, as they are in the file"
        )
    if any(header.samps_per_frame[i] == 0 for i in signals):
        raise RecordError(f"record {record}: its header has 0 samples a frame of a signal; correct it")
    if (skew := max(header.skew[i] or 0 for i in signals)) and skew >= instants:
        raise RecordError(
            f"record {record}: a skew of {skew} in a record of {instants} instants cannot be; correct it in its header"
        )
    values = [header.init_value[i] or 0 for i in signals if header.fmt[i] == DIFFERENCES]
    if wrong := [value for value in values if abs(value) > LARGEST_VALUE]:
        raise RecordError(
            f"record {record}: an initial value of {_short(wrong[0])} cannot be; correct it in its header"
        )


def _check_size(record: str, folder: Path, header: Any, signals: list[int], instants: int) -> None:
    """Whether a file holds as much as its header says."""
    name, fmt = header.file_name[signals[0]], header.fmt[signals[0]]
    offset = header.byte_offset[signals[0]] or 0
    size = _size(record, folder, name)
    if fmt in FLAC:
        with (folder / name).open("rb") as file:
            if file.read(4) != b"fLaC":
                raise RecordError(
                    f"record {record}: its header says format {fmt}, but {name} is no FLAC file as those are; correct "
                    "the format in the header or fetch it again"
                )
        return
    count = sum(header.samps_per_frame[i] or 1 for i in signals)
    if size - offset >= (needed := _BYTES[fmt](count * instants)):
        return
    beginning = f" from byte {_short(offset)} on" if offset else ""
    raise RecordError(
        f"record {record}: {name} has {max(size - offset, 0)} bytes{beginning}, but {_short(instants)} instants of "
        f"{count} {'sample' if count == 1 else 'samples'} in format {fmt}, as its header has it, take "
        f"{_short(needed)}; if it was cut short, fetch it again, and if the header is wrong, correct its number of "
        "samples, its signals or the format"
    )


def _length(record: str, folder: Path, header: Any) -> int:
    """Instants of a record whose header does not tell: as many as its first file holds."""
    name, fmt = header.file_name[0], header.fmt[0]
    if fmt not in _BYTES:
        raise RecordError(
            f"record {record}: its header gives no length, and how many samples a file in format {fmt} holds cannot be "
            "seen; write the number of samples after the sampling rate"
        )
    size = _size(record, folder, name) - (header.byte_offset[0] or 0)
    count = sum(header.samps_per_frame[i] or 1 for i, other in enumerate(header.file_name) if other == name)
    return max(size * 24 // (_BYTES[fmt](24) * count), 0)


def _size(record: str, folder: Path, name: str) -> int:
    if not (folder / name).is_file():
        raise RecordError(f"record {record}: its signal file {name} is missing; fetch it with `telebeat download`")
    return (folder / name).stat().st_size


def _short(number: int) -> str:
    """A number as it is, or about so many where it is too long to be read."""
    return str(number) if abs(number) < 10**18 else f"{float(number):.3g}" if abs(number) < 10**300 else "1e300 or more"
