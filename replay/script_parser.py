"""Reading scripts: one pass over the tokens of each line, refusing the first that has no place there."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence
from typing import Final, NoReturn

from replay.script_language import (
    BASES,
    DEFAULT_RATIO,
    DEGREES,
    ECTOPICS,
    FOCI,
    GRAINS,
    LONGEST_S,
    LONGEST_SALVO,
    NOISES,
    RATES,
    RATIOS,
    VENTRICULAR,
    WORDS,
    Episode,
    Modifier,
    Patient,
    Script,
    plain,
)
from replay.synth import LEADS
from stream.errors import ScriptError

_TOKEN: Final = re.compile(
    r'\s*(?:(?P<string>"[^"]*")|(?P<number>[-+]?\d+(?:\.\d+)?)|(?P<word>[A-Za-z]\w*)|(?P<sign>/\w+|[;:])|(?P<other>\S))'
)
_SECONDS: Final = {"s": 1.0, "min": 60.0, "ms": 0.001}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclasses.dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


class _Line:
    """The tokens of one line, taken from the left; every refusal names line, column and what would be right."""

    def __init__(self, source: str, number: int, text: str) -> None:
        self.source = source
        self.number = number
        self.end = len(text.rstrip()) + 1
        self.tokens = [
            _Token(m.lastgroup or "other", m[m.lastgroup or 0], m.start(m.lastgroup or 0) + 1)
            for m in _TOKEN.finditer(text.rstrip())
        ]
        self.position = 0

    @property
    def here(self) -> _Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def fail(self, expected: str, token: _Token | None = None) -> NoReturn:
        token = token or self.here
        found = f"found {token.text!r}" if token else "the line ends here"
        column = token.column if token else self.end
        raise ScriptError(f"{self.source}, line {self.number}, column {column}: expected {expected}; {found}")

    def peek(self, *texts: str) -> bool:
        return self.here is not None and self.here.kind != "string" and self.here.text in texts

    def accept(self, *texts: str) -> str | None:
        if not self.peek(*texts):
            return None
        self.position += 1
        return self.tokens[self.position - 1].text

    def one_of(self, texts: Sequence[str], what: str) -> str:
        if (found := self.accept(*texts)) is not None:
            return found
        if not texts:
            self.fail("the end of the line")
        listed = texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
        near = difflib.get_close_matches(self.here.text if self.here else "", texts, n=1)
        return self.fail(f"{what} ({listed})" + (f", perhaps {near[0]!r}" if near else ""))

    def number_in(self, low: float, high: float, what: str, unit: str = "", *, whole: bool = False) -> float:
        token = self.here
        bounds = f"{what}, {plain(low)} to {plain(high)}{' ' * bool(unit)}{unit}"
        if token is None or token.kind != "number":
            self.fail(bounds)
        value = float(token.text)
        if not low <= value <= high or (whole and value != int(value)):
            self.fail(bounds + (", a whole number" if whole else ""))
        self.position += 1
        return value

    def seconds(self, what: str, *, zero: bool = False) -> float:
        token = self.here
        if token is None or token.kind != "number":
            self.fail(f"{what}, such as `10 s` or `2 min`")
        self.position += 1
        value = float(token.text) * _SECONDS[self.one_of(tuple(_SECONDS), "a unit of time")]
        if not (0 < value <= LONGEST_S or (zero and value == 0)):
            self.fail(f"{what} of more than 0 s and at most {plain(LONGEST_S)} s", token)
        return value


def parse(text: str, source: str = "script") -> Script:
    """Read a script.

    Parameters
    ----------
    text : str
        The script.
    source : str
        What to call it in error messages.

    Raises
    ------
    ScriptError
        With line, column, what was expected there and what was found.
    """
    patient: Patient | None = None
    episodes: list[Episode] = []
    number = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = _Line(source, number, _without_comment(raw))
        if line.here is None:
            continue
        if patient is None:
            patient = _patient(line)
        else:
            episodes.append(_episode(line, patient.leads))
            while line.accept(";"):
                if line.here is not None:
                    episodes.append(_episode(line, patient.leads))
        if line.here is not None:
            line.fail("a `;`, a `with ...`, or the end of the line" if episodes else "a setting or the end of the line")
    end = f"{source}, line {number + 1}, column 1: expected"
    if patient is None:
        raise ScriptError(f'{end} a first line that names the patient, such as `patient "demo"`; the script is empty')
    if not episodes:
        raise ScriptError(f"{end} an episode, such as `sinus 70 for 60 s`; the script ends here")
    if (total := sum(e.seconds or 0.0 for e in episodes)) > LONGEST_S:
        raise ScriptError(
            f"{end} at most {plain(LONGEST_S)} s in all, but the episodes last {plain(total)} s; "
            "shorten them and let the replay loop"
        )
    return Script(patient, tuple(episodes))


def _without_comment(line: str) -> str:
    """The line up to a `#` that is not inside quotes."""
    for i, character in enumerate(line):
        if character == "#" and line[:i].count('"') % 2 == 0:
            return line[:i]
    return line


def _patient(line: _Line) -> Patient:
    line.one_of(("patient",), "the patient first")
    token = line.here
    if token is None or token.kind != "string" or not _NAME.fullmatch(token.text[1:-1]):
        line.fail('a name in quotes of at most 40 letters, digits, `-` and `_`, such as "demo-vt"')
    line.position += 1
    patient = Patient(token.text[1:-1])
    settings = ("rate", "leads", "seed", "resolution", "breathing", "size")
    seen: set[str] = set()
    while line.here is not None:
        token = line.here
        word = line.one_of([s for s in settings if s not in seen], "a setting")
        seen.add(word)
        if word == "rate":
            rate = line.number_in(100, 1000, "samples per second", "Hz")
            if round(rate * 1000) / 1000 != rate:
                line.fail("a rate of whole millihertz", token)
            line.one_of(("Hz",), "the unit")
            patient = dataclasses.replace(patient, rate=rate)
        elif word == "leads":
            patient = dataclasses.replace(patient, leads=_leads(line, LEADS))
        elif word == "seed":
            patient = dataclasses.replace(patient, seed=int(line.number_in(0, 2**31 - 1, "a seed", whole=True)))
        elif word == "resolution":
            patient = dataclasses.replace(patient, resolution=line.number_in(50, 5000, "steps per mV", "/mV"))
            line.one_of(("/mV",), "the unit")
        elif word == "breathing":
            patient = dataclasses.replace(patient, breathing=line.number_in(6, 40, "breaths per minute", "/min"))
            line.one_of(("/min",), "the unit")
        else:
            patient = dataclasses.replace(patient, size=line.number_in(0.2, 3, "size of the complexes, 1 is usual"))
    return patient


def _leads(line: _Line, among: Sequence[str]) -> tuple[str, ...]:
    leads = [line.one_of(among, "a lead of the patient's" if among is not LEADS else "a lead")]
    while line.here is not None and line.here.text in LEADS:
        if line.here.text in leads:
            line.fail("each lead once")
        leads.append(line.one_of(among, "a lead of the patient's"))
    return tuple(leads)


def _episode(line: _Line, recorded: Sequence[str]) -> Episode:
    word = line.one_of(WORDS, "an episode")
    episode = Episode(word)
    if word == "pause":
        episode = dataclasses.replace(episode, seconds=line.seconds("the time between two beats"))
    elif word == "asystole":
        episode = dataclasses.replace(episode, seconds=_span(line))
    elif word == "vf":
        kind = line.accept(*GRAINS) or "coarse"
        episode = dataclasses.replace(episode, kind=kind, seconds=_span(line))
    elif word == "block":
        episode = _block(line, episode)
    elif word in ECTOPICS:
        episode = _ectopic(line, episode)
    else:
        episode = _focus(line, episode)
        rate = line.number_in(*RATES[word], "beats per minute")
        episode = dataclasses.replace(episode, rate=rate, seconds=_span(line))
    modifiers = []
    while line.accept("with"):
        modifiers.append(_modifier(line, episode, recorded))
    return dataclasses.replace(episode, modifiers=tuple(modifiers))


def _span(line: _Line) -> float:
    line.one_of(("for",), "how long")
    return line.seconds("a length")


def _block(line: _Line, episode: Episode) -> Episode:
    kind = line.one_of(DEGREES, "a degree of block")
    rate = line.number_in(*RATES["block"], "beats per minute")
    ratio = DEFAULT_RATIO.get(kind)
    if kind in RATIOS and line.here is not None and line.here.kind == "number":
        low, high = RATIOS[kind]
        ratio = int(line.number_in(low, high, "P waves", whole=True))
        line.one_of((":",), "the beats they lead to")
        line.number_in(ratio - 1, ratio - 1, "one beat fewer", whole=True)
    return dataclasses.replace(episode, kind=kind, rate=rate, ratio=ratio, seconds=_span(line))


def _focus(line: _Line, episode: Episode) -> Episode:
    if episode.word in VENTRICULAR:
        if episode.word != "vt" and line.accept("multiform"):
            return dataclasses.replace(episode, focus=0)
        if line.accept("focus"):
            return dataclasses.replace(episode, focus=int(line.number_in(1, FOCI, "a focus", whole=True)))
    return episode


def _ectopic(line: _Line, episode: Episode) -> Episode:
    if episode.word == "salvo":
        count = int(line.number_in(3, LONGEST_SALVO, "beats of the salvo", whole=True))
        episode = dataclasses.replace(episode, count=count)
    if episode.word == "pvc" and line.accept("ront"):
        episode = dataclasses.replace(episode, ront=True)
    episode = _focus(line, episode)
    if not line.accept("every"):
        return episode
    every = int(line.number_in(2, 1000, "beats between two of them", whole=True))
    line.one_of(("beats",), "the unit")
    line.one_of(("in",), "the rhythm they come into")
    base = line.one_of(BASES, "a rhythm")
    rate = line.number_in(*RATES[base], "beats per minute")
    return dataclasses.replace(episode, every=every, base=base, rate=rate, seconds=_span(line))


def _modifier(line: _Line, episode: Episode, recorded: Sequence[str]) -> Modifier:
    word = line.one_of(("noise", "st", "leadoff", "flat", "saturated"), "what is laid over it")
    modifier = Modifier(word)
    if word == "noise":
        kind = line.one_of(NOISES, "a kind of noise")
        modifier = dataclasses.replace(modifier, kind=kind, amount=line.number_in(-20, 60, "signal to noise", "dB"))
        line.one_of(("dB",), "the unit")
        if line.accept("on"):
            modifier = dataclasses.replace(modifier, leads=_leads(line, recorded))
    elif word == "st":
        leads = () if line.accept("all") else _leads(line, recorded)
        modifier = dataclasses.replace(modifier, leads=leads, amount=line.number_in(-2, 2, "a shift", "mV"))
        line.one_of(("mV",), "the unit")
        if line.accept("over"):
            modifier = dataclasses.replace(modifier, over=line.seconds("a time", zero=True))
    elif not line.accept("all"):
        modifier = dataclasses.replace(modifier, leads=_leads(line, recorded))
    token = line.here
    if line.accept("from"):
        modifier = dataclasses.replace(modifier, start=line.seconds("a time after the begin", zero=True))
    if line.accept("for"):
        modifier = dataclasses.replace(modifier, seconds=line.seconds("a length"))
    if episode.seconds is not None and modifier.start >= episode.seconds:
        line.fail(f"a begin before the end of the episode at {plain(episode.seconds)} s", token)
    return modifier
