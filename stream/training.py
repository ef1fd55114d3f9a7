"""What is trained and from what: the configuration, its records, and the passages made of them.

Torch is not needed here; the commands that train look for it before they begin.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from model.dataset import PACED, TRAINING_ONLY, Passage, is_annotated, records_of, refuse
from model.passage_cache import kept_passage
from model.subjects import source_of, subject_of
from model.variants import CHANGED, WITH_NOISE
from replay import folders
from replay.folders import database_of
from stream.errors import RecordError, SettingsError
from stream.settings import data_dirs
from stream.warm import announce_compilation
from stream.workers import map_items

if TYPE_CHECKING:
    from model.train import TrainingConfig


def configured(base: TrainingConfig, file: Path | None) -> TrainingConfig:
    """A configuration with the values of a TOML file."""
    return base if file is None else changed(base, values_of(file), str(file))


def values_of(file: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises
    ------
    SettingsError
        It cannot be read, or is none.
    """
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"cannot read {file} ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is no TOML in UTF-8: {error}") from error


def changed(base: TrainingConfig, values: Mapping[str, Any], where: str) -> TrainingConfig:
    """A configuration with other values.

    Raises
    ------
    SettingsError
        There is no such value, it is of another type, or cannot be trained with; `where` it stands is told.
    """
    known = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise SettingsError(f"{where}: {name} is no value of TrainingConfig; known are {', '.join(known)}")
        given[name] = tuple(value) if isinstance(value, list) else value
        if not _is_like(given[name], known[name]):
            raise SettingsError(f"{where}: {name} must be like {known[name]!r}, not {value!r}")
    try:
        return dataclasses.replace(base, **given)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value is of the default's type; each of its values, where that is a tuple."""
    if isinstance(default, tuple):
        kind = default[0] if default else ""
        return isinstance(value, tuple) and all(_is_like(one, kind) for one in value)
    return type(value) is type(default) or (isinstance(default, float) and type(value) is int)


def folder_of(data_dir: Path | None, config: TrainingConfig) -> Path:
    """The data folder that has all databases a configuration names.

    Raises
    ------
    RecordError
        None has.
    """
    databases = dict.fromkeys([*config.databases, *(pattern.split("/")[0] for pattern in config.unannotated)])
    for folder in data_dirs(data_dir):
        if all(any(folders.records_folder(folder, database).glob("*.hea")) for database in databases):
            return folder
    where = f"{data_dir} has not" if data_dir is not None else "no data folder has"
    raise RecordError(
        f"{where} {' and '.join(databases)}; fetch them with `telebeat download`, name another --data-dir, or name "
        "others with --config (unannotated = [] goes without hearts that nobody has annotated)"
    )


class LeftOut:
    """Records that cannot be read: each is told at once, once, and that there were any at the end.

    Parameters
    ----------
    console : Console

    Attributes
    ----------
    reasons : dict
        Why, in the order in which they were met.
    """

    def __init__(self, console: Console) -> None:
        self.reasons: dict[str, None] = {}
        self._console = console

    def __call__(self, reason: str) -> None:
        """One cannot be read."""
        if reason not in self.reasons:
            self.reasons[reason] = None
            self._console.print(f"left out: {reason}", style="yellow", soft_wrap=True, highlight=False)

    def tell(self) -> None:
        """End with an error if there were any, after all work is done.

        Raises
        ------
        RecordError
            There were.
        """
        if self.reasons:
            first = next(iter(self.reasons))
            raise RecordError(f"{len(self.reasons)} records could not be read and were left out, the first: {first}")


def records_in(data: Path, config: TrainingConfig, remark: Callable[[str], object] = refuse) -> list[Path]:
    """All records of a configuration's databases with annotated beats, then those without that it names.

    Parameters
    ----------
    data : Path
    config : TrainingConfig
    remark : callable
        Told of each record that cannot be read, and why: it is left out, unless this raises.

    Raises
    ------
    RecordError
        There are none.
    """

    def bare(path: Path) -> bool:
        try:
            return not is_annotated(path)
        except RecordError as error:
            remark(str(error))
            return False

    records = [
        place / record
        for database in config.databases
        for place in [folders.records_folder(data, database)]
        for record in records_of(place, remark)
    ]
    for pattern in config.unannotated:
        database, _, names = pattern.partition("/")
        named = sorted(path.with_suffix("") for path in folders.records_folder(data, database).glob(f"{names}.hea"))
        found = [path for path in named if path not in records and bare(path)]
        if not found:
            raise RecordError(
                f"{data}: no records {pattern} without annotation of beats; fetch them with "
                f"`telebeat download {pattern.split('/')[0]}`"
            )
        records += found
    return records


def scored_subjects(records: Sequence[Path]) -> set[str]:
    """Whose hearts would be judged, as far as the records' names and annotations tell before they are analysed."""
    named = [(path, database_of(path.parent)) for path in records]
    return {
        subject_of(database, path.name)
        for path, database in named
        if (source := source_of(database, path.name)) not in PACED
        and source[0] not in TRAINING_ONLY
        and is_annotated(path)
    }


def load_passages(
    console: Console,
    config: TrainingConfig,
    data: Path,
    records: Sequence[Path],
    jobs: int,
    *,
    oracle: bool = False,
    shelf: Path | None = None,
    remark: Callable[[str], object] = refuse,
) -> list[Passage]:
    """Records in all variants through the online code, with a progress bar.

    Those without annotation are analysed without their composed variants, which take a reference. `oracle`: at the
    reference's beats, where there is one. `shelf`: a folder where they are kept (`model.passage_cache`). `remark`: as
    of `records_in`; a record that cannot be read in one variant is left out in all.
    """
    work = [
        (path.parent, path.name, kind)
        for path, annotated in ((path, is_annotated(path)) for path in records)
        for kind in config.variants
        if annotated or (kind in CHANGED and not oracle)
    ]
    noise = folders.records_folder(data, "nstdb")
    if not any(noise.glob("*.hea")) and not set(config.variants).isdisjoint(WITH_NOISE):
        console.print(f"no nstdb in {data}: trained without its noise", style="yellow", highlight=False)
    announce_compilation(console.print)
    with Progress(console=console) as progress:
        task = progress.add_task("analysing", total=len(work))
        found: dict[Path, list[Passage]] = {}
        failed = set()
        one = partial(_one, shelf=shelf, noise_folder=noise, seed=config.seed, oracle=oracle)
        for (place, name, _), result in zip(work, map_items(one, work, jobs, at_once=4), strict=True):
            if isinstance(result, str):
                failed.add(place / name)
                remark(result)
            else:
                found.setdefault(place / name, []).append(result)
            progress.advance(task)
    passages = [p for path, some in found.items() if path not in failed for p in some]
    beats = sum(len(p.samples) for p in passages)
    names = {(p.database, p.record) for p in passages}
    console.print(f"{len(passages)} readings of {len(names)} records, {beats} beats")
    return passages


def _one(which: tuple[Path, str, str], **how: Any) -> Passage | str:
    try:
        return kept_passage(*which, **how)
    except RecordError as error:
        return str(error)
