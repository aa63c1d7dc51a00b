"""The finetuning step, held before chosen iterations until a file is there.

What a test does to a process in the middle of its work then meets it there, on any machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairness_core.training import loop


def hold(places: Mapping[int, Path]) -> None:
    """Let each of the iterations begin only when its file exists; ``FILE.awaited`` says it waits."""
    original = loop.plan_batch

    def held(prompts: Any, iteration: int, *rest: Any) -> Any:
        if place := places.get(iteration):
            place.with_name(f"{place.name}.awaited").touch()
            while not place.exists():
                time.sleep(0.02)
        return original(prompts, iteration, *rest)

    loop.plan_batch = held
