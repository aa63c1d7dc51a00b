"""The attributes and their targets, and what every section is made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "AttributeEntry",
    "ClassName",
    "JointTable",
    "Name",
    "Section",
    "Share",
    "Targets",
    "Text",
    "pair",
]


def pair(value: Any) -> Any:
    """YAML has lists where the schema has tuples; anything else is the validator's to refuse."""
    return tuple(value) if isinstance(value, list) else value


def _is_share(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= 1


def _target(value: Any) -> Any:
    shares = value.values() if isinstance(value, dict) else value
    if isinstance(value, tuple | list | dict) and all(_is_share(share) for share in shares):
        return pair(value)
    if value != "uniform":
        raise ValueError(
            "'uniform' or a list of shares in [0, 1], one for each class, is needed, "
            "or a mapping of classes to shares"
        )
    return value


def _overrides(value: Any) -> Any:
    """A file's path, or targets by prompt and attribute."""
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
        raise ValueError("a file, or a mapping 'prompt: {attribute: target}', is needed")
    return {
        str(prompt): {str(name): _target(target) for name, target in targets.items()}
        for prompt, targets in value.items()
    }


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _+-]*$", max_length=60)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Strict, complete and unchangeable."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class AttributeEntry(Section):
    """Classes of one perceived attribute and the distribution wanted over them."""

    classes: Annotated[tuple[ClassName, ...], BeforeValidator(pair)] = Field(
        min_length=2, description="class names, in the classifier's order"
    )
    target: Annotated[
        Literal["uniform"] | tuple[float, ...] | dict[str, float], BeforeValidator(_target)
    ] = Field(description="'uniform', one share for each class, or class: share, summing to 1")


class JointTable(Section):
    """A target over the cells of several attributes; cells that are not listed have share 0."""

    attributes: Annotated[tuple[Name, ...], BeforeValidator(pair)] = Field(
        min_length=2, description="attributes that are not independent"
    )
    shares: dict[str, Share] = Field(description="cell such as female/light: share, summing to 1")


class Targets(Section):
    """Where the targets come from, and what one share for each class cannot say."""

    source: Text = Field(default="not stated", description="where the targets come from")
    date: Text = Field(default="not stated", description="of the source")
    joint: JointTable | None = Field(default=None, description="joint target, null: independent")
    overrides: Annotated[Any, BeforeValidator(_overrides)] = Field(
        default_factory=dict,
        description="targets by prompt or subject and attribute, or a .csv or .parquet of them",
    )
