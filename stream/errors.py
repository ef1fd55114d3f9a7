"""All errors telebeat raises on purpose, in one place.

Every one of them tells the reader what to do next. A subclass of `TelebeatError` reaches the command line as one
line without a traceback; anything else is a bug.
"""

from __future__ import annotations


class TelebeatError(Exception):
    """Base of every error that is the input's or the setting's fault, not the program's."""


class SettingsError(TelebeatError):
    """A setting, an environment variable or a command-line option is wrong."""


class ExtraError(TelebeatError):
    """A package that only some commands need is not installed; the message names it."""


class RecordError(TelebeatError):
    """A WFDB record or its annotation cannot be found, read or written."""


class ScriptError(TelebeatError):
    """A patient script has a mistake; the message names its line."""


class ModelError(TelebeatError):
    """A model file is missing, damaged, or not the kind this version reads."""


class SnapshotError(TelebeatError):
    """A snapshot of a bed is damaged, foreign, or of another version; the bed has to learn anew."""


class ProcessError(TelebeatError):
    """A part that runs as a process of its own could not start or ended; the message holds the end of its log."""


class KafkaError(TelebeatError):
    """The Kafka cluster cannot be reached or refuses what is asked of it."""


class FrameError(TelebeatError):
    """A frame cannot be used.

    Parameters
    ----------
    reason : str
        Short and from a fixed set (see `stream.frames.REASONS` and `BATCH`): it is a metric label.
    detail : str
        What was found, for the log.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
