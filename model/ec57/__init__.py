"""ANSI/AAMI EC57 in Python: how well an ECG analyser finds and labels beats.

`match` compares the beats of plain arrays and `pair` tells which beat goes with which; `compare_runs`, `atrial` and
`ventricular` compare runs and episodes; `score_files` and `Score` do all of it for whole records.
"""

from __future__ import annotations

from model.codes import CLASSES
from model.ec57.annotations import CLASS_OF, Annotations
from model.ec57.beats import LEARNING_S, WINDOW_S, Pairs, Period, match, pair, tabulate
from model.ec57.episodes import AF_RHYTHMS, EpisodeTable, atrial, ventricular
from model.ec57.files import header, read
from model.ec57.ratio import Ratio, average, pooled
from model.ec57.runs import SUPRAVENTRICULAR, VENTRICULAR, RunTable, compare_runs
from model.ec57.score import RecordScore, Score, score, score_files
from model.ec57.table import LABELS, BeatTable, gross

__all__ = [
    "AF_RHYTHMS",
    "CLASSES",
    "CLASS_OF",
    "LABELS",
    "LEARNING_S",
    "SUPRAVENTRICULAR",
    "VENTRICULAR",
    "WINDOW_S",
    "Annotations",
    "BeatTable",
    "EpisodeTable",
    "Pairs",
    "Period",
    "Ratio",
    "RecordScore",
    "RunTable",
    "Score",
    "atrial",
    "average",
    "compare_runs",
    "gross",
    "header",
    "match",
    "pair",
    "pooled",
    "read",
    "score",
    "score_files",
    "tabulate",
    "ventricular",
]
