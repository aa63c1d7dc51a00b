"""What git says of the working directory."""

from __future__ import annotations

import subprocess

__all__ = ["git"]


def git(*words: str) -> str | None:
    """Output of a git command, without spaces around it; None where git or a checkout is missing.

    Args:
        words: The command, without ``git``.
    """
    try:
        found = subprocess.run(
            ["git", *words], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
