"""Loading a run's parameters: every problem is reported, at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fairness_core.config.checks import cross_check
from fairness_core.config.messages import describe
from fairness_core.config.schema import Params
from fairness_core.config.source import Problem, Source, read
from fairness_core.errors import ConfigError

__all__ = ["load", "schema"]


def load(path: Path | str, overrides: Iterable[str | Mapping[str, Any]] = ()) -> Params:
    """Read and check a parameter file.

    Args:
        path: YAML file with every section of ``Params``.
        overrides: Laid over the file in order: ``"finetune.iterations=50"``, or mappings such as a
            preset's content, merged key by key.

    Raises:
        ConfigError: The file cannot be read, or has problems: the message has one line for each,
            with its place, its line in the file, what was given and what would do.
    """
    source = read(path, overrides)
    params: Params | None = None
    problems = list(source.problems)
    try:
        params = Params.model_validate(source.values)
    except ValidationError as error:
        problems += describe(Params, error.errors(include_url=False))
    problems += cross_check(source.values, problems)
    if params is None or problems:
        raise ConfigError(_report(source, problems))
    return params


def schema() -> dict[str, Any]:
    """JSON schema of a parameter file: names, types, ranges and what each value is."""
    return Params.model_json_schema()


def _line(source: Source, problem: Problem) -> int | None:
    """Line of the key, which for an entry of a list is the list's."""
    place = problem.place
    while place and isinstance(place[-1], int):
        place = place[:-1]
    return source.lines.get(place)


def _report(source: Source, problems: list[Problem]) -> str:
    def order(problem: Problem) -> tuple[int, str]:
        # What stands in no line, such as a missing key, comes first.
        return (_line(source, problem) or 0, ".".join(map(str, problem.place)))

    def text(problem: Problem) -> str:
        line = _line(source, problem)
        where = ".".join(map(str, problem.place)) + (f" (line {line})" if line else "")
        return f"  {where}: {problem.message}"

    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([f"{source.name} has {count}", *map(text, sorted(problems, key=order))])
