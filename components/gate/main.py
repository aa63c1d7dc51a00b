"""Judge the aligned model by the policy; register what passes, stop the pipeline otherwise.

Exit status 3 says that the policy was not met, where ``gate.enforce`` holds; the reasons are
printed and kept in verdict.json. What passes becomes a version of the registered MLflow model with
the alias ``candidate``. Making it the ``champion`` is for a person: ``evenhand promote``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, arguments, execute, open_step

if TYPE_CHECKING:
    from fairness_core.config import Params

STEP = "gate"


def run(
    *,
    model: str,
    draws: int,
    enforce: bool,
    split: str,
    attributes: Mapping[str, Any],
    policy: Path,
    evaluated: Path,
    metrics: Path,
    bundle: Path,
    report: Path,
    settings: Settings,
    out: Path,
    today: date,
) -> None:
    """Write ``verdict.json``; register the bundle if it passes.

    Args:
        model: Name of the registered model.
        draws: For the worst prompt's interval.
        enforce: Whether a policy that is not met is an error; nothing is registered either way.
        split: Held-out split.
        attributes: Section ``attributes``.
        policy: The policy.
        evaluated: Folder of ``evaluate_bias``.
        metrics: Its figures.
        bundle: Folder of ``publish``.
        report: Folder of ``report``: its model card describes the version.
        settings: Section ``run``; without tracking nothing is registered.
        out: Folder to write.
        today: Decides which waivers have ended.

    Raises:
        ArtifactError: An input is missing or damaged.
        ConfigError: The policy is unsound, or the registry cannot be used.
        GateError: The policy is not met, and ``enforce``.
    """
    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import read_policy
    from fairness_core.errors import GateError
    from fairness_core.evaluation import Bootstrap, judge
    from fairness_core.runtime import (
        atomic_folder,
        check_output,
        read_json,
        read_table,
        sha256_file,
        verify,
        write_json,
        write_manifest,
    )
    from fairness_core.runtime.registry import Registry

    check_output(out, STEP, [policy, evaluated, metrics, bundle, report])
    told = read_policy(policy)
    with open_step(STEP, settings, {"policy_sha256": sha256_file(policy)}) as step:
        verify(evaluated, kind="evaluation")
        verify(bundle)
        verify(report, kind="report")
        faces = read_table(evaluated / "faces.parquet")
        verdict = judge(
            told,
            read_json(metrics),
            faces[faces["split"] == split],
            AttributeSpace.from_mapping(attributes),
            today=today,
            bootstrap=Bootstrap(settings.seed, draws),
        )
        verdict |= {"policy_sha256": sha256_file(policy), "version": None}
        for entry in verdict["rules"].values():
            step.log.info("%s", entry["text"])
        if verdict["passed"] and settings.tracking:
            verdict["version"] = Registry(model).register(
                bundle,
                experiment=settings.name,
                about=(report / "model-card.md").read_text(encoding="utf-8"),
                key=sha256_file(bundle / "manifest.json"),
                tags={
                    "policy_sha256": verdict["policy_sha256"],
                    "waived": ", ".join(r for r, e in verdict["rules"].items() if not e["met"]),
                },
            )
            step.log.info("%s version %s is the candidate", model, verdict["version"])
        with atomic_folder(out) as folder:
            write_json(verdict, folder / "verdict.json")
            write_manifest(folder, STEP)
        step.tracker.metrics({"passed": float(verdict["passed"])})
        step.tracker.artifact(out / "verdict.json")
        missed = [entry["text"] for entry in verdict["rules"].values() if not entry["passed"]]
        if missed:
            unmet = "The policy is not met: " + "; ".join(missed)
            if enforce:
                raise GateError(
                    unmet,
                    given=policy,
                    do="train on, or have somebody waive a rule for a while in the policy",
                )
            step.log.warning("%s. Nothing is registered; the run goes on (gate.enforce)", unmet)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    for name, default in (
        ("policy", "policy.yaml"),
        ("evaluated", "artifacts/evaluation"),
        ("metrics", "metrics/evaluation.json"),
        ("bundle", "artifacts/bundle"),
        ("report", "artifacts/report"),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(default), help="read")
    parser.add_argument("--out", type=Path, default=Path("artifacts/gate"), help="written")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            **params.section(STEP),
            split=params.evaluate_bias.split,
            attributes=params.section("attributes"),
            policy=args.policy,
            evaluated=args.evaluated,
            metrics=args.metrics,
            bundle=args.bundle,
            report=args.report,
            settings=settings,
            out=args.out,
            today=datetime.now(UTC).date(),
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
