"""Export: what stock diffusers loads."""

from fairness_core.export.bundle import (
    BUNDLE_KIND,
    PLACEHOLDER,
    SOFT_TOKENS,
    TOKENS_FILE,
    WEIGHTS_FILE,
    load_bundle,
    weights_sha256,
    write_bundle,
)
from fairness_core.export.card import BundleFacts, bundle_card
from fairness_core.export.use import Use, use_of

__all__ = [
    "BUNDLE_KIND",
    "PLACEHOLDER",
    "SOFT_TOKENS",
    "TOKENS_FILE",
    "WEIGHTS_FILE",
    "BundleFacts",
    "Use",
    "bundle_card",
    "load_bundle",
    "use_of",
    "weights_sha256",
    "write_bundle",
]
