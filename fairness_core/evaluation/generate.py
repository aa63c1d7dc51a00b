"""Images for evaluation: the same noise for every model, whatever the batch, resumable."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core import diffusion
from fairness_core.diffusion import (
    DiffusionStack,
    decode,
    encode_prompts,
    sample,
    scheduler_facts,
)
from fairness_core.errors import ConfigError, PromptError
from fairness_core.evaluation.images import to_bytes, write_png
from fairness_core.evaluation.shards import SHARD, Shard, check_images, finish_images, image_kind
from fairness_core.evaluation.work import is_complete, note_batch, open_work
from fairness_core.runtime.artifacts import MANIFEST, verify
from fairness_core.runtime.logs import get_logger, progress
from fairness_core.runtime.seeds import image_noise, seed_for

__all__ = ["IMAGE_NOISE", "Sampling", "generate_folder", "plan_images", "sample_images"]

# Stage of the noise of every model that is compared.
IMAGE_NOISE = "generate_images"


@dataclass(frozen=True)
class Sampling:
    """How images are sampled.

    Attributes:
        stage: Enters every image's seed, with ``seed``, its prompt and its index, and nothing else
            does: two models sampled with the same stage and seed start from the same noise.
        seed: The run's seed.
        guidance: Classifier-free guidance, >= 1.
        steps: Sampling steps, >= 1.
        batch_size: Images per network call, >= 1.
        decode_batch_size: Images decoded at once, >= 1; None: ``batch_size``.
    """

    stage: str
    seed: int
    guidance: float
    steps: int
    batch_size: int
    decode_batch_size: int | None = None


def plan_images(
    prompts: pd.DataFrame, counts: pd.DataFrame, sampling: Sampling, *, model: str
) -> pd.DataFrame:
    """List the images to make: one row each, prompt by prompt.

    Args:
        prompts: Columns prompt_id, prompt, split.
        counts: Columns prompt_id, images (how many of each, >= 1).
        sampling: Its stage and seed give the images' seeds.
        model: ``base``, ``aligned`` or a baseline's name; only a label.

    Returns:
        Columns image_id, prompt_id, index (0-based within the prompt), seed, file (relative path),
        model, prompt, split.

    Raises:
        PromptError: No image to make, or a count for a prompt that the catalog does not have.
    """
    if counts.empty or int(counts["images"].sum()) == 0:
        raise PromptError(
            "The prompt list to generate images for is empty",
            do="ask for images of at least one prompt",
        )
    known = prompts.set_index("prompt_id")
    unknown = [name for name in counts["prompt_id"] if name not in known.index]
    if unknown:
        raise PromptError(
            "Images are asked for prompts that the catalog does not have",
            given=unknown[:5],
            do="run generate_prompts again",
        )
    rows = []
    for prompt_id, count in zip(counts["prompt_id"], counts["images"], strict=True):
        prompt, split = (str(known.loc[prompt_id, name]) for name in ("prompt", "split"))
        rows += [
            {
                "image_id": f"{prompt_id}-{index:05d}",
                "prompt_id": prompt_id,
                "index": index,
                "seed": seed_for(sampling.seed, sampling.stage, prompt, index),
                "file": f"png/{prompt_id}/{index:05d}.png",
                "model": model,
                "prompt": prompt,
                "split": split,
            }
            for index in range(int(count))
        ]
    return pd.DataFrame(rows)


def generate_folder(
    stack: DiffusionStack,
    rows: pd.DataFrame,
    out: Path,
    sampling: Sampling,
    *,
    recipe: Mapping[str, object],
    label: str = "images",
    shard: Shard | None = None,
    reuse: bool = False,
) -> float:
    """Sample every planned image into a finished folder, going on where a killed run stopped.

    Work happens in ``<out>.partial``. A batch counts as done once its files are written and its
    line in the log is; after a kill the others are sampled again in the same batches, so the
    result is the same to the byte. Work of another recipe, or of other code, is discarded.

    Args:
        stack: The model, adapters and all.
        rows: From `plan_images`; a column ``text``, if there, is what the model reads in place of
            the prompt, which the noise follows all the same.
        out: The folder to make; replaced when it exists.
        sampling: Noise and sampler.
        recipe: What else decides the pixels, such as the weights' sha256; JSON values.
        label: Shown beside the progress.
        shard: Make its batches alone; `merge_shards` puts the folders together.
        reuse: Keep a finished folder of the same recipe as it is.

    Returns:
        Seconds spent on sampling and writing, over all attempts.

    Raises:
        ArtifactError: The folder may not be replaced, see `check_images`.
        ConfigError: A batch size, step count or guidance out of range.
        PromptError: No rows, or a prompt too long for the model.
    """
    if sampling.batch_size < 1:
        raise ConfigError("A batch needs at least one image", given=sampling.batch_size)
    if rows.empty:
        raise PromptError("The prompt list to generate images for is empty", do="plan some images")
    check_images(out)
    full = _recipe(stack, rows, sampling, recipe)
    if shard is not None:
        full[SHARD] = [shard.number, shard.of]
    if reuse and (out / MANIFEST).is_file():
        there = verify(out, kind=image_kind(full))["extra"]
        if there["recipe"] == json.loads(json.dumps(full)):
            return float(there["seconds"])
    work = out.with_name(out.name + ".partial")
    done = open_work(work, full)
    starts = range(0, len(rows), sampling.batch_size)
    own = range(len(starts)) if shard is None else shard.part(len(starts))
    batches = {i: rows.iloc[starts[i] : starts[i] + sampling.batch_size] for i in own}
    missing = [
        (i, batch) for i, batch in batches.items() if not is_complete(work, done, i, batch["file"])
    ]
    if len(missing) < len(batches):
        get_logger("evaluation").info(
            "%s of %s image batches were already written, going on",
            len(batches) - len(missing),
            len(batches),
        )
    for i, batch in progress(missing, total=len(missing), label=label):
        began = time.perf_counter()
        prompts, indices = batch["prompt"].tolist(), batch["index"].tolist()
        texts = batch.get("text", batch["prompt"]).tolist()
        images = sample_images(stack, prompts, indices, sampling, texts)
        for pixels, file in zip(to_bytes(images), batch["file"], strict=True):
            write_png(pixels, work / file)
        done[i] = time.perf_counter() - began
        note_batch(work, i, done[i])
    seconds = sum((done[i] for i in batches), 0.0)
    first = min(own.start * sampling.batch_size, len(rows))
    made = rows.iloc[first : own.stop * sampling.batch_size]
    table = made.drop(columns=["prompt", "text"], errors="ignore")
    finish_images(work, out, table, full, seconds)
    return seconds


@torch.no_grad()
def sample_images(
    stack: DiffusionStack,
    prompts: Sequence[str],
    indices: Sequence[int],
    sampling: Sampling,
    texts: Sequence[str] | None = None,
) -> Float[Tensor, "n 3 y x"]:
    """Sample one batch, each image from the noise of its prompt and its index.

    Args:
        stack: The model.
        prompts: One an image.
        indices: Of each image within its prompt.
        sampling: Noise and sampler.
        texts: What the model reads in place of the prompts; None: the prompts.

    Returns:
        Images, about [-1, 1], not clamped.
    """
    read = prompts if texts is None else texts
    unique = list(dict.fromkeys(read))
    encoded = encode_prompts(stack, ["", *unique])
    noise = image_noise(sampling.stage, prompts, indices, stack.latent_shape, seed=sampling.seed)
    latents = sample(
        stack,
        noise.to(stack.device),
        encoded[[1 + unique.index(text) for text in read]],
        encoded[:1],
        guidance=sampling.guidance,
        steps=sampling.steps,
    ).final
    parts = latents.split(sampling.decode_batch_size or len(latents))
    return torch.cat([decode(stack, part) for part in parts])


def _recipe(
    stack: DiffusionStack, rows: pd.DataFrame, sampling: Sampling, extra: Mapping[str, object]
) -> dict[str, object]:
    """Everything that decides the pixels, so that work of another recipe is not mixed in."""
    plan = rows[["image_id", "prompt", "index", "file"]].to_csv(index=False)
    sources = [*sorted(Path(diffusion.__path__[0]).rglob("*.py")), Path(__file__)]
    code = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources))
    return {
        **extra,
        "stage": sampling.stage,
        "seed": sampling.seed,
        "guidance": sampling.guidance,
        "steps": sampling.steps,
        "batch_size": sampling.batch_size,
        **scheduler_facts(stack.scheduler),
        "decode_batch_size": sampling.decode_batch_size,
        "device": stack.device.type,
        "dtype": str(stack.dtype),
        "plan_sha256": hashlib.sha256(plan.encode()).hexdigest(),
        "code_sha256": code.hexdigest(),
        "torch": torch.__version__,
    }
