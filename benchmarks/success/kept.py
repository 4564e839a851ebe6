"""What was measured, as files of the repository, since it takes hours: one evaluation each, a line for each result."""

from __future__ import annotations

from pathlib import Path

from deepagent.evaluation.results import EpisodeResult, Evaluation
from deepagent.evaluation.store import ResultStore

FOLDER = Path(__file__).parent / "measured"


def load(results: ResultStore, folder: Path = FOLDER) -> None:
    """Put what the files hold into a store, where it is missing."""
    for file in sorted(folder.glob("*.jsonl")):
        head, *lines = file.read_text().splitlines()
        evaluation = Evaluation.model_validate_json(head)
        results.begin(evaluation)
        for line in lines:
            results.add(evaluation.id, EpisodeResult.model_validate_json(line))


def save(results: ResultStore, folder: Path = FOLDER) -> None:
    """Write what a store holds into the files; those of other evaluations stay."""
    folder.mkdir(exist_ok=True)
    for evaluation, count in results.evaluations():
        if count:
            lines = [evaluation.model_dump_json(), *(one.model_dump_json() for one in results.results(evaluation.id))]
            (folder / f"{evaluation.id}.jsonl").write_text("".join(f"{line}\n" for line in lines))
