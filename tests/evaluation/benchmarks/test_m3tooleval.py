"""M3ToolEval: its gold solutions run as code actions, and its two judges."""

import pytest

from deepagent.evaluation.base import Episode
from deepagent.evaluation.registry import get_benchmark
from tests.evaluation.support import evaluated

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
