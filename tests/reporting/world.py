"""A small invented run: drawn faces, tables, and figures computed from those tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from fairness_core.attributes import AttributeSpace
from fairness_core.metrics import bias_interval, count_faces, fair_floor, paired_change
from fairness_core.reporting import Finding, ReportData, RunFacts

SPACE = AttributeSpace.from_mapping(
    {
        "gender": {"classes": ["female", "male"]},
        "race": {"classes": ["light", "golden", "brown", "dark"]},
        "age": {"classes": ["young", "old"], "target": [0.75, 0.25]},
    }
)
GROUPS = (("gender",), ("race",), ("age",), ("gender", "race"))
SKIN = {"light": "#f1d0b4", "golden": "#d9a066", "brown": "#9c6b43", "dark": "#4f3222"}
JOBS = ("harbour", "forest", "museum", "railway", "theatre", "hospital")
ROLES = ("engineer", "nurse", "director", "painter")

QUALITY = {
    "base": {
        "clip_t": (0.3124, 0.3081, 0.3166),
        "clip_i": (1.0, 1.0, 1.0),
        "dino": (1.0, 1.0, 1.0),
        "no_face_rate": (0.0213, 0.0114, 0.0337),
    },
    "aligned": {
        "clip_t": (0.3093, 0.3052, 0.3139),
        "clip_i": (0.8124, 0.7983, 0.8259),
        "dino": (0.7331, 0.7174, 0.7498),
        "no_face_rate": (0.0178, 0.0092, 0.0279),
    },
}
RATES = {"base": 0.9621, "aligned": 0.9514, "ratio": 0.9889}
SURE = {"base": [0.945, 0.977], "aligned": [0.931, 0.969], "ratio": [0.972, 1.004]}
NAMED = {
    **RATES,
    "ci95": SURE,
    "prompts": 12,
    "per_attribute": {
        "gender": {**RATES, "aligned": 0.9713, "ci95": SURE, "images": 96},
        "race": {**RATES, "aligned": 0.9312, "ci95": SURE, "images": 96},
    },
    "audit_accuracy": {
        model: {
            "gender": {"accuracy": 0.9744, "ci95": [0.951, 0.987], "faces": 95},
            "race": {"accuracy": 0.9357, "ci95": [0.899, 0.958], "faces": 95},
        }
        for model in ("base", "aligned")
    },
}

Painter = Callable[[dict[str, str], np.random.Generator], tuple[Image.Image, list[float]]]


def paint(classes: dict[str, str], rng: np.random.Generator) -> tuple[Image.Image, list[float]]:
    """A 32 px face of the classes given and its box."""
    image = Image.new("RGB", (32, 32), tuple(int(c) for c in rng.integers(90, 220, 3)))
    pen = ImageDraw.Draw(image)
    x, y = (int(v) for v in rng.integers(-2, 3, 2))
    hair = "#d8d8d8" if classes["age"] == "old" else "#2b211c"
    pen.ellipse((8 + x, 5 + y, 24 + x, 27 + y if classes["gender"] == "female" else 16 + y), hair)
    pen.ellipse((10 + x, 8 + y, 22 + x, 25 + y), SKIN[classes["race"]])
    for eye in (13, 18):
        pen.rectangle((eye + x, 14 + y, eye + 1 + x, 15 + y), "black")
    pen.line((14 + x, 21 + y, 18 + x, 21 + y), "#802020")
    return image, [9.0 + x, 7.0 + y, 23.0 + x, 26.0 + y]


def make(
    folder: Path, *, prompts: int = 3, images: int = 6, drawn: int = 4, painter: Painter = paint
) -> ReportData:
    """A complete run; image 2 of the first prompt has no face in the base model."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "prompt_id": [f"test-{k:04d}" for k in range(prompts)],
            "subject": [f"{JOBS[k % 6]} {ROLES[k // 6 % 4]}" for k in range(prompts)],
            "split": "test",
        }
    )
    table["prompt"] = "a portrait of a " + table["subject"]
    rows: list[dict[str, Any]] = []
    for model, pull in (("base", 0.6), ("aligned", 6.0)):
        chances = {
            a.name: rng.dirichlet(np.array(a.target) * pull * a.size, prompts)
            for a in SPACE.attributes
        }
        for k, prompt_id in enumerate(table["prompt_id"]):
            for index in range(images):
                present = not (model == "base" and k == 0 and index == 2)
                drawn_classes = {
                    a.name: a.classes[rng.choice(a.size, p=chances[a.name][k])]
                    for a in SPACE.attributes
                }
                row = {"image_id": f"{prompt_id}-{index}", "prompt_id": prompt_id, "index": index}
                row |= {"model": model, "present": present, "score": float(present)}
                row |= {"file": f"images/{prompt_id}-{index:03d}.png"}
                box = [0.0] * 4
                if index < drawn:
                    picture, box = painter(drawn_classes, rng)
                    path = folder / model / row["file"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    picture.save(path)
                row |= dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
                for a in SPACE.attributes:
                    row[a.name] = drawn_classes[a.name] if present else None
                    for name in a.classes:
                        sure = 0.91 if name == drawn_classes[a.name] else 0.09 / (a.size - 1)
                        row[f"p_{a.name}_{name}"] = sure if present else np.nan
                rows.append(row)
    faces = pd.DataFrame(rows)
    data = ReportData(
        facts=RunFacts(
            title="Portraits, gender and race",
            model="portraits:base",
            date="2026-11-23",
            seed=0,
            steps=20,
            revision="43b0e8f",
            more={"Audit classifier": "mobilenet, fitted separately"},
        ),
        space=SPACE,
        aligned=("gender", "race"),
        evaluation=evaluate(faces, prompts, images),
        prompts=table,
        images=faces[["image_id", "prompt_id", "index", "file", "model"]],
        faces=faces.drop(columns="file"),
        folders={"base": folder / "base", "aligned": folder / "aligned"},
        calibration=calibration(rng),
        training=training(rng),
        findings=(
            Finding(
                "Base at guidance 1 against the planted shares",
                "0.046 [0.039, 0.055]",
                "Mean absolute difference of shares over held-out prompts.",
            ),
        ),
        notes=("Everything here is drawn: four groups of skin tone stand in for race.",),
        commands=("git clone evenhand", "make demo"),
        hashes={"aligned adapter": "9f2c" * 16, "metrics/evaluation.json": "01ab" * 16},
        images_per_prompt=drawn,
    )
    return data


def evaluate(faces: pd.DataFrame, prompts: int, images: int) -> dict[str, Any]:
    """The evaluation of the tables, with few resamples."""
    rng = np.random.default_rng(5)
    result: dict[str, Any] = {"base": {}, "aligned": {}, "change": {}}
    for group in GROUPS:
        key, target = "_x_".join(group), SPACE.subset(group).cell_target
        counts = {}
        for model in ("base", "aligned"):
            counts[model] = count_faces(faces[faces["model"] == model], SPACE, group).counts
            found = bias_interval(counts[model], rng=rng, resamples=50)
            result[model][key] = {
                "bias": found.estimate,
                "ci95": list(found.ci),
                "sd": 0.111,
                "fair_floor": fair_floor(counts[model].sum(1), target),
            }
        change = paired_change(counts["base"], counts["aligned"], target, rng=rng, resamples=50)
        gone = change.reduction
        result["change"][key] = {
            "reduction_to_floor": gone.estimate if gone else None,
            "ci95": list(gone.ci) if gone else None,
        }
    for model, figures in QUALITY.items():
        result[model] |= {key: value for key, (value, _, _) in figures.items()}
        result[model]["ci95"] = {key: [low, high] for key, (_, low, high) in figures.items()}
        result[model] |= {"seconds": 61.2, "prompts_without_face": []}
    result["change"]["clip_t"] = {"difference": -0.0031, "difference_ci95": [-0.0042, -0.0020]}
    result["base"]["gender"]["planted"] = {
        "mean_abs_difference": 0.0571,
        "ci95": [0.0440, 0.0712],
        "bias": 0.5234,
        "prompts": prompts,
    }
    return result | {
        "named": NAMED,
        "n_prompts": prompts,
        "images_per_prompt": images,
        "guidance": 3.0,
        "target": {a.name: dict(zip(a.classes, a.target, strict=True)) for a in SPACE.attributes},
    }


def calibration(rng: np.random.Generator) -> dict[str, Any]:
    """Both classifiers, every attribute, reliability with an empty bin."""

    def entry() -> dict[str, Any]:
        bins = [{"confidence": float("nan"), "accuracy": float("nan"), "count": 0}]
        for edge in np.linspace(0.55, 0.97, 7):
            right = float(min(1.0, edge + rng.normal(0, 0.02)))
            bins.append({"confidence": float(edge), "accuracy": right, "count": int(900 * edge**6)})
        names = [f"{a.name}={c}" for a in SPACE.attributes for c in a.classes]
        groups = {
            name: {"accuracy": float(rng.uniform(0.9, 1)), "n": 240}
            for name in (*names, *SPACE.cell_names)
        }
        return {
            "accuracy": 0.957,
            "n": 960,
            "ece_before": 0.0412,
            "ece_after": 0.0093,
            "temperature": 1.37,
            "groups": groups,
            "reliability": bins,
        }

    return {role: {a.name: entry() for a in SPACE.attributes} for role in ("train", "audit")}


def training(rng: np.random.Generator) -> pd.DataFrame:
    """A log of 150 iterations of which a resumed run wrote five twice."""
    at = np.r_[0:100, 95:150]
    fall = np.exp(-at / 60)
    share = np.clip(0.5 + (0.1 + 0.4 * fall) * rng.choice([-1, 1], len(at)), 0, 1)
    return pd.DataFrame(
        {
            "iteration": at,
            "loss_align": 0.3 + 0.6 * fall + rng.normal(0, 0.1, len(at)),
            "loss_image": 0.05 + 0.1 * (1 - fall) + rng.normal(0, 0.01, len(at)),
            "share_gender_0": share,
            "share_gender_1": 1 - share,
            "used_gender": rng.uniform(0.5, 0.9, len(at)),
            "face_rate": rng.integers(13, 17, len(at)) / 16,
            "network_forwards": 160,
            "seconds": 2.0,
        }
    )


def without_extras(data: ReportData) -> ReportData:
    """The same run with every optional part missing."""
    bare = {
        model: {
            key: {"bias": entry["bias"]}
            for key, entry in data.evaluation[model].items()
            if isinstance(entry, dict) and "bias" in entry
        }
        for model in ("base", "aligned")
    }
    return replace(
        data,
        facts=RunFacts(title="Bare", model="m", date="d", seed=0, steps=1),
        evaluation=bare,
        faces=data.faces.drop(columns=[c for c in data.faces.columns if c.startswith("p_")]),
        calibration=None,
        training=None,
        findings=(),
        not_measured=(),
        notes=(),
        commands=(),
        hashes={},
    )
