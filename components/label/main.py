"""Let a person label images on a local web page, by keyboard; every answer is saved at once.

The page shows neither prompt nor prediction, in an order that does not follow the prompts, and is
served to this machine only. The CSV is what ``evenhand audit --labels`` reads.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, arguments, execute

if TYPE_CHECKING:
    from fairness_core.config import Params

STAGE = "label"
PORT = 8765


def run(
    *,
    images: Path,
    prompts: Path | None,
    count: int | None,
    attributes: Mapping[str, Any],
    settings: Settings,
    out: Path,
    port: int,
) -> None:
    """Serve the page until it is interrupted.

    Args:
        images: Folder or table of images, as for the audit.
        prompts: Their prompt list, needed where a table names prompts by their text.
        count: Images to label, drawn at random; None: all.
        attributes: Section ``attributes``.
        settings: Section ``run``: its seed decides the order.
        out: CSV to write, or to go on with.
        port: Of the page; 0: any free one.

    Raises:
        ArtifactError: There is no image, or the CSV holds labels of other images.
        ConfigError: The port is taken.
    """
    from components.label.server import LabelServer
    from fairness_core.attributes import AttributeSpace
    from fairness_core.errors import ConfigError

    space = AttributeSpace.from_mapping(attributes)
    folder, files = choose(images, prompts, count, settings.seed)
    try:
        server = LabelServer(folder, files, space, out, port)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"The page cannot be served: {error}", given=port, do="choose another --port"
        ) from error
    sys.stdout.write(f"Label {len(files)} images at {server.address} (Ctrl+C ends)\n")
    sys.stdout.flush()
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write(f"{server.labelled} of {len(files)} images are labelled in {out}\n")


def choose(
    images: Path, prompts: Path | None, count: int | None, seed: int
) -> tuple[Path, list[str]]:
    """The files to label, in random order: the first of many are a fair sample of all."""
    import numpy as np

    from fairness_core.evaluation import list_images
    from fairness_core.prompts import read_list
    from fairness_core.runtime import seed_for

    folder, table = list_images(images, None if prompts is None else read_list(prompts))
    order = np.random.default_rng(seed_for(seed, STAGE)).permutation(len(table))
    return folder, table["file"].iloc[order[:count]].tolist()


def positive(text: str) -> int:
    """A whole number above 0; argparse's message has this function's name."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more; given {text}")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = arguments(STAGE, __doc__)
    parser.prog = "evenhand label"
    parser.add_argument("--images", type=Path, required=True, help="folder or table of images")
    parser.add_argument(
        "--prompts", type=Path, help="where a table names prompts by text: .txt, .csv or .parquet"
    )
    parser.add_argument("--count", type=positive, help="images to label, drawn at random")
    parser.add_argument("--out", type=Path, default=Path("labels.csv"), help="written")
    parser.add_argument("--port", type=int, default=PORT, help="of the page; 0: any free one")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            images=args.images,
            prompts=args.prompts,
            count=args.count,
            attributes=params.section("attributes"),
            settings=settings,
            out=args.out,
            port=args.port,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
