"""Times of schedules, as Kubeflow's own parser takes them."""

from __future__ import annotations

import re

from fairness_core.errors import ConfigError

__all__ = ["check_cron"]

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# Least, most, and the names that count from the least.
FIELDS: dict[str, tuple[int, int, list[str]]] = {
    "second": (0, 59, []),
    "minute": (0, 59, []),
    "hour": (0, 23, []),
    "day": (1, 31, []),
    "month": (1, 12, MONTHS),
    "weekday": (0, 6, DAYS),
}


def check_cron(cron: str) -> None:
    """Refuse a time that the server would refuse, or never come to.

    Args:
        cron: Six fields: second minute hour day month weekday; each a star, a number or a name, a
            range, or several with commas, with a step after a slash.

    Raises:
        ConfigError: Another number of fields, or everything that is wrong in them.
    """
    words = cron.split()
    example = "write for example '0 0 3 * * 1': Mondays at 3:00"
    if len(words) != len(FIELDS):
        raise ConfigError(f"A schedule has six fields: {' '.join(FIELDS)}", given=cron, do=example)
    wrong = [
        f"'{word}' is no {name} ({least} to {most})"
        for word, (name, (least, most, names)) in zip(words, FIELDS.items(), strict=True)
        if not all(_sound(part, least, most, names) for part in word.split(","))
    ]
    if wrong:
        raise ConfigError(f"A schedule's time is unsound: {'; '.join(wrong)}", given=cron,
                          do=example)  # fmt: skip


def _sound(part: str, least: int, most: int, names: list[str]) -> bool:
    found = re.fullmatch(r"([*?]|(\w+)(?:-(\w+))?)(?:/([0-9]+))?", part)
    if found is None or (found[4] is not None and int(found[4]) < 1):
        return False
    if found[1] in ("*", "?"):
        return True

    def number(word: str) -> int:
        lower = word.lower()
        if lower in names:
            return least + names.index(lower)
        return int(word) if word.isascii() and word.isdigit() else -1

    first = number(found[2])
    last = first if found[3] is None else number(found[3])
    return least <= first <= last <= most
