"""What the monitor tells Prometheus about itself: every metric, its labels and its buckets, in one place.

No label names a bed or a patient: the number of series depends on the code and on the partitions of this worker, never
on the ward. All label values exist from the first scrape on with the value 0, so that a rate or an alert over a
counter that has not moved yet reads 0 and not "no data".
"""

from __future__ import annotations

import collections
import enum
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from detector.types import FLAT, GOOD, NOISY, OFF, SATURATED
from model.codes import CLASSES
from stream.catalogue import CATALOGUE
from stream.frames import BATCH, REASONS
from stream.intake import Event
from stream.protocols import Bed
from stream.wire import Rule

#: Of the page that `Metrics.render` makes: the text format every Prometheus reads.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

#: Priorities of IEC 60601-1-8, most urgent first.
PRIORITIES: Final = ("high", "medium", "low")

#: Condition of a bed's best lead, by the constants of `detector.types`.
SIGNAL_STATES: Final = {GOOD: "good", NOISY: "noisy", SATURATED: "saturated", FLAT: "flat", OFF: "off"}

# Six steps a decade, no two further apart than 5:3: a percentile interpolated between two of them is off by a quarter
# at the most, and a heat map of a decade is six rows high.
_STEPS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


def _buckets(first_decade: int, last_decade: int) -> tuple[float, ...]:
    """Upper bounds in seconds from 10**first_decade to 10**last_decade, both included."""
    decades = range(first_decade, last_decade)
    return (*(float(f"{step}e{decade}") for decade in decades for step in _STEPS), 10.0**last_decade)


# One metric has one set of buckets for all its stages. Computing takes from 10 µs (one small frame) upwards, waiting
# up to 10 s (an alarm later than that fails IEC 60601-2-27 whatever the stage): six decades, 40 series a stage.
STAGE_BUCKETS: Final = _buckets(-5, 1)

# The whole way includes two passages through Kafka; nothing arrives in under a millisecond.
ALERT_BUCKETS: Final = _buckets(-3, 1)


class Stage(enum.StrEnum):
    """The stages of a frame's way, in their order; each is the wall time between two moments."""

    INGEST = "ingest"  #: the gateway's stamp in the frame -> the worker has fetched it from Kafka
    QUEUE = "queue"  #: fetched -> decoded, and its detection begins
    DETECT = "detect"  #: resample, filter, R peaks
    CLASSIFY = "classify"  #: word, token, LSTM step, rules
    PUBLISH = "publish"  #: handed to the producer -> acknowledged by Kafka


class Age:
    """A gauge of the seconds since a moment; it is read at the scrape, so it grows even when the worker hangs.

    Parameters
    ----------
    gauge : prometheus_client.Gauge
        Reads 0 while there is no such moment.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, gauge: Gauge, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._moment: float | None = None
        gauge.set_function(self._age)

    def since(self, moment: float | None) -> None:
        """Count from this moment of the clock; None for no such moment."""
        self._moment = moment

    def _age(self) -> float:
        return 0.0 if self._moment is None else max(0.0, self._clock() - self._moment)


class Metrics:
    """All metrics of one worker, in a registry of their own.

    Parameters
    ----------
    clock : callable, optional
        Seconds, monotonic; the moments given to `last_frame` and `oldest_snapshot` are of this clock.

    Attributes
    ----------
    registry : prometheus_client.CollectorRegistry
        What `render` writes out.
    frames, samples : Counter
        Frames read from Kafka, good or bad; sampling instants in the good ones, those sent again too, each once for all
        of its leads.
    frame_to_alert : Histogram
        Seconds from the gateway's stamp in the deciding frame to Kafka's acknowledgement of the alert.
    alert_publishes, publish_errors : Counter
        Alert messages acknowledged; messages of any topic that Kafka did not take.
    beds, beds_silent : Gauge
        Beds of this worker's partitions, and those of them that send nothing.
    ready, kafka_up : Gauge
        1 when the worker analyses frames; 1 when it is connected to Kafka.
    snapshots, cold_starts : Counter
        Snapshots of beds written; beds whose snapshot could not be used and that began anew.
    last_frame, oldest_snapshot : Age
        Since the last frame of the bed that has been quiet longest; since the snapshot of the bed whose is the oldest.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else every counter brings a second series with the time of its birth
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, labels: Iterable[str] = ()) -> Counter:
            return Counter(f"telebeat_{name}", text, tuple(labels), registry=registry)

        def gauge(name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
            return Gauge(f"telebeat_{name}", text, tuple(labels), registry=registry)

        stages = Histogram(
            "telebeat_stage_seconds",
            "Time a frame takes in a stage of its way",
            ("stage",),
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._stages = {stage: stages.labels(stage.value) for stage in Stage}
        self.frame_to_alert = Histogram(
            "telebeat_frame_to_alert_seconds",
            "Time from the gateway's stamp in the deciding frame to the acknowledged alert",
            buckets=ALERT_BUCKETS,
            registry=registry,
        )

        self.frames = counter("frames", "Frames read from Kafka, good or bad")
        self.samples = counter("samples", "Sampling instants accepted")
        rejected = counter("frames_rejected", "Frames that cannot be used", ["reason"])
        self._rejected = {reason: rejected.labels(reason) for reason in (*REASONS, BATCH)}
        events = counter("technical_events", "Frames that are not simply the next of their bed", ["kind"])
        self._events = {kind: events.labels(kind.value) for kind in Event}

        beats = counter("beats", "Beats by their class (ANSI/AAMI EC57)", ["label"])
        self._beats = {label: beats.labels(label) for label in CLASSES}
        raised = counter("alerts_raised", "Alerts raised", ["rule", "priority"])
        active = gauge("alerts_active", "Alerts that are raised and not cleared", ["rule", "priority"])
        pairs = [(rule, priority) for rule in Rule for priority in PRIORITIES]
        self._raised = {pair: raised.labels(pair[0].label, pair[1]) for pair in pairs}
        self._active = {pair: active.labels(pair[0].label, pair[1]) for pair in pairs}
        self.alert_publishes = counter("alert_publishes", "Alert messages that Kafka acknowledged")
        self.publish_errors = counter("publish_errors", "Messages of any topic that Kafka did not take")

        self.beds = gauge("beds", "Beds of this worker's partitions")
        self.beds_silent = gauge("beds_silent", "Beds that send nothing")
        signal = gauge("beds_signal", "Beds by the condition of their best lead", ["state"])
        self._signal = {state: signal.labels(name) for state, name in SIGNAL_STATES.items()}
        self.last_frame = Age(gauge("last_frame_age_seconds", "Since the last frame of the quietest bed"), clock)

        self._lag_frames = gauge("lag_frames", "Frames on Kafka that are not read yet", ["partition"])
        self._lag_seconds = gauge("lag_seconds", "The same in seconds of signal of a bed", ["partition"])
        self._partitions: set[int] = set()

        self.kafka_up = gauge("kafka_up", "1 when connected to Kafka")
        self.ready = gauge("ready", "1 when the worker analyses frames")
        self.snapshots = counter("snapshots", "Snapshots of beds written")
        self.cold_starts = counter("cold_starts", "Beds that began anew because their snapshot could not be used")
        self.oldest_snapshot = Age(gauge("snapshot_age_seconds", "Of the bed whose snapshot is the oldest"), clock)
        gauge("build_info", "1; the label is the program's version", ["version"]).labels(_version()).set(1)
        ProcessCollector(registry=registry)  # process_cpu_seconds_total, process_resident_memory_bytes, ...

    def stage(self, stage: Stage) -> Histogram:
        """The histogram of a stage: `metrics.stage(Stage.DETECT).observe(seconds)`."""
        return self._stages[stage]

    def rejected(self, reason: str) -> None:
        """Count a frame that cannot be used, by the `reason` of its `FrameError`."""
        self._rejected[reason].inc()

    def event(self, kind: Event, count: int = 1) -> None:
        """Count technical events of the input."""
        self._events[kind].inc(count)

    def beat(self, label: str, count: int = 1) -> None:
        """Count beats of one of `model.codes.CLASSES`."""
        self._beats[label].inc(count)

    def raised(self, rule: Rule, priority: str) -> None:
        """Count an alert that was raised."""
        self._raised[rule, priority].inc()

    def standing(self, beds: Mapping[str, Bed]) -> None:
        """Set all that is told of the beds as they stand now."""
        self.beds.set(len(beds))
        self.beds_silent.set(sum(Rule.BED_SILENT in bed.active for bed in beds.values()))
        self.signal(collections.Counter(min(bed.leads) for bed in beds.values() if len(bed.leads)))
        active = (rule for bed in beds.values() for rule in bed.active)
        self.active(collections.Counter((rule, str(CATALOGUE[rule].priority)) for rule in active))

    def active(self, counts: Mapping[tuple[Rule, str], int]) -> None:
        """Set how many alerts of each (rule, priority) stand now; those not named stand at 0.

        A whole picture and not a step: it stays right over restarts and when partitions come and go.
        """
        for pair, child in self._active.items():
            child.set(counts.get(pair, 0))

    def signal(self, counts: Mapping[int, int]) -> None:
        """Set how many beds have a best lead in each state of `detector.types`, GOOD ... OFF."""
        for state, child in self._signal.items():
            child.set(counts.get(state, 0))

    def lag(self, partition: int, frames: int, seconds: float) -> None:
        """Set how far behind the log's end this worker is on one of its partitions.

        Parameters
        ----------
        partition : int
            Of `ecg.frames`.
        frames : int
            End offset minus next offset to be read.
        seconds : float
            Signal time of one bed in those frames: what the alarms of this partition are late by.
        """
        self._partitions.add(partition)
        self._lag_frames.labels(str(partition)).set(frames)
        self._lag_seconds.labels(str(partition)).set(seconds)

    def assigned(self, partitions: Iterable[int]) -> None:
        """These are the worker's partitions from now on; the series of the others end."""
        now = set(partitions)
        for gone in self._partitions - now:
            self._lag_frames.remove(str(gone))
            self._lag_seconds.remove(str(gone))
        for new in now - self._partitions:
            self._lag_frames.labels(str(new))
            self._lag_seconds.labels(str(new))
        self._partitions = now

    def render(self) -> bytes:
        """The page `/metrics`, of `CONTENT_TYPE`."""
        return generate_latest(self.registry)


def _version() -> str:
    try:
        return version("telebeat")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"
