"""The prompt sets that ship with the package."""

import re

import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import PromptError
from fairness_core.prompts import (
    SETS,
    check_catalog,
    check_leakage,
    photo_catalog,
    read_set,
    subject_key,
    subject_words,
)

SPACE = AttributeSpace.from_mapping(
    {
        "gender": {"classes": ["female", "male"]},
        "race": {"classes": ["WMELH", "Black", "Indian", "Asian"]},
        "age": {"classes": ["young", "old"]},
    }
)

# Words that name the gender of who is shown, by their ends or as a whole, and words so ending that
# do not: a midwife is with the wife.
GENDERED = re.compile(
    r".*(man|men|ess|master|mistress|ette|trix|maid|wife|boy|girl|lady|lord)|"
    r"king|queen|prince|monk|nun|priest|lad|male|female|mr|mrs|ms|he|she|his|her|"
    r"(step|grand)?(father|mother|son|daughter|brother|sister)"
)
NEUTRAL = {
    "midwife",
    "human",
    "roman",
    "business",
    "fitness",
    "press",
    "process",
    "chess",
    "harness",
}


def gendered(subject):
    """Words of a subject that name a gender."""
    words = subject.casefold().split()
    return [word for word in words if GENDERED.fullmatch(word) and word not in NEUTRAL]


@pytest.fixture(scope="module")
def photos():
    return check_catalog(photo_catalog(SPACE), SPACE)


def test_every_set_states_its_source_licence_and_date():
    for name in SETS:
        facts = read_set(name).facts
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", facts["date"]), name
        assert facts["source"], name
        assert facts["licence"], name


def test_training_occupations_are_a_thousand_different_ones_in_normal_form():
    subjects = read_set("occupations-train").table["subject"].tolist()
    assert len(subjects) == 1000
    assert len({subject_key(s) for s in subjects}) == 1000
    assert subjects == sorted(subjects)
    assert all(re.fullmatch(r"[a-z]+( [a-z]+)*", s) for s in subjects)
    # The head of a title is singular; inside it stands what the title has (human resources).
    ends = [s for s in subjects if subject_words(s)[-1] != s.split()[-1]]
    assert ends == []


@pytest.mark.parametrize(
    "subject",
    ["waitress", "seamstress", "handyman", "shop foreman", "postmaster", "stewardess", "usherette",
     "policewoman", "milkmaid", "cowboy", "strongman competitor", "female nurse"],
)  # fmt: skip
def test_a_title_that_names_a_gender_is_told(subject):
    assert gendered(subject)


def test_no_training_subject_names_a_gender(photos):
    """Alignment would be asked to make half of the waitresses men."""
    neutral = photos[(photos["split"] == "train") & photos["named_gender"].isna()]
    assert set(neutral["family"]) == {"occupation", "sport", "style", "descriptor"}
    assert [subject for subject in neutral["subject"].unique() if gendered(subject)] == []


def test_validation_and_test_are_the_papers():
    validation = read_set("occupations-validation").table["subject"].tolist()
    test = read_set("occupations-test").table["subject"].tolist()
    assert (len(validation), len(test)) == (10, 50)
    assert validation[0] == "housekeeping cleaner"
    assert test[-1] == "cardiologist"
    assert {"sewer", "senator", "accountants and auditor"} <= set(test)


def test_no_subject_leaks_and_no_prompt_is_twice(photos):
    check_leakage(photos)
    assert photos["prompt"].str.casefold().is_unique


def test_a_planted_leak_in_the_shipped_catalog_is_found(photos):
    spoiled = photos.copy()
    spoiled.loc[spoiled["split"].eq("train").idxmax(), "subject"] = "auditors and accountant"
    with pytest.raises(PromptError, match="'accountants and auditor' .test.: same"):
        check_leakage(spoiled)


def test_the_papers_template_keeps_its_article(photos):
    prompts = set(photos["prompt"])
    assert "a photo of the face of a administrator, a person" in prompts
    assert "a photo of the face of a senator, a person" in prompts


def test_families_are_equally_frequent_at_the_papers_frequencies(photos):
    counts = photos[photos["split"] == "train"]["family"].value_counts()
    visits = {"occupation": 1, "style": 6, "descriptor": 20, "sport": 4}
    frequent = [counts[family] * times for family, times in visits.items()]
    assert max(frequent) / min(frequent) < 1.01


def test_prompts_that_name_what_is_not_measured_are_left_out():
    space = AttributeSpace.from_mapping(
        {"gender": {"classes": ["female", "male"]}, "race": {"classes": ["light", "Black"]}}
    )
    table = check_catalog(photo_catalog(space), space)
    assert "named_age" not in table.columns
    named = table[table["split"] == "named"]
    assert set(named["named_race"].dropna()) == {"Black"}
    assert not named["prompt"].str.contains(r"\b(?:old|young|Asian|Indian|white)\b").any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject\nnurse\n", "does not state its name, source, licence, date, family"),
        ("# name: x\n# source: x\n# licence: x\n# date: x\n# family: x\nsubject\nnurse\n",
         "lacks split, prompt"),
        ("# name: x\n# source: x\n# licence: x\n# date: x\n# family: x\n", "is no table"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(tmp_path, text, message):
    (tmp_path / "set.csv").write_text(text)
    with pytest.raises(PromptError, match=message):
        read_set(tmp_path / "set.csv")
    with pytest.raises(PromptError, match="no such prompt set"):
        read_set("occupations")
