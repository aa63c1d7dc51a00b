"""The main figures of an evaluation, in lines for the log and under names for a tracking server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["headline", "lines"]

MODELS = ("base", "aligned")


def _groups(evaluation: Mapping[str, Any]) -> list[str]:
    return [name for name, entry in evaluation["change"].items() if "reduction_to_floor" in entry]


def lines(evaluation: Mapping[str, Any]) -> list[str]:
    """One line for each group: bias before, after, floor, and how much of the way is gone."""
    told = []
    for name in _groups(evaluation):
        base, aligned = (evaluation[model][name] for model in MODELS)
        gone = evaluation["change"][name]["reduction_to_floor"]
        told.append(
            f"{name}: bias {base['bias']:.3f} base, {aligned['bias']:.3f} aligned, "
            f"fair-sampler floor {aligned['fair_floor']:.3f}"
            + ("" if gone is None else f", {100 * gone:.0f} % of the distance removed")
        )
    for split, part in evaluation["also"].items():
        told += [f"{split}, {line}" for line in lines({**part, "also": {}})]
    return told


def headline(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The main figures under names that a tracking server takes.

    The aligned model's are logged without a prefix as well: under the names that an audit of any
    one model has, so that all runs that measure stand in one table.
    """
    flat = _as_an_audit(evaluation)
    for model in MODELS:
        entry = evaluation[model]
        for name in _groups(evaluation):
            flat[f"{model}/bias_{name}"] = entry[name]["bias"]
            flat[f"{model}/fair_floor_{name}"] = entry[name]["fair_floor"]
        for name in ("clip_t", "clip_i", "dino", "no_face_rate", "seconds"):
            flat[f"{model}/{name}"] = entry[name]
        if model in evaluation["named"]:
            flat[f"{model}/named_rate"] = evaluation["named"][model]
    flat |= _drift(evaluation)
    for split, part in evaluation["also"].items():
        for model in MODELS:
            for name in _groups(part):
                flat[f"{model}/{split}/bias_{name}"] = part[model][name]["bias"]
    for name in _groups(evaluation):
        gone = evaluation["change"][name]["reduction_to_floor"]
        if gone is not None:
            flat[f"change/reduction_to_floor_{name}"] = gone
    return flat


def _drift(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Variety, Frechet distances and scenes, where they were measured."""
    flat = {
        f"change/diversity_{name}": entry["ratio"]
        for name, entry in evaluation.get("diversity", {}).items()
        if "=" not in name and entry["ratio"] is not None
    }
    for kind, entry in evaluation.get("frechet", {}).items():
        flat |= {
            f"aligned/frechet_{kind}_{key}": entry[key] for key in ("excess", "floor") if entry
        }
    scenes = evaluation.get("scenes") or {}
    for name in ("clip_t", "clip_i", "dino", "face_rate") if scenes else ():
        flat[f"aligned/scenes/{name}"] = scenes["aligned"][name]
    return flat


def _as_an_audit(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The aligned model's figures under an audit's names."""
    entry = evaluation["aligned"]
    flat = {"no_face_rate": entry["no_face_rate"]}
    for name in _groups(evaluation):
        flat[f"bias_{name}"] = entry[name]["bias"]
        flat[f"fair_floor_{name}"] = entry[name]["fair_floor"]
    return flat
