from __future__ import annotations

import torch

from fairness_core.runtime.distributed import World
from fairness_core.training.perceive import Perceived, count_batch, counterparts, perceive
from fairness_core.types import Faces
from tests.helpers.tiny_world import BrightSpot, TinyWorld, tiny_models
from tests.training.threads import in_threads


def perceived(boxes: list[list[float]], image: list[int]) -> Perceived:
    n = len(image)
    faces = Faces(
        torch.tensor(boxes, dtype=torch.float32).view(n, 4),
        torch.arange(10.0 * n).view(n, 5, 2),
        torch.ones(n),
        torch.ones(n, dtype=torch.bool),
    )
    shares = torch.arange(1.0, n + 1)[:, None] / 10
    rows = torch.tensor(image, dtype=torch.int64)
    return Perceived(faces, {"gender": torch.cat([shares, 1 - shares], 1)}, rows)


def test_a_face_belongs_to_the_one_it_overlaps_most() -> None:
    """In its own image only; one that overlaps none has no counterpart."""
    seen = perceived([[0, 0, 4, 4], [10, 10, 14, 14], [0, 0, 4, 4], [0, 0, 4, 4]], [0, 0, 1, 2])
    before = perceived([[0, 0, 2, 4], [1, 0, 5, 4], [0, 0, 4, 4], [8, 8, 11, 11]], [0, 0, 2, 2])
    found = counterparts(seen, before)
    assert found.faces.present.tolist() == [True, False, False, True]
    assert torch.equal(found.image, seen.image)
    assert found.faces.boxes.tolist() == [[1, 0, 5, 4], [0] * 4, [0] * 4, [0, 0, 4, 4]]
    assert torch.equal(found.faces.landmarks[3], before.faces.landmarks[2])
    assert torch.equal(found.probabilities["gender"][0], before.probabilities["gender"][1])
    assert (found.faces.landmarks[1:3] == 0).all()


def test_nobody_has_no_counterpart() -> None:
    one, none = perceived([[0, 0, 4, 4]], [0]), perceived([], [])
    assert counterparts(one, none).faces.present.tolist() == [False]
    assert counterparts(one, none).probabilities["gender"].shape == (1, 2)
    assert len(counterparts(none, one).image) == 0


def test_every_face_is_classified_as_itself(tiny_world: TinyWorld) -> None:
    models = tiny_models(tiny_world)
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(4)) * 2 - 1
    seen = perceive(images, BrightSpot(), models.classifier, every=True)
    assert len(seen.image) > 6
    alone = perceive(images, BrightSpot(), models.classifier)
    firsts = [int((seen.image == i).nonzero()[0]) for i in range(6)]
    for name, p in alone.probabilities.items():
        torch.testing.assert_close(seen.probabilities[name][firsts], p)
    assert seen.rows_of(slice(0, 6)) == slice(0, len(seen.image))
    part = seen.take(seen.rows_of(slice(2, 4))).counted_from(2)
    assert set(part.image.tolist()) == {0, 1}
    nobody = perceive(images, BrightSpot(darkest=2.0), models.classifier, every=True)
    assert nobody.probabilities["age"].shape == (0, 2)


def test_counts_are_of_all_processes() -> None:
    """Three, one of them without a face."""
    parts = [perceived([[0, 0, 1, 1]] * 3, [0, 0, 1]), perceived([], []), perceived([[0] * 4], [1])]

    def work(world: World) -> tuple[int, int, slice]:
        found = count_batch(parts[world.rank], 2, world)
        return found.images, found.with_face, found.rows

    assert in_threads(3, work) == [
        (6, 3, slice(0, 3)),
        (6, 3, slice(3, 3)),
        (6, 3, slice(3, 4)),
    ]
