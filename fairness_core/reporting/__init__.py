"""The report: one HTML page, the before/after table, the README's picture, the model card."""

import lazy_loader

# Names and where they come from: __init__.pyi. A step imports no more than it uses.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
