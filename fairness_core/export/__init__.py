"""Export: what stock diffusers loads."""

from fairness_core.export.bundle import (
    BUNDLE_KIND,
    WEIGHTS_FILE,
    load_bundle,
    weights_sha256,
    write_bundle,
)
from fairness_core.export.card import BundleFacts, bundle_card

__all__ = [
    "BUNDLE_KIND",
    "WEIGHTS_FILE",
    "BundleFacts",
    "bundle_card",
    "load_bundle",
    "weights_sha256",
    "write_bundle",
]
