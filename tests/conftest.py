"""What holds for every test: explicit threads, no network, no user settings, checked shapes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest import mock

# Before anything imports torch, transformers, mlflow or matplotlib, which read these once.
for _name in [name for name in os.environ if name.startswith(("MLFLOW_", "EVENHAND_"))]:
    del os.environ[_name]
os.environ.update(
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="1",
    DVC_NO_ANALYTICS="1",
    MPLBACKEND="Agg",
)

from jaxtyping import _import_hook, install_import_hook


def _exec_module(loader: Any, module: ModuleType) -> None:
    """What jaxtyping does, but for our own file alone.

    Its own keeps looking for compiled files of that name while the file runs, so that the
    libraries which our modules import, thousands of files, were compiled anew.
    """
    name = "importlib._bootstrap_external.cache_from_source"
    marked = partial(_import_hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with mock.patch(name, marked):
        code = loader.get_code(module.__name__)
    exec(code, module.__dict__)


_import_hook._JaxtypingLoader.exec_module = _exec_module

# Shapes and types of every call in the core; an int may stand where a float is asked for.
install_import_hook(
    "fairness_core",
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True, is_random=False))",
)

import hypothesis
import pytest
import torch

if TYPE_CHECKING:
    from tests.helpers.tiny_world import TinyWorld

REPOSITORY = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::ffff:127.")

# The same examples in every run: a red run must be the change's doing, not chance's.
hypothesis.settings.register_profile(
    "repeatable",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # of the machine
    derandomize=True,
    database=None,
    max_examples=50,
)
hypothesis.settings.load_profile("repeatable")
torch.set_num_threads(1)


# Folders whose files share what is slow to make: a whole run, compiled pipelines.
SHARING = ("components", "pipelines")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process for a file, or for a folder, so that no fixture of theirs is made twice."""
    for item in items:
        place = item.path.relative_to(REPOSITORY / "tests")
        folder = place.parts[0]
        group = folder if folder in SHARING else place.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))


class NetworkForbiddenError(RuntimeError):
    """A test reached for a machine other than this one."""


def _refuse_remote(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = host.decode()
    if isinstance(address, tuple) and not str(host or "localhost").startswith(LOOPBACK):
        raise NetworkForbiddenError(f"tests use no network, this one reached for {address}")


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Only loopback and local sockets connect or resolve, in this process."""
    patch = pytest.MonkeyPatch()
    resolve = socket.getaddrinfo
    for method in ("connect", "connect_ex"):
        original = getattr(socket.socket, method)

        def guarded(self: socket.socket, address: Any, _original: Any = original) -> Any:
            _refuse_remote(address)
            return _original(self, address)

        patch.setattr(socket.socket, method, guarded)

    def resolve_local(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_remote((host,))
        return resolve(host, *args, **kwargs)

    patch.setattr(socket, "getaddrinfo", resolve_local)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Torch's thread count is a test's own affair: set back after each."""
    yield
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture
def generator() -> torch.Generator:
    """A CPU generator with a fixed seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    """The models and tables of a finetuning run, tiny, on disk."""
    from tests.helpers.tiny_world import make_tiny_world  # most tests need no diffusers

    return make_tiny_world(tmp_path_factory.mktemp("world"))
