"""What values must hold between them, each checked as soon as the values it needs are sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Formatter
from typing import Any

from fairness_core.attributes import AttributeSpace
from fairness_core.config.labelled_faces import FACE_CHECKS
from fairness_core.config.nearest import nearest
from fairness_core.config.sound import Check, Sound, UnsoundError
from fairness_core.config.source import Problem
from fairness_core.errors import EvenhandError
from fairness_core.groups import group_name, measured_groups

__all__ = ["cross_check"]

# Those that can have training prompts; the core's prompts name the same.
FAMILIES = ("occupation", "sport", "descriptor", "style", "named", "scene")
# What an intervention fills in; the core's baselines know the same.
WORDING = {"prompt", "subject", "classes", "attributes"}


def _targets(get: Sound) -> Iterator[tuple[str, str]]:
    for name in get.names():
        try:
            entry = get(f"attributes.{name}")
            AttributeSpace.from_mapping({name: entry})
        except EvenhandError as error:
            given = "" if error.given is None else f"; given {error.given}"
            yield f"attributes.{name}", f"{error.what}{given}; {error.do}"
        except UnsoundError:
            continue


def _joint(get: Sound) -> Iterator[tuple[str, str]]:
    joint, known = get("targets.joint"), get.names()
    if joint is None:
        return
    unknown = [name for name in joint["attributes"] if name not in known]
    for name in unknown:
        yield "targets.joint.attributes", f"'{name}' is not an attribute{nearest(name, known)}"
    if unknown:
        return
    try:
        attributes = {name: get(f"attributes.{name}") for name in joint["attributes"]}
        AttributeSpace.from_mapping(attributes, joint)
    except EvenhandError as error:
        yield "targets.joint", f"{error.what}; {error.do}"


def _overrides(get: Sound) -> Iterator[tuple[str, str]]:
    overrides, known = get("targets.overrides"), get.names()
    if isinstance(overrides, str):
        return
    for prompt, targets in overrides.items():
        for name, target in targets.items():
            if name not in known:
                yield "targets.overrides", f"'{prompt}': no '{name}'{nearest(name, known)}"
                continue
            try:
                entry = {**get(f"attributes.{name}"), "target": target}
                AttributeSpace.from_mapping({name: entry})
            except EvenhandError as error:
                yield "targets.overrides", f"'{prompt}': {error.what}; {error.do}"


def _families(get: Sound) -> Iterator[tuple[str, str]]:
    families = get("finetune.prompt_families")
    for name in families:
        if name not in FAMILIES:
            yield f"finetune.prompt_families.{name}", f"is no family{nearest(name, FAMILIES)}"
    if not any(families.values()):
        yield "finetune.prompt_families", "no family is visited; give one of them 1 or more"


def _align(get: Sound) -> Iterator[tuple[str, str]]:
    align, known = get("finetune.align"), get.names()
    for name in align:
        if name not in known:
            yield "finetune.align", f"'{name}' is not an attribute{nearest(name, known)}"
    if len(set(align)) < len(align):
        yield "finetune.align", f"an attribute is named twice; given {align}"


def _factors(key: str) -> Check:
    def check(get: Sound) -> Iterator[tuple[str, str]]:
        factors, known = get(f"finetune.{key}"), get.names()
        unknown = [name for name in factors if name not in known]
        for name in unknown:
            yield f"finetune.{key}.{name}", f"is not an attribute{nearest(name, known)}"
        for name in get("finetune.align"):
            if name not in factors and name in known and not unknown:
                yield f"finetune.{key}", f"has no value for '{name}', which is aligned"

    return check


def _checkpoints(get: Sound) -> Iterator[tuple[str, str]]:
    every, iterations = get("finetune.checkpoint_every"), get("finetune.iterations")
    if every > iterations:
        yield (
            "finetune.checkpoint_every",
            f"must be at most finetune.iterations = {iterations}; given {every}",
        )


def _steps(get: Sound) -> Iterator[tuple[str, str]]:
    first, last = get("finetune.steps")
    if first > last:
        yield "finetune.steps", f"the first must not exceed the last; given [{first}, {last}]"


def _gradient_steps(get: Sound) -> Iterator[tuple[str, str]]:
    chosen, steps = get("finetune.gradient_steps"), get("finetune.steps")
    if chosen is not None and chosen > min(steps):
        yield (
            "finetune.gradient_steps",
            f"must be at most the fewest sampling steps, {min(steps)}; given {chosen}",
        )


def _full_gradient(get: Sound) -> Iterator[tuple[str, str]]:
    if get("finetune.gradient_weights") == "full":
        for name, needed in {"gradient_steps": None, "guided_gradient": "both"}.items():
            if (given := get(f"finetune.{name}")) != needed:
                said = "null" if needed is None else needed
                yield f"finetune.{name}", f"must be {said} for gradient_weights full; given {given}"


def _stop(get: Sound) -> Iterator[tuple[str, str]]:
    limits, align = get("finetune.stop_at"), get("finetune.align")
    groups = [group_name(group) for group in measured_groups(align)]
    for name in limits:
        if name not in groups:
            yield f"finetune.stop_at.{name}", f"is not aligned{nearest(name, groups)}"
    if limits and get("finetune.validate_every") == 0:
        yield "finetune.stop_at", "needs finetune.validate_every of 1 or more, which measures it"


def _trained(get: Sound) -> Iterator[tuple[str, str]]:
    lora = [f"train_{part}" for part in ("text_encoder", "unet") if get(f"finetune.train_{part}")]
    tokens = get("finetune.soft_tokens")
    if not lora and not tokens:
        yield (
            "finetune.train_text_encoder",
            "nothing is trained: set train_text_encoder or train_unet to true, "
            "or soft_tokens to a number above 0",
        )
    if lora and tokens:
        yield (
            "finetune.soft_tokens",
            "must be 0 beside LoRA weights: the two are published as separate files, either of "
            f"which loads alone and is then not what was trained; given {tokens}; set it to 0, or "
            f"{' and '.join(lora)} to false",
        )


def _baselines(get: Sound) -> Iterator[tuple[str, str]]:
    methods, prompt = get("baselines.methods"), get("baselines.attribute_prompt")
    if len(set(methods)) < len(methods):
        yield "baselines.methods", f"a method is named twice; given {methods}"
    if _fields(prompt) != [""]:
        yield (
            "baselines.attribute_prompt",
            f"needs one {{}} for the words of a class; given '{prompt}'",
        )


def _wording(get: Sound) -> Iterator[tuple[str, str]]:
    wording = get("baselines.wording")
    used = set(_fields(wording) or ())
    if used - WORDING or not used & {"prompt", "subject"}:
        yield (
            "baselines.wording",
            "holds {prompt} or {subject}, and may hold {attributes} and {classes}; "
            f"given '{wording}'",
        )


def _fields(text: str) -> list[str] | None:
    """Names between braces, in order; None where a brace has no other."""
    try:
        return [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError:
        return None


CHECKS: tuple[Check, ...] = (
    _targets,
    _joint,
    _overrides,
    _families,
    _align,
    _factors("factor1"),
    _factors("factor2"),
    *FACE_CHECKS,
    _checkpoints,
    _steps,
    _gradient_steps,
    _full_gradient,
    _stop,
    _trained,
    _baselines,
    _wording,
)


def cross_check(values: Mapping[str, Any], problems: list[Problem]) -> list[Problem]:
    """Problems between values, given those that single values have."""
    get = Sound(values, tuple(problem.place for problem in problems))
    found = []
    for check in CHECKS:
        try:
            for path, message in check(get):
                found.append(Problem(tuple(path.split(".")), message))
        except UnsoundError:
            continue
    return found
