"""Scripts are read as they are written, and mistakes are told where they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.script_language import (
    BASES,
    DEGREES,
    ECTOPICS,
    FOCI,
    GRAINS,
    LONGEST_SALVO,
    NOISES,
    RATES,
    RATIOS,
    VENTRICULAR,
    Episode,
    Modifier,
    Patient,
    Script,
    render,
)
from replay.script_parser import parse
from replay.synth import LEADS
from stream.errors import ScriptError

some = settings(max_examples=60, deadline=None)


def decimals(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False).map(lambda x: min(max(round(x, 3), low), high) + 0.0)


lead_sets = st.lists(st.sampled_from(LEADS), min_size=1, max_size=12, unique=True).map(tuple)
patients = st.builds(
    Patient,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", fullmatch=True),
    rate=decimals(100, 1000),
    leads=lead_sets,
    seed=st.integers(0, 2**31 - 1),
    resolution=decimals(50, 5000),
    breathing=decimals(6, 40),
    size=decimals(0.2, 3),
)


@st.composite
def modifiers(draw: st.DrawFn, leads: tuple[str, ...], longest: float) -> Modifier:
    word = draw(st.sampled_from(("noise", "st", "leadoff", "flat", "saturated")))
    some = draw(st.lists(st.sampled_from(leads), unique=True, max_size=4).map(tuple))
    start = draw(decimals(0, longest / 2))
    seconds = draw(st.none() | decimals(0.5, 100))
    if word == "noise":
        kind = draw(st.sampled_from(NOISES))
        return Modifier(word, some, kind, draw(decimals(-20, 60)), start=start, seconds=seconds)
    if word == "st":
        amount, over = draw(decimals(-2, 2)), draw(decimals(0, 50))
        return Modifier(word, some, amount=amount, over=over, start=start, seconds=seconds)
    return Modifier(word, some, start=start, seconds=seconds)


@st.composite
def episodes(draw: st.DrawFn, leads: tuple[str, ...] = ("II", "V1"), longest: float = 60.0) -> Episode:
    word = draw(st.sampled_from((*RATES, "vf", "asystole", "pause", *ECTOPICS)))
    seconds: float | None = draw(decimals(1, longest))
    rate, kind, ratio, count, every, base = None, None, None, None, None, None
    focus, ront = 1, False
    if word == "vf":
        kind = draw(st.sampled_from(GRAINS))
    elif word == "block":
        kind = draw(st.sampled_from(DEGREES))
        rate = draw(decimals(*RATES[word]))
        ratio = draw(st.integers(*RATIOS[kind])) if kind in RATIOS else None
    elif word in RATES:
        rate = draw(decimals(*RATES[word]))
    if word in VENTRICULAR:
        focus = draw(st.integers(1 if word == "vt" else 0, FOCI))
    if word in ECTOPICS:
        ront = word == "pvc" and draw(st.booleans())
        count = draw(st.integers(3, LONGEST_SALVO)) if word == "salvo" else None
        if draw(st.booleans()):
            every, base = draw(st.integers(2, 1000)), draw(st.sampled_from(BASES))
            rate = draw(decimals(*RATES[base]))
        else:
            seconds = None
    over = draw(st.lists(modifiers(leads, seconds or longest), max_size=2).map(tuple))
    return Episode(word, rate, seconds, kind, ratio, focus, ront, count, every, base, over)


@st.composite
def scripts(draw: st.DrawFn, longest: float = 60.0) -> Script:
    patient = draw(patients)
    return Script(patient, tuple(draw(st.lists(episodes(patient.leads, longest), min_size=1, max_size=6))))


@some
@given(scripts())
def test_what_is_rendered_parses_to_itself(script: Script) -> None:
    assert parse(render(script)) == script


@some
@given(scripts(), st.randoms(use_true_random=False))
def test_space_comments_and_semicolons_change_nothing(script: Script, random: object) -> None:
    first, *lines = render(script).splitlines()
    text = f"# a patient\n\n  {first}  # so it begins\n" + " ; ".join(lines).replace(" ", "   ") + "\t# the end"
    assert parse(text) == script


@some
@given(scripts(), st.data())
def test_a_damaged_script_is_refused_with_its_place_or_still_a_script(script: Script, data: st.DataObject) -> None:
    text = render(script)
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.text(max_size=3)) + text[place + data.draw(st.integers(0, 8)) :]
    try:
        result = parse(damaged)
    except ScriptError as error:
        assert re.match(r"script, line \d+, column \d+: expected .+; ", str(error), re.DOTALL)  # noqa: PT017
    else:
        assert parse(render(result)) == result


@some
@given(st.text())
def test_any_text_is_a_script_or_a_script_error(text: str) -> None:
    with pytest.raises(ScriptError, match=r"line \d+, column \d+: expected"):
        parse(text)


HEAD = 'patient "p" leads II V1\n'


@pytest.mark.parametrize(
    ("text", "place", "expected", "found"),
    [
        ("", (1, 1), "names the patient", "empty"),
        ("sinus 70 for 10 s", (1, 1), "the patient first", "'sinus'"),
        ("patient demo", (1, 9), "a name in quotes", "'demo'"),
        ('patient "no spaces"', (1, 9), "letters, digits", "no spaces"),
        ('patient "p" rate 50 Hz', (1, 18), "100 to 1000 Hz", "'50'"),
        ('patient "p" rate 250', (1, 21), "the unit (Hz)", "ends here"),
        ('patient "p" leads II II', (1, 22), "each lead once", "'II'"),
        ('patient "p" seed 1.5', (1, 18), "a whole number", "'1.5'"),
        ('patient "p" seed 1 seed 2', (1, 20), "a setting (rate, leads, resolution", "'seed'"),
        ('patient "p"', (2, 1), "an episode", "ends here"),
        (HEAD + "sinuss 70 for 10 s", (2, 1), "perhaps 'sinus'", "'sinuss'"),
        (HEAD + "sinus 700 for 10 s", (2, 7), "20 to 220", "'700'"),
        (HEAD + "sinus 70", (2, 9), "how long (for)", "ends here"),
        (HEAD + "sinus 70 for 10", (2, 16), "a unit of time (s, min or ms)", "ends here"),
        (HEAD + "sinus 70 for 0 s", (2, 14), "more than 0 s", "'0'"),
        (HEAD + "sinus 70 for 10 s vt", (2, 19), "a `;`", "'vt'"),
        (HEAD + "block mobitz1 60 5:3 for 9 s", (2, 20), "one beat fewer", "'3'"),
        (HEAD + "salvo 2", (2, 7), "3 to 30", "'2'"),
        (HEAD + "vt multiform 180 for 9 s", (2, 4), "beats per minute", "'multiform'"),
        (HEAD + "pvc every 8 in sinus", (2, 13), "the unit (beats)", "'in'"),
        (HEAD + "pvc every 8 beats in vt 180 for 9 s", (2, 22), "a rhythm (sinus, af", "'vt'"),
        (HEAD + "sinus 70 for 9 s with noise hum", (2, 29), "a kind of noise", "'hum'"),
        (HEAD + "sinus 70 for 9 s with st V3 0.1 mV", (2, 26), "a lead of the patient's (II or V1)", "'V3'"),
        (HEAD + "sinus 70 for 9 s with leadoff II from 9 s", (2, 34), "before the end of the episode at 9 s", "'from'"),
        (HEAD + "sinus 70 for 9 s with flat\n", (2, 27), "a lead", "ends here"),
        (HEAD + 'sinus 70 for 9 s "', (2, 18), "the end of the line", "'\"'"),
        (HEAD + "sinus 70 for 100 min ; sinus 70 for 100 min", (3, 1), "at most 7200 s in all", "12000"),
    ],
)
def test_mistakes_are_told_with_line_column_and_what_was_expected(
    text: str, place: tuple[int, int], expected: str, found: str
) -> None:
    with pytest.raises(ScriptError) as caught:
        parse(text, "my.ecg")
    message = str(caught.value)
    assert message.startswith(f"my.ecg, line {place[0]}, column {place[1]}: expected ")
    assert expected in message
    assert found in message
