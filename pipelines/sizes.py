"""What each step asks for, in a profile of pools without GPUs and in one with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fairness_core.errors import ConfigError

__all__ = ["PROFILES", "Resources", "quantity"]

HOUR = 3600
UNITS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


@dataclass(frozen=True)
class Resources:
    """What one step asks for.

    Attributes:
        cpu: CPU cores, requested and at most.
        memory: Kubernetes quantity, requested and at most.
        gpus: GPUs; 0 puts the step on the pool without.
        shared: Size of the memory-backed /dev/shm, part of ``memory``; empty: the pod's own 64 Mi.
        seconds: Time after which the pod is ended.
        retries: Further attempts after a failure or a preemption.
        pure: Whether its outputs follow from its inputs alone, so that they may be reused.
    """

    cpu: str
    memory: str
    gpus: int = 0
    shared: str = ""
    seconds: int = HOUR
    retries: int = 2
    pure: bool = True

    def times(self, processes: int) -> Resources:
        """The same for several processes in one pod, a GPU each."""
        return replace(
            self,
            cpu=str(int(self.cpu) * processes),
            memory=re.sub(r"^[0-9]+", lambda found: str(int(found[0]) * processes), self.memory),
            gpus=processes,
        )


SMALL = Resources("1", "2Gi")
# Report and gate hold a date; the gate registers, and a second try serves a lost server alone; the
# exit handler is asked for its deed.
COMMON = {
    "generate_prompts": SMALL,
    "publish": SMALL,
    "merge_images": Resources("1", "2Gi"),
    "evaluate_bias": Resources("2", "4Gi", seconds=2 * HOUR),
    "report": Resources("1", "4Gi", pure=False),
    "gate": Resources("1", "2Gi", retries=1, pure=False),
    "finish": Resources("500m", "1Gi", seconds=600, pure=False),
}
PROFILES: Mapping[str, Mapping[str, Resources]] = {
    "cpu": COMMON
    | {
        "calibrate_classifier": Resources("2", "6Gi", shared="1Gi", seconds=2 * HOUR),
        "build_bank": Resources("2", "4Gi", shared="1Gi", seconds=2 * HOUR),
        "finetune": Resources("2", "8Gi", shared="1Gi", seconds=6 * HOUR, retries=5),
        "generate_images": Resources("2", "4Gi", shared="1Gi", seconds=2 * HOUR, retries=4),
        "generate_baselines": Resources("2", "4Gi", shared="1Gi", seconds=4 * HOUR, retries=4),
        "measure_images": Resources("2", "6Gi", shared="1Gi", seconds=2 * HOUR),
    },
    "gpu": COMMON
    | {
        "calibrate_classifier": Resources("8", "32Gi", 1, "8Gi", 6 * HOUR),
        "build_bank": Resources("8", "32Gi", 1, "8Gi", 6 * HOUR),
        "finetune": Resources("8", "64Gi", 1, "16Gi", 72 * HOUR, retries=10),
        "generate_images": Resources("8", "32Gi", 1, "8Gi", 12 * HOUR, retries=6),
        "generate_baselines": Resources("8", "32Gi", 1, "8Gi", 24 * HOUR, retries=6),
        "measure_images": Resources("8", "32Gi", 1, "8Gi", 6 * HOUR),
    },
}


def quantity(text: str) -> float:
    """A Kubernetes quantity, ``500m`` or ``2Gi``, as a number.

    Raises:
        ConfigError: It is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", text)
    if found is None or found[2] not in UNITS:
        raise ConfigError("This is no quantity of Kubernetes", given=text, do="write 500m or 2Gi")
    return float(found[1]) * UNITS[found[2]]
