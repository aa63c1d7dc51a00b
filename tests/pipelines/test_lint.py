"""The lint, on pipelines that kfp itself mis-compiles and on ours broken one place at a time."""

import pytest
from kfp import dsl
from kfp.compiler import Compiler

from fairness_core.errors import ConfigError
from pipelines.lint import broken_references, check, read_compiled, unsafe_settings


@dsl.component(base_image="r/python", packages_to_install=[], install_kfp_package=False)
def work():
    pass


@dsl.component(base_image="r/python", packages_to_install=[], install_kfp_package=False)
def leave():
    pass


def memory(task, value):
    task.set_memory_limit(value)


def kind_of_gpu(task, value):
    task.set_accelerator_type(value).set_accelerator_limit(1)


def number_of_gpus(task, value):
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(value)


GROUPS = {
    "if": lambda flag: dsl.If(flag == "on"),
    "loop": lambda flag: dsl.ParallelFor([1, 2]),
    "exit": lambda flag: dsl.ExitHandler(leave()),
}


@pytest.mark.parametrize("group", [*GROUPS, None])
@pytest.mark.parametrize("limit", [memory, kind_of_gpu, number_of_gpus])
def test_limits_given_by_a_parameter_inside_a_group_are_found(group, limit, tmp_path):
    """The trap itself, as kfp 2.17 compiles it; outside any group there is nothing to find."""

    @dsl.pipeline(name="trap")
    def pipeline(value: str, flag: str):
        if group is None:
            limit(work(), value)
        else:
            with GROUPS[group](flag):
                limit(work(), value)

    out = tmp_path / "trap.yaml"
    Compiler().compile(pipeline, str(out))
    found = broken_references(read_compiled(out))
    if group is None:
        assert found == []
    else:
        assert len(found) == 1
        assert "'pipelinechannel--value', which its group does not have" in found[0]


def inside(documents):
    return documents[0]["components"]["comp-exit-handler-1"]["dag"]["tasks"]


def executor(documents, name="exec-finetune"):
    return documents[0]["deploymentSpec"]["executors"][name]["container"]


def settings(documents, name="exec-finetune"):
    return documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"][name]


def unknown_group_input(documents):
    reads = inside(documents)["finetune"]["inputs"]["parameters"]["parameters"]
    reads["componentInputParameter"] = "gone"


def missing_producer(documents):
    reads = inside(documents)["finetune"]["inputs"]["artifacts"]["prompts"]
    reads["taskOutputArtifact"]["producerTask"] = "gone"


def missing_output(documents):
    reads = inside(documents)["finetune"]["inputs"]["artifacts"]["prompts"]
    reads["taskOutputArtifact"]["outputArtifactKey"] = "gone"


def no_waiting(documents):
    inside(documents)["finetune"]["dependentTasks"].remove("generate-prompts")


def waiting_for_nobody(documents):
    inside(documents)["finetune"]["dependentTasks"].append("gone")


def needed_input_left_out(documents):
    del inside(documents)["finetune"]["inputs"]["artifacts"]["prompts"]


def no_component(documents):
    del documents[0]["components"]["comp-publish"]


def no_executor(documents):
    del documents[0]["deploymentSpec"]["executors"]["exec-publish"]


def unfilled_resource(documents):
    executor(documents)["resources"]["resourceMemoryLimit"] = "{{$.inputs.parameters['memory']}}"


def unfilled_constant(documents):
    inside(documents)["finetune"]["inputs"]["parameters"]["memory"] = {
        "runtimeValue": {"constant": "{{$.inputs.parameters['gone']}}"}
    }


def unfilled_claim(documents):
    settings(documents)["pvcMount"][0]["pvcNameParameter"] = {"componentInputParameter": "claim"}


REFERENCES = {
    unknown_group_input: "'parameters' comes from 'gone', which its group does not have",
    missing_producer: "comes from task 'gone', which its group lacks",
    missing_output: "task 'generate-prompts' has no output 'gone'",
    no_waiting: "does not wait for 'generate-prompts'",
    waiting_for_nobody: "waits for 'gone'",
    needed_input_left_out: "the needed input 'prompts' is not given",
    no_component: "there is no component 'comp-publish'",
    no_executor: "there is no executor 'exec-publish'",
    unfilled_resource: "exec-finetune: nothing fills the placeholder 'memory'",
    unfilled_constant: "nothing fills the placeholder 'gone' of 'memory'",
    unfilled_claim: "exec-finetune: nothing fills the placeholder 'claim'",
}


@pytest.mark.parametrize("breakage", REFERENCES, ids=lambda function: function.__name__)
def test_a_reference_that_leads_nowhere_is_found(breakage, documents):
    assert broken_references(documents) == []
    breakage(documents)
    assert any(REFERENCES[breakage] in line for line in broken_references(documents))


def tag(documents):
    executor(documents)["image"] = "evenhand:latest"


def no_memory_limit(documents):
    del executor(documents)["resources"]["resourceMemoryLimit"]


def no_cpu_limit(documents):
    del executor(documents)["resources"]["resourceCpuLimit"]


def root(documents):
    settings(documents)["securityContext"]["runAsUser"] = "0"


def anybody(documents):
    del settings(documents)["securityContext"]


def no_timeout(documents):
    del settings(documents)["activeDeadlineSeconds"]


SAFETY = {
    tag: "not named by its digest: 'evenhand:latest'",
    no_memory_limit: "no memory limit",
    no_cpu_limit: "no cpu limit",
    root: "may run as root",
    anybody: "may run as root",
    no_timeout: "no timeout",
}


@pytest.mark.parametrize("breakage", SAFETY, ids=lambda function: function.__name__)
def test_an_unsafe_setting_is_found(breakage, documents):
    assert unsafe_settings(documents) == []
    breakage(documents)
    (found,) = unsafe_settings(documents)
    assert found.startswith("exec-finetune: ")
    assert SAFETY[breakage] in found
    with pytest.raises(ConfigError, match=r"has a problem\n  exec-finetune"):
        check(documents)


def test_images_without_digest_pass_when_told(documents):
    tag(documents)
    assert unsafe_settings(documents, unpinned=True) == []


def test_files_that_are_no_pipelines(tmp_path):
    file = tmp_path / "a.yaml"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_compiled(file)
    file.write_text("a: [")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_compiled(file)
    file.write_text("a: 1")
    with pytest.raises(ConfigError, match="no compiled pipeline"):
        read_compiled(file)
