"""Whether what the parameters name is here: models, and files and folders of one's own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairness_core.config.nearest import nearest
from fairness_core.config.places import Named, key_of, model_names, named_places
from fairness_core.errors import ConfigError

if TYPE_CHECKING:
    from fairness_core.config import Params

__all__ = [
    "absent_places",
    "check_places",
    "check_runs",
    "opened_places",
    "sections_of",
    "wrong_models",
]

EMBEDDER = "models.face_embedder"
DETECTORS = ("models.detector", "models.second_detector")
AUDITS = ("models.audit_image_text", "models.audit_image_self")
# What each step opens of what the parameters name; steps that are not here open nothing.
OPENS: Mapping[str, tuple[str, ...]] = {
    "generate_prompts": ("generate_prompts.world", "targets.overrides"),
    "calibrate_classifier": ("calibrate_classifier",),
    "build_bank": ("build_bank.source", *DETECTORS, EMBEDDER),
    "finetune": (
        "models.base",
        *DETECTORS,
        "models.image_text",
        "models.image_self",
        EMBEDDER,
    ),
    "originals": ("models.base",),
    "publish": ("models.base", "targets.overrides"),
    "generate_images": ("models.base",),
    "generate_baselines": ("models.base", *DETECTORS),
    "measure_images": (*DETECTORS, *AUDITS),
    "audit": (*DETECTORS, "targets.overrides"),
    "sweep": ("models.base", *DETECTORS, *AUDITS),
    "check_portraits": ("models.base", *DETECTORS, *AUDITS),
}


def wrong_models(params: Params) -> list[str]:
    """Names of models that are wrong on every machine: none that ships, or no commit of the hub.

    Args:
        params: A run's, or a part of them.
    """
    from fairness_core.portraits.models import PREFIX, SHIPPED, WEIGHTS
    from fairness_core.runtime.hub import is_hub_id, is_pinned

    found = []
    for place, name in model_names(sections_of(params)):
        problem = ""
        if name.startswith(PREFIX):
            model, _, inside = name.removeprefix(PREFIX).partition("/")
            if model not in SHIPPED:
                problem = f"no model of that name ships{nearest(model, SHIPPED)}"
            elif not (WEIGHTS / model / inside).exists():
                problem = f"{PREFIX}{model} has no '{inside}'"
        elif not Path(name).is_dir() and is_hub_id(name) and not is_pinned(name):
            problem = "a model of the hub needs a commit, 40 hexadecimal digits, after the @"
        if problem:
            found.append(f"{key_of(place)}: {name}: {problem}")
    return found


def opened_places(params: Params, steps: Collection[str] | None = None) -> list[Named]:
    """Files and folders of one's own that the parameters name, here or not.

    Args:
        params: A run's, or a part of them.
        steps: What they open counts; None: what all of them do.
    """
    found = named_places(sections_of(params))
    if steps is None:
        return found
    opened = [f"{one}." for step in steps for one in _opened(params, step)]
    return [named for named in found if f"{named.key}.".startswith(tuple(opened))]


def absent_places(params: Params, steps: Collection[str] | None = None) -> list[str]:
    """Those of `opened_places` that are not here."""
    return [str(named) for named in opened_places(params, steps) if not named.there]


def check_places(params: Params, *steps: str) -> None:
    """Refuse parameters that name a model wrongly, or what is not here and these steps open.

    Raises:
        ConfigError: All of them.
    """
    check_runs([(params, steps)])


def check_runs(runs: Iterable[tuple[Params, Collection[str]]]) -> None:
    """The same for several runs, each with the steps that it still has to take.

    Raises:
        ConfigError: All of them.
    """
    told = list(runs)
    if wrong := _each(one for params, _ in told for one in wrong_models(params)):
        raise ConfigError(
            "Models are named that there cannot be",
            given=wrong,
            do="give a local folder, portraits:NAME, or ORG/NAME@COMMIT of the hub",
        )
    if absent := _each(one for params, steps in told for one in absent_places(params, steps)):
        raise ConfigError(
            "Files or folders that the parameters name are not here",
            given=absent,
            do="put them there, or name others in the parameter file or by --set",
        )


def _each(found: Iterator[str]) -> str:
    """Once each, in order."""
    return "; ".join(dict.fromkeys(found))


def _opened(params: Params, step: str) -> tuple[str, ...]:
    if step == "build_bank" and params.build_bank.source is None:
        return ()
    opened = OPENS.get(step, ())
    if step == "finetune" and params.finetune.lambda_face == 0:
        return tuple(key for key in opened if key != EMBEDDER)
    return opened


def sections_of(params: Params) -> dict[str, Any]:
    """Plain values of the sections that are there: a task has only those that it reads."""
    return {name: params.section(name) for name in params.model_fields_set}
