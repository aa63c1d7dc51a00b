"""What a bundle's manifest and card say of its targets and its sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairness_core.attributes import AttributeSpace
from fairness_core.diffusion.loading import load_scheduler
from fairness_core.diffusion.scheduler import SAMPLERS
from fairness_core.shares import target_shares

__all__ = ["BundleTargets", "sampler_facts"]

SHOWN = 8  # prompts with targets of their own that a card lists

Shares = Mapping[str, float]


@dataclass(frozen=True)
class BundleTargets:
    """What weights were trained to.

    Attributes:
        shares: Aligned attribute to class to share.
        joint: Cell such as ``female/light`` to share, of the attributes in ``joint_of``; None: each
            attribute is independent.
        joint_of: Names of the attributes that the joint target is about.
        overrides: Prompt or subject to attribute to class to share, of aligned attributes.
        source: Where the targets come from.
        date: Of the source.
    """

    shares: Mapping[str, Shares]
    joint: Shares | None
    joint_of: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, Shares]]
    source: str
    date: str

    @classmethod
    def of(
        cls,
        space: AttributeSpace,
        overrides: Mapping[str, Mapping[str, Any]],
        *,
        source: str,
        date: str,
    ) -> BundleTargets:
        """Gather them.

        Args:
            space: The aligned attributes.
            overrides: Targets of single prompts as in params.yaml; attributes that are not
                aligned are left out.
            source: See the class.
            date: See the class.

        Raises:
            TargetError: An override that is no distribution over its attribute's classes.
        """
        joint: dict[str, float] | None = None
        names: tuple[str, ...] = ()
        if space.joint is not None:
            names = space.joint.names
            cells = space.subset(names).cell_names
            joint = dict(zip(cells, space.joint.shares, strict=True))
        own: dict[str, dict[str, Shares]] = {}
        for prompt, targets in overrides.items():
            for name in (name for name in targets if name in space.names):
                shares = target_shares(name, space[name].classes, targets[name])
                (told,) = space.with_targets({name: shares}).subset([name]).attributes
                own.setdefault(prompt, {})[name] = dict(zip(told.classes, told.target, strict=True))
        return cls(
            {a.name: dict(zip(a.classes, a.target, strict=True)) for a in space.attributes},
            joint,
            names,
            own,
            source,
            date,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the manifest, where marginal shares stand under ``targets``."""
        joint = None
        if self.joint is not None:
            joint = {"attributes": list(self.joint_of), "shares": dict(self.joint)}
        return {
            "targets": {name: dict(shares) for name, shares in self.shares.items()},
            "targets_joint": joint,
            "targets_overrides": {
                prompt: {name: dict(shares) for name, shares in own.items()}
                for prompt, own in self.overrides.items()
            },
            "targets_source": self.source,
            "targets_date": self.date,
        }

    def text(self) -> str:
        """Markdown: shares of each attribute and jointly, prompts of their own, source and date."""
        parts = ["\n".join(f"- **{n}**: {_text(shares)}" for n, shares in self.shares.items())]
        if self.joint is not None:
            cells = {name: share for name, share in self.joint.items() if share > 0}
            parts.append(
                f"These hold together: of {' and '.join(self.joint_of)}, {_text(cells)}; any other "
                "combination 0 %."
            )
        if self.overrides:
            parts.append(self._own())
        parts.append(f"Source of the targets: {self.source}. Date: {self.date}.")
        return "\n\n".join(parts)

    def _own(self) -> str:
        many = len(self.overrides)
        said = "One prompt or subject has" if many == 1 else f"{many} prompts or subjects have"
        lines = [f"{said} targets of their own:\n"]
        for prompt, own in list(self.overrides.items())[:SHOWN]:
            each = "; ".join(f"{name} {_text(shares)}" for name, shares in own.items())
            lines.append(f'- "{prompt}": {each}')
        if many > SHOWN:
            lines.append(f"- and {many - SHOWN} more, all in `manifest.json`")
        return "\n".join(lines)


def _text(shares: Shares) -> str:
    return ", ".join(f"{label} {100 * share:.4g} %" for label, share in shares.items())


def sampler_facts(folder: str | Path, sampler: str | None) -> dict[str, Any]:
    """What weights were trained and measured with, for manifest, card and the code on it.

    Args:
        folder: Of the base model.
        sampler: Name in the parameters; None: the model's own.

    Returns:
        ``name``; ``scheduler``, its class in diffusers; ``options`` that its ``from_config`` is
        given beside the model's own configuration, empty for the model's own.

    Raises:
        ConfigError: No such sampler, or it does not suit the model.
        ModelError: The folder has no scheduler of diffusers.
    """
    scheduler = type(load_scheduler(folder, sampler)).__name__
    options = {} if sampler is None else SAMPLERS[sampler][1]
    return {"name": sampler, "scheduler": scheduler, "options": dict(options)}
