"""Model files: weights as safetensors, and a card in JSON beside them that says what they are.

The card holds the version of the layout, the fingerprint of the language (`model.words`) the weights were trained on,
and the digest of the weights. A pair that does not fit this program or each other is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as dump

from detector.types import LEADS
from model.codes import CLASSES, RHYTHMS
from model.letters import ALPHABET, LEVELS, P_LETTERS, QRS_LETTERS, T_LETTERS
from model.lstm import Layers
from model.reader import Weights
from model.rhythm_head import RhythmHead
from model.state import UNITS
from model.vocabulary import SYMBOLS, TABLE, Vocabulary
from model.words import WORDS
from stream.errors import ModelError

VERSION: Final = 4
SHIPPED: Final = Path(__file__).parent / "weights" / "telebeat.safetensors"

_DTYPES: Final = {"vocabulary.columns": np.int32, "layers.offsets": np.int64} | {
    f"vocabulary.{name}": np.float64 for name in ("idf", "centres", "norms")
}


def language() -> str:
    """Fingerprint of what a beat is said in: alphabet, words and their scales, where letters are taken."""
    said = repr(
        (ALPHABET, LEVELS, P_LETTERS, QRS_LETTERS, T_LETTERS, [(word.name, *astuple(word)[2:]) for word in WORDS])
    )
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def card_path(path: Path) -> Path:
    """Where the card of a weights file lies."""
    return path.with_suffix(".json")


def save(path: Path, weights: Weights, card: dict[str, Any]) -> None:
    """Write weights and card; the weights file is replaced in one step and the card last."""
    arrays = {
        f"{part}.{name}": np.ascontiguousarray(array)
        for part, layer in weights._asdict().items()
        for name, array in layer._asdict().items()
    }
    data = dump(arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = {
        "version": VERSION,
        "language": language(),
        "weights_blake2b": hashlib.blake2b(data, digest_size=16).hexdigest(),
    }
    card = begun | card | begun  # that of another model does not say what these are
    for target, content in ((path, data), (card_path(path), (json.dumps(card, indent=2) + "\n").encode())):
        part = target.with_name(target.name + ".part")
        part.write_bytes(content)
        os.replace(part, target)  # noqa: PTH105 - atomic on every platform


def load(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Read weights and card from a weights file or from the folder that has them.

    Raises
    ------
    ModelError
        With what is wrong and what to do.
    """
    path = path / SHIPPED.name if path.is_dir() else path
    again = "train it anew with `telebeat train` or reinstall telebeat"
    try:
        data = path.read_bytes()
        card = json.loads(card_path(path).read_text("utf-8"))
    except OSError as error:
        missing = error.filename or path
        raise ModelError(
            f"cannot read the model file {missing} ({error.strerror}); check the path, or {again}"
        ) from error
    except ValueError as error:
        raise ModelError(f"the model card {card_path(path)} is not JSON ({error}); {again}") from error
    if not isinstance(card, dict) or card.get("version") != VERSION:
        found = card.get("version") if isinstance(card, dict) else None
        raise ModelError(f"model {path} has layout version {found}, this telebeat reads {VERSION}; {again}")
    if card.get("language") != language():
        raise ModelError(f"model {path} was trained on another language of beats than this telebeat speaks; {again}")
    if card.get("weights_blake2b") != hashlib.blake2b(data, digest_size=16).hexdigest():
        raise ModelError(f"model {path} is damaged or not the one its card describes; {again}")
    try:
        arrays = parse(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"model {path} is no safetensors file ({error}); {again}") from error
    parts: list[Any] = []
    for part, kind in (("vocabulary", Vocabulary), ("layers", Layers), ("rhythm", RhythmHead)):
        fields = [f"{part}.{name}" for name in kind._fields]
        absent = [name for name in fields if name not in arrays]
        if absent:
            raise ModelError(f"model {path} lacks {', '.join(absent)}; {again}")
        parts.append(kind(*(np.ascontiguousarray(arrays[name], _DTYPES.get(name, np.float32)) for name in fields)))
    weights = Weights(*parts)
    if problem := _mismatch(weights):
        raise ModelError(f"model {path} does not fit together: {problem}; {again}")
    return weights, card


def _mismatch(weights: Weights) -> str | None:
    """Why the kernels must not be given these arrays: they do not check indices."""
    v, n, rhythm = weights
    if v.idf.ndim != 1 or v.norms.ndim != 1 or not len(v.norms) or v.centres.shape != (len(v.idf), len(v.norms)):
        return "the vocabulary's centres do not match its terms"
    for name in ("idf", "centres", "norms"):
        if not np.isfinite(getattr(v, name)).all():
            return f"{name} holds values that are not finite"
    if v.columns.shape != (TABLE,) or v.columns.min() < -1 or v.columns.max() >= len(v.idf):
        return f"the table of n-grams is not one of {SYMBOLS} letters"
    sizes = sizes_of(len(v.norms))
    if n.recurrent.ndim != 3 or min(n.bias.ndim, n.dense_bias.ndim, n.again_bias.ndim) != 2:
        return "the layers are not those of several networks"
    members, hidden = n.recurrent.shape[:2]
    embedding, dense, again = n.bias.shape[1], n.dense_bias.shape[1], n.again_bias.shape[1]
    if not 0 < members * max(hidden, embedding) <= UNITS:
        return f"{members} networks of {max(hidden, embedding)} units, the bed's row has room for {UNITS} in all"
    if n.offsets.tolist() != [sum(sizes[:i]) for i in range(len(sizes))]:
        return "the fields of a sentence are not those of the language"
    shapes = {
        "embed": (sum(sizes), embedding),
        "bias": (embedding,),
        "inputs": (embedding, 4 * hidden),
        "recurrent": (hidden, 4 * hidden),
        "gates": (4 * hidden,),
        "dense": (hidden + embedding, dense),
        "dense_bias": (dense,),
        "head": (dense, len(CLASSES)),
        "head_bias": (len(CLASSES),),
        "again": (hidden + 2 * embedding, again),
        "again_bias": (again,),
        "last": (again, len(CLASSES)),
        "last_bias": (len(CLASSES),),
    }
    for name, shape in shapes.items():
        array = getattr(n, name)
        if array.shape != (members, *shape):
            return f"{name} has the shape {array.shape} instead of {(members, *shape)}"
        if not np.isfinite(array).all():
            return f"{name} holds values that are not finite"
    told = rhythm.dense_bias.size
    shapes = {
        "dense": (members, hidden + embedding, told),
        "dense_bias": (told,),
        "out": (told, len(RHYTHMS)),
        "out_bias": (len(RHYTHMS),),
    }
    for name, shape in shapes.items():
        array = getattr(rhythm, name)
        if array.shape != shape:
            return f"the rhythm head's {name} has the shape {array.shape} instead of {shape}"
        if not np.isfinite(array).all():
            return f"the rhythm head's {name} holds values that are not finite"
    return None


def sizes_of(shapes: int) -> tuple[int, ...]:
    """Words of each field of a sentence, for a vocabulary of so many shape words."""
    return (shapes + 1,) * LEADS + tuple(word.levels + 1 for word in WORDS)
