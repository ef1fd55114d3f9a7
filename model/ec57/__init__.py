"""ANSI/AAMI EC57 in Python: how well an ECG analyser finds and labels beats.

`match` compares plain arrays; `pair` tells which beat goes with which; `score_files` and `Score` judge whole records.
"""

from __future__ import annotations

from model.ec57.annotations import CLASS_OF, CLASSES, Annotations
from model.ec57.beats import LABELS, LEARNING_S, WINDOW_S, BeatTable, Pairs, Period, gross, match, pair, tabulate
from model.ec57.files import header, read
from model.ec57.ratio import Ratio, average
from model.ec57.score import RecordScore, Score, score, score_files

__all__ = [
    "CLASSES",
    "CLASS_OF",
    "LABELS",
    "LEARNING_S",
    "WINDOW_S",
    "Annotations",
    "BeatTable",
    "Pairs",
    "Period",
    "Ratio",
    "RecordScore",
    "Score",
    "average",
    "gross",
    "header",
    "match",
    "pair",
    "read",
    "score",
    "score_files",
    "tabulate",
]
