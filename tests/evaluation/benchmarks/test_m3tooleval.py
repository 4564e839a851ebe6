"""M3ToolEval: its gold solutions run as code actions, and its two judges."""

import pytest

from deepagent import Agent, RunStore, ScriptedModel
from deepagent.actions import Answer
from deepagent.config import RunConfig
from deepagent.evaluation.base import Episode
from deepagent.evaluation.benchmarks.m3tooleval import M3ToolEval, M3ToolEvalConfig
from deepagent.evaluation.plan import make_plan
from deepagent.evaluation.registry import CONFIGS, get_benchmark
from deepagent.evaluation.worker import Worker
from deepagent.runs.events import Observed
from tests.evaluation.benchmarks.players import play
from tests.evaluation.support import evaluated
from tests.support import HASHED, execute

BENCHMARK = get_benchmark("m3tooleval")
TASKS = {task.id: task for task in BENCHMARK.tasks()}


async def first_answer(task, answer):
    episode = Episode(task=task, mode="open-set", answer=answer, status="answered")
    return (await BENCHMARK.score(episode, None)).values["first_answer"]


async def judged(name, answer):
    """Published, corrected."""
    (task,) = (task for task in TASKS.values() if task.id.endswith(f"/{name}"))
    score = await first_answer(task, answer)
    return score.published, score.corrected


def test_there_are_82_tasks_of_five_families():
    assert len(TASKS) == 82
    assert sorted({task.tags["family"] for task in TASKS.values()}) == [
        "cryptobotanists_plant_dna_sequencer",
        "message_decoder",
        "trade_calculator",
        "travel_itinerary_planning",
        "web_browsing",
    ]


async def test_the_oracle_is_always_right_and_who_says_nothing_never(walls, tmp_path):
    scores = {
        result.task: result.score.values["first_answer"] for result in await evaluated("m3tooleval", "oracle", tmp_path)
    }
    assert sum(score.corrected for score in scores.values()) == 82
    # Right answers that the published judge rejects: rounded as asked, the literal reading, a name instead of a number.
    assert [id.split("/")[1] for id, score in scores.items() if not score.published] == [
        "longest_decoded_string",
        "estimate_final_value",
        "quantity_tariff_tradeoff",
        "total_price_of_selected_items_2",
        "total_price_of_selected_items_after_discount_0",
        "total_price_of_selected_items_after_discount_1",
        "total_price_of_selected_items_after_discount_2",
        "total_price_of_selected_items_after_discount_3",
    ]
    nothing = await evaluated("m3tooleval", "empty", tmp_path)
    values = [result.score.values["first_answer"] for result in nothing]
    assert not any(value.corrected or value.published for value in values)


@pytest.mark.parametrize(
    ("task", "answer", "published", "corrected"),
    [
        # Lists, pairs and mappings: only Python's own spelling counts as published.
        ("fluctuating_conversion_rates_impact", "[36380.0, 48150.0, 68480.0]", 1, 1),
        ("fluctuating_conversion_rates_impact", "[36380, 48150, 68480]", 0, 1),
        ("fluctuating_conversion_rates_impact", "36380, 48150, 68480", 0, 1),
        ("fluctuating_conversion_rates_impact", "[48150, 36380, 68480]", 0, 0),
        ("fluctuating_conversion_rates_impact", "[36380, 48150]", 0, 0),
        ("reverse_transcribe_palindrome_check", "{'T': 1, 'A': 2, 'C': 2, 'G': 1}", 1, 1),
        ("reverse_transcribe_palindrome_check", "A: 2, C: 2, G: 1, T: 1", 0, 1),
        ("reverse_transcribe_palindrome_check", "A: 2, C: 2, G: 2, T: 1", 0, 0),
        ("find_most_common_nucleotide_combined_sequence", "('A', 3)", 1, 1),
        ("find_most_common_nucleotide_combined_sequence", "A", 0, 1),
        ("find_most_common_nucleotide_combined_sequence", "A: 4", 0, 0),
        # No tolerance, though the task asks for two decimals.
        ("total_price_of_selected_items_2", "380.42", 0, 1),
        ("total_price_of_selected_items_2", "380.41999999999996", 1, 1),
        ("total_price_of_selected_items_2", "380.43", 0, 0),
        # Disputed gold.
        ("estimate_final_value", "161.25", 1, 1),
        ("estimate_final_value", "157.5", 0, 1),
        ("longest_decoded_string", "3", 1, 1),
        ("longest_decoded_string", "kcH", 0, 1),
        ("plan_trip_to_0", "700", 0, 1),
        ("quantity_tariff_tradeoff", "Option 1", 0, 1),
        ("quantity_tariff_tradeoff", "Option 2", 0, 0),
        # Numbers and text.
        ("taxed_commodity_export", "50400", 1, 1),
        ("taxed_commodity_export", "50,400.00 UTC", 0, 1),
        ("taxed_commodity_export", "50401", 0, 0),
        ("taxed_commodity_export", "50400 or 50401", 0, 0),
        ("transcribe_translate_find_amino_acid", "False", 1, 1),
        ("transcribe_translate_find_amino_acid", "false", 0, 1),
        ("transcribe_translate_find_amino_acid", "True", 0, 0),
        ("hex_caesar_combined_decoding", "'KMPP'", 0, 1),
        ("hex_caesar_combined_decoding", "kmpp", 0, 0),
        # What a hostile model answers.
        ("fluctuating_conversion_rates_impact", "[" * 100_000, 0, 0),
        ("taxed_commodity_export", "9" * 100_000, 0, 0),
        ("taxed_commodity_export", "nan", 0, 0),
        ("taxed_commodity_export", None, 0, 0),
    ],
)
async def test_the_two_judges(task, answer, published, corrected):
    assert await judged(task, answer) == (published, corrected)


def test_labelled_tasks_offer_the_six_tools_of_their_family():
    labelled = get_benchmark("m3tooleval", mode="labelled")
    for task in labelled.tasks():
        assert len(set(labelled.offered(task))) == 6
        assert BENCHMARK.offered(task) is None
    web = next(task for task in labelled.tasks() if task.tags["family"] == "web_browsing")
    assert set(labelled.offered(web)) == {
        "click_url", "go_to_previous_page", "scroll_down", "scroll_up", "view", "calculator"
    }  # fmt: skip


FEEDBACK = M3ToolEval(M3ToolEvalConfig(feedback=True))


async def test_with_feedback_a_wrong_answer_is_told_and_the_run_goes_on(tmp_path):
    task = next(task for task in FEEDBACK.tasks() if task.id.endswith("/taxed_commodity_export"))
    answers = [Answer(text="1"), Answer(text="50400"), Answer(text="2")]
    for benchmark, status, values in ((FEEDBACK, "50400", (1, 0)), (BENCHMARK, "1", (0, 0))):
        (result,) = (await play(benchmark, tmp_path, actions=lambda task: answers, tasks=[task])).values()
        assert result.answer == status
        found = result.score.values
        assert (found["success"].corrected, found["first_answer"].corrected) == values
        assert (found["success"].published, found["first_answer"].published) == values


async def test_the_first_answer_of_code_can_be_wrong_too(walls, tmp_path):
    task = next(task for task in FEEDBACK.tasks() if task.id.endswith("/taxed_commodity_export"))
    model = ScriptedModel([execute("final_answer(1)"), execute("final_answer(50400)")])
    with RunStore(tmp_path / "runs.sqlite") as store:
        async with Agent(model, config=HASHED, store=store) as agent:
            result = await Worker(FEEDBACK, agent).episode(task, 0)
        told = [one.event.observation for one in store.events(result.run) if isinstance(one.event, Observed)]
    assert told[0].text == "Answered: 1\nYour answer is wrong. Try again."
    assert (result.answer, result.score.values["success"].published) == ("50400", 1)
    assert result.score.values["first_answer"].published == 0


async def test_an_answer_that_only_the_corrected_judge_takes_is_told_to_be_wrong_as_it_was(tmp_path):
    task = next(task for task in FEEDBACK.tasks() if task.id.endswith("/total_price_of_selected_items_2"))
    (result,) = (
        await play(FEEDBACK, tmp_path, actions=lambda task: [Answer(text="380.42"), Answer(text="x")], tasks=[task])
    ).values()
    success = result.score.values["success"]
    assert (success.published, success.corrected) == (0, 1)


def test_its_settings_are_those_of_the_original():
    made = make_plan("m3tooleval", RunConfig(), config=CONFIGS / "m3tooleval-feedback.yaml")
    assert (made.mode, made.settings["feedback"], made.run.agent.limits.actions) == ("labelled", True, 10)
