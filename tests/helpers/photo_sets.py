"""FairFace and CelebA folders of drawn portraits, in exactly the published layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from fairness_core.attributes import AttributeSpace
from fairness_core.faces import crop_faces
from fairness_core.portraits.dataset import labelled_portraits

ATTRIBUTES = {
    "gender": {"classes": ["female", "male"]},
    "race": {"classes": ["WMELH", "Black", "Indian", "Asian"]},
    "age": {"classes": ["young", "old"]},
}
SPACE = AttributeSpace.from_mapping(ATTRIBUTES)
# Drawn tones stand in for races: light, golden, brown, dark. Each class shows all its labels.
RACES = (
    ("White", "Middle Eastern", "Latino_Hispanic"),
    ("East Asian", "Southeast Asian"),
    ("Indian",),
    ("Black",),
)
RACE_CLASS = (0, 3, 2, 1)
AGES = (
    ("0-2", "3-9", "10-19", "20-29", "30-39"),
    ("40-49", "50-59", "60-69", "more than 70"),
)
COLUMNS = ["5_o_Clock_Shadow", "Male", "Young"]
POINTS = [
    f"{p}_{a}" for p in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth") for a in "xy"
]


def classes_of(drawn: np.ndarray) -> np.ndarray:
    """Our class indices of portraits' own labels."""
    return np.stack([drawn[:, 0], np.array(RACE_CLASS)[drawn[:, 1]], drawn[:, 2]], axis=1)


def write_fairface(folder: Path, *, train: int, val: int, seed: int = 0) -> Path:
    """JPEG pictures cut with a margin of 0.25, numbered from 1 as published."""
    for split, count in (("train", train), ("val", val)):
        images, drawn, boxes, _ = labelled_portraits(count, "fairface", split, seed)
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        faces = crop_faces(
            pixels, torch.from_numpy(boxes), torch.ones(count, dtype=torch.bool), size=48
        )
        rows = []
        (folder / split).mkdir(parents=True)
        for i, (gender, race, age) in enumerate(drawn.tolist()):
            name = f"{split}/{i + 1}.jpg"
            picture = ((faces[i] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(picture).save(folder / name, quality=95)
            rows.append(
                {
                    "file": name,
                    "age": AGES[age][i % len(AGES[age])],
                    "gender": ("Female", "Male")[gender],
                    "race": RACES[race][i % len(RACES[race])],
                    "service_test": i % 2 == 0,
                }
            )
        pd.DataFrame(rows).to_csv(folder / f"fairface_label_{split}.csv", index=False)
    return folder


def write_celeba(
    folder: Path, *, count: int, text: bool = False, wild: bool = False, seed: int = 0
) -> Path:
    """Pictures of 64 px; as CSV files, or as the official release's text files and folders."""
    images, drawn, boxes, points = labelled_portraits(count, "celeba", seed, size=64)
    names = [f"{i + 1:06d}.jpg" for i in range(count)]
    pictures = folder / ("Img" if text else "") / ("img_celeba" if wild else "img_align_celeba")
    pictures.mkdir(parents=True)
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(pictures / name, quality=95)
    signs = np.stack([np.ones(count, int), 2 * drawn[:, 0] - 1, 1 - 2 * drawn[:, 2]], axis=1)
    # Six in ten train, two in ten validate, two in ten test, in blocks of all cells.
    part = np.array([0, 0, 0, 1, 2])[np.arange(count) // 16 % 5]
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).round()
    tables = {
        "list_attr_celeba": ("Anno", COLUMNS, signs),
        "list_eval_partition": ("Eval", ["partition"], part[:, None]),
        "list_landmarks_align_celeba": (
            "Anno",
            POINTS,
            points.reshape(count, 10).round().astype(int),
        ),
        "list_bbox_celeba": ("Anno", ["x_1", "y_1", "width", "height"], corners.astype(int)),
    }
    for name, (place, columns, values) in tables.items():
        table = pd.DataFrame(values, columns=columns)
        table.insert(0, "image_id", names)
        if not text:
            table.to_csv(folder / f"{name}.csv", index=False)
            continue
        (folder / place).mkdir(exist_ok=True)
        lines = [" ".join(map(str, row)) for row in table.itertuples(index=False)]
        if name == "list_bbox_celeba":
            lines = [str(count), " ".join(table.columns), *lines]
        elif name != "list_eval_partition":
            lines = [str(count), " ".join(columns) + " ", *lines]
        (folder / place / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder
