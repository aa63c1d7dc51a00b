"""Checks of Kubernetes manifests, ours or an overlay of them, before they reach a cluster."""

from pipelines.manifests.check import check, problems
from pipelines.manifests.objects import Objects, read

__all__ = ["Objects", "check", "problems", "read"]
