"""Parameters of one step alone: whatever is missing is missing, what is there is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from fairness_core.config.checks import cross_check
from fairness_core.config.messages import describe
from fairness_core.config.schema import Params
from fairness_core.config.source import Problem
from fairness_core.errors import ConfigError

__all__ = ["load_part", "take"]


def take(values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The values at some places, in the tree they come from.

    Args:
        values: Sections, as in params.yaml.
        keys: Dotted places, ``finetune`` or ``evaluate_bias.split``, such as a step reads.

    Raises:
        ConfigError: There is nothing at a place.
    """
    found: dict[str, Any] = {}
    for key in keys:
        *above, last = key.split(".")
        source: Any = values
        target = found
        for name in above:
            source = source.get(name, {})
            target = target.setdefault(name, {})
        if last not in source:
            raise ConfigError("The parameters have no such value", given=key)
        target[last] = source[last]
    return found


def load_part(values: Mapping[str, Any]) -> Params:
    """Check some of a run's parameters.

    Args:
        values: Sections, or some values of them; from `take`.

    Returns:
        Parameters of which only these exist: reading another is an ``AttributeError``.

    Raises:
        ConfigError: One line for each value that is unknown, of a wrong type or out of range.
    """
    partial = _partial(Params, values)
    problems: list[Problem] = []
    try:
        checked = partial.model_validate(dict(values))
    except ValidationError as error:
        problems += describe(Params, error.errors(include_url=False))
    problems += cross_check(values, problems)
    if problems:
        lines = [f"  {'.'.join(map(str, p.place))}: {p.message}" for p in problems]
        raise ConfigError("\n".join(["A step's parameters have problems", *lines]))
    params: Params = _as(Params, checked)
    return params


def _partial(model: type[BaseModel], values: Mapping[str, Any]) -> type[BaseModel]:
    """The same model with those fields alone that have a value."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in values:
            continue
        kind: Any = field.annotation
        if _is_model(kind) and isinstance(values[name], Mapping):
            kind = _partial(kind, values[name])
        fields[name] = (kind, field)
    made: type[BaseModel] = create_model(model.__name__, __config__=model.model_config, **fields)
    return made


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _as(model: type[BaseModel], checked: BaseModel) -> Any:
    """Checked values as the model itself, without those it misses."""
    values = {}
    for name in type(checked).model_fields:
        value, kind = getattr(checked, name), model.model_fields[name].annotation
        same = not _is_model(kind) or isinstance(value, kind)  # type: ignore[arg-type]
        values[name] = value if same else _as(kind, value)  # type: ignore[arg-type]
    return model.model_construct(**values)
