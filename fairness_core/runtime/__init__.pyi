from .artifacts import (
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
from .device import as_dtype, hardware, prepare
from .distributed import World
from .logs import configure, get_logger, progress
from .outputs import check_output, check_work
from .pipeline_run import begin_pipeline_run, end_pipeline_run
from .seeds import generator, image_noise, noise, seed_for
from .tracking import Tracker, open_run

__all__ = [
    "Tracker",
    "World",
    "as_dtype",
    "atomic_file",
    "atomic_folder",
    "begin_pipeline_run",
    "check_output",
    "check_work",
    "configure",
    "end_pipeline_run",
    "generator",
    "get_logger",
    "hardware",
    "image_noise",
    "noise",
    "open_run",
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
