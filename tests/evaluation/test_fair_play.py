"""What makes a comparison void."""

import pytest

from fairness_core.errors import ArtifactError, ModelError
from fairness_core.evaluation import check_alike, check_audit

RECIPE = {
    "stage": "s", "seed": 0, "guidance": 3.0, "steps": 20, "dtype": "torch.float32",
    "plan_sha256": "p", "model": "x",
}  # fmt: skip


def test_images_made_alike_pass_whatever_else_differs():
    check_alike({"base": RECIPE, "aligned": RECIPE | {"model": "y", "bundle_sha256": "b"}})


@pytest.mark.parametrize(
    "key",
    ["stage", "seed", "guidance", "steps", "dtype", "scheduler", "scheduler_sha256", "plan_sha256"],
)
def test_each_difference_is_named(key):
    with pytest.raises(ArtifactError, match=rf"not made alike.*{key}: base .*, aligned other"):
        check_alike({"base": RECIPE, "aligned": RECIPE | {key: "other"}})


def test_the_training_classifier_may_not_audit():
    check_audit("abc", trained_with=("def", None))
    with pytest.raises(ModelError, match="one that the model was trained with.*abc"):
        check_audit("abc", trained_with=("def", "abc"))
