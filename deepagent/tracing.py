"""Spans of OpenTelemetry for a run, after its GenAI semantic conventions, and its lines in Python's logging.

Both are made from the events of the log: what a trace says is what happened, and nothing of it is said twice. Spans are
silent unless the extra `otel` is installed and the program has configured a tracer provider, as `cli/spans.py` does for
the command line. They carry names, numbers and ids, never what the model or a tool said: that stays in the store.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from deepagent.actions import Action, Call, Execute, Search
from deepagent.runs.events import (
    Ended,
    Event,
    FoldBegan,
    Folded,
    Intended,
    Observed,
    Replied,
    Resumed,
    Started,
    ToolCalled,
    ToolReturned,
)

log = logging.getLogger("deepagent.runs")


def log_event(run: str, event: Event) -> None:
    """Tell one event in Python's logging: its kind, and what can be counted of it; `record.run` is the run's id."""
    if log.isEnabledFor(logging.INFO):
        data = event.model_dump(include={"step", "call", "name", "tool", "status", "steps", "number", "approved"})
        told = "".join(f" {name}={value}" for name, value in data.items())
        log.info("run %s: %s%s", run, event.kind, told, extra={"run": run, "event": event.kind})


class RunTracer:
    """Makes a span of a run, and below it spans of its model requests, tool calls, code and folds.

    Args:
        tracer: of OpenTelemetry.
        run: the run's id.
    """

    def __init__(self, tracer: Any, run: str) -> None:
        from opentelemetry import context, trace

        self._trace, self._context = trace, context
        self._tracer = tracer
        self._run = run
        self._root: Any = None
        self._inside: Any = None  # the context whose span is the run's
        self._open: dict[tuple[str, int, int], Any] = {}
        self._token: Any = None
        self._model = ""

    def hear(self, event: Event) -> None:
        """Begin or end what the event begins or ends."""
        if change := getattr(self, f"_{event.kind}", None):
            change(event)

    def close(self) -> None:
        """End what was not ended, as after an interruption."""
        for span in [*self._open.values(), *([self._root] if self._root else [])]:
            span.end()
        self._open, self._root = {}, None
        if self._token is not None:
            token, self._token = self._token, None
            self._context.detach(token)

    def _begin(self, name: str, kind: Any = None, *, start: int | None = None, **attributes: Any) -> Any:
        named = {key.replace("__", "."): value for key, value in attributes.items() if value is not None}
        kind = kind or self._trace.SpanKind.INTERNAL
        return self._tracer.start_span(name, self._inside, kind, attributes=named, start_time=start)

    def _started(self, event: Started | Resumed) -> None:
        self._model = event.model
        self._inside = self._context.get_current()  # the caller's span is the parent
        self._root = self._begin(
            "invoke_agent deepagent",
            gen_ai__operation__name="invoke_agent",
            gen_ai__agent__name="deepagent",
            gen_ai__conversation__id=self._run,
            gen_ai__request__model=event.model,
        )
        self._inside = self._trace.set_span_in_context(self._root, self._inside)
        self._token = self._context.attach(self._inside)  # for the spans that tools make, in any task or thread

    _resumed = _started

    def _replied(self, event: Replied) -> None:
        usage, now = event.generated.usage, time.time_ns()
        span = self._begin(
            f"chat {self._model}",
            self._trace.SpanKind.CLIENT,
            start=now - int(event.generated.seconds * 1e9),
            gen_ai__operation__name="chat",
            gen_ai__request__model=self._model,
            gen_ai__response__finish_reasons=[event.generated.finish],
            gen_ai__usage__input_tokens=usage.prompt_tokens,
            gen_ai__usage__output_tokens=usage.completion_tokens,
            gen_ai__usage__cache_read__input_tokens=usage.cached_tokens,
            deepagent__step=event.step,
        )
        span.end(now)

    def _intended(self, event: Intended) -> None:
        tool = _tool_of(event.action)
        if tool is not None:
            self._open["step", event.step, 0] = self._tool_span(tool, event.step)

    def _tool_called(self, event: ToolCalled) -> None:
        self._open["call", event.step, event.call] = self._tool_span(event.name, event.step)

    def _tool_span(self, tool: str, step: int) -> Any:
        return self._begin(
            f"execute_tool {tool}",
            gen_ai__operation__name="execute_tool",
            gen_ai__tool__name=tool,
            gen_ai__tool__type="function",
            deepagent__step=step,
        )

    def _observed(self, event: Observed) -> None:
        self._end(("step", event.step, 0), event.observation.error)

    def _tool_returned(self, event: ToolReturned) -> None:
        self._end(("call", event.step, event.call), event.error)

    def _fold_began(self, event: FoldBegan) -> None:
        self._open["fold", 0, 0] = self._begin("fold", deepagent__fold__reason=event.reason)

    def _folded(self, event: Folded) -> None:
        span = self._open.get(("fold", 0, 0))
        if span is not None:
            span.set_attribute("deepagent.fold.before", event.before)
            span.set_attribute("deepagent.fold.after", event.after)
        self._end(("fold", 0, 0), None)

    def _ended(self, event: Ended) -> None:
        if self._root is not None:
            self._root.set_attribute("deepagent.status", event.status)
            self._root.set_attribute("gen_ai.usage.input_tokens", event.usage.prompt_tokens)
            self._root.set_attribute("gen_ai.usage.output_tokens", event.usage.completion_tokens)
            if event.status == "failed":
                self._root.set_status(self._trace.StatusCode.ERROR)
        self.close()

    def _end(self, key: tuple[str, int, int], error: str | None) -> None:
        span = self._open.pop(key, None)
        if span is None:
            return
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()


def _tool_of(action: Action) -> str | None:
    """The tool that a step calls; code and search are tools of our own."""
    if isinstance(action, Call):
        return action.name
    if isinstance(action, Search):
        return "search_tools"
    return "execute" if isinstance(action, Execute) else None


def tracer(run: str) -> RunTracer | None:
    """What traces a run, or None where nobody listens."""
    if not _wanted():
        return None
    from opentelemetry import trace

    return RunTracer(trace.get_tracer("deepagent"), run)


def _wanted() -> bool:
    """Whether the program has configured a tracer provider; asked without importing what is not there already."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return False
    return type(trace.get_tracer_provider()).__name__ != "ProxyTracerProvider"
