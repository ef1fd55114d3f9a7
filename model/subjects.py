"""Whose heart a record is of, whatever it is called and wherever it lies: databases contain records of each other."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

#: Names in other databases of records, or parts of records, of the database beside. The noise of nstdb was added to two
#: of mitdb; qtdb (Laguna et al., Computers in Cardiology 24:673, 1997) took quarters of an hour from seven databases.
_TAKEN: Final = {
    "nstdb": ((re.compile(r"(\d{3})e(?:_6|\d\d)"), "mitdb"),),
    "qtdb": (
        (re.compile(r"sel([12]\d\d)"), "mitdb"),
        (re.compile(r"sel(3\d\d)"), "stdb"),
        (re.compile(r"sel(8\d\d)"), "svdb"),
        (re.compile(r"sel(e\d{4})"), "edb"),
        (re.compile(r"sel(1[45]\d{3})"), "ltdb"),
        (re.compile(r"sel(16\d{3}|17453)"), "nsrdb"),
        (re.compile(r"sel(\d\d)"), "sddb"),
    ),
}
_AFPDB: Final = re.compile(r"([np])(\d\d)c?")
_CPSC2021: Final = re.compile(r"data_(\d+)_\d+")  # patient, and which of his recordings


def source_of(database: str, record: str) -> tuple[str, str]:
    """Database and name of the record that one was taken from; its own where it was not.

    >>> source_of("nstdb", "118e_6"), source_of("qtdb", "sel803"), source_of("qtdb", "sele0104")
    (('mitdb', '118'), ('svdb', '803'), ('edb', 'e0104'))
    """
    for names, source in _TAKEN.get(database, ()):
        if parts := names.fullmatch(record):
            return source, parts[1]
    return database, record


def subject_of(database: str, record: str) -> str:
    """Whose heart a record is of, called by the first of its records.

    201 and 202 of mitdb are one patient's; of afpdb two records in turn, and what follows each (`c`); of cpsc2021 all
    that have the patient's number.

    >>> subject_of("mitdb", "202"), subject_of("afpdb", "p06c"), subject_of("nstdb", "119e06")
    ('mitdb/201', 'afpdb/p05', 'mitdb/119')
    >>> subject_of("cpsc2021", "data_8_3"), subject_of("cpsc2021", "data_8_10")
    ('cpsc2021/data_8', 'cpsc2021/data_8')
    """
    database, record = source_of(database, record)
    if (database, record) == ("mitdb", "202"):
        record = "201"
    elif database == "afpdb" and (parts := _AFPDB.fullmatch(record)):
        record = f"{parts[1]}{(int(parts[2]) - 1) // 2 * 2 + 1:02d}"
    elif database == "cpsc2021" and (parts := _CPSC2021.fullmatch(record)):
        record = f"data_{parts[1]}"
    return f"{database}/{record}"


def may_be(record: str, subjects: Collection[str]) -> bool:
    """Whether a record of no database that is known may be of one of these hearts, by its name.

    >>> may_be("202", {"mitdb/201"}), may_be("118e06", {"mitdb/118"}), may_be("901", {"mitdb/118"})
    (True, True, False)
    """
    databases = {subject.split("/")[0] for subject in subjects} | set(_TAKEN)
    return any(subject_of(database, record) in subjects for database in databases)
