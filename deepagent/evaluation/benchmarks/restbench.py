"""RestBench: requests to TMDB and to Spotify that need one or several calls of a REST API.

The original counts a request's path as correct when the gold endpoints are called in their order, and lets people judge
whether the request was fulfilled. DeepAgent's run calls a request successful when every gold endpoint was called by
name, whatever came of it and whatever was answered (`published`); here a judge decides (`corrected`), and for paths
only calls that succeeded count.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from types import TracebackType
from typing import Any, ClassVar, Self

from pydantic import Field

from deepagent.actions import Action, Answer, Call
from deepagent.evaluation.base import Benchmark, BenchmarkConfig, BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.evaluation.benchmarks.called import Called, calls, listed
from deepagent.evaluation.judges import quoted
from deepagent.toolsets.openapi.operations import Operation
from deepagent.toolsets.openapi.security import Credential
from deepagent.toolsets.openapi.toolset import OpenApi
from deepagent.toolsets.restbench.apis import Api, operations
from deepagent.toolsets.restbench.server import MockServer
from deepagent.toolsets.restbench.toolset import MockApi, live

_PROMPT = """{query}

Do it with calls of the {service} API; results of earlier calls hold the ids that later ones need. Then answer in one \
or two sentences with what was asked for, or with what was done."""
_JUDGE = """An agent was given a request, and could call the {service} API. Was the request fulfilled?

It was fulfilled when the calls that succeeded did what was asked for, or found what was asked for, and the answer \
says so correctly by their results. What the results say is right, even where you know better.

<request>{query}</request>
<calls>
{calls}
</calls>
<answer>{answer}</answer>"""
_FULFILLED, _NOT = "fulfilled", "not fulfilled"

# Arguments that the oracle gives, where a schema does not say what there is.
_KNOWN: dict[str, Any] = {
    "query": "Titanic",
    "q": "Titanic",
    "playlist_id": "playlist00000000000001",
    "user_id": "mock_user",
    "id": "4iV5W9uYEdYUVa79Axb7Rh",
    "ids": "4iV5W9uYEdYUVa79Axb7Rh",
    "uri": "spotify:track:4iV5W9uYEdYUVa79Axb7Rh",
    "volume_percent": 60,
    "state": "track",
    "media_type": "movie",
    "time_window": "day",
    "name": "A name",
    "uris": ["spotify:track:4iV5W9uYEdYUVa79Axb7Rh"],
    "tracks": [{"uri": "spotify:track:4iV5W9uYEdYUVa79Axb7Rh"}],
}


class RestBenchConfig(BenchmarkConfig):
    """Which service is called; by default a mock of it."""

    credentials: dict[str, Credential] = Field(default_factory=dict)
    """By security scheme (`api_key` of TMDB, `oauth_2_0` of Spotify): with them the real service is called. Spotify's
    tasks change the account that they belong to."""


class _RestBench(Benchmark[RestBenchConfig]):
    """What both have in common."""

    api: ClassVar[Api]
    service: ClassVar[str]
    modes = ("open-set", "labelled")
    metrics = (
        Metric(name="success", meaning="the request was fulfilled, by the judge", binary=True, published=True),
        Metric(name="correct_path", meaning="the gold path was called in its order", binary=True, published=True),
        Metric(name="path", meaning="share of the gold path that was called", published=True),
        Metric(name="extra_calls", meaning="calls beyond the gold path, where that is correct", published=True),
    )
    Config = RestBenchConfig

    def __init__(self, config: RestBenchConfig, mode: Any = None) -> None:
        super().__init__(config, mode)
        self._server = MockServer(self.api)

    async def __aenter__(self) -> Self:
        if not self.config.credentials:
            await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.config.credentials:
            await self._server.__aexit__(kind, error, traceback)

    def tasks(self) -> Sequence[BenchmarkTask]:
        """The requests, in the original's order."""
        return _tasks(self.api, self.service)

    def world(self, task: BenchmarkTask) -> OpenApi:
        """The real service, or a mock of its own for the episode; in labelled mode only the gold operations."""
        only = task.data["gold"] if self.mode == "labelled" else ()
        if self.config.credentials:
            return live(self.api, self.config.credentials, only)
        return MockApi(self._server, self.api, only)

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Compare the path; ask the judge whether the request was fulfilled."""
        gold: list[str] = episode.task.data["gold"]
        where = {operation.name: place for place, operation in operations(self.api).items()}
        made = [call for call in calls(episode.steps) if call.name in where]
        tried = [where[call.name] for call in made]
        done = [where[call.name] for call in made if call.ok]
        fulfilled = await self._fulfilled(episode, made, judge)
        in_order, done_in_order = _within(gold, tried), _within(gold, done)
        return Score(
            values={
                "success": Value(published=float(set(gold) <= set(tried)), corrected=fulfilled),
                "correct_path": Value(published=float(in_order), corrected=float(done_in_order)),
                "path": Value(
                    published=sum(place in tried for place in gold) / len(gold),
                    corrected=(Counter(gold) & Counter(done)).total() / len(gold),
                ),
                "extra_calls": Value(
                    published=len(tried) - len(gold) if in_order else None,
                    corrected=len(tried) - len(gold) if done_in_order else None,
                ),
            }
        )

    async def _fulfilled(self, episode: Episode, made: Sequence[Called], judge: Judge) -> float | None:
        if not (episode.answer or "").strip():
            judge.rule("there is no answer", _NOT)
            return 0.0
        if not any(call.ok for call in made):
            judge.rule("no call succeeded", _NOT)
            return 0.0
        question = _JUDGE.format(
            service=self.service,
            query=episode.task.data["query"],
            calls=quoted(listed(made)),
            answer=quoted(episode.answer or ""),
        )
        choice = await judge.choose(question, [_FULFILLED, _NOT])
        return None if choice is None else float(choice == _FULFILLED)

    def oracle(self, task: BenchmarkTask) -> Sequence[Action] | None:
        """The gold path with arguments that fit the schemas. It knows nothing of what the answers say."""
        if self.config.credentials:
            return None  # it would change a real account
        known = operations(self.api)
        path = [Call(name=known[place].name, arguments=_arguments(known[place])) for place in task.data["gold"]]
        return [*path, Answer(text="It is done.")]


class TmdbBenchmark(_RestBench):
    """The benchmark on TMDB."""

    name = "tmdb"
    about = "requests that need calls of the TMDB API"
    api = "tmdb"
    service = "TMDB"


class SpotifyBenchmark(_RestBench):
    """The benchmark on Spotify."""

    name = "spotify"
    about = "requests that need calls of the Spotify API"
    api = "spotify"
    service = "Spotify"


@cache
def _tasks(api: Api, service: str) -> tuple[BenchmarkTask, ...]:
    data = resources.files("deepagent.evaluation.benchmarks").joinpath(f"{api}.jsonl.gz").read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(data).splitlines()]
    return tuple(
        BenchmarkTask(
            id=row["id"],
            prompt=_PROMPT.format(query=row["query"], service=service),
            gold=", ".join(row["gold"]),
            tags={"calls": str(len(row["gold"]))},
            data={"query": row["query"], "gold": row["gold"]},
        )
        for row in rows
    )


def _within(gold: Sequence[str], made: Iterable[str]) -> bool:
    """Whether the gold path is contained in the calls, in its order."""
    left = iter(made)
    return all(place in left for place in gold)


def _arguments(operation: Operation) -> dict[str, Any]:
    """What must be given, and the body, which Spotify's document calls optional and its server demands."""
    properties, required = operation.schema["properties"], operation.schema.get("required", ())
    return {name: _value(name, one) for name, one in properties.items() if name in required or name == "body"}


def _value(name: str, schema: dict[str, Any]) -> Any:
    if schema.get("type") == "array" and schema.get("items", {}).get("enum"):
        return schema["items"]["enum"][:1]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "integer" and name not in _KNOWN:
        return 1
    if schema.get("type") == "object":
        inner = schema.get("properties", {})
        named = [*(key for key in inner if key in _KNOWN), *schema.get("required", ())]
        return {key: _value(key, inner.get(key, {})) for key in named}
    known = _KNOWN[name]
    return [known] if schema.get("type") == "array" and isinstance(known, str) else known
