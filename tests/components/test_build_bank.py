"""The step that fills the face bank, and finetuning's use of what it wrote."""

from __future__ import annotations

import pytest
import torch
import yaml

from components.build_bank.main import main
from components.finetune.assemble import _content, load_realism
from fairness_core.attributes import AttributeSpace
from fairness_core.config import load
from fairness_core.embeddings import FaceEmbedder, weights_sha256
from fairness_core.errors import ArtifactError
from fairness_core.portraits.models import resolve
from fairness_core.runtime import read_table, verify
from tests.embeddings.tiny_packs import make_pack


@pytest.fixture(scope="module")
def params(tmp_path_factory, repository):
    """The project's own parameters with a small bank."""
    path = tmp_path_factory.mktemp("bank") / "params.yaml"
    values = yaml.safe_load((repository / "params.yaml").read_text())
    values["run"] |= {"threads": 1, "tracking": False, "device": "cpu"}
    values["build_bank"] |= {"images": 48, "batch_size": 20}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def bank(params):
    out = params.parent / "bank"
    assert main(["--params", str(params), "--out", str(out)]) == 0
    return out


def test_every_face_has_its_provenance(bank):
    extra = verify(bank, kind="face-bank")["extra"]
    table = read_table(bank / "faces.parquet")
    assert list(table.columns) == ["source_id", "gender", "race", "age", "source", "licence"]
    assert extra["faces"] == len(table) == 48 - extra["without_face"]
    assert table["source_id"].is_unique
    assert set(table["licence"]) == {extra["licence"]}
    assert set(table["source"]) == {extra["source"]}
    assert "portraits drawn" in extra["source"]
    assert extra["embedder_sha256"] == weights_sha256(resolve("portraits:faces/embedder"))
    for name, counts in extra["counts"].items():
        assert counts == table[name].value_counts().to_dict()


def test_finetuning_reads_it_only_where_it_has_a_weight(bank, params, tmp_path):
    values = load(params, ["finetune.lambda_face=0.1"])
    space = AttributeSpace.from_mapping(values.section("attributes"))
    models, device = values.section("models"), torch.device("cpu")
    realism = load_realism(values.finetune, models, space, bank, device)
    assert len(realism.bank) == len(read_table(bank / "faces.parquet"))
    assert set(realism.bank.labels) == set(values.finetune.align)
    without = load(params)
    assert without.finetune.lambda_face == 0
    assert load_realism(without.finetune, models, space, tmp_path / "nowhere", device) is None
    with pytest.raises(ArtifactError, match="folder does not exist"):
        load_realism(values.finetune, models, space, tmp_path / "nowhere", device)
    other = FaceEmbedder.build(torch.Generator().manual_seed(1), width=8).save(tmp_path / "other")
    with pytest.raises(ArtifactError, match="another face embedder"):
        load_realism(values.finetune, models | {"face_embedder": str(other)}, space, bank, device)


def test_a_bank_made_with_a_pack_s_embedder(params, tmp_path):
    """Accepted with that pack alone, by its recognition model; the run's fingerprint knows it."""
    pack, other = make_pack(tmp_path / "buffalo_l"), make_pack(tmp_path / "other", seed=1)
    out = tmp_path / "bank"
    change = f"models.face_embedder={pack}"
    assert main(["--params", str(params), "--set", change, "--out", str(out)]) == 0
    values = load(params, [change, "finetune.lambda_face=0.1"])
    space = AttributeSpace.from_mapping(values.section("attributes"))
    models, device = values.section("models"), torch.device("cpu")

    def realism(place):
        told = models | {"face_embedder": str(place)}
        return load_realism(values.finetune, told, space, out, device)

    found = realism(pack)
    assert found.bank.vectors.shape[1] == 16
    faces = torch.zeros(1, 3, 112, 112, requires_grad=True)
    (gradient,) = torch.autograd.grad(found.embedder.embed(faces).sum(), faces)
    assert gradient.abs().max() > 0
    recognition = pack / "w600k_r50.onnx"
    assert torch.equal(realism(recognition).bank.vectors, found.bank.vectors)
    assert set(_content(recognition)) < set(_content(pack))
    for wrong in (other, resolve("portraits:faces/embedder")):
        with pytest.raises(ArtifactError, match="another face embedder"):
            realism(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("build_bank.source=photos", "'portraits', fairface:FOLDER, celeba:FOLDER or null"),
        ("build_bank.source=fairface:nowhere", "are not here.*build_bank.source: nowhere"),
        ("attributes.gender.classes=[male, female]",
         "build_bank.source.*does not draw 'gender' as male, female, but female, male"),
        ("models.face_embedder=portraits:faces/none", "portraits:faces has no .none."),
        ("models.face_embedder=portraits:dino", "not a face embedder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_message(params, tmp_path, capsys, change, said):
    import re

    out = tmp_path / "o"
    assert main(["--params", str(params), "--set", change, "--out", str(out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    error = " ".join(lines[next(i for i, x in enumerate(lines) if x.startswith("error: ")) :])
    assert re.search(said, error), error
    assert not out.exists()
