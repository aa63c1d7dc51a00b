"""Families of the drawn world: what trains and what is held out."""

from fairness_core.portraits.concepts import HELD_OUT, prompt_catalog
from fairness_core.portraits.models import resolve
from fairness_core.portraits.world import ATTRIBUTES, catalog
from fairness_core.prompts import check_catalog, check_leakage


def test_the_worlds_own_prompts_keep_ids_texts_and_order():
    table, own = prompt_catalog(), catalog()
    first = table.iloc[: len(own)]
    assert first["prompt_id"].tolist() == own["prompt_id"].tolist()
    assert first["prompt"].tolist() == own["prompt"].tolist()
    chosen = table[(table["split"] == "train") & table["family"].isin(["occupation", "named"])]
    assert chosen["prompt"].tolist() == own.loc[own["split"] == "train", "prompt"].tolist()


def test_held_out_words_and_combinations_are_in_no_training_prompt():
    table = check_catalog(prompt_catalog(), ATTRIBUTES)
    check_leakage(table)
    training = " ".join(table.loc[table["split"] == "train", "prompt"])
    for words in HELD_OUT.values():
        assert not set(words) & set(training.split())
    sizes = table.groupby(["split", "family"]).size()
    for split, family in (("sports", "sport"), ("descriptors", "descriptor"), ("styles", "style")):
        assert sizes[split, family] >= 15
        assert sizes["train", family] >= 25


def test_every_word_is_one_token_of_the_shipped_model():
    from transformers import CLIPTokenizer

    folder = resolve("portraits:base") / "tokenizer"
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    words = {word for text in prompt_catalog()["prompt"] for word in text.replace(",", "").split()}
    split = {word for word in words if len(tokenizer(word)["input_ids"]) != 3}
    assert split == set()
