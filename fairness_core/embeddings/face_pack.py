"""Which face embedder a place holds, the project's own or an insightface pack's, and its loading.

insightface's code is MIT; its pretrained packs are for non-commercial research only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fairness_core.embeddings.face_identity import CONFIG, KIND, WEIGHTS, FaceEmbedder
from fairness_core.embeddings.face_network import FACE_SIZE, FaceNetwork
from fairness_core.embeddings.iresnet import IResNet
from fairness_core.embeddings.onnx_network import PROBLEMS, OnnxNetwork, graph_inputs
from fairness_core.embeddings.onnx_twin import onnx_twin_gap
from fairness_core.errors import ModelError
from fairness_core.model_folders import read_json, require_file
from fairness_core.onnx_files import read_onnx

__all__ = [
    "PackEmbedder",
    "load_face_embedder",
    "recognition_file",
    "untrained_face_embedder",
    "weights_file",
]

LARGEST_GAP = 1e-4  # of unit vectors' entries; float32 rounding gives about 1e-6
CHECKED = 3  # pictures
NORMALISING = 8  # first nodes, in which insightface looks for the file's own normalisation
DO = "give a folder that FaceEmbedder.save wrote, or an insightface pack with one recognition model"


class PackEmbedder(FaceNetwork):
    """A recognition network of the ArcFace kind behind the realism loss's interface.

    Attributes:
        network: RGB to vectors of any length.
        takes_pixels: Whether its input is 0 to 255, normalised inside, and not [-1, 1].
    """

    def __init__(self, network: nn.Module, *, takes_pixels: bool = False) -> None:
        super().__init__()
        self.network, self.takes_pixels = network, takes_pixels
        self.eval().requires_grad_(False)

    def forward(self, faces: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n d"]:
        """Compute unit vectors of faces as they are, not of their mirror images."""
        if self.takes_pixels:
            faces = (faces + 1) * 127.5
        return F.normalize(self.network(faces), dim=-1)


def load_face_embedder(place: str | Path, *, device: str | torch.device = "cpu") -> FaceNetwork:
    """Load the face embedder of a local folder or file, frozen, float32, in evaluation mode.

    A folder whose ``config.json`` is this project's holds a ``FaceEmbedder``. Any other is an
    insightface pack: its recognition model runs in torch, node by node, once its vectors of a few
    fixed pictures are those of insightface itself, to 1e-4.

    Args:
        place: Folder, or the recognition model's ``.onnx`` file.
        device: Where the network goes.

    Raises:
        ModelError: Nothing there is a face embedder, or more than one; a file is damaged or uses
            what is not known here; insightface is not installed; the vectors differ.
    """
    place = Path(place)
    if _is_own(place):
        return FaceEmbedder.load(place, device=device)
    file = recognition_file(place)
    embedder = _of_graph(read_onnx(file), file)
    try:
        gap = onnx_twin_gap(embedder, file, _pictures())
    except PROBLEMS as error:
        notes = " ".join(getattr(error, "__notes__", []))
        raise ModelError(
            f"The face embedder's ONNX graph cannot be computed {notes} "
            f"({type(error).__name__}: {str(error)[:200]})",
            given=file,
            do="use another recognition model, or export this one again",
        ) from error
    if not gap <= LARGEST_GAP:
        raise ModelError(
            "The face embedder's ONNX graph gives other vectors in torch than in insightface",
            given=f"{file}: unit vectors differ by {gap:.2g}, at most {LARGEST_GAP:g} is rounding",
            do="use another recognition model; this graph is not understood",
        )
    return embedder.to(device)


def untrained_face_embedder(place: Path | None) -> FaceNetwork:
    """A network of the shapes that the place's embedder has, its weights left as torch makes them.

    Args:
        place: As for ``load_face_embedder``; None: an IResNet-50, the recognition model of
            insightface's pack buffalo_l.

    Raises:
        ModelError: Nothing there is a face embedder, or its graph is not known here.
    """
    if place is None:
        return PackEmbedder(IResNet())
    if _is_own(place):
        return FaceEmbedder.untrained(place).eval().requires_grad_(False)
    file = recognition_file(place)
    return _of_graph(read_onnx(file), file, contents=False)


def weights_file(place: str | Path) -> Path:
    """The file whose SHA-256 names the embedder in a bank.

    Raises:
        ModelError: Nothing there is a face embedder, or its file is missing.
    """
    place = Path(place)
    return require_file(place / WEIGHTS) if _is_own(place) else recognition_file(place)


def recognition_file(place: Path) -> Path:
    """The ONNX file that insightface takes for face recognition: one 112x112 input, one output.

    Args:
        place: A pack's folder, whose detector and other networks are passed over, or the file.

    Raises:
        ModelError: There is no such file, or more than one; or a file is damaged.
    """
    files = [require_file(place)] if place.suffix == ".onnx" else sorted(place.glob("*.onnx"))
    fit = [file for file in files if _recognises(read_onnx(file).graph)]
    if len(fit) == 1:
        return fit[0]
    if fit:
        raise ModelError(
            "The pack has more than one recognition model",
            given=", ".join(str(file) for file in fit),
            do="name one of the files in models.face_embedder",
        )
    names = ", ".join(file.name for file in files) or "no .onnx file"
    raise ModelError(
        f"The place is not a face embedder: neither this project's {CONFIG} nor an ONNX file with "
        f"one {FACE_SIZE}x{FACE_SIZE} input and one output",
        given=f"{place} ({names})",
        do=DO,
    )


def _is_own(place: Path) -> bool:
    path = place / CONFIG
    return path.is_file() and read_json(path).get("kind") == KIND


def _recognises(graph: Any) -> bool:
    inputs = graph_inputs(graph)
    if len(inputs) != 1 or len(graph.output) != 1:
        return False
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim]
    return sides[1:] == [3, FACE_SIZE, FACE_SIZE]


def _of_graph(model: Any, file: Path, *, contents: bool = True) -> PackEmbedder:
    """The graph's network, with the input that insightface's ``ArcFaceONNX`` would give it."""
    first = [node.name for node in model.graph.node[:NORMALISING]]
    inside = all(
        any(name.startswith(words) for name in first)
        for words in (("Sub", "_minus"), ("Mul", "_mul"))
    )
    return PackEmbedder(OnnxNetwork(model, file, contents=contents), takes_pixels=inside)


def _pictures() -> Float[Tensor, "n 3 112 112"]:
    """Fixed pictures: soft shapes with noise, asymmetric, of the whole range."""
    draws = torch.Generator().manual_seed(0)
    soft, fine = (torch.rand(CHECKED, 3, n, n, generator=draws) * 2 - 1 for n in (7, FACE_SIZE))
    soft = F.interpolate(soft, size=(FACE_SIZE, FACE_SIZE), mode="bilinear")
    return (soft + 0.2 * fine).clamp(-1, 1)
