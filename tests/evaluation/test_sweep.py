"""What a sweep looks at."""

import pandas as pd

from fairness_core.evaluation.sweep import Point, plan_sweep, spread_prompts


def test_one_thing_is_varied_at_a_time_around_the_centre():
    centre = Point(3.0, 20)
    axes = plan_sweep(centre, guidance=[7.5, 3, 1], steps=[40, 10], samplers=["ddim"])
    assert list(axes["guidance"]) == [1.0, 3.0, 7.5]
    assert list(axes["steps"]) == [10, 20, 40]
    assert list(axes["sampler"]) == ["own", "ddim"]
    assert axes["guidance"][7.5] == Point(7.5, 20)
    assert all(axes[axis][value] == centre for axis, value in (
        ("guidance", 3.0), ("steps", 20), ("sampler", "own")))  # fmt: skip
    assert plan_sweep(centre, steps=[5]).keys() == {"steps"}
    assert Point(7.5, 20, "dpm++2m").name == "guidance-7.5-steps-20-dpm++2m"


def test_prompts_are_spread_over_the_list():
    table = pd.DataFrame({"prompt_id": list("abcdefghi")})
    assert spread_prompts(table, 3)["prompt_id"].tolist() == ["a", "e", "i"]
    assert len(spread_prompts(table, 20)) == 9
