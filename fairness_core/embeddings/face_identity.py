"""Faces as unit vectors that tell people apart, in torch and as the ONNX twin that tools load."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fairness_core.embeddings.face_network import FACE_SIZE, FaceNetwork
from fairness_core.errors import ModelError
from fairness_core.model_folders import LOAD_ERRORS, read_json, require_file

__all__ = ["CONFIG", "KIND", "WEIGHTS", "FaceEmbedder", "export_onnx"]

GROUPS = 4
CONFIG, WEIGHTS = "config.json", "model.safetensors"
KIND = "evenhand-face-embedder"
OPSET = 18


class _Stage(nn.Module):
    """Halve the side, then add a residual."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.down_norm = nn.GroupNorm(GROUPS, outputs)
        self.residual = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.residual_norm = nn.GroupNorm(GROUPS, outputs)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        x = F.relu(self.down_norm(self.down(x)))
        return F.relu(x + self.residual_norm(self.residual(x)))


class FaceEmbedder(FaceNetwork):
    """The embedder of drawn faces: small, residual, no statistics of the batch.

    A stem of stride 4, two stages of stride 2, and a 7x7 depthwise read-out of the last map, which
    sees every place of an aligned face with weights of its own.

    Attributes:
        width: Channels after the stem, a multiple of 4.
        dimensions: Length of the vectors.
    """

    def __init__(self, width: int = 24, dimensions: int = 128) -> None:
        """Make an untrained network; initial weights come from torch's global generator."""
        super().__init__()
        self.width, self.dimensions = width, dimensions
        self.stem = nn.Conv2d(3, width, 7, 4, 3, bias=False)
        self.stem_norm = nn.GroupNorm(GROUPS, width)
        self.stages = nn.Sequential(_Stage(width, 2 * width), _Stage(2 * width, 4 * width))
        self.read = nn.Conv2d(4 * width, 4 * width, 7, groups=4 * width, bias=False)
        self.read_norm = nn.GroupNorm(1, 4 * width)
        self.project = nn.Linear(4 * width, dimensions, bias=False)

    def forward(self, faces: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n d"]:
        """Compute unit vectors of faces as they are, not of their mirror images.

        Args:
            faces: Aligned by the five points, RGB in [-1, 1].
        """
        x = self.stages(F.relu(self.stem_norm(self.stem(faces))))
        x = self.project(self.read_norm(self.read(x)).flatten(1))
        unit: Tensor = x / x.norm(dim=1, keepdim=True)
        return unit

    @classmethod
    def build(
        cls, generator: torch.Generator, *, width: int = 24, dimensions: int = 128
    ) -> FaceEmbedder:
        """Make an untrained network whose weights the generator alone decides."""
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(width, dimensions)

    @classmethod
    def untrained(cls, folder: Path) -> FaceEmbedder:
        """Make an untrained network of the sizes that the folder's ``config.json`` states.

        Raises:
            ModelError: The file is missing, damaged or of another kind.
        """
        config = read_json(folder / CONFIG)
        if config.get("kind") != KIND:
            raise ModelError(
                "The folder is not a face embedder of this project",
                given=folder,
                do="give a folder that FaceEmbedder.save wrote",
            )
        try:
            return cls(config["width"], config["dimensions"])
        except LOAD_ERRORS as error:
            raise _unloadable(folder / CONFIG, error) from error

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> FaceEmbedder:
        """Load a local folder, frozen, float32, in evaluation mode.

        Args:
            folder: ``config.json`` and ``model.safetensors``, see ``save``.
            device: Where the network goes.

        Raises:
            ModelError: A file is missing, damaged or of another kind.
        """
        folder = Path(folder)
        with torch.device("meta"):
            model = cls.untrained(folder)
        path = require_file(folder / WEIGHTS)
        try:
            weights = {name: value.float() for name, value in load_file(path).items()}
            model.load_state_dict(weights, assign=True)
        except LOAD_ERRORS as error:
            raise _unloadable(path, error) from error
        return model.to(device).eval().requires_grad_(False)

    def save(self, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> Path:
        """Write ``config.json`` and ``model.safetensors``.

        Args:
            folder: Made when missing.
            dtype: Of the stored weights; they are loaded as float32.

        Returns:
            The folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"kind": KIND, "width": self.width, "dimensions": self.dimensions}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        weights = {n: v.detach().to(dtype).contiguous() for n, v in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        return folder


def _unloadable(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"Could not load the face embedder ({type(error).__name__}: {str(error)[:300]})",
        given=path,
        do="fetch the model again",
    )


def export_onnx(embedder: FaceEmbedder, path: str | Path) -> Path:
    """Write the embedder in the layout that insightface takes for ArcFace.

    One input (batch, 3, 112, 112) of RGB in (value - 127.5) / 127.5, which is our [-1, 1], and one
    output (batch, dimensions) of unit vectors, without flip-averaging.

    Args:
        embedder: Exported in evaluation mode.
        path: File to write; its folder is made when missing.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    example = torch.zeros(2, 3, FACE_SIZE, FACE_SIZE, device=embedder.stem.weight.device)
    with warnings.catch_warnings():
        # The tracing exporter is the quick one and leaves no source paths in the file; its warnings
        # only announce that it will be gone one day.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            embedder.eval(),
            (example,),
            path,
            input_names=["input.1"],
            output_names=["embedding"],
            dynamic_axes={"input.1": {0: "batch"}, "embedding": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return path
