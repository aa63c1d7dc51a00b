from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.errors import ConfigError
from fairness_core.runtime.seeds import generator, image_noise, noise, seed_for

NAMES = st.lists(st.one_of(st.text(max_size=5), st.integers()), min_size=1, max_size=4)


@given(NAMES, NAMES)
def test_seeds_agree_exactly_when_the_names_do(one, other):
    same = [(type(n), n) for n in one] == [(type(n), n) for n in other]
    assert (seed_for(*one) == seed_for(*other)) == same


@given(NAMES)
def test_seeds_fit_every_generator(names):
    assert 0 <= seed_for(*names) < 2**63


def test_names_are_not_run_together():
    assert (
        len({seed_for("a", "bc"), seed_for("ab", "c"), seed_for("abc"), seed_for("abc", "")}) == 4
    )
    assert seed_for("1") != seed_for(1)


def test_the_seed_is_the_same_on_every_machine_and_day():
    assert seed_for(0, "finetune", "a photo of a doctor", 3) == 3366655960954313013


def test_other_kinds_of_name_are_refused():
    with pytest.raises(ConfigError, match=r"names are text or whole numbers. Given: True \(bool\)"):
        seed_for("a", True)
    with pytest.raises(ConfigError, match="at least one name"):
        seed_for()


def test_a_stream_does_not_depend_on_the_global_one():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = noise((3,), "x")
    torch.manual_seed(2)
    assert torch.equal(first, noise((3,), "x"))
    torch.manual_seed(1)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first, noise((3,), "y"))


def test_noise_is_unit_normal_float32():
    draw = noise((4, 5000), "stage", 1)
    assert draw.dtype == torch.float32
    assert draw.mean().abs() < 0.03
    assert abs(draw.std() - 1) < 0.03
    assert torch.equal(draw, torch.randn((4, 5000), generator=generator("stage", 1)))


def test_an_image_has_its_noise_whatever_it_is_drawn_with():
    shape = (4, 2, 2)
    together = image_noise("test", ["a", "b", "a"], [0, 0, 1], shape, seed=7)
    assert together.shape == (3, *shape)
    for row, prompt, index in zip(together, ["a", "b", "a"], [0, 0, 1], strict=True):
        assert torch.equal(row, image_noise("test", [prompt], [index], shape, seed=7)[0])
    assert not torch.equal(together[0], together[2])
    assert not torch.equal(together, image_noise("test", ["a", "b", "a"], [0, 0, 1], shape))
    assert image_noise("test", [], [], shape).shape == (0, *shape)


def test_each_image_needs_a_prompt_and_an_index():
    with pytest.raises(ConfigError, match="2 prompts, 1 indices"):
        image_noise("test", ["a", "b"], [0], (1,))
