r"""Scripted patients: a script in, an ECG with its truth and the alerts to be expected out.

>>> scripted = load('patient "demo" rate 250 Hz leads II V1\nsinus 60 for 10 s')
>>> scripted.record.samples.shape
(2500, 2)
>>> [beat.symbol for beat in scripted.truth if beat.symbol != "+"][:2]
['N', 'N']
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import math
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from replay import leads as lead_names
from replay import script_course, synth, synth_noise
from replay.records import Record
from replay.script_course import Course
from replay.script_expect import Expected, common_spans, expected, quality_spans
from replay.script_language import Patient, Script
from replay.script_parser import parse
from replay.synth import Floats
from stream.errors import ScriptError
from stream.frames import INVALID

RAIL_MV: Final = 5.0  # where the amplifier saturates, as in the recorders of the MIT-BIH databases (±5 mV)
FADE_S: Final = 0.25  # in which noise and fibrillation come and go
J_POINT: Final = 0.045  # s after the R peak: where an ST shift begins
ST_END: Final = 0.31  # s at an RR interval of 1 s: where it is lost in the T wave
LEAST_QRS_MV: Final = 0.3  # peak to peak, for noise in a lead that happens to show no QRS complex
SUFFIX: Final = ".ecg"


class Annotation(NamedTuple):
    """One WFDB annotation: a beat, or a change of rhythm (``+``), quality (``~``) or ST level (``s``)."""

    sample: int
    symbol: str
    aux: str = ""
    subtype: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Scripted:
    """A rendered script.

    Attributes
    ----------
    script : Script
        What was rendered.
    record : Record
        The ECG.
    truth : tuple of Annotation
        Beats at their R peaks (in the first lead), rhythms at their onset, signal quality; in order.
    expected : tuple of Expected
        Alerts that a monitor should raise.
    """

    script: Script
    record: Record
    truth: tuple[Annotation, ...]
    expected: tuple[Expected, ...]


def builtin() -> tuple[str, ...]:
    """Names of the patients that come with the package."""
    folder = importlib.resources.files("replay") / "patients"
    return tuple(sorted(f.name.removesuffix(SUFFIX) for f in folder.iterdir() if f.name.endswith(SUFFIX)))


def read(source: Path | str) -> Script:
    """Parse a script: a file, the name of a built-in patient, or the text itself (more than one line).

    Raises
    ------
    ScriptError
        If there is no such file or patient, or the script has a mistake.
    """
    if isinstance(source, str) and "\n" in source:
        return parse(source)
    name = str(source)
    if name in builtin():
        packaged = importlib.resources.files("replay") / "patients" / f"{name}{SUFFIX}"
        return parse(packaged.read_text("utf-8"), name)
    try:
        return parse(Path(source).read_text("utf-8-sig"), Path(source).name)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ScriptError(
            f"script {name}: it cannot be read ({error}); name a file or one of the built-in patients "
            f"{', '.join(builtin())}"
        ) from error


def load(source: Path | str) -> Scripted:
    """Read and render a script (see `read`)."""
    return render(read(source))


def render(script: Script) -> Scripted:
    """Play a script: the same script always gives the same samples, truth and expectations."""
    patient = script.patient
    course = script_course.course(script)
    instants = max(1, round(course.seconds * patient.rate))
    to_leads = synth.projection(patient.leads)
    rotation, gain = synth.anatomy(np.random.default_rng([patient.seed, 0, 0]), patient.size)
    waves = {name: wave.turned(rotation, gain) for name, wave in synth.WAVES.items()}

    signal = np.zeros((instants, len(patient.leads)))
    synth.draw(signal, patient.rate, course.atrial, waves, to_leads)
    synth.draw(signal, patient.rate, (b.activation for b in course.beats), waves, to_leads)
    _fibrillate(signal, patient, course, gain * to_leads @ rotation)
    _shift_st(signal, patient, course)
    rng = np.random.default_rng([patient.seed, 0, 2])
    signal += synth_noise.background(rng, instants, len(patient.leads), patient.rate, patient.breathing)
    _add_noise(signal, patient, course, waves["normal"].at(np.arange(-0.1, 0.1, 0.002)) @ to_leads.T)
    record = Record(
        name=patient.name,
        rate_mHz=round(patient.rate * 1000),
        leads=lead_names.codes(patient.leads),
        units_per_bit=(1 / patient.resolution,) * len(patient.leads),
        samples=_digitise(signal, patient, course),
    )
    truth = _truth(patient, course, waves, to_leads, instants)
    return Scripted(script, record, truth, expected(course, patient.leads))


def _span(patient: Patient, start: float, end: float, instants: int) -> slice:
    return slice(max(0, round(start * patient.rate)), min(instants, round(end * patient.rate)))


def _fade(instants: int, rate: float) -> Floats:
    """A weight that rises from 0 to 1 at the begin and falls at the end, shape (instants, 1)."""
    edge = np.minimum(np.arange(instants), np.arange(instants)[::-1]) / (FADE_S * rate)
    return np.sin(0.5 * math.pi * np.minimum(1.0, edge))[:, None] ** 2


def _fibrillate(signal: Floats, patient: Patient, course: Course, to_leads: Floats) -> None:
    for number, f in enumerate(course.fibrillations):
        rng = np.random.default_rng([patient.seed, number, 3])
        span = _span(patient, f.start, f.end, len(signal))
        length = span.stop - span.start
        if length <= 0:
            continue
        if f.kind == "vf":
            dipole = synth_noise.ventricular_fibrillation(rng, length, patient.rate, f.detail)
        elif f.kind == "af":
            dipole = synth_noise.atrial_fibrillation(rng, length, patient.rate)
        else:
            dipole = synth_noise.atrial_flutter(rng, length, patient.rate, float(f.detail))
        signal[span] += _fade(length, patient.rate) * (dipole @ to_leads.T)


def _shift_st(signal: Floats, patient: Patient, course: Course) -> None:
    """Raise or lower the stretch from the J point into the T wave of every beat under an ST shift."""
    for overlay in (o for o in course.overlays if o.modifier.word == "st"):
        modifier = overlay.modifier
        columns = [i for i, lead in enumerate(patient.leads) if not modifier.leads or lead in modifier.leads]
        for beat in (b for b in course.beats if overlay.start <= b.time < overlay.end):
            end = ST_END * math.sqrt(beat.activation.rr)
            span = _span(patient, beat.time - 0.1, beat.time + end + 0.25, len(signal))
            seconds = np.arange(span.start, span.stop) / patient.rate - beat.time
            plateau = 0.5 * (np.tanh((seconds - J_POINT) / 0.010) - np.tanh((seconds - end) / 0.045))
            grown = min(beat.time - overlay.start, overlay.end - beat.time) / modifier.over if modifier.over else 1.0
            signal[span, columns] += (modifier.amount or 0.0) * min(1.0, grown) * plateau[:, None]


def _add_noise(signal: Floats, patient: Patient, course: Course, qrs: Floats) -> None:
    """Noise at its ratio to a signal whose power is that of a sine as high as the QRS complex, as `nst` has it."""
    height = np.maximum(np.ptp(qrs, axis=0), LEAST_QRS_MV)
    for number, overlay in enumerate(course.overlays):
        modifier = overlay.modifier
        span = _span(patient, overlay.start, overlay.end, len(signal))
        length = span.stop - span.start
        if modifier.word != "noise" or length <= 0:
            continue
        rng = np.random.default_rng([patient.seed, number, 4])
        noise = synth_noise.noise(rng, modifier.kind or "muscle", length, len(patient.leads), patient.rate)
        power = height**2 / 8 / 10 ** ((modifier.amount or 0.0) / 10)
        touched = np.array([not modifier.leads or lead in modifier.leads for lead in patient.leads])
        signal[span] += _fade(length, patient.rate) * noise * np.sqrt(power) * touched


def _digitise(signal: Floats, patient: Patient, course: Course) -> npt.NDArray[np.int16]:
    """Samples as the recorder's converter gives them; electrodes off, flat and saturated leads as it sees them."""
    for word in ("flat", "saturated"):
        for overlay in (o for o in course.overlays if o.modifier.word == word):
            span = _span(patient, overlay.start, overlay.end, len(signal))
            for i, lead in enumerate(patient.leads):
                if span.start < span.stop and (not overlay.modifier.leads or lead in overlay.modifier.leads):
                    signal[span, i] = RAIL_MV if word == "saturated" else signal[span.start, i]
    samples = np.rint(np.clip(signal, -RAIL_MV, RAIL_MV) * patient.resolution).astype(np.int16)
    for overlay in (o for o in course.overlays if o.modifier.word == "leadoff"):
        span = _span(patient, overlay.start, overlay.end, len(signal))
        for i, lead in enumerate(patient.leads):
            if not overlay.modifier.leads or lead in overlay.modifier.leads:
                samples[span, i] = INVALID
    return samples


def _truth(
    patient: Patient, course: Course, waves: dict[str, synth.Wave], to_leads: Floats, instants: int
) -> tuple[Annotation, ...]:
    rate = patient.rate
    offsets = {name: synth.fiducial(wave, to_leads[0]) for name, wave in waves.items() if not name.endswith("_p")}
    hidden = common_spans([quality_spans(course, lead)[0] for lead in patient.leads])
    found: list[Annotation] = []
    for beat in course.beats:
        sample = round((beat.time + offsets[beat.activation.wave]) * rate)
        # Like the annotators of real records, say nothing where nothing can be seen.
        if 0 <= sample < instants and not any(a <= beat.time < b for a, b in hidden):
            found.append(Annotation(sample, beat.symbol))
    found += [Annotation(max(0, round(t * rate)), "+", aux) for t, aux in course.rhythms]
    for start, end in course.ventricular_fibrillation():
        found += [Annotation(round(start * rate), "["), Annotation(round(end * rate), "]")]
    found += _quality(patient, course)
    for overlay in (o for o in course.overlays if o.modifier.word == "st"):
        for i, lead in enumerate(patient.leads):
            if not overlay.modifier.leads or lead in overlay.modifier.leads:
                found += _st_marks(i, overlay.modifier.amount or 0.0, overlay.start, overlay.end, rate)
    order = {"]": 0, "+": 1, "[": 2, "~": 3, "s": 4}
    inside = (a._replace(sample=min(a.sample, instants - 1)) if a.symbol in "]s" else a for a in found)
    return tuple(sorted((a for a in inside if a.sample < instants), key=lambda a: (a.sample, order.get(a.symbol, 5))))


def _st_marks(lead: int, shift: float, start: float, end: float, rate: float) -> list[Annotation]:
    """Begin, extreme and end of an ST episode as the European ST-T database writes them."""
    sign = "+" if shift > 0 else "-"
    return [
        Annotation(round(start * rate), "s", f"(ST{lead}{sign}", lead),
        Annotation(round((start + end) / 2 * rate), "s", f"AST{lead}{sign}{abs(round(shift * 1000))}", lead),
        Annotation(round(end * rate), "s", f"ST{lead}{sign})", lead),
    ]


def _quality(patient: Patient, course: Course) -> list[Annotation]:
    """Changes of signal quality; the subtype has bit i set for a noisy signal i, and bit i + 4 if it is unreadable.

    -1 stands for all signals unreadable, as WFDB has it; signals beyond the fourth have no bit.
    """
    spans = [quality_spans(course, lead) for lead in patient.leads]
    edges = sorted({t for both in spans for kind in both for span in kind for t in span})
    marks = []
    for time in edges:
        code = 0
        dead = [any(a <= time < b for a, b in unreadable) for unreadable, _ in spans]
        for i, (_, noisy) in enumerate(spans[:4]):
            if dead[i]:
                code |= 17 << i
            elif any(a <= time < b for a, b in noisy):
                code |= 1 << i
        code = -1 if all(dead) else code if code < 128 else code - 256
        marks.append(Annotation(round(time * patient.rate), "~", "", code))
    return marks
