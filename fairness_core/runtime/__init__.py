"""What every step needs around its work: seeds, devices, files and logs."""

from fairness_core.runtime.artifacts import (
    atomic_file,
    atomic_folder,
    read_json,
    read_table,
    recover,
    sha256_file,
    verify,
    write_json,
    write_manifest,
    write_table,
)
from fairness_core.runtime.device import as_dtype, prepare
from fairness_core.runtime.logs import configure, get_logger, progress
from fairness_core.runtime.seeds import generator, image_noise, noise, seed_for

__all__ = [
    "as_dtype",
    "atomic_file",
    "atomic_folder",
    "configure",
    "generator",
    "get_logger",
    "image_noise",
    "noise",
    "prepare",
    "progress",
    "read_json",
    "read_table",
    "recover",
    "seed_for",
    "sha256_file",
    "verify",
    "write_json",
    "write_manifest",
    "write_table",
]
