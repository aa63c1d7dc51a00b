from __future__ import annotations

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fairness_core.attributes import AttributeSpace
from fairness_core.embeddings import FaceBank, FaceEmbedder, bank, weights_sha256, write_bank
from fairness_core.errors import ArtifactError, ModelError
from fairness_core.types import Targets

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)
HASH = "a" * 64


def table(rows: int) -> pd.DataFrame:
    cells = [SPACE.cells[i % SPACE.n_cells] for i in range(rows)]
    return pd.DataFrame(
        {
            "source_id": [str(i) for i in range(rows)],
            "source": "test",
            "licence": "none",
            "gender": [("female", "male")[cell[0]] for cell in cells],
            "age": [("young", "old")[cell[1]] for cell in cells],
        }
    )


def vectors(rows: int, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed)))


def asks(labels: list[int], active: list[bool]) -> Targets:
    y = torch.tensor(labels)
    return Targets(torch.eye(2)[y], y, torch.ones(len(labels)), torch.tensor(active))


@pytest.fixture
def folder(tmp_path):
    write_bank(tmp_path, vectors(12), table(12), embedder_sha256=HASH)
    return tmp_path


def test_what_was_written_is_loaded(folder):
    loaded = FaceBank.load(folder, SPACE, embedder_sha256=HASH)
    assert torch.equal(loaded.vectors, vectors(12))
    assert loaded.labels["age"].tolist() == [0, 1] * 6
    assert all(known.all() for known in loaded.known.values())


@given(st.data())
def test_nearest_is_the_best_of_all_that_fit(data):
    """By brute force, in products of every size, with faces that are not labelled."""
    rows, m = data.draw(st.integers(4, 12)), data.draw(st.integers(0, 4))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    known = {name: torch.rand(rows, generator=generator) < 0.8 for name in SPACE.names}
    labels = {name: torch.randint(2, (rows,), generator=generator) for name in SPACE.names}
    faces = FaceBank(vectors(rows, 1), labels, known)
    queries = vectors(m, 2)
    targets = {
        name: Targets(
            torch.zeros(m, 2),
            torch.randint(2, (m,), generator=generator),
            torch.ones(m),
            torch.rand(m, generator=generator) < 0.6,
        )
        for name in SPACE.names
    }
    allowed = [
        [
            b
            for b in range(rows)
            if all(
                not t.active[i] or (known[a][b] and labels[a][b] == t.labels[i])
                for a, t in targets.items()
            )
        ]
        for i in range(m)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank, "CHUNK", data.draw(st.sampled_from([1, 3, 100])))
        if not all(allowed):
            with pytest.raises(ArtifactError, match="No face of the bank has the classes"):
                faces.nearest(queries, targets)
            return
        found = faces.nearest(queries, targets)
    for i, choices in enumerate(allowed):
        best = max(choices, key=lambda b: float(queries[i] @ faces.vectors[b]))
        assert int(found[i]) == best


def test_target_classes_hold_at_once(folder):
    faces = FaceBank.load(folder, SPACE, embedder_sha256=HASH)
    found = faces.nearest(
        vectors(3, 3),
        {"gender": asks([1, 1, 0], [True] * 3), "age": asks([0, 1, 0], [True, True, False])},
    )
    cells = [(int(faces.labels["gender"][b]), int(faces.labels["age"][b])) for b in found]
    assert cells[:2] == [(1, 0), (1, 1)]
    assert cells[2][0] == 0


def test_another_embedder_is_refused(folder):
    with pytest.raises(ArtifactError, match="another face embedder.*bbbb"):
        FaceBank.load(folder, SPACE, embedder_sha256="b" * 64)


def test_a_class_without_a_face_is_refused(tmp_path):
    write_bank(tmp_path, vectors(2), table(2), embedder_sha256=HASH)
    with pytest.raises(ArtifactError, match="no face that is male/young or male/old"):
        FaceBank.load(tmp_path, SPACE, embedder_sha256=HASH)
    FaceBank.load(tmp_path, SPACE.subset(["age"]), embedder_sha256=HASH)
    unlabelled = table(12)
    unlabelled.loc[unlabelled["age"] == "old", "age"] = None
    write_bank(tmp_path, vectors(12), unlabelled, embedder_sha256=HASH)
    with pytest.raises(ArtifactError, match="no face that is old"):
        FaceBank.load(tmp_path, SPACE.subset(["age"]), embedder_sha256=HASH)


def test_labels_have_to_be_those_of_the_attributes(folder):
    other = AttributeSpace.from_mapping({"race": {"classes": ["a", "b"]}})
    with pytest.raises(ArtifactError, match="does not label 'race'"):
        FaceBank.load(folder, other, embedder_sha256=HASH)
    other = AttributeSpace.from_mapping({"age": {"classes": ["young", "middle"]}})
    with pytest.raises(ArtifactError, match="'age' has classes that.*old"):
        FaceBank.load(folder, other, embedder_sha256=HASH)


@pytest.mark.parametrize("name", ["faces.safetensors", "faces.parquet"])
def test_missing_and_damaged_files_are_named(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:20])
    with pytest.raises(ArtifactError, match=rf"(are|is) damaged.*{name}"):
        FaceBank.load(folder, SPACE, embedder_sha256=HASH)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"has no {name}"):
        FaceBank.load(folder, SPACE, embedder_sha256=HASH)


def test_rows_have_to_agree(folder):
    with pytest.raises(ArtifactError, match="one row of labels for each"):
        write_bank(folder, vectors(3), table(2), embedder_sha256=HASH)
    table(5).to_parquet(folder / "faces.parquet")
    with pytest.raises(ArtifactError, match="different numbers of rows.*5 and 12"):
        FaceBank.load(folder, SPACE, embedder_sha256=HASH)


def test_an_embedder_is_named_by_its_weights(tmp_path):
    one, other = (
        FaceEmbedder.build(torch.Generator().manual_seed(seed), width=8, dimensions=4).save(
            tmp_path / str(seed)
        )
        for seed in (1, 2)
    )
    assert weights_sha256(one) != weights_sha256(other)
    (one / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        weights_sha256(one)
