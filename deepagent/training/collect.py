"""Runs that are worth imitating, found among those that were recorded (as CodeActInstruct's, arXiv 2402.01030, 3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deepagent.actions import Answer, Fold, Malformed, Search
from deepagent.evaluation.store import ResultStore
from deepagent.runs.events import Event
from deepagent.runs.export.chat import conversations
from deepagent.runs.steps import Step, steps
from deepagent.runs.store import RunStore
from deepagent.runs.summary import RunFilter

LEAST_STEPS = 3
"""More than two turns: what needs fewer teaches nothing about going on."""
_BRINGS_NOTHING = Answer | Fold | Malformed | Search


def worth(found: Sequence[Step], *, repaired: bool) -> bool:
    """Whether a run that solved its task teaches how to act.

    It must have more than two turns, and a call or code that succeeded, so runs of invalid actions are out.

    Args:
        found: the steps of the run.
        repaired: such a success must come after a step that failed: what is wanted is the repair of mistakes.
    """
    if len(found) < LEAST_STEPS:
        return False
    failed = not repaired
    for step in found:
        if step.observation is None:
            continue
        if failed and step.observation.ok and not isinstance(step.action, _BRINGS_NOTHING):
            return True
        failed = failed or not step.observation.ok
    return False


def grades(results: ResultStore) -> dict[str, bool]:
    """For each run that an evaluation graded: whether its task was solved, the benchmark's first metric being full."""
    found: dict[str, bool] = {}
    for evaluation, _ in results.evaluations():
        metric = evaluation.metrics[0].name
        for result in results.results(evaluation.id):
            value = result.score.values[metric].corrected if metric in result.score.values else None
            if result.run:
                found[result.run] = value is not None and value >= 1
    return found


def collect(
    store: RunStore, graded: Mapping[str, bool], *, repaired: bool = True, ungraded: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Runs that solved their task and teach something: the id of each, and its conversations as lines of JSON.

    Args:
        store: where the runs are.
        graded: whether a run solved its task, of those that were graded.
        repaired: see `worth`.
        ungraded: take runs, too, that ended with an answer which nobody has graded.
    """
    for run in store.every(RunFilter(state="answered")):
        if not graded.get(run.id, ungraded):
            continue
        recorded = store.events(run.id)
        events: list[Event] = [one.event for one in recorded]
        if worth(steps(events), repaired=repaired):
            yield run.id, list(conversations(recorded))
