from .bundle import load_bundle, weights_sha256, write_bundle
from .card import BundleFacts, bundle_card
from .told import BundleTargets, sampler_facts
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
    "BundleTargets",
    "Use",
    "bundle_card",
    "load_bundle",
    "sampler_facts",
    "use_of",
    "weights_sha256",
    "write_bundle",
]
