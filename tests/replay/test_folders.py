"""Databases are seen where they are and where links lead to them, each once, in one order."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay import folders
from replay.records import find_records


def made(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.hea").write_text(f"{name} 1 250 300\n{name}.dat 16 200/mV 16 0 0 0 0 II\n")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database of its own and a link to one that lies elsewhere."""
    made(tmp_path / "data/svdb", "801", "800")
    made(tmp_path / "large/mitdb-1.0.0/x_mitdb", "10")
    made(tmp_path / "large/mitdb-1.0.0", "208", "9")
    (tmp_path / "data/mitdb").symlink_to(tmp_path / "large/mitdb-1.0.0", target_is_directory=True)
    return tmp_path / "data"


def test_a_database_that_is_a_link_is_seen(data: Path) -> None:
    mitdb = [data / "mitdb" / name for name in ("9", "208", "x_mitdb/10")]
    assert find_records([data]) == [*mitdb, data / "svdb/800", data / "svdb/801"]
    assert find_records([data], database="mitdb") == mitdb
    assert find_records([data], ["208", "10"]) == [mitdb[1], mitdb[2]]
    link = data.parent / "link"
    link.symlink_to(data, target_is_directory=True)
    assert folders.files(link, "8.hea") == [link / "mitdb/208.hea"]


def test_links_that_go_round_have_an_end(data: Path) -> None:
    (data / "svdb/up").symlink_to(data, target_is_directory=True)
    (data / "mitdb/self").symlink_to(data / "mitdb", target_is_directory=True)
    (data / "nowhere").symlink_to(data / "none", target_is_directory=True)
    (data / "round").symlink_to(data / "round")
    assert [path.name for path in find_records([data])] == ["9", "208", "10", "800", "801"]


def test_a_record_is_not_two_for_a_link(data: Path) -> None:
    """A folder goes by its own name, not by that of a link, whichever comes first in the alphabet."""
    (data / "a").symlink_to(data / "svdb", target_is_directory=True)
    assert find_records([data], ["800"]) == [data / "svdb/800"]
    assert find_records([data], database="svdb") == [data / "svdb/800", data / "svdb/801"]
    (data / "also").symlink_to(data / "mitdb", target_is_directory=True)
    assert folders.files(data, "08.hea") == [data / "also/208.hea"]
    for name in ("a", "also", "mitdb"):  # each can be asked for
        assert {path.parent for path in find_records([data], database=name)} >= {data / name}


def test_a_link_to_a_database_names_it_and_not_one_to_where_all_are_kept(data: Path) -> None:
    (data / "archive").symlink_to(data.parent / "large", target_is_directory=True)
    (data / "physio").mkdir()
    (data / "physio/cudb").symlink_to(made(data.parent / "large/cudb-1.0.0", "cu01"), target_is_directory=True)
    assert find_records([data], ["208", "cu01"]) == [data / "mitdb/208", data / "physio/cudb/cu01"]
    assert find_records([data], database="cudb") == [data / "physio/cudb/cu01"]


def test_only_what_has_the_ending_is_a_file_of_it(data: Path) -> None:
    (data / "svdb/.hea").touch()
    (data / "svdb/folder.hea").mkdir()
    (data / "svdb/800.head").touch()
    assert [path.name for path in folders.files(data / "svdb", ".hea")] == ["800.hea", "801.hea"]
    assert folders.files(data / "none", ".hea") == []


@pytest.mark.parametrize(
    "folder",
    ["files/mitdb/1.0.0", "mitdb-1.0.0", "mit-bih-arrhythmia-database-1.0.0", "mitdb", "physionet.org/mitdb/v1.0.0"],
)
def test_a_database_is_known_in_whatever_layout_it_came(tmp_path: Path, folder: str) -> None:
    """Whether a heart was trained on hangs on its database's name."""
    place = made(tmp_path / folder, "100", "101")
    assert folders.database_of(place) == "mitdb"
    assert find_records([tmp_path], database="mitdb") == [place / "100", place / "101"]
    assert find_records([tmp_path], ["mitdb/100"]) == [place / "100"]


def test_a_folder_of_ones_own_keeps_its_name(tmp_path: Path) -> None:
    for name in ("study-2.1", "own", "mitdb2"):
        assert folders.database_of(tmp_path / name) == name


@pytest.mark.parametrize("place", ["ptbdb", "ptbdb/1.0.0", "ptb-diagnostic-ecg-database-1.0.0", "files/ptbdb/1.0.0"])
def test_the_folder_of_all_of_a_database_is_found_where_its_records_have_folders_of_their_own(
    place: str, tmp_path: Path
) -> None:
    made(tmp_path / place / "patient001", "s1")
    made(tmp_path / place / "patient002", "s2")
    made(tmp_path / "mitdb", "100")
    assert folders.database_folder(tmp_path, "ptbdb") == tmp_path / place
    assert [path.name for path in folders.records(tmp_path, "ptbdb")] == ["s1", "s2"]
    for given in (tmp_path / place, link(tmp_path / "short", tmp_path / place)):
        assert folders.database_folder(given, "ptbdb") == given
    assert folders.database_folder(tmp_path, "svdb") is None
    assert folders.database_folder(tmp_path / "mitdb", "ptbdb") is None


def link(place: Path, target: Path) -> Path:
    place.symlink_to(target, target_is_directory=True)
    return place
