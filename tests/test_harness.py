"""The test run's own promises."""

from __future__ import annotations

import socket
import warnings

import pytest
import torch

from fairness_core.types import Faces


def test_other_machines_are_out_of_reach():
    with (
        socket.socket() as sock,
        pytest.raises(RuntimeError, match="this one reached for"),
    ):
        sock.connect(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="no network"):
        socket.getaddrinfo("huggingface.co", 443)


def test_loopback_is_within_reach():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_shapes_are_checked():
    flags = torch.ones(2, dtype=torch.bool)
    with pytest.raises(Exception, match="boxes"):
        Faces(torch.zeros(2, 3), torch.zeros(2, 5, 2), torch.zeros(2), flags)


def test_warnings_are_errors():
    with pytest.raises(UserWarning, match="loud"):
        warnings.warn("loud", UserWarning, stacklevel=1)


def test_threads_are_explicit():
    assert torch.get_num_threads() == 1
