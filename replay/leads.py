"""Names of leads: from what recorders write into WFDB headers to ISO/IEEE 11073-10101 reference ids.

Databases name the same lead in many ways (``MLII``, ``ii``, ``ECG lead II``, ``D2``). A frame carries one id per lead,
and the ids of a frame differ, so that a lead can be told by its name alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

PREFIX: Final = "MDC_ECG_LEAD_"
#: "Unspecified lead": what the standard offers for an ECG whose electrodes nobody wrote down.
UNSPECIFIED: Final = PREFIX + "CONFIG"

#: Spellings without separators and case, and the end of the reference id they stand for.
_SAME: Final[dict[str, str]] = {
    **{name.lower(): name for name in ("I", "II", "III", "AVR", "AVL", "AVF", "VR", "VL", "VF", "V", "X", "Y", "Z")},
    **{name.lower(): name for name in ("ES", "AS", "AI", "ML", "MCL", "CH5", "CS5", "CB5", "CR5")},
    **{f"v{n}": f"V{n}" for n in range(1, 10)},
    **{f"v{n}r": f"V{n}R" for n in range(2, 10)},
    **{f"{kind}{n}": f"{kind.upper()}{n}" for kind in ("cm", "cc") for n in range(1, 8)},
    **{f"mcl{n}": f"MCL{n}" for n in range(1, 7)},
    # Frank's orthogonal leads, and Einthoven's by number as Spanish and French recorders write them.
    **{f"v{axis}": axis.upper() for axis in "xyz"},
    **{"d1": "I", "d2": "II", "d3": "III", "di": "I", "dii": "II", "diii": "III"},
    # C for V, as monitors label a chest electrode by the IEC.
    **{f"c{n}": f"V{n}" for n in range(1, 7)},
    # Limb leads with the electrodes moved to the trunk (Mason and Likar) are read as the limb leads they stand for.
    **{f"ml{n}": n.upper() for n in ("i", "ii", "iii")},
}

#: Ends of reference ids. A frame carries 32 characters, of which the beginning and the number of a repeated one (`_12`)
#: take 16; the standard's longest end is `CONFIG`.
_END: Final = re.compile(r"[A-Za-z0-9_]{1,16}", re.ASCII)

_DECORATION: Final = re.compile(r"^(?:ecg|ekg|mod(?:ified)?|channel|chest|lead)+(?=\D)")

#: How the names of what polygraphs and monitors record beside an ECG begin. A chest has a belt for breathing, but also
#: leads of an ECG, which say so.
_NOT_ECG: Final = re.compile(
    r"^(?:(?:abp|art|[in]?bp|nibp|cvp|pap|pcwp|icp|[lru]ap|so2|sao2|rr|imp|gsr|e?t?co2|o2|temp|hr|pulse|sv|flow|abd"
    r"|chest(?![\W_]*(?:lead|ecg|ekg|[vc]\d)))(?![a-z])"
    r"|pleth|ppg|spo2|resp|nasal|airflow|thor|snor|eeg|eog|emg|bcg|scg|pcg|acc|gyro|stim|mark|trig|event)"
)

#: Millivolts per unit. WFDB's default, an empty field, is mV.
MILLIVOLTS: Final = {
    "": 1.0,
    **{
        unit: size
        for short, long, size in (("m", "milli", 1.0), ("u", "micro", 1e-3), ("n", "nano", 1e-6), ("", "", 1e3))
        for unit in (f"{short}v", f"{short}volt", f"{short}volts", f"{long}volt", f"{long}volts")
    },
    **{f"{micro}{volt}": 1e-3 for micro in "µμ" for volt in ("v", "volt", "volts")},
}

#: Units of signals whose size nobody wrote down: steps of the converter, or none.
_UNSCALED: Final = frozenset({"nu", "adu", "adc", "au", "a.u.", "bit", "bits", "count", "counts", "lsb", "raw", "step"})


def is_ecg(name: str, units: str) -> bool:
    """Whether a signal of this name and unit is an electrocardiogram.

    Everything in volts that does not name another origin (a pressure, the EEG, breathing) is taken for one: an
    unknown lead analysed shows its worth in its quality, an ECG left out is lost.
    """
    return units.strip().lower() in MILLIVOLTS and not _NOT_ECG.search(name.strip().lower())


def is_unscaled(name: str, units: str) -> bool:
    """Whether a signal may be an electrocardiogram but for its unit, which does not tell its size."""
    return units.strip().lower() in _UNSCALED and is_ecg(name, "mV")


def code(name: str) -> str:
    """ISO/IEEE 11073-10101 reference id of a lead; `UNSPECIFIED` for a name that tells no electrodes.

    >>> code("MLII"), code("mod.V1"), code("ECG1")
    ('MDC_ECG_LEAD_II', 'MDC_ECG_LEAD_V1', 'MDC_ECG_LEAD_CONFIG')
    """
    if name.startswith(PREFIX):
        name = name.removeprefix(PREFIX)
        if _END.fullmatch(name):
            return PREFIX + name
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    for spelling in (plain, _DECORATION.sub("", plain)):
        if spelling in _SAME:
            return PREFIX + _SAME[spelling]
    return UNSPECIFIED


def codes(names: Iterable[str]) -> tuple[str, ...]:
    """Ids of the leads of one record, all different: a repeated one gets its number appended (``..._CONFIG_2``)."""
    result: list[str] = []
    for name in names:
        base = unique = code(name)
        number = 1
        while unique in result:
            number += 1
            unique = f"{base}_{number}"
        result.append(unique)
    return tuple(result)
