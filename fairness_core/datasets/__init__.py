"""Labelled faces in their published layouts: FairFace and CelebA."""

from fairness_core.datasets.celeba import read_celeba
from fairness_core.datasets.faces import Example, FaceDataset, Provenance
from fairness_core.datasets.fairface import fairface_merges, read_fairface
from fairness_core.datasets.images import decode
from fairness_core.datasets.source import KINDS, LABELLED, Split, read_faces

__all__ = [
    "KINDS",
    "LABELLED",
    "Example",
    "FaceDataset",
    "Provenance",
    "Split",
    "decode",
    "fairface_merges",
    "read_celeba",
    "read_faces",
    "read_fairface",
]
