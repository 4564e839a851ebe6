"""Performing actions: whatever goes wrong in a tool, an argument or a name becomes an observation."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deepagent.actions import Action, Call, Execute, Found, Malformed, Observation, Search
from deepagent.approvals import Approvals
from deepagent.catalogue import Catalogue
from deepagent.codecalls import UNKNOWN, CodeCalls, syncs_first
from deepagent.config import AgentConfig
from deepagent.dialects import Abilities
from deepagent.doubts import Doubt, Doubts
from deepagent.errors import ToolError, UnknownToolError
from deepagent.files import Files
from deepagent.invocation import Approve, invoke
from deepagent.memory.archive import Archive
from deepagent.memory.recall import RECALL, recall_tool
from deepagent.retrieval import Hit
from deepagent.runs.events import Performed
from deepagent.runs.log import WORKSPACE, RunLog
from deepagent.runs.progress import Progress
from deepagent.runs.steps import Step, ToolUse
from deepagent.sandbox import Execution, Kernel, Pool
from deepagent.tools import FILES, Arguments, Tool, ToolSpec, well_formed
from deepagent.transcript import BYTES_PER_TOKEN, clipped

_KEPT_CHARS = 16_000_000
_LEAST_RESULT = 300
"""Bytes of one result, however many calls a reply makes at once; together they get the room of two."""
_REPEATED_CHARS = 400
_RECALLED_BY_CODE = 1_000_000
_RESTARTED = "\nThe interpreter was restarted: all variables are gone."
_UNDEFINED = re.compile(r"NameError: name '(\w+)' is not defined")
_NAMED = 8
"""Tools that are named to code that calls what is not there."""
_CELL = re.compile(r"<cell \d+>")

_SEARCH_TOOLS = ToolSpec(
    name="search_tools",
    description="Finds tools; what it finds can be called by name from the next line on. Returns their cards.",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "what the tool should do"}},
        "required": ["query"],
    },
    toolset="built-in",
    effect="pure",
)


Done = dict[int, tuple[Observation, float]]
"""Observations by step, each with the seconds that it took."""


class Performer:
    """Performs the actions of one run.

    Args:
        catalogue: the tools that can be found.
        doubts: what speaks against answers.
        abilities: the actions that the run allows.
        config: the agent's settings.
        log: the run's log; receives tool calls made by code, and results that are too large.
        result_tokens: longest observation, in tokens.
        approve: who is asked before an unsafe tool call.
        pool: where interpreters come from; by default each is started when code is first run.
        attachments: files that code finds, content by name.
        over: whether the tools' world is through with the task; what was observed last is the answer then.
        refuse: says what is wrong with an answer; the run goes on then.
        told: what earlier runs say of a tool, below its card.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        doubts: Doubts,
        abilities: Abilities,
        config: AgentConfig,
        log: RunLog,
        result_tokens: int,
        *,
        approve: Approve | None = None,
        pool: Pool | None = None,
        attachments: Mapping[str, bytes] | None = None,
        over: Callable[[], bool] = lambda: False,
        refuse: Callable[[str], str | None] = lambda answer: None,
        told: Callable[[Tool], str] = lambda tool: "",
    ) -> None:
        self._catalogue = catalogue
        self._abilities = abilities
        self._config = config
        self._log = log
        self.result_tokens = result_tokens
        self._limit = self._room = result_tokens * BYTES_PER_TOKEN
        self._archive = Archive(log)
        self.recall = recall_tool(self._archive, length=self._limit // 2)
        self.granted: dict[str, Tool] = {}
        self.found: tuple[str, ...] = ()
        """Names that the last search brought."""
        self._over = over
        self._refuse = refuse
        self._doubts = doubts
        self._earlier = told
        self._kernel = Kernel(config.sandbox, call_tool=self._call_from_code, attachments=attachments, pool=pool)
        FILES.set(Files(attachments or {}, log, self._kernel))  # for the tools that are called in this context
        self.approvals: Approvals | None = None
        """Where unsafe calls are asked for; None where they are just made."""
        if approve is not None or config.approval == "unsafe":
            self.approvals = Approvals(log, approve, self._kernel.unhurried)
        self._search_tools = Tool(_SEARCH_TOOLS, self._search_from_code)  # only code needs it as a tool
        in_code = {RECALL: recall_tool(self._archive, length=_RECALLED_BY_CODE)}  # code can read more than a model
        self._calls = CodeCalls(
            config,
            log,
            tool=lambda name: in_code.get(name) or self.granted.get(name, self._search_tools),
            shown=self._fit,
            approvals=self.approvals,
            found=lambda: self.found,
        )
        self._done: dict[str, tuple[int, Observation]] = {}
        self._searched: dict[str, list[int]] = {}
        self._past: dict[int, list[ToolUse]] = {}  # calls of code that was interrupted, by step
        self._note = ""  # for the next that runs code

    async def close(self) -> None:
        """End the sandbox, and keep the files that code left in its workspace as artifacts."""
        self._archive.close()
        async with self._kernel:
            left = await self._kernel.collect()
            if self._kernel.used:
                self._log.keep_files(left.files)
                self._log.keep(WORKSPACE, json.dumps(list(left.files)))

    async def restore(self, progress: Progress, steps: Sequence[Step]) -> Rebuilt:
        """Stand where the log says that the run stands; its code is run again to have its variables back.

        Args:
            progress: the log's.
            steps: all of the log.
        """
        await self.grant([tool for name in progress.names if (tool := self._catalogue.get(name)) is not None])
        self.found, self._calls.made = progress.found, progress.calls
        self._done, self._searched = dict(progress.done), {query: [*at] for query, at in progress.searched.items()}
        if self.approvals is not None:
            self.approvals.restore(progress.asked)
        self._past = {step.number: step.uses for step in steps if step.observation is None}
        cells = [step for step in steps if isinstance(step.action, Execute) and step.observation is not None]
        rebuilt = Rebuilt()
        for cell in cells:
            await self._run_again(cell, rebuilt)
        if progress.settled:  # files were kept when the run ended, and nothing has run since
            kept, names = self._log.files(), json.loads(self._log.artifact(WORKSPACE) or "[]")
            await self._kernel.put({name: kept[name] for name in names if name in kept})
        if rebuilt.diverged:
            which = ", ".join(map(str, rebuilt.diverged))
            self._note = (
                "This run was interrupted and goes on in a new interpreter. The code of earlier steps was run again; "
                f"that of step {which} did something else than before, so its variables may differ."
            )
        return rebuilt

    async def _run_again(self, cell: Step, rebuilt: Rebuilt) -> None:
        """Run a finished cell again, with the recorded results of its tool calls."""
        before, code = cell.observation, cell.action
        if before is None or not isinstance(code, Execute) or before.error in ("syntax", "not_allowed", "limit"):
            return
        if before.error in ("timeout", "crash", "interrupted"):
            if before.restarted:
                await self._kernel.forget()  # as it happened then
            else:
                rebuilt.diverged.append(cell.number)
            return
        self._calls.begin(cell.number, cell.uses, finished=True)
        now = self._told(await self._kernel.execute(code.code))
        rebuilt.steps.append(cell.number)
        if before.artifact is not None:
            before = before.model_copy(update={"text": self._log.artifact(before.artifact) or before.text})
        if self._calls.strayed or not _alike(now, before):
            rebuilt.diverged.append(cell.number)

    async def grant(self, tools: list[Tool]) -> None:
        """Bring tools into reach, also of code. Names that code already uses for these tools are left alone."""
        wanted = tools if self.granted else [self.recall, *tools]
        new = {tool.name: tool for tool in wanted if self.granted.get(tool.name) is not tool}
        if new:
            first = [] if self.granted or not self._abilities.search else [_SEARCH_TOOLS]
            self.granted |= new
            await self._kernel.bind([*first, *(tool.spec for tool in new.values())])

    def forget_window(self) -> None:
        """A new window opened: what was shown in the old one is not seen any more, and may be asked for again."""
        self._done.clear()
        self._searched.clear()

    async def perform_all(self, actions: Sequence[tuple[int, Action]], done: Done) -> None:
        """Do what one reply asks for, at the same time where all are calls.

        Args:
            actions: each with the number of its step.
            done: receives each step's observation as soon as it is there, also when this is interrupted.
        """
        self._room = self._limit if len(actions) < 3 else max(_LEAST_RESULT, self._limit * 2 // len(actions))
        if len(actions) == 1 or not all(isinstance(action, Call) for _, action in actions):
            for step, action in actions:
                await self._timed(step, action, done, several=len(actions) > 1)
            return
        tasks = [asyncio.create_task(self._timed(step, action, done, several=True)) for step, action in actions]
        try:
            await asyncio.gather(*tasks)
        finally:  # one of them may have ended the run, or the user
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _timed(self, step: int, action: Action, done: Done, *, several: bool) -> None:
        began = time.monotonic()
        observation = await self.perform(step, action)
        done[step] = observation, time.monotonic() - began
        if several or (isinstance(action, Call) and self._unsafe(action)):
            self._log.append(Performed(step=step, observation=observation, seconds=done[step][1]))

    async def perform(self, step: int, action: Action) -> Observation:
        """Do it. Only what the run cannot go on without raises (`OperatorError`)."""
        if isinstance(action, Malformed):
            return Observation(text=f"{action.problem}.", error="malformed")
        self._calls.begin(step, self._past.pop(step, ()))
        try:
            observation = await self._dispatch(step, action)
        except ToolError as error:
            observation = Observation(text=well_formed(str(error)), error=error.kind)
        called = self._catalogue.get(action.name) if isinstance(action, Call) else None
        if called is not None and called.simulated:
            observation = observation.model_copy(update={"simulated": True})
        if observation.answer is None and self._over():
            observation = observation.model_copy(update={"answer": observation.text})
        elif observation.answer is not None and (refused := await self._refused_code(action, observation.answer)):
            text = f"{observation.text}\n{refused.text}"
            observation = refused.model_copy(update={"text": text, "artifact": observation.artifact})
        key = action.model_dump_json()
        earlier = self._done.get(key)
        in_vain = not observation.ok or self._changes_nothing(action)
        if earlier and in_vain and _comparable(earlier[1]) == _comparable(observation):
            return _repeated(earlier[0], observation)
        self._done[key] = (step, observation)
        return observation

    async def _refused_code(self, action: Action, answer: str) -> Observation | None:
        """The same of an answer that code gave; it has computed what does not stand in the code as it is."""
        return await self.refused(answer, computed=not isinstance(action, Execute) or answer not in action.code)

    async def refused(self, answer: str, *, computed: bool = False) -> Observation | None:
        """What the model is told of an answer that is not taken; None when it is. Who refuses sees no doubtful one.

        Args:
            answer: what is to be the answer.
            computed: whether code made it.
        """
        doubt = await self._doubts.against(answer, computed=computed) if self._config.doubts else None
        if doubt is not None:
            return await self._doubted(doubt)
        said = self._refuse(answer)
        return None if said is None else Observation(text=said, error="refused")

    async def _doubted(self, doubt: Doubt) -> Observation:
        """A doubt in words, with the tools for what is to be done next."""
        if not doubt.hits:
            return Observation(text=doubt.text, error=doubt.kind)
        hits = list(doubt.hits)
        await self._grant_hits(hits)
        text = f"{doubt.text}\nTools that may fit:\n{self._cards(hits, self._limit - len(doubt.text))}"
        return Observation(text=text, error=doubt.kind, found=_found(hits))

    async def _dispatch(self, step: int, action: Action) -> Observation:
        if isinstance(action, Search):
            return await self._search(step, action.query)
        if isinstance(action, Call):
            return await self._call(step, action)
        if isinstance(action, Execute):
            return await self._execute(step, action.code)
        return Observation(text=f"Not done: {action.kind} must be the only action of a reply.", error="not_allowed")

    async def _search(self, step: int, query: str) -> Observation:
        """Find tools; the same query again in one window brings the next best ones."""
        if not self._abilities.search:
            return Observation(text="There are no more tools to search for.", error="not_allowed")
        count = self._config.found
        asked = self._searched.setdefault(query, [])
        hits = (await self._catalogue.search(query, count * (len(asked) + 1)))[count * len(asked) :]
        asked.append(step)
        if not hits:
            return Observation(text="No more tools fit. Describe differently what it should do.", error="nothing_found")
        await self._grant_hits(hits)
        if len(asked) == 1:
            return Observation(text=self._cards(hits, self._limit), found=_found(hits))
        note = f"You searched for exactly this at step {asked[-2]}; these are the next best tools."
        text = f"{self._cards(hits, self._limit - len(note))}\n({note})"
        return Observation(text=text, found=_found(hits), repeats=asked[-2])

    async def _call(self, step: int, action: Call) -> Observation:
        if not self._abilities.call and self._abilities.tools:
            return Observation(text="Not called: tools are called in Python, with <execute>.", error="not_allowed")
        await self.grant([])
        tool = self._catalogue.get(action.name) or self.granted.get(action.name)  # it may have changed meanwhile
        if tool is None:
            return await self._unknown(action.name)
        await self.grant([tool])
        approve = partial(self.approvals.approved, step, 0) if self.approvals else None
        if syncs_first(self._config, tool):
            await self._log.sync()
        _, text = await invoke(tool, action.arguments, self._config.tool_seconds, approve)
        return self._fit(f"r{step}", text)

    async def _unknown(self, name: str) -> Observation:
        """A search on the unknown name is what the model most likely needs next."""
        message = f"There is no tool named {name!r}."
        if not self._abilities.search:
            near = self._catalogue.nearest(name)
            hint = f" There is {', '.join(near)}." if near else ""
            return Observation(text=message + hint, error=UnknownToolError.kind)
        hits = await self._catalogue.search(name, self._config.found)
        await self._grant_hits(hits)
        text = f"{message} These tools may fit:\n{self._cards(hits, self._limit - 200)}"
        return Observation(text=text, error=UnknownToolError.kind, found=_found(hits))

    async def _execute(self, step: int, code: str) -> Observation:
        if not self._abilities.execute:
            return Observation(text="Running code is switched off for this task.", error="not_allowed")
        await self.grant([])
        done = await self._kernel.execute(code)
        await asyncio.sleep(0)  # a short cell does not wait for anything: let others have their turn
        text = self._told(done)
        if self._note:
            text, self._note = f"{text}\n({self._note})", ""
        more = {"error": done.error_kind, "answer": done.answer, "restarted": done.restarted}
        return self._fit(f"r{step}", text).model_copy(update=more)

    def _told(self, done: Execution) -> str:
        """What a cell led to, in words."""
        drawn = f"Saved in the workspace: {', '.join(done.pictures)}" if done.pictures else ""
        answered = "" if done.answer is None else f"Answered: {done.answer}"
        parts = [done.output.rstrip("\n"), done.value or "", drawn, done.error or "", answered]
        text = "\n".join(part for part in parts if part)
        if "ModuleNotFoundError" in (done.error or ""):
            more = "".join(f", and {name}" for name in self._config.sandbox.packages)
            text += f"\nOnly Python's standard library{more} is installed: write it without that module."
        if (unknown := _UNDEFINED.search(done.error or "")) is not None:
            text += self._known_tools(unknown.group(1))
        if done.restarted and not done.error:  # an error that cost the interpreter says so itself
            text += _RESTARTED
        elif not text:
            text = "The code ran and printed nothing. Use print(...) to see a value."
        return text

    def _known_tools(self, name: str) -> str:
        """What can be called, where code calls what is not there."""
        known = [tool.spec.signature for tool in self.granted.values() if tool.name != RECALL]
        return f"\nThere is no {name} here. The tools are:\n" + "\n".join(known[:_NAMED]) if known else ""

    async def _call_from_code(self, name: str, arguments: Arguments) -> Any:
        return await self._calls.answer(name, arguments)

    def settled(self, step: int, action: Action) -> Observation | None:
        """What is said of an action that was interrupted, where it must not be done again."""
        if not isinstance(action, Call) or not self._unsafe(action):
            return None
        surely_not_made = self.approvals is not None and self.approvals.not_approved(step)
        return None if surely_not_made else Observation(text=UNKNOWN, error="interrupted")

    def _unsafe(self, action: Call) -> bool:
        tool = self._catalogue.get(action.name) or self.granted.get(action.name)
        return tool is not None and tool.spec.effect == "unsafe"

    async def _search_from_code(self, arguments: Arguments) -> str:
        hits = await self._catalogue.search(arguments["query"], self._config.found)
        await self._grant_hits(hits)
        return self._cards(hits, self._limit) or "no tool fits; describe differently what it should do"

    def _fit(self, id: str, text: str) -> Observation:
        """A result as observation: too large a one is kept whole, and shown by head, tail, size and id."""
        head = clipped(text, self._room)
        if head == text:
            return Observation(text=text)
        kept = text if len(text) <= _KEPT_CHARS else text[:_KEPT_CHARS]
        self._log.keep(id, kept)
        head, tail = head[: len(head) * 2 // 3], text[-len(head) // 5 :]
        lost = "" if kept is text else f" (only the first {_KEPT_CHARS} are kept)"
        note = f'[... {len(text)} characters in all{lost}; the rest: recall(id="{id}", start={len(head)}) ...]'
        return Observation(text=f"{head}\n{note}\n{tail}", artifact=id)

    def _cards(self, hits: list[Hit], limit: int) -> str:
        """Tool cards within a limit in bytes, with what earlier runs say; the last ones shrink to signatures first."""
        texts = [f"{hit.spec.card}{self._told_earlier(hit.spec.name)}" for hit in hits]
        for position in reversed(range(len(texts))):
            if sum(len(text.encode()) for text in texts) <= limit:
                break
            texts[position] = hits[position].spec.signature
        return clipped("\n".join(texts), limit)

    def _told_earlier(self, name: str) -> str:
        tool = self._catalogue.get(name)
        return self._earlier(tool) if tool is not None else ""

    async def _grant_hits(self, hits: list[Hit]) -> None:
        self.found = tuple(hit.spec.name for hit in hits)
        tools = [self._catalogue.get(name) for name in self.found]
        await self.grant([tool for tool in tools if tool is not None])

    def _changes_nothing(self, action: Action) -> bool:
        """Whether doing it was without effect, so that doing it again with the same result was in vain."""
        if isinstance(action, Call):
            tool = self.granted.get(action.name)
            return tool is None or tool.spec.effect != "unsafe"
        return self._calls.quiet


@dataclass
class Rebuilt:
    """Steps whose code was run again, and those of them that did something else than before."""

    steps: list[int] = field(default_factory=list)
    diverged: list[int] = field(default_factory=list)


def _alike(text: str, before: Observation) -> bool:
    """Whether a cell that is run again says what it said before, as far as that is kept."""
    now = _comparable(Observation(text=text.removesuffix(_RESTARTED)))
    then = _comparable(before).partition("\n(This run was interrupted and goes on")[0].removesuffix(_RESTARTED)
    if before.repeats is not None:  # it was shown in short
        return now.startswith(then[:_REPEATED_CHARS])
    return now == then or (len(then) >= _KEPT_CHARS and now.startswith(then))


def _comparable(observation: Observation) -> str:
    return _CELL.sub("<cell>", observation.text)


def _repeated(step: int, observation: Observation) -> Observation:
    """The result in short, where it can be read in full, and a nudge."""
    note = f"You did exactly this at step {step}, with this result. Do something else, or answer."
    text = observation.text
    if len(text) > _REPEATED_CHARS:
        text = f'{text[:_REPEATED_CHARS]}... (in full: recall(id="{step}"))'
    return observation.model_copy(update={"text": f"{text}\n({note})", "repeats": step})


def _found(hits: list[Hit]) -> tuple[Found, ...]:
    return tuple(Found(name=hit.spec.name, score=hit.score, dense=hit.dense, lexical=hit.lexical) for hit in hits)
