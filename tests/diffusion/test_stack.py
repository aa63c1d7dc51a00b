from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler
from safetensors.torch import load_file, save_file

from fairness_core.diffusion import Conditioning, DiffusionStack
from fairness_core.errors import ConfigError, ModelError
from tests.helpers.tiny_diffusion import make_tiny_pipeline, tiny_modules


def test_loads_frozen_in_evaluation_mode_and_channels_last(stack: DiffusionStack) -> None:
    networks = (stack.text_encoder, stack.vae, stack.unet)
    assert not any(p.requires_grad for network in networks for p in network.parameters())
    assert not any(m.training for network in networks for m in network.modules())
    for convolution in (stack.unet.conv_in, stack.vae.decoder.conv_in):
        assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert isinstance(stack.scheduler, DPMSolverMultistepScheduler)


def test_says_what_it_is(stack: DiffusionStack) -> None:
    assert stack.latent_shape == (4, 8, 8)
    assert stack.image_size == 32
    assert stack.prediction_type == "epsilon"
    assert stack.device == torch.device("cpu")
    assert stack.dtype == torch.float32


def test_loads_in_another_type(folder: Path) -> None:
    stack = DiffusionStack.load(folder, dtype=torch.bfloat16)
    for network in (stack.text_encoder, stack.vae, stack.unet):
        assert {p.dtype for p in network.parameters()} == {torch.bfloat16}


def test_new_scheduler_leaves_the_models_own_untouched(stack: DiffusionStack) -> None:
    before = dict(vars(stack.scheduler))
    fresh = stack.new_scheduler(7)
    fresh.step(torch.ones(1, 4, 8, 8), fresh.timesteps[0], torch.ones(1, 4, 8, 8))
    assert len(fresh.timesteps) == 7
    assert stack.new_scheduler(7).step_index is None
    assert stack.scheduler.num_inference_steps is None
    assert vars(stack.scheduler).keys() == before.keys()
    assert all(vars(stack.scheduler)[name] is value for name, value in before.items())


def test_no_steps_is_refused(stack: DiffusionStack) -> None:
    with pytest.raises(ConfigError, match="at least one step"):
        stack.new_scheduler(0)


def test_the_pipeline_shares_networks_but_not_the_scheduler(stack: DiffusionStack) -> None:
    pipeline = stack.pipeline()
    assert pipeline.unet is stack.unet
    assert pipeline.vae is stack.vae
    assert pipeline.text_encoder is stack.text_encoder
    assert pipeline.safety_checker is None
    assert pipeline.scheduler is not stack.scheduler
    assert pipeline.scheduler.config == stack.scheduler.config


def test_calls_are_counted_in_rows(stack: DiffusionStack, generator: torch.Generator) -> None:
    latents = torch.randn(5, *stack.latent_shape, generator=generator)
    embedding = torch.randn(5, 77, 16, generator=generator)
    stack.predict(latents, torch.tensor(10), Conditioning(embedding))
    assert (stack.calls.forwards, stack.calls.backwards) == (5, 0)
    embedding.requires_grad_(True)
    stack.predict(latents, torch.tensor(10), Conditioning(embedding)).sum().backward()
    assert (stack.calls.forwards, stack.calls.backwards) == (10, 5)
    stack.calls.reset()
    assert (stack.calls.forwards, stack.calls.backwards) == (0, 0)


def test_output_keeps_the_latents_type(folder: Path, generator: torch.Generator) -> None:
    stack = DiffusionStack.load(folder, dtype=torch.bfloat16)
    latents = torch.randn(1, *stack.latent_shape, generator=generator)
    output = stack.predict(latents, torch.tensor(10), Conditioning(torch.zeros(1, 77, 16)))
    assert output.dtype == torch.float32


def _remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _remove_index(folder: Path) -> None:
    (folder / "model_index.json").unlink()


def _cut_index(folder: Path) -> None:
    (folder / "model_index.json").write_text('{"unet": [')


def _remove_component(folder: Path) -> None:
    shutil.rmtree(folder / "vae")


def _truncate_weights(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _only_pickled(folder: Path) -> None:
    weights = folder / "text_encoder" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))


def _no_weights(folder: Path) -> None:
    (folder / "text_encoder" / "model.safetensors").unlink()


def _drop_a_weight(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["conv_in.weight"]
    save_file(weights, file, metadata={"format": "pt"})


def _drop_a_text_weight(folder: Path) -> None:
    file = folder / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    del weights[next(name for name in weights if name.endswith("final_layer_norm.bias"))]
    save_file(weights, file, metadata={"format": "pt"})


def _cut_config(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text("{")


def _rename(component: str, name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "model_index.json"
        index = json.loads(path.read_text())
        index[component][1] = name
        path.write_text(json.dumps(index))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove_folder, "There is no diffusion model folder"),
        (_remove_index, "no model_index.json"),
        (_cut_index, "model_index.json is damaged"),
        (_remove_component, "The pipeline has no vae"),
        (_truncate_weights, "weight file is damaged.*diffusion_pytorch_model.safetensors"),
        (_only_pickled, r"only pickled ones \(pytorch_model.bin\).*safe_serialization"),
        (_no_weights, "text_encoder has no safetensors weights"),
        (_drop_a_weight, "unet lacks 1 weights, the first of them conv_in.weight"),
        (_drop_a_text_weight, "text_encoder lacks 1 weights.*final_layer_norm.bias"),
        (_cut_config, "Could not load the unet"),
        (_rename("unet", "SD3Transformer2DModel"), "unet is a SD3Transformer2DModel"),
        (_rename("scheduler", "UNet2DConditionModel"), "none of diffusers' schedulers"),
    ],
)
def test_a_bad_folder_is_one_clear_error(
    tmp_path: Path, folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    damage(copy)
    with pytest.raises(ModelError, match=message):
        DiffusionStack.load(copy)


def test_parts_of_different_models_are_refused(stack: DiffusionStack) -> None:
    stack.unet.register_to_config(cross_attention_dim=24)
    with pytest.raises(ModelError, match="width of the text encoder.*16 and 24"):
        DiffusionStack(
            tokenizer=stack.tokenizer,
            text_encoder=stack.text_encoder,
            vae=stack.vae,
            unet=stack.unet,
            scheduler=stack.scheduler,
        )


def test_latents_that_are_not_square_have_no_side(stack: DiffusionStack) -> None:
    stack.unet.register_to_config(sample_size=(8, 16))
    assert stack.latent_shape == (4, 8, 16)
    with pytest.raises(ModelError, match="not square.*8x16"):
        _ = stack.image_size


def test_another_scheduler_can_be_put_in(stack: DiffusionStack) -> None:
    stack.scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear")
    assert isinstance(stack.new_scheduler(3), EulerDiscreteScheduler)


def test_the_tiny_model_depends_on_its_seed_only(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    first = make_tiny_pipeline(tmp_path / "a", seed=1)
    second = make_tiny_pipeline(tmp_path / "b", seed=1)
    other = tiny_modules(seed=2)[3].state_dict()
    name = "unet/diffusion_pytorch_model.safetensors"
    assert (first / name).read_bytes() == (second / name).read_bytes()
    assert not torch.equal(load_file(first / name)["conv_in.weight"], other["conv_in.weight"])
    assert torch.equal(torch.get_rng_state(), state)
