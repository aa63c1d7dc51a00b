"""A step's parameters from its command line, and what its MLflow run says of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairness_core.config import Params

__all__ = ["read_parameters", "tags_of"]


def tags_of(params: Params) -> dict[str, str]:
    """Preset, base model and target, as far as the step's part of the parameters holds them."""
    there = params.model_fields_set
    tags = {"evenhand.preset": params.run.name, "evenhand.seed": str(params.run.seed)}
    if "models" in there:
        tags["evenhand.base"] = params.models.base
    if "attributes" in there:
        space = params.attribute_space if "targets" in there else None
        for attribute in () if space is None else space.attributes:
            shares = zip(attribute.classes, attribute.target, strict=True)
            told = ", ".join(f"{name} {share:.4g}" for name, share in shares)
            tags[f"evenhand.target.{attribute.name}"] = told
    return tags


def read_parameters(args: argparse.Namespace) -> Params:
    """The file that the command line names, checked, with what it overrides.

    Args:
        args: Of a step, see ``step.arguments``.

    Raises:
        ConfigError: The parameters have problems.
    """
    from fairness_core.config import load, load_part
    from fairness_core.errors import ConfigError
    from fairness_core.runtime.files import read_json

    if not args.part:
        return load(args.params, args.set)
    if args.set:
        raise ConfigError(
            "With --part nothing is overridden", given=args.set, do="put the value into the file"
        )
    return load_part(read_json(args.params))
