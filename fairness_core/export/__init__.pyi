from .bundle import load_bundle, weights_sha256, write_bundle
from .card import BundleFacts, bundle_card
from .use import (
    BUNDLE_KIND,
    PLACEHOLDER,
    SOFT_TOKENS,
    TOKENS_FILE,
    WEIGHTS_FILE,
    Use,
    use_of,
)

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
