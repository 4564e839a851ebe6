"""Evaluations as one HTML page that needs nothing else, and as JSON for programs.

Everything that a model, tool or task said is text on the page, whatever it looks like: the template escapes it, the
list of episodes is data that the page's script shows with `textContent`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from markupsafe import Markup

from deepagent import __version__
from deepagent.errors import UsageError
from deepagent.evaluation import charts
from deepagent.evaluation.charts import Bar
from deepagent.evaluation.results import EpisodeResult, Evaluation
from deepagent.evaluation.statistics import Estimate
from deepagent.evaluation.store import ResultStore
from deepagent.evaluation.summary import Summary, summarise
from deepagent.evaluation.tables import figure, interval, matrix

VIEWER = "http://127.0.0.1:7861"
"""Where `deepagent view` shows runs, unless it is told otherwise."""
_TEXT = 160
"""Characters of an answer or reason that the page's list holds; the viewer shows the rest."""
COLUMNS = (
    "task", "seed", "status", "corrected", "published", "answer", "gold", "steps", "folds", "tokens", "seconds", "run",
    "note",
)  # fmt: skip


def write(evaluations: Sequence[Evaluation], results: ResultStore, to: Path, *, viewer: str) -> tuple[Path, Path]:
    """Write a report.

    Args:
        evaluations: in the order in which they are shown.
        results: holds their results.
        to: the HTML file; the JSON goes beside it.
        viewer: URL of the viewer, for links to `/runs/ID`.

    Returns:
        The HTML file and the JSON file.

    Raises:
        UsageError: the viewer's URL is none, or a file cannot be written.
    """
    beside = to.with_suffix(".json")
    if to == beside:
        raise UsageError(f"report {to}: the figures go there as JSON; give the page another name")
    if urlsplit(viewer).scheme not in ("http", "https"):
        raise UsageError(f"{viewer!r} is no URL of a viewer: write http://host:port")
    summaries: list[Summary] = []
    sections: list[dict[str, Any]] = []
    for evaluation in evaluations:
        found = results.results(evaluation.id)
        summary = summarise(evaluation, found)
        summaries.append(summary)
        sections.append(_section(len(sections), summary, found))
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            sections=sections,
            ways=matrix(summaries).columns,
            rows=list(_rows(summaries)),
            data=Markup(_script([section.pop("episodes") for section in sections])),  # noqa: S704 (escaped in there)
            columns=Markup(_script(COLUMNS)),  # noqa: S704
            viewer=Markup(_script(viewer.rstrip("/"))),  # noqa: S704
            version=__version__,
        )
    )
    figures = {"version": __version__, "evaluations": [summary.model_dump(mode="json") for summary in summaries]}
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(page, encoding="utf-8")
        beside.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"report {to}: {error.strerror}; give another file with --to") from error
    return to, beside


def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("deepagent.evaluation")
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    made.filters.update(figure=figure, interval=interval)
    return made


def _rows(summaries: Sequence[Summary]) -> Iterator[tuple[str, list[tuple[Estimate | None, Estimate | None]]]]:
    """The table of all: by metric and way to work, corrected and published."""
    for (name, corrected), (_, published) in zip(
        matrix(summaries).rows, matrix(summaries, published=True).rows, strict=True
    ):
        yield name, list(zip(corrected, published, strict=True))


def _section(number: int, summary: Summary, results: Sequence[EpisodeResult]) -> dict[str, Any]:
    metric = summary.headline.metric
    parts = [
        Bar(label=f"{part.tag} {part.value} ({part.episodes})", estimate=part.corrected[metric.name])
        for part in summary.parts
    ]
    return {
        "number": number,
        "summary": summary,
        "setup": summary.evaluation.setup,
        "metrics": Markup(charts.bars(list(_metric_bars(summary)))),  # noqa: S704 (charts escape their texts)
        "parts": Markup(charts.bars(parts)) if parts else None,  # noqa: S704
        "steps": Markup(charts.histogram([one.steps for one in results], "steps")),  # noqa: S704
        "seconds": Markup(charts.histogram([one.seconds for one in results], "seconds")),  # noqa: S704
        "episodes": [_row(metric.name, one) for one in results],
    }


def _metric_bars(summary: Summary) -> Any:
    for one in summary.metrics:
        yield Bar(label=one.metric.name, estimate=one.corrected)
        if one.metric.published:
            yield Bar(label=f"{one.metric.name} as published", estimate=one.published)


def _row(metric: str, result: EpisodeResult) -> list[Any]:
    value = result.score.values.get(metric)
    note = result.reason if result.status != "answered" else ""
    if result.first_error:
        note = f"{note} (attempt {result.attempts}; first: {result.first_error})".strip()
    return [
        result.task,
        result.seed,
        result.status,
        value.corrected if value else None,
        value.published if value else None,
        (result.answer or "")[:_TEXT],
        result.gold[:_TEXT],
        result.steps,
        result.folds,
        result.usage.prompt_tokens + result.usage.completion_tokens,
        round(result.seconds, 1),
        result.run,
        note[:_TEXT],
    ]


def _script(data: Any) -> str:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
