"""Write the bundle that the base model's stock pipeline loads: LoRA weights or soft tokens."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import CLASSIFIER_WEIGHTS, Settings, arguments, execute, open_step

if TYPE_CHECKING:
    from fairness_core.config import Params

STEP = "publish"


def run(
    *,
    weights: str,
    base: str,
    sampler: str | None,
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    finetune: Mapping[str, Any],
    finetuned: Path,
    classifiers: Path,
    settings: Settings,
    out: Path,
) -> None:
    """Write weights, manifest and model card.

    Args:
        weights: ``ema`` or ``live``.
        base: Base model: a folder, or ``portraits:NAME``.
        sampler: What solves it, one of ``SAMPLERS``; None: its own.
        attributes: Section ``attributes``.
        targets: Section ``targets``: what the weights were trained to, for the card.
        finetune: Section ``finetune``, for the card and the manifest.
        finetuned: Folder of ``finetune``.
        classifiers: Folder of ``calibrate_classifier``: the manifest names the one trained with.
        settings: Section ``run``.
        out: Folder to write.

    Raises:
        ArtifactError: The trained weights are missing or damaged, or the folder may not be
            replaced, see ``check_output``.
        ModelError: They are no adapter weights.
        PromptError: The file with targets of single prompts is missing or no table.
        TargetError: It holds what is no target.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from fairness_core.attributes import AttributeSpace
    from fairness_core.errors import ArtifactError
    from fairness_core.export import (
        BUNDLE_KIND,
        SOFT_TOKENS,
        BundleFacts,
        BundleTargets,
        bundle_card,
        sampler_facts,
        weights_sha256,
        write_bundle,
    )
    from fairness_core.portraits.models import called, resolve
    from fairness_core.prompts import read_overrides
    from fairness_core.runtime import check_output, sha256_file, verify

    check_output(out, BUNDLE_KIND, [finetuned, classifiers])
    with open_step(STEP, settings, {"weights": weights, "base": base}) as step:
        manifest = verify(finetuned, kind="finetune")
        verify(classifiers, kind="classifiers")
        file = finetuned / f"{weights}.safetensors"
        try:
            state = load_file(file)
        except (OSError, SafetensorError) as error:
            raise ArtifactError(
                f"The trained weights cannot be read ({type(error).__name__}: {error})",
                given=file,
                do="run finetune again",
            ) from error
        space = AttributeSpace.from_mapping(attributes, targets["joint"])
        own = targets["overrides"]
        own = read_overrides(own) if isinstance(own, str) else own
        place = resolve(base)
        facts = BundleFacts(
            base_model=called(base),
            base_sha256=weights_sha256(place),
            classifier_sha256=sha256_file(classifiers / "train" / CLASSIFIER_WEIGHTS),
            weights=weights,
            soft_tokens=len(state.get(SOFT_TOKENS, ())),
            targets=BundleTargets.of(
                space.subset(finetune["align"]), own, source=targets["source"], date=targets["date"]
            ),
            iterations=int(manifest["extra"]["iterations"]),
            images_per_prompt=finetune["images_per_prompt"],
            guidance=finetune["guidance"],
            sampler=sampler_facts(place, sampler),
            seed=settings.seed,
        )
        written = write_bundle(
            out,
            state,
            card=bundle_card(facts),
            facts=facts.as_dict(),
            alpha=manifest["extra"]["alpha"],
        )
        size = sum(entry["bytes"] for entry in written["files"].values())
        step.log.info("wrote %s: %d tensors, %.2f MB", out, len(state), size / 1e6)
        step.tracker.metrics({"bytes": float(size)})
        step.tracker.inputs({"adapter": finetuned, "classifiers": classifiers}, "export")
        # MLflow takes neither names of any characters nor thousands of them.
        told = {k: v for k, v in facts.as_dict().items() if k != "targets_overrides"}
        step.tracker.model("adapter", out, told | {"targets_own": len(facts.targets.overrides)})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    parser.add_argument("--finetuned", type=Path, default=Path("artifacts/finetune"), help="read")
    parser.add_argument(
        "--classifiers", type=Path, default=Path("artifacts/classifiers"), help="read"
    )
    parser.add_argument("--out", type=Path, default=Path("artifacts/bundle"), help="written")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            **params.section(STEP),
            base=params.models.base,
            sampler=params.models.sampler,
            attributes=params.section("attributes"),
            targets=params.section("targets"),
            finetune=params.section("finetune"),
            finetuned=args.finetuned,
            classifiers=args.classifiers,
            settings=settings,
            out=args.out,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
