"""The README.md of a classifier: what it saw, how right it is for whom, and what it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairness_core.portraits.models import called

if TYPE_CHECKING:
    from fairness_core.datasets import Provenance

__all__ = ["classifier_card"]

_CARD = """---
{front}
---

# {title}

Sees a square face crop and gives a distribution over the classes of each perceived attribute:
{attributes}. It is a measuring device: what it says is how a face looks to it, nobody's identity.

## How it was made

{made}

{data}

Pictures used: {used}. No picture is in two of these sets.

## How right it is

Measured on the test pictures, with the temperatures below. ECE is the expected calibration error
with 15 bins, in [0, 1].

| attribute | accuracy | faces | ECE before | ECE after | temperature |
|---|---|---|---|---|---|
{figures}

| attribute | group | accuracy | faces |
|---|---|---|---|
{groups}

## Limits

* The classes are few and coarse, and were given by people who looked at pictures.
* It is less right for some groups than for others, as the table says; what it measures carries
  that error.
* It knows crops of {size} px cut at 1.5 times the face's box. It must not be used to judge,
  identify or sort real people.
"""


def classifier_card(
    role: str,
    kind: str | Mapping[str, str],
    size: int,
    entries: Mapping[str, Mapping[str, Any]],
    about: Sequence[Provenance],
    used: Mapping[str, int],
) -> str:
    """Write a classifier's card, with the front matter that the Hugging Face Hub reads.

    Args:
        role: ``train`` or ``audit``.
        kind: Its network, or attribute to the ready classifier it was joined from.
        size: Side of its crops, px.
        entries: Attribute to `classifier_report`'s entry.
        about: Provenance of the labelled faces.
        used: Part to number of pictures.
    """
    ready = not isinstance(kind, str)
    front = {
        "pipeline_tag": "image-classification",
        "library_name": "transformers",
        "tags": ["image-classification", "face-attributes", "fairness"],
    }
    sources = [
        f"- {one.name} ({one.citation}). Licence: {one.licence}.\n"
        + "\n".join(f"  - {line}" for line in one.labels)
        for one in about
    ]
    made = (
        "Joined without further training from ready classifiers, one for each attribute: "
        + "; ".join(f"{name} from `{called(place)}`" for name, place in kind.items())
        + ". Their licences apply. Temperatures and figures come from:"
        if not isinstance(kind, str)
        else f"Network `{kind}`, fitted by cross entropy on labelled faces of:"
    )
    parts = [
        part for part in used if part in ("calibration", "test") or (part == role and not ready)
    ]
    return _CARD.format(
        front="\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items()),
        title={"train": "Training classifier", "audit": "Audit classifier"}[role],
        attributes=", ".join(entries),
        made=made,
        data="\n".join(sources),
        used=", ".join(f"{used[part]} for {part}" for part in parts),
        figures="\n".join(
            f"| {name} | {entry['accuracy']:.3f} | {entry['n']} | {entry['ece_before']:.3f} | "
            f"{entry['ece_after']:.3f} | {entry['temperature']:.3f} |"
            for name, entry in entries.items()
        ),
        groups="\n".join(
            f"| {name} | {group} | {one['accuracy']:.3f} | {one['n']} |"
            for name, entry in entries.items()
            for group, one in entry["groups"].items()
        ),
        size=size,
    )
