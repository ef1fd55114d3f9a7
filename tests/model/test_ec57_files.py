"""Whole records from files: reading, missing files, sums over records, and the command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner

from model.ec57 import Score, header, read, score_files
from stream.cli import app
from stream.errors import RecordError, SettingsError
from stream.settings import data_dirs
from stream.times import seconds
from tests.conftest import missing
from tests.model.ec57_cases import RATE, parse

LENGTH = 400 * RATE  # 100 s after the five minutes that are skipped


def write(folder: Path, record: str, annotator: str, text: str, rate: float | None = RATE) -> None:
    of = parse(text)
    wfdb.wrann(
        record,
        annotator,
        of.samples,
        list(of.symbols),
        subtype=np.array(of.subtypes),
        aux_note=list(of.notes),
        fs=rate,
        write_dir=str(folder),
    )


def late(labels: str, offset: int = 0) -> str:
    """A beat a letter, one a second from 5:01 on; a dot is no beat."""
    return " ".join(f"{(301 + i) * RATE + offset}{label}" for i, label in enumerate(labels) if label != ".")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two records. In a, one of four beats is missed; in b, nothing of two; c has no test file."""
    ref, test = tmp_path / "ref", tmp_path / "test"
    ref.mkdir()
    test.mkdir()
    for record, truth, found in (("a", "NVNN", "NV.N"), ("b", "NN", "NN"), ("c", "NVV", None)):
        (ref / f"{record}.hea").write_text(f"{record} 1 {RATE} {LENGTH}\n{record}.dat 212 200\n")
        write(ref, record, "atr", late(truth))
        if found is not None:
            write(test, record, "tb", late(found, offset=9))
    return ref, test


def run(*arguments: str | Path) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_annotations_come_back_as_written(tmp_path: Path) -> None:
    text = "10+(AFIB 100N 500~48 900~0 1200[ 1500] 1600+(N"
    write(tmp_path, "x", "tb", text)
    back, wanted = read(tmp_path, "x", "tb", RATE), parse(text)
    assert back.samples.tolist() == wanted.samples.tolist()
    assert (back.symbols, back.subtypes, back.notes) == (wanted.symbols, wanted.subtypes, wanted.notes)


def test_a_file_with_nothing_but_its_end_mark_has_no_annotations(tmp_path: Path) -> None:
    (tmp_path / "x.tb").write_bytes(b"\0\0")
    assert len(read(tmp_path, "x", "tb", RATE)) == 0


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such annotation file"):
        read(tmp_path, "x", "tb", RATE)
    (tmp_path / "x.tb").touch()  # it was cut: one that says nothing has an end mark
    with pytest.raises(RecordError, match="it is empty"):
        read(tmp_path, "x", "tb", RATE)
    for text in (b"this is no annotation file", b"odd", b"text of no length\0"):
        (tmp_path / "x.tb").write_bytes(text)
        with pytest.raises(RecordError, match="no end mark"):
            read(tmp_path, "x", "tb", RATE)
    for name in ("x", "x*"):
        with pytest.raises(RecordError, match="no readable WFDB header"):
            header(tmp_path, name)
    (tmp_path / "x.hea").write_text("x 1 0 100\nx.dat 212 200\n")
    with pytest.raises(RecordError, match="sampled at 0 Hz"):
        header(tmp_path, "x")
    write(tmp_path, "x", "tb", "100N", rate=250)
    with pytest.raises(RecordError, match="at 250 Hz, the record has 360 Hz"):
        read(tmp_path, "x", "tb", RATE)


def test_a_file_that_was_cut_is_not_read_as_far_as_it_goes(tmp_path: Path) -> None:
    write(tmp_path, "x", "tb", "100N 500N 900N")
    whole = (tmp_path / "x.tb").read_bytes()
    for end in range(2, len(whole), 2):
        (tmp_path / "x.tb").write_bytes(whole[:end])
        if not whole[:end].endswith(b"\0\0"):
            with pytest.raises(RecordError, match="cut short"):
                read(tmp_path, "x", "tb", RATE)


@pytest.mark.parametrize("rate", [166.6667, 360.0004, 360.0005, 128.0005, 999.9996])
def test_a_rate_that_is_no_whole_number_of_millihertz_is_that_of_its_file(tmp_path: Path, rate: float) -> None:
    """Our annotation files, as frames, tell a rate to the millihertz."""
    (tmp_path / "x.hea").write_text(f"x 1 {rate} 40000\nx.dat 212 200\n")
    write(tmp_path, "x", "atr", "1000N 2000V", rate=rate)
    write(tmp_path, "x", "tb", "1000N 2000V", rate=round(rate * 1000) / 1000)
    assert score_files(tmp_path, tmp_path, "x", start_s=0.0).beats.qrs_se == (2, 2)
    other = round(rate + 0.002, 4)
    write(tmp_path, "x", "tb", "1000N 2000V", rate=other)
    with pytest.raises(RecordError, match=rf"at {other} Hz, the record has {rate} Hz"):
        read(tmp_path, "x", "tb", rate)


@pytest.mark.parametrize(
    "head",
    [
        f"x 1 3.6e2 {LENGTH}",
        f"x 1 +360 {LENGTH}",
        f"x 1 360 {LENGTH} 24:00:00",
        f"x 1 360 {LENGTH} 12:00:00 31/02/2004",
        f"x 1 360 {LENGTH} 12:00:00.1234567 28/02/2004",
    ],
)
@pytest.mark.parametrize("stated", [RATE, None])
def test_headers_are_read_as_by_all_other_commands(tmp_path: Path, head: str, stated: int | None) -> None:
    """Also where an annotation file says no rate, so that the header beside it is asked."""
    (tmp_path / "x.hea").write_text(f"{head}\nx.dat 212 200\n")
    assert header(tmp_path, "x") == (RATE, LENGTH)
    write(tmp_path, "x", "atr", late("NVN"), rate=stated)
    assert score_files(tmp_path, tmp_path, "x", annotator="atr").beats.qrs_se == (3, 3)


def test_what_no_annotation_file_says_is_asked_of_the_header_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "x", "tb", "100N", rate=None)
    assert len(read(tmp_path, "x", "tb", RATE)) == 1
    (tmp_path / "x.hea").write_text("x 1 2.5e2 40000\nx.dat 212 200\n")
    with pytest.raises(RecordError, match="at 250 Hz, the record has 360 Hz"):
        read(tmp_path, "x", "tb", RATE)


@pytest.mark.parametrize("stated", [None, 62.5, 250])
def test_what_counts_slow_frames_is_compared_by_the_samples_in_them(tmp_path: Path, stated: float | None) -> None:
    (tmp_path / "a.hea").write_text("a 1 62.5 300\na.dat 16x4 200/mV 16 0 0 0 0 II\n", encoding="utf-8")
    wfdb.wrann("a", "atr", np.array([25, 50]), ["N", "V"], fs=stated, write_dir=str(tmp_path))
    assert header(tmp_path, "a") == (250, 1200)
    expected = [25, 50] if stated == 250 else [100, 200]
    assert read(tmp_path, "a", "atr", 250).samples.tolist() == expected


def test_a_record_of_segments_is_scored_by_its_first_header(tmp_path: Path) -> None:
    (tmp_path / "x.hea").write_text(f"x/2 1 3.6e2 {LENGTH}\ns1 {LENGTH // 2}\ns2 {LENGTH // 2}\n")
    assert header(tmp_path, "x") == (RATE, LENGTH)


def test_gross_and_average(folders: tuple[Path, Path]) -> None:
    result = Score.of([score_files(*folders, record) for record in "ab"])
    # a: 3 of 4, b: 2 of 2. Gross 5/6, average (75 + 100) / 2.
    assert result.gross.beats.qrs_se == (5, 6)
    assert result.average()["qrs_se"] == pytest.approx(87.5)
    # b has no VEB: the average of VEB sensitivity is that of a alone.
    assert result.average()["veb_se"] == pytest.approx(100.0)
    # The beat missed in a makes an error of its RR intervals; b has none.
    errors = [record.beats.rr_error_ms for record in result.records]
    assert errors[1] == 0.0
    assert errors[0] is not None
    assert result.average()["rr_error_ms"] == pytest.approx(errors[0] / 2)
    assert result.gross.beats.offset_median_ms == pytest.approx(25.0)


def test_folders_may_be_text(folders: tuple[Path, Path]) -> None:
    reference, test = folders
    assert score_files(str(reference), str(test), "c").as_dict() == score_files(reference, test, "c").as_dict()


def test_a_missing_test_file_is_all_missed(folders: tuple[Path, Path]) -> None:
    score = score_files(*folders, "c")
    assert score.missing
    assert score.beats.qrs_se == (0, 3)
    assert score.ventricular_runs.ratios()["couplet_se"] == (0, 1)


def test_a_record_within_the_five_minutes_has_nothing_to_score(tmp_path: Path) -> None:
    (tmp_path / "x.hea").write_text(f"x 1 {RATE} {10 * RATE}\nx.dat 212 200\n")
    write(tmp_path, "x", "atr", "100N 500N")
    score = score_files(tmp_path, tmp_path, "x", annotator="atr")
    assert score.beats.qrs_se == (0, 0)
    assert score_files(tmp_path, tmp_path, "x", annotator="atr", start_s=0.0).beats.qrs_se == (2, 2)


def test_the_command_scores_the_records_that_test_has(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out, err = run(*folders, "--json", tmp_path / "o.json")
    assert err == "1 of 3 records have no tb file and are not scored (--all)\n"
    assert "83.33" in out
    found = json.loads((tmp_path / "o.json").read_text())
    assert [r["record"] for r in found["records"]] == ["a", "b"]
    assert found["gross"]["qrs_se"] == {"percent": pytest.approx(500 / 6), "hits": 5, "total": 6}
    assert found["gross"]["table"]["N"] == {"n": 4, "s": 0, "v": 0, "f": 0, "q": 0, "o": 1, "x": 0}
    assert found["average"]["qrs_se"] == pytest.approx(87.5)
    assert found["from_s"] == 300.0


def test_records_in_folders_are_found_where_annotate_puts_theirs(folders: tuple[Path, Path]) -> None:
    ref, test = folders
    for part, record in (("set_1", "a"), ("set_2", "b"), ("set_2", "c")):
        (ref / part).mkdir(exist_ok=True)
        for suffix in ("hea", "atr"):
            (ref / f"{record}.{suffix}").rename(ref / part / f"{record}.{suffix}")
    (test / "set_2").mkdir()
    (test / "b.tb").rename(test / "set_2" / "b.tb")
    for options, names in (([], ["set_1/a", "set_2/b"]), (["--records", "a set_2/b"], ["set_1/a", "set_2/b"])):
        out, _ = run(*folders, "--csv", *options)
        rows = {row["record"]: row for row in csv.DictReader(io.StringIO(out))}
        assert list(rows) == [*names, "gross", "average"]
        assert rows["gross"]["tp"] == "5"


def rows_of(*arguments: str | Path) -> dict[str, dict[str, str]]:
    return {row["record"]: row for row in csv.DictReader(io.StringIO(run(*arguments, "--csv")[0]))}


def test_a_record_may_be_named_by_its_header_and_is_scored_once(folders: tuple[Path, Path]) -> None:
    for names in ("b.hea", "./b.hea b b.hea"):
        rows = rows_of(*folders, "--records", names)
        assert list(rows) == ["b", "gross", "average"]
        assert rows["gross"]["tp"] == "2"


def test_a_database_that_is_a_link_is_scored(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "linked").symlink_to(folders[0], target_is_directory=True)
    (folders[0] / "round").symlink_to(tmp_path / "all", target_is_directory=True)
    assert list(rows_of(tmp_path / "all", folders[1])) == ["linked/a", "linked/b", "gross", "average"]


def test_one_file_is_not_judged_as_two_records(folders: tuple[Path, Path]) -> None:
    """`telebeat annotate` writes a.tb, of whichever a it was given."""
    ref, test = folders
    for part in ("one", "two"):
        (ref / part).mkdir()
        for suffix in ("hea", "atr"):
            (ref / part / f"a.{suffix}").write_bytes((ref / f"a.{suffix}").read_bytes())
    for suffix in ("hea", "atr"):
        (ref / f"a.{suffix}").unlink()
    for options in ([], ["--all"], ["--records", "one/a two/a"]):
        with pytest.raises(RecordError, match=r"a\.tb would be judged as one/a and as two/a.*--records one/a, or"):
            run(*folders, *options)
    with pytest.raises(RecordError, match=r"a is in several folders \(one/a, two/a\); name one"):
        run(*folders, "--records", "a")
    assert list(rows_of(*folders, "--records", "two/a")) == ["two/a", "gross", "average"]
    assert list(rows_of(ref / "one", test)) == ["a", "gross", "average"]
    (test / "two").mkdir()
    (test / "a.tb").rename(test / "two" / "a.tb")
    rows = rows_of(*folders, "--all")
    assert [rows[name]["tp"] for name in ("b", "one/a", "two/a")] == ["2", "0", "3"]


def test_the_command_goes_on_after_a_bad_file(folders: tuple[Path, Path]) -> None:
    write(folders[1], "a", "tb", late("NV.N"), rate=250)
    ended = CliRunner().invoke(app, ["score", *map(str, folders), "--csv"])
    assert isinstance(ended.exception, RecordError)
    assert "1 of 2 records could not be scored" in str(ended.exception)
    assert "not scored" in ended.stderr
    assert [row["record"] for row in csv.DictReader(io.StringIO(ended.stdout))] == ["b", "gross", "average"]
    write(folders[1], "b", "tb", late("NN"), rate=250)
    ended = CliRunner().invoke(app, ["score", *map(str, folders)])
    assert "2 of 2 records could not be scored" in str(ended.exception)
    assert ended.stdout == ""


def test_the_command_says_why_nothing_is_scored(folders: tuple[Path, Path]) -> None:
    for record in "ab":
        (folders[0] / f"{record}.hea").write_text(f"{record} 1 {RATE} {30 * RATE}\n{record}.dat 212 200\n")
    assert "2 of 2 records have nothing to score after 5:00 (a, b): use --from 0\n" in run(*folders)[1]
    assert "nothing to score" not in run(*folders, "--from", "0")[1]


def test_the_command_says_that_a_test_file_is_longer_than_its_record(folders: tuple[Path, Path]) -> None:
    """Of another record, or counted at a higher rate than it says: what lies behind the end tells, and nothing else."""
    assert "behind the end" not in run(*folders)[1]
    write(folders[1], "b", "tb", late("NN") + f" {LENGTH + RATE}N {LENGTH + RATE + 1}N {LENGTH + 2 * RATE}V")
    out, err = run(*folders, "--csv")
    assert "b: 2 beats of the tb file lie behind the end of the record and do not count" in err
    assert next(row for row in csv.DictReader(io.StringIO(out)) if row["record"] == "b")["fp"] == "0"


def test_flutter_is_left_out_on_request(folders: tuple[Path, Path]) -> None:
    write(folders[0], "b", "atr", f"{301 * RATE}+(AFL {302 * RATE}N")
    write(folders[1], "b", "tb", f"{301 * RATE}+(AFIB {302 * RATE}N")
    for options, share in (((), "0.0"), (("--without-flutter",), "")):
        rows = csv.DictReader(io.StringIO(run(*folders, "--csv", "--records", "b", *options)[0]))
        assert next(rows)["af_episode_ppv"] == share


def test_the_command_says_that_a_reference_marks_no_beats(folders: tuple[Path, Path]) -> None:
    write(folders[0], "b", "atr", f"{RATE}N {301 * RATE}+(N")
    assert "b: the reference marks no beats in what is scored: all 2 found count as false\n" in run(*folders)[1]


def test_a_reference_of_rhythms_only_judges_no_beat(folders: tuple[Path, Path]) -> None:
    """As in vfdb: else every beat found would be a false one, in the sum over all records, too."""
    whole = list(csv.DictReader(io.StringIO(run(*folders, "--csv", "--records", "a")[0])))
    write(folders[0], "b", "atr", f"{301 * RATE}+(N")
    out, err = run(*folders, "--csv", "--records", "a,b")
    assert "b: the reference marks rhythms and no beats, so only episodes are scored" in err
    rows = {row["record"]: row for row in csv.DictReader(io.StringIO(out))}
    assert (rows["b"]["tp"], rows["b"]["fp"], rows["b"]["qrs_ppv"]) == ("0", "0", "")
    counted = ("tp", "fn", "fp", "qrs_se", "qrs_ppv", "v_couplet_se")
    assert [rows["gross"][name] for name in counted] == [whole[0][name] for name in counted]


def test_annotations_in_any_order_are_read_in_order_of_time(tmp_path: Path) -> None:
    """Each says by how much it is later than the one before; a skip may be negative."""

    def skip(samples: int) -> bytes:
        high, low = (samples >> 16) & 0xFFFF, samples & 0xFFFF
        return (59 << 10).to_bytes(2, "little") + high.to_bytes(2, "little") + low.to_bytes(2, "little")

    normal, ventricular = ((code << 10).to_bytes(2, "little") for code in (1, 5))
    (tmp_path / "a.hea").write_text(f"a 1 {RATE} {LENGTH}\na.dat 212 200\n")
    (tmp_path / "a.atr").write_bytes(skip(900) + normal + skip(-600) + ventricular + b"\0\0")
    told = read(tmp_path, "a", "atr", RATE)
    assert (told.samples.tolist(), told.symbols) == ([300, 900], ("V", "N"))


def test_test_files_without_a_reference_are_named(folders: tuple[Path, Path]) -> None:
    write(folders[1], "nobody", "tb", f"{301 * RATE}N")
    assert "have no atr file to be scored by: nobody" in run(*folders)[1]


def test_a_reference_of_a_part_of_the_record_is_suspected(folders: tuple[Path, Path]) -> None:
    write(folders[0], "b", "atr", f"{301 * RATE}N")
    write(folders[1], "b", "tb", " ".join(f"{(301 + i) * RATE}N" for i in range(9)))
    assert "b: the reference marks 1 beats, and 8 more were found" in run(*folders)[1]


@pytest.mark.parametrize("options", [["--all"], ["--records", "a,b", "--records", "c"], ["--records", "a b c"]])
def test_the_command_says_loudly_what_is_missing(folders: tuple[Path, Path], options: Sequence[str]) -> None:
    out, err = run(*folders, *options, "--csv")
    assert "c.tb: all beats count as missed" in err
    rows = {row["record"]: row for row in csv.DictReader(io.StringIO(out))}
    assert list(rows) == ["a", "b", "c", "gross", "average"]
    assert (rows["c"]["tp"], rows["c"]["fn"]) == ("0", "3")
    assert float(rows["gross"]["qrs_se"]) == pytest.approx(500 / 9)


def test_the_command_heeds_window_and_period(folders: tuple[Path, Path]) -> None:
    # The test beats lie 25 ms late.
    rows = list(csv.DictReader(io.StringIO(run(*folders, "--csv", "--window", "20", "--records", "b")[0])))
    assert (rows[0]["tp"], rows[0]["fp"]) == ("0", "2")
    rows = list(csv.DictReader(io.StringIO(run(*folders, "--csv", "--from", "5:01.5", "--records", "b")[0])))
    assert rows[0]["tp"] == "1"
    rows = list(csv.DictReader(io.StringIO(run(*folders, "--csv", "--to", "5:01.5", "--records", "b")[0])))
    assert rows[0]["tp"] == "1"


def test_the_command_refuses_what_makes_no_sense(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for options, error in (
        ([*folders, "--annotator", "nix"], RecordError),
        ([*folders, "--reference-annotator", "nix"], RecordError),
        ([folders[0], tmp_path / "nowhere"], RecordError),
        ([*folders, "--from", "six"], SettingsError),
        ([*folders, "--records", ""], SettingsError),
        ([*folders, "--records", " , "], SettingsError),
        ([*folders, "--window", "inf"], SystemExit),
        ([*folders, "--from", "6:00", "--to", "5:00"], SettingsError),
        ([*folders, "--from", "6:00", "--to", "6:00"], SettingsError),
    ):
        assert isinstance(CliRunner().invoke(app, ["score", *map(str, options)]).exception, error)


def test_times() -> None:
    assert [seconds(t) for t in ("0", "300", "5:00", "1:02:03.5")] == [0.0, 300.0, 300.0, 3723.5]
    for wrong in ("", "x", "-1", "5:", "nan", "inf", "5:-3", "1_0", "5:00:00:00", "1e3", "5:60", "1:99:00", "5:007"):
        with pytest.raises(SettingsError):
            seconds(wrong)


@pytest.mark.data
def test_the_references_of_mitdb_agree_with_themselves() -> None:
    folder = next((d / "mitdb" for d in data_dirs() if (d / "mitdb" / "207.atr").is_file()), None)
    if folder is None:
        missing("mitdb", "telebeat download mitdb")
    score = score_files(folder, folder, "207", annotator="atr", start_s=0.0)
    assert {r.percent for r in score.ratios().values()} <= {None, 0.0, 100.0}
    # PhysioNet's table of the database: 1457 L, 86 R, 107 A, 105 V, 105 E and 472 flutter waves in 6 episodes.
    assert score.beats.counts.diagonal().tolist() == [1543, 107, 210, 0, 0, 0, 0]
    assert (score.vf.found, score.vf.right) == (6, 6)


@pytest.mark.parametrize(
    "notes",
    [
        ["## reviewed by AB"],
        ["## time resolution: 360", "## time resolution: 360"],
        ["## time resolution: soon", "## end of definitions"],
        ["## annotation type definitions", "42 X none", "## end of definitions", "## end of definitions"],
    ],
)
def test_a_comment_at_the_begin_of_a_file_is_read_over(tmp_path: Path, notes: list[str]) -> None:
    """The library goes round for ever where one looks as its own do."""
    samples = np.array([0] * len(notes) + [100, 350])
    symbols, texts = [*['"'] * len(notes), "N", "V"], [*notes, "", ""]
    wfdb.wrann("x", "atr", samples, symbol=symbols, aux_note=texts, write_dir=str(tmp_path))
    found = read(tmp_path, "x", "atr", RATE)
    assert [s for s, symbol in zip(found.samples.tolist(), found.symbols, strict=True) if symbol in "NV"] == [100, 350]
