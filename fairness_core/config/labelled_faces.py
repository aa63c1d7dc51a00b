"""Where labelled faces come from: what each source labels, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairness_core.config.choices import LABELLED
from fairness_core.config.nearest import nearest
from fairness_core.config.sound import Check, Sound

__all__ = ["FACE_CHECKS"]

PORTRAITS = "portraits"
DATA_SETS = LABELLED.keys() - {PORTRAITS}


def _by_attribute(key: str) -> Check:
    """A value that may be a mapping has every attribute, then."""

    def check(get: Sound) -> Iterator[tuple[str, str]]:
        value, known = get(f"calibrate_classifier.{key}"), get.names()
        if isinstance(value, dict):
            for name in value:
                if name not in known:
                    yield (
                        f"calibrate_classifier.{key}",
                        f"'{name}' is not an attribute{nearest(name, known)}",
                    )
            missing = [name for name in known if name not in value]
            if missing:
                yield f"calibrate_classifier.{key}", f"has nothing for {', '.join(missing)}"

    return check


def _merges(get: Sound) -> Iterator[tuple[str, str]]:
    for name in get("calibrate_classifier.merges"):
        if name not in get.names():
            yield (
                f"calibrate_classifier.merges.{name}",
                f"is not an attribute{nearest(name, get.names())}",
            )


def _networks(get: Sound) -> Iterator[tuple[str, str]]:
    audit, train = (get(f"calibrate_classifier.{role}_network") for role in ("audit", "train"))
    if isinstance(audit, dict) and isinstance(train, dict):
        shared = sorted(set(audit.values()) & set(train.values()))
        if shared:
            yield (
                "calibrate_classifier.audit_network",
                f"must not have a classifier that training has; given {', '.join(shared)}",
            )
    elif audit == train:
        yield (
            "calibrate_classifier.audit_network",
            f"must differ from train_network, whose mistakes it would repeat; given {audit}",
        )


def _sources(get: Sound) -> Iterator[tuple[str, str]]:
    """Each attribute's source labels it, and the drawn world in the classes asked for."""
    source, known = get("calibrate_classifier.source"), get.names()
    by_name = source if isinstance(source, dict) else dict.fromkeys(known, source)
    yield from _foreign(get, "calibrate_classifier.source", by_name)
    for name in known:
        kind = _kind(by_name.get(name, ""))
        if kind in DATA_SETS and name not in LABELLED[kind]:
            yield (
                "calibrate_classifier.source",
                f"{kind} does not label '{name}', only {', '.join(LABELLED[kind])}; name a source "
                "of each attribute, such as {race: fairface:FOLDER}, or remove the attribute",
            )


def _bank_source(get: Sound) -> Iterator[tuple[str, str]]:
    source, known = get("build_bank.source"), get.names()
    if source is None:
        return
    yield from _foreign(get, "build_bank.source", dict.fromkeys(known, source))
    if _kind(source) in DATA_SETS and not set(known) & set(LABELLED[_kind(source)]):
        yield (
            "build_bank.source",
            f"{_kind(source)} labels none of {', '.join(known)}, only "
            f"{', '.join(LABELLED[_kind(source)])}; name another source, or null for no bank",
        )


def _foreign(get: Sound, place: str, sources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Attributes that the drawn world does not have so; all of them are one problem."""
    wrong, drawn = [], LABELLED[PORTRAITS]
    for name in get.names():
        classes = list(get(f"attributes.{name}.classes"))
        if sources.get(name) == PORTRAITS and classes != list(drawn.get(name, ())):
            instead = f", but {', '.join(drawn[name])}" if name in drawn else ""
            wrong.append(f"'{name}' as {', '.join(classes)}{instead}")
    if wrong:
        bank = ", null for no bank" if place.startswith("build_bank") else ""
        yield (
            place,
            f"portraits does not draw {'; nor '.join(wrong)}; name photographs, fairface:FOLDER or "
            f"celeba:FOLDER{bank}, or take the drawn classes in their order",
        )


def _bank(get: Sound) -> Iterator[tuple[str, str]]:
    """What the realism loss asks of the bank is in it."""
    source, weight = get("build_bank.source"), get("finetune.lambda_face")
    if weight == 0:
        return
    if source is None:
        yield (
            "finetune.lambda_face",
            f"must be 0 where build_bank.source is null, which makes no bank; given {weight}",
        )
        return
    kind, known = _kind(source), get.names()
    for name in get("finetune.align"):
        if kind in DATA_SETS and name in known and name not in LABELLED[kind]:
            yield (
                "build_bank.source",
                f"{kind} does not label '{name}', which is aligned with finetune.lambda_face = "
                f"{weight}: the bank needs faces of every combination of classes; name another "
                "source, such as fairface:FOLDER, or set lambda_face to 0",
            )


def _kind(source: str) -> str:
    return source.partition(":")[0]


FACE_CHECKS: tuple[Check, ...] = (
    _by_attribute("source"),
    _by_attribute("train_network"),
    _by_attribute("audit_network"),
    _merges,
    _networks,
    _sources,
    _bank_source,
    _bank,
)
