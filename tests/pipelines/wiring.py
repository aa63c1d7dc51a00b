"""The steps of a compiled pipeline and of dvc.yaml as edges between the same names."""

from __future__ import annotations

import re

import yaml

# Tasks that together are one stage of dvc.yaml.
JOINED = {
    "generate-images": "generate_images@base",
    "merge-images": "generate_images@base",
    "generate-images-2": "generate_images@aligned",
    "merge-images-2": "generate_images@aligned",
}


def stage(task):
    return JOINED.get(task, task.replace("-", "_"))


def producers(spec, component, source, above):
    """Tasks that make what an input reads: followed into groups and out of them."""
    if "componentInputArtifact" in source:
        return above[source["componentInputArtifact"]]
    selector = source["taskOutputArtifact"]
    task = component["dag"]["tasks"][selector["producerTask"]]
    inner = spec["components"][task["componentRef"]["name"]]
    if "dag" not in inner:
        return {selector["producerTask"]}
    outputs = inner["dag"]["outputs"]["artifacts"][selector["outputArtifactKey"]]
    return {one["producerSubtask"] for one in outputs["artifactSelectors"]}


def pipeline_edges(spec):
    """Edges and nodes of a compiled pipeline, but for its exit handler."""
    edges, nodes = set(), set()

    def walk(component, above):
        for name, task in component["dag"]["tasks"].items():
            given = {
                key: producers(spec, component, source, above)
                for key, source in task.get("inputs", {}).get("artifacts", {}).items()
            }
            inner = spec["components"][task["componentRef"]["name"]]
            if "dag" in inner:
                walk(inner, given)
                continue
            nodes.add(stage(name))
            made = {stage(producer) for some in given.values() for producer in some}
            edges.update((producer, stage(name)) for producer in made - {stage(name)})

    walk(spec["root"], {})
    return edges, nodes - {"finish"}


def dvc_stages(path):
    """Every stage with its templates filled in, by name."""
    found = {}
    for name, entry in yaml.safe_load(path.read_text())["stages"].items():
        for key, item in entry.get("foreach", {"": {}}).items():
            text = yaml.safe_dump(entry["do"] if "foreach" in entry else entry)
            text = text.replace("${key}", key)
            for field, value in item.items():
                text = text.replace("${item." + field + "}", value)
            found[f"{name}@{key}" if key else name] = yaml.safe_load(text)
    return found


def dvc_edges(stages):
    made = {}
    for name, entry in stages.items():
        for out in [*entry.get("outs", []), *entry.get("metrics", [])]:
            made[next(iter(out)) if isinstance(out, dict) else out] = name
    return {
        (producer, name)
        for name, entry in stages.items()
        for dep in entry["deps"]
        for out, producer in made.items()
        if re.match(rf"{re.escape(out)}(/|$)", dep)
    }
