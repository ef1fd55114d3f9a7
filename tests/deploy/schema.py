"""Grafana's schema of a dashboard as JSON Schema.

grafana-foundation-sdk's model classes are generated from Grafana's own CUE definitions. `problems` turns them back into
a JSON Schema: every field with its type, required or not, and none besides. Panel options and the custom part of a
field configuration, open in the dashboard's schema, are those of the panel's own type.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import types
import typing
from typing import Any, Final

import jsonschema
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard, prometheus

PANEL_TYPES: Final = ("stat", "timeseries", "bargauge", "heatmap")
_SIMPLE: Final = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


def problems(page: dict[str, Any]) -> list[str]:
    """What in a dashboard Grafana's schema does not allow, one line each."""
    found = [_line(error) for error in _validator(dashboard.Dashboard).iter_errors(page)]
    for panel in page["panels"]:
        if panel["type"] == "row":
            continue
        if panel["type"] not in PANEL_TYPES:
            found.append(f"panel {panel['title']}: unknown type {panel['type']}")
            continue
        kind = importlib.import_module(f"grafana_foundation_sdk.models.{panel['type']}")
        found += [f"panel {panel['title']}: {_line(e)}" for e in _validator(kind.Options).iter_errors(panel["options"])]
        custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {})
        if hasattr(kind, "FieldConfig"):
            found += [f"panel {panel['title']}: {_line(e)}" for e in _validator(kind.FieldConfig).iter_errors(custom)]
        elif custom:
            found.append(f"panel {panel['title']}: {panel['type']} has no custom field configuration")
    return found


def _line(error: jsonschema.ValidationError) -> str:
    return f"{error.json_path}: {error.message}"


@functools.cache
def _validator(model: type) -> Any:
    definitions: dict[str, Any] = {}
    schema = _schema(model, definitions) | {"$defs": definitions}
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of a type as the models' annotations name it."""
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if hint is Dataquery:  # any data source's; here there is but one
        return _schema(prometheus.Dataquery, definitions)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return {"anyOf": [_schema(argument, definitions) for argument in arguments]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    if inspect.isclass(hint) and hasattr(hint, "to_json"):
        name = f"{hint.__module__}.{hint.__qualname__}"
        if name not in definitions:
            definitions[name] = {}  # a type may name itself
            definitions[name] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{name}"}
    return {}  # object, Any: open in Grafana's schema


def _object(model: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of one model class; `to_json` says how each attribute is named and which are always there."""
    hints = typing.get_type_hints(model)
    empty, full = model.__new__(model), model.__new__(model)
    for attribute in hints:
        setattr(empty, attribute, None)
        setattr(full, attribute, attribute)
    names = {attribute: name for name, attribute in full.to_json().items()}
    return {
        "type": "object",
        "properties": {names[attribute]: _schema(hint, definitions) for attribute, hint in hints.items()},
        "required": sorted(empty.to_json()),
        "additionalProperties": False,
    }
