"""Encoders of images, prompts and faces into unit vectors."""

import lazy_loader

# Names and where they come from: __init__.pyi. A step imports no more than it uses.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
