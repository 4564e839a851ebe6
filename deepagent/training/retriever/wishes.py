"""Wishes made up by rule from descriptions, where nobody labelled any.

The first sentence of a description mostly says what the tool does in a few words. Put as a request, with another verb
and some talk around it, it is a wish that the tool serves; the tool's text then often loses that sentence, so that the
encoder learns meaning rather than copying.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence

from deepagent.retrieval.text import clean, tool_text
from deepagent.tools import ToolSpec
from deepagent.training.retriever.examples import Example, Pool

_LONGEST_TEXT = 260
"""Characters of a description that a made-up example shows: what a tool does comes first."""

_PER_TOOLSET = 120
_TOGETHER = 12
"""Most wishes of one toolset in all, and in a row: large toolsets must not drown the others, and tools of one toolset
must meet in one batch, since they are the hardest to tell apart."""

_SENTENCE = re.compile(r"(?<=[.!?])\s")
_KNOWN_VERBS = """
    accept activate add analyze append apply approve archive assign associate attach authorize block book calculate
    cancel capture change check classify clear close compare complete compute confirm connect convert copy count
    create deactivate decline decode decrypt delete deploy describe detach detect disable disconnect download edit
    empty enable encode encrypt estimate evaluate execute export extract fetch find flag follow generate get grant
    import initiate insert invite join launch leave like link list lock log lookup mark merge modify move obtain
    open order parse pay post predict preview print publish purge put query rank read recommend refresh refund
    register reject remove rename render replace report request reserve reset resize resolve restore retrieve return
    revoke rotate run save scale scan schedule score search send set share show sign start stop submit subscribe
    suggest sync test track transfer translate trigger unblock unfollow unlink unlock unpublish unsubscribe update
    upload validate verify view
"""
_VERBS = frozenset(_KNOWN_VERBS.split())
_OTHER_WORDS = {
    "get": ("get", "find", "show me", "look up", "check", "see", "pull up", "fetch"),
    "list": ("list", "see", "show me", "get all", "find"),
    "create": ("create", "make", "set up", "add", "open"),
    "delete": ("delete", "remove", "get rid of", "drop"),
    "update": ("update", "change", "modify", "edit"),
    "retrieve": ("get", "find", "fetch", "look up"),
    "fetch": ("get", "find"),
    "add": ("add", "put in", "insert"),
    "search": ("search", "look for", "find"),
    "remove": ("remove", "delete", "take out"),
    "send": ("send", "deliver"),
    "cancel": ("cancel", "call off"),
    "start": ("start", "begin", "kick off"),
    "stop": ("stop", "end", "halt"),
}
_REQUESTS = (
    *(
        "I want to {}.",
        "I need to {}.",
        "Can you {}?",
        "Could you please {}?",
        "Please {}.",
        "Help me {}.",
        "{}",
        "{}.",
    ),
    *("{}", "How do I {}?", "I'd like to {}.", "Let's {}.", "Can you help me {}?", "You should {} now."),
)
_QUESTIONS = (
    *("I need {}.", "Give me {}.", "Can you give me {}?", "What is {}?", "Show me {}.", "I'm looking for {}.", "{}"),
    *("Tell me about {}.", "Provide me with {}.", "Fetch {} for me."),
)
_MORE = ("Also,", "Additionally,", "Furthermore,", "Then", "After that,", "Finally,", "Moreover,", "And")
_TALK = (
    *("I'm working on a project with {}. ", "We are using {} at my company. ", "I'm setting things up with {}. "),
    *("My friends and I are planning something. ", "I am preparing a report for my team. ", "I have a question. "),
)
_DETAILS = (" for my account", " for our team", " with id 4821", " by tomorrow", " in New York", " for user 12")


def made_up(specs: Iterable[ToolSpec], seed: int) -> list[Pool]:
    """Make up wishes for the tools of a catalogue, toolset by toolset; the same for the same seed.

    Args:
        specs: the tools; those whose description says nothing short give no wish.
        seed: which words are drawn.
    """
    draw = random.Random(seed)  # noqa: S311 (not a secret)
    by_toolset: dict[str, list[ToolSpec]] = {}
    for spec in specs:
        by_toolset.setdefault(spec.toolset.split("/")[0], []).append(spec)
    pools = []
    for name, own in sorted(by_toolset.items()):
        draw.shuffle(own)
        if len(examples := _examples(name, own[:_PER_TOOLSET], draw)) > 1:
            pools.append(Pool(examples, run=_TOGETHER))
    return pools


def wish(sentence: str, draw: random.Random) -> str | None:
    """Put what a tool does as a request; None where the sentence is too short or too long to be one."""
    told = clean(sentence, 300).rstrip(" .!?").split()
    if not 2 <= len(told) <= 22:
        return None
    verb = _infinitive(told[0].lower())
    if verb in _VERBS:
        told[0] = draw.choice(_OTHER_WORDS.get(verb, (verb,))) if draw.random() < 0.5 else verb
        form = draw.choice(_REQUESTS)
    else:
        told[0] = told[0] if told[0][1:] != told[0][1:].lower() else told[0].lower()
        form = draw.choice(_QUESTIONS)
    detail = draw.choice(_DETAILS) if draw.random() < 0.2 else ""
    asked = form.format(" ".join(told) + detail)
    return asked[0].upper() + asked[1:]


def _examples(toolset: str, specs: Sequence[ToolSpec], draw: random.Random) -> list[Example]:
    wishes, texts = [], []
    for spec in specs:
        first, *rest = _SENTENCE.split(spec.description.strip(), maxsplit=1)
        asked = wish(first, draw)
        told = "".join(rest) if asked and draw.random() < 0.55 else spec.description
        texts.append(tool_text(spec.model_copy(update={"description": told[:_LONGEST_TEXT]})))
        wishes.append(asked)
    asked_for = [(asked, text) for asked, text in zip(wishes, texts, strict=True) if asked]
    examples, at = [], 0
    while at < len(asked_for):
        together = asked_for[at : at + draw.choices((1, 2, 3), (6, 3, 1))[0]]
        at += len(together)
        query = " ".join((together[0][0], *(_and_also(asked, draw) for asked, _ in together[1:])))
        if draw.random() < 0.3:
            query = draw.choice(_TALK).format(toolset) + query
        golds = tuple(dict.fromkeys(text for _, text in together))
        other = draw.choice(texts)
        examples.append(Example.of(query, golds, () if other in golds else (other,)))
    return examples


def _and_also(asked: str, draw: random.Random) -> str:
    begun = asked if asked.startswith(("I ", "I'")) else asked[0].lower() + asked[1:]
    return f"{draw.choice(_MORE)} {begun.rstrip('.?')}{draw.choice('..?')}"


def _infinitive(verb: str) -> str:
    if verb.endswith("ies"):
        return f"{verb[:-3]}y"
    if verb.endswith(("ches", "shes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb
