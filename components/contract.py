"""What the pipeline contract of every step shares; the one place here that imports kfp.

Each ``component.py`` holds one task per function, and ``READS``, what it reads of params.yaml.
"""

from __future__ import annotations

from functools import partial

from kfp import dsl

__all__ = ["IMAGE", "STARTS", "component"]

# Stands for the image until a pipeline is compiled, which sets the one of the step's pool.
IMAGE = "evenhand.invalid/python"

# What every step reads to start, beside what decides its result.
STARTS = ("run.device", "run.seed", "run.threads")

# The image holds everything: nothing is installed when a task starts.
component = partial(
    dsl.component, base_image=IMAGE, packages_to_install=[], install_kfp_package=False
)
