"""Ready classifiers of single attributes, joined into one: any transformers image classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers.joined import JoinedClassifiers, JoinedConfig
from fairness_core.classifiers.model_folder import OWN, load_network
from fairness_core.classifiers.network import AttributeClassifier, label_names
from fairness_core.errors import ConfigError, ModelError
from fairness_core.labels import Merge, classes_of_labels
from fairness_core.model_folders import ImageInput

__all__ = ["join_classifiers"]


def join_classifiers(
    folders: Mapping[str, Path],
    space: AttributeSpace,
    *,
    merges: Mapping[str, Merge] | None = None,
    published: Mapping[str, Merge] | None = None,
) -> AttributeClassifier:
    """Load a classifier of each attribute and join them; nothing is trained, temperatures are 1.

    Crops are as large as the largest input; each network gets them resized and normalised as its
    ``preprocessor_config.json`` says.

    Args:
        folders: Attribute to the local folder of a transformers image classifier whose ``id2label``
            are the attribute's classes or labels that are merged into them.
        space: The attributes.
        merges: Attribute to class to labels, as the user chose them.
        published: The same, used where the labels are not the classes' own names.

    Raises:
        ConfigError: A folder too few or too many, or labels that do not fit the classes; the
            message names them.
        ModelError: A folder or file is missing or damaged, or the network cannot be joined.
    """
    if set(folders) != set(space.names):
        raise ConfigError(
            "Ready classifiers need one folder for each attribute",
            given=", ".join(folders),
            do=f"name a folder for each of {', '.join(space.names)}",
        )
    networks, members = {}, []
    for attribute in space.attributes:
        folder = Path(folders[attribute.name])
        network = load_network(folder)
        config = cast(Any, network).config
        if config.model_type in OWN:
            raise ModelError(
                "Only networks that transformers knows can be joined",
                given=f"{config.model_type} in {folder}",
                do="give the folder of a transformers image classifier",
            )
        labels = [str(config.id2label[i]) for i in sorted(config.id2label)]
        classes = classes_of_labels(
            labels,
            attribute,
            whose=f"the classifier in {folder}",
            merge=(merges or {}).get(attribute.name),
            published=(published or {}).get(attribute.name),
        )
        form = ImageInput.read(folder)
        networks[f"of_{attribute.name}"] = network
        members.append(
            {
                "name": attribute.name,
                "config": config.to_dict(),
                "format": {
                    "size": form.size,
                    "mean": list(form.mean),
                    "std": list(form.std),
                    "mode": form.mode,
                },
                "classes": list(classes),
            }
        )
    names = dict(enumerate(label_names(space)))
    config = JoinedConfig(members, id2label=names, label2id={name: i for i, name in names.items()})
    with torch.random.fork_rng(devices=[]):
        joined = JoinedClassifiers(config)
    for name, network in networks.items():
        joined.members[name] = network
    size = max(member["format"]["size"] for member in members)
    return AttributeClassifier(joined.eval(), space, ImageInput(size))
