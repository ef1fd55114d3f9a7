"""R-peak detectors of other projects, each behind one function, for measurements side by side.

Each is called as its documentation says, with its defaults, on the whole of one lead: none of them works online. They
come with the extra `bench`. What is known against each is in `docs/detectors.md`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int64]

TRIED_S: Final = 60.0  # signal on which a detector must run before it counts as there: long enough for all to learn


@dataclass(frozen=True, eq=False)
class Lead:
    """One lead of a record, complete.

    Attributes
    ----------
    mv : float64, shape (n,)
        Millivolts; where there is no reading, the last one.
    steps : int64, shape (n,)
        The same as whole steps of the converter.
    mv_per_bit : float
        Size of such a step.
    rate_hz : float
    """

    mv: npt.NDArray[np.float64]
    steps: Samples
    mv_per_bit: float
    rate_hz: float

    def start(self, seconds: float) -> Lead:
        """Its first seconds."""
        count = int(seconds * self.rate_hz)
        return Lead(self.mv[:count].copy(), self.steps[:count].copy(), self.mv_per_bit, self.rate_hz)


#: From a lead to the samples of its R peaks.
Find = Callable[[Lead], Any]


@dataclass(frozen=True)
class Peer:
    """A detector of another project.

    Attributes
    ----------
    name : str
        As rows and options have it.
    package : str
        Its name on the Python Package Index.
    load : callable
        Imports it and returns its function.
    """

    name: str
    package: str
    load: Callable[[], Find]

    @property
    def version(self) -> str | None:
        """Installed version of the package; None without it."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None


@dataclass(frozen=True)
class Absent:
    """A detector that takes no part, and why."""

    name: str
    package: str
    reason: str


def find(function: Find, lead: Lead) -> Samples:
    """R peaks of a lead by a peer, in order, each once and within the lead; its warnings are not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = np.unique(np.asarray(function(lead), np.float64))
    samples: Samples = np.rint(told[np.isfinite(told)]).astype(np.int64)
    return samples[(samples >= 0) & (samples < len(lead.mv))]


def ready(peers: Iterable[Peer], lead: Lead) -> tuple[dict[str, Find], list[Absent]]:
    """Load peers and try each on the begin of a lead, which also compiles what it compiles.

    Returns
    -------
    dict
        Functions of those that work, by name.
    list of Absent
        The others, with the reason.
    """
    there: dict[str, Find] = {}
    absent = []
    for peer in peers:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                function = peer.load()
            find(function, lead.start(TRIED_S))
        except ImportError as error:
            wanted = peer.package if peer.package in IN_NO_EXTRA else "'.[bench]'"
            told = (
                f"not installed ({error}): pip install {wanted}"
                if peer.version is None
                else f"{peer.package} {peer.version} cannot be imported: {error}"
            )
            absent.append(Absent(peer.name, peer.package, told))
        except Exception as error:  # whatever somebody else's code raises is a result, not our end
            absent.append(Absent(peer.name, peer.package, f"crashed: {type(error).__name__}: {error}"))
        else:
            there[peer.name] = function
    return there, absent


def _sleepecg(backend: str) -> Callable[[], Find]:
    def load() -> Find:
        detect = importlib.import_module("sleepecg").detect_heartbeats
        available = importlib.import_module("sleepecg.heartbeats")._available_backends
        if backend not in available:
            # It would silently take another one.
            raise RuntimeError(f"its backend {backend} is not available here, only {', '.join(available)}")
        return lambda lead: detect(lead.mv, lead.rate_hz, backend=backend)

    return load


def _xqrs() -> Find:
    detect = importlib.import_module("wfdb.processing").xqrs_detect
    return lambda lead: detect(lead.mv, lead.rate_hz, verbose=False)


def _gqrs() -> Find:
    detect = importlib.import_module("wfdb.processing").gqrs_detect
    return lambda lead: detect(d_sig=lead.steps, fs=lead.rate_hz, adc_gain=1.0 / lead.mv_per_bit, adc_zero=0)


def _neurokit() -> Find:
    kit = importlib.import_module("neurokit2")

    def detect(lead: Lead) -> Any:
        rate = round(lead.rate_hz)
        _, told = kit.ecg_peaks(kit.ecg_clean(lead.mv, sampling_rate=rate), sampling_rate=rate)
        return told["ECG_R_Peaks"]

    return detect


def _biosppy() -> Find:
    ecg = importlib.import_module("biosppy.signals.ecg")
    return lambda lead: ecg.ecg(lead.mv, sampling_rate=lead.rate_hz, show=False)["rpeaks"]


def _ecgdetectors(method: str) -> Callable[[], Find]:
    def load() -> Find:
        detectors = importlib.import_module("ecgdetectors").Detectors
        return lambda lead: getattr(detectors(round(lead.rate_hz)), f"{method}_detector")(lead.mv)

    return load


def _visibility_graph(method: str) -> Callable[[], Find]:
    def load() -> Find:
        kind = getattr(importlib.import_module("vg_beat_detectors"), method)
        return lambda lead: kind(sampling_frequency=round(lead.rate_hz)).find_peaks(lead.mv)

    return load


IN_NO_EXTRA: Final = frozenset({"py-ecg-detectors"})  # one of its dependencies has no wheel
SLEEPECG_C: Final = "sleepecg c"

PEERS: Final = (
    Peer(SLEEPECG_C, "sleepecg", _sleepecg("c")),
    Peer("sleepecg numba", "sleepecg", _sleepecg("numba")),
    Peer("wfdb xqrs", "wfdb", _xqrs),
    Peer("wfdb gqrs", "wfdb", _gqrs),
    Peer("neurokit2", "neurokit2", _neurokit),
    Peer("biosppy", "biosppy", _biosppy),
    *(
        Peer(f"ecgdetectors {method}", "py-ecg-detectors", _ecgdetectors(method))
        for method in ("two_average", "pan_tompkins", "hamilton", "swt", "engzee", "christov", "wqrs")
    ),
    Peer("vg FastNVG", "vg-beat-detectors", _visibility_graph("FastNVG")),
    Peer("vg FastWHVG", "vg-beat-detectors", _visibility_graph("FastWHVG")),
)
