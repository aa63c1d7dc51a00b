"""Does an audit of a folder keep to its time and its memory, and go on after a kill?

Draws pictures of the portraits world into a folder of 50 prompts, audits it in a process of its
own, kills that process once (SIGKILL) on the way and starts it again; then audits an eighth of the
folder to see what of the memory grows with the number of images.

    python benchmarks/audit_folder.py --classifier artifacts/classifiers/audit   # 8,000 images
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from fairness_core.portraits.dataset import labelled_portraits

PROMPTS = 50
DISTINCT = 800
LIMIT_SECONDS, LIMIT_GROWTH = 600.0, 1.15


def write_folder(folder: Path, per_prompt: int, size: int) -> Path:
    """One folder for each prompt, and the prompt list beside them; gives the list's path."""
    images = labelled_portraits(min(DISTINCT, PROMPTS * per_prompt), "audit", size=size)[0]
    names = [f"prompt-{p:03d}" for p in range(PROMPTS)]
    for p, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(per_prompt):
            pixels = images[(p * per_prompt + i) % len(images)]
            Image.fromarray(pixels).save(folder / name / f"{i:04d}.png")
    prompts = folder.with_suffix(".txt")
    prompts.write_text("".join(f"a portrait number {p}\n" for p in range(PROMPTS)))
    return prompts


def audit(
    folder: Path, prompts: Path, classifier: Path, *, kill: bool = False
) -> tuple[float, int]:
    """Seconds and peak memory (bytes) of one audit; with ``kill``, until a third is done."""
    command = [
        sys.executable, "-m", "components.audit.main", "--images", str(folder),
        "--prompts", str(prompts), "--classifier", str(classifier),
        "--out", str(folder) + "-audit", "--set", "run.tracking=false",
    ]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    log = Path(str(folder) + "-audit.partial", "batches.jsonl")
    files = sum(1 for _ in folder.glob("*/*"))
    while kill and process.poll() is None:
        if log.is_file() and log.read_text().count("batch") * 128 > files / 3:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.02)
    _, status, used = os.wait4(process.pid, 0) if not kill else (0, process.wait(), None)
    if not kill and status != 0:
        sys.exit(f"the audit ended with status {status}")
    return time.monotonic() - began, 0 if used is None else used.ru_maxrss * 1024


def main() -> int:
    """Print the figures; 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classifier", type=Path, default=Path("artifacts/classifiers/audit"))
    parser.add_argument("--images", type=int, default=160, help="of each of the 50 prompts")
    parser.add_argument("--size", type=int, default=64, help="px")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        few, many = Path(place, "few"), Path(place, "many")
        listed = [write_folder(few, max(1, args.images // 8), args.size)]
        listed.append(write_folder(many, args.images, args.size))
        small, least = audit(few, listed[0], args.classifier)
        before, _ = audit(many, listed[1], args.classifier, kill=True)
        rest, memory = audit(many, listed[1], args.classifier)
    total = PROMPTS * args.images
    sys.stdout.write(
        f"{total} images of {args.size} px: {before:.0f} s until killed, {rest:.0f} s for the "
        f"rest, peak memory {memory / 2**20:.0f} MiB; {total // 8} images: {small:.0f} s, "
        f"{least / 2**20:.0f} MiB\n"
    )
    return int(before + rest > LIMIT_SECONDS or memory > LIMIT_GROWTH * least)


if __name__ == "__main__":
    sys.exit(main())
