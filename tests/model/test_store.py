from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.reader import Reader, Weights
from model.store import SHIPPED, card_path, load, save
from stream.errors import ModelError

WEIGHTS, CARD = load(SHIPPED)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "telebeat.safetensors"
    shutil.copy(SHIPPED, path)
    shutil.copy(card_path(SHIPPED), card_path(path))
    return path


def same(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(a, b) and a.dtype == b.dtype
        for p, q in zip(one, other, strict=True)
        for a, b in zip(p, q, strict=True)
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "telebeat.safetensors", WEIGHTS, {"what": "a copy"})
    weights, card = load(tmp_path)
    assert same(weights, WEIGHTS)
    assert card["what"] == "a copy"
    assert card["weights_blake2b"] == CARD["weights_blake2b"]


def test_card_says_what_it_was_trained_on() -> None:
    assert {"mitdb/208", "svdb/800"} <= set(CARD["trained_on"]) | set(CARD.get("stopped_by", ()))


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="check the path"):
        Reader.load(tmp_path / "none.safetensors")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, SHIPPED.stat().st_size - 1), st.integers(1, 255))
def test_a_changed_byte_is_damage(model: Path, at: int, by: int) -> None:
    data = bytearray(SHIPPED.read_bytes())
    data[at] ^= by
    model.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        load(model)


@pytest.mark.parametrize("keep", [0, 7, 1000])
def test_a_cut_file_is_damage(model: Path, keep: int) -> None:
    model.write_bytes(model.read_bytes()[:keep])
    with pytest.raises(ModelError, match="damaged"):
        load(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "layout version 99"),
        ({"language": "other"}, "another language"),
        ({"weights_blake2b": "0"}, "damaged"),
    ],
)
def test_another_card(model: Path, change: dict[str, object], message: str) -> None:
    card_path(model).write_text(json.dumps(CARD | change))
    with pytest.raises(ModelError, match=message):
        load(model)


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_no_card(model: Path, text: str) -> None:
    card_path(model).write_text(text)
    with pytest.raises(ModelError, match="train it anew"):
        load(model)


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    v, n, r = WEIGHTS
    unfit = [
        Weights(v._replace(columns=v.columns + 1), n, r),
        Weights(v._replace(norms=v.norms[:-1]), n, r),
        Weights(v, n._replace(offsets=n.offsets + 1), r),
        Weights(v, n._replace(head=n.head.T), r),
        Weights(v, n._replace(embed=n.embed[:-1]), r),
        Weights(v, n._replace(embed=n.embed[:, :-1]), r),
        Weights(v, n._replace(bias=n.bias[0]), r),
        Weights(v, type(n)(n.offsets, *(np.concatenate([part] * 7) for part in n[1:])), r),
        Weights(v, n._replace(bias=n.bias * np.float32(np.nan)), r),
        Weights(v, n, r._replace(dense=r.dense[:-1])),
        Weights(v, n, r._replace(dense=r.dense[:, 1:])),
        Weights(v, n, r._replace(dense_bias=r.dense_bias[None])),
        Weights(v, n, r._replace(out=r.out.T)),
        Weights(v, n, r._replace(out_bias=r.out_bias[1:])),
    ]
    for number, weights in enumerate(unfit):
        save(tmp_path / f"{number}.safetensors", weights, {})
        with pytest.raises(ModelError, match="does not fit together"):
            load(tmp_path / f"{number}.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name", ["vocabulary.idf", "vocabulary.centres", "vocabulary.norms", "layers.embed", "rhythm.out"]
)
def test_values_that_are_no_numbers_are_refused_by_name(name: str, value: float, tmp_path: Path) -> None:
    part, field = name.split(".")
    array = getattr(getattr(WEIGHTS, part), field).copy()
    array.flat[-1] = value
    save(tmp_path / "x.safetensors", WEIGHTS._replace(**{part: getattr(WEIGHTS, part)._replace(**{field: array})}), {})
    with pytest.raises(ModelError, match=f"{field} holds values that are not finite; train it anew"):
        load(tmp_path / "x.safetensors")


def test_not_safetensors(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no tensors")
    card_path(path).write_text(
        json.dumps(CARD | {"weights_blake2b": hashlib.blake2b(b"no tensors", digest_size=16).hexdigest()})
    )
    with pytest.raises(ModelError, match="no safetensors file"):
        load(path)
