"""Whether training would show a model what it is tested on."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from deepagent.errors import TrainingError, UsageError
from deepagent.evaluation import registry

_log = logging.getLogger(__name__)

WORDS = 13
"""Two texts with so many words in a row in common count as the same, as for GPT-3 (arXiv 2005.14165, appendix C)."""
_WORD = re.compile(r"\w+")


class Asked:
    """What benchmarks ask.

    What several of their tasks have in common, such as the words of a template, tells nothing about any one of them and
    does not count.

    Args:
        prompts: by benchmark.
    """

    def __init__(self, prompts: Iterable[tuple[str, str]]) -> None:
        self._asked: dict[str, str] = {}
        common: Counter[str] = Counter()
        for benchmark, prompt in prompts:
            found = set(_marks(prompt))
            common.update(found)
            self._asked.update(dict.fromkeys(found, benchmark))
        for mark, count in common.items():
            if count > 1 and mark.count(" ") + 1 == WORDS:
                del self._asked[mark]

    def where(self, text: str) -> str | None:
        """The benchmark that asks this, or part of it; None when none does."""
        return next((self._asked[mark] for mark in _marks(text) if mark in self._asked), None)

    def refuse(self, texts: Iterable[str]) -> None:
        """Do nothing, unless one of the texts is asked by a benchmark.

        Raises:
            TrainingError: one is.
        """
        for text in texts:
            benchmark = self.where(text)
            if benchmark is not None:
                said = " ".join(text.split())[:80]
                raise TrainingError(f"{benchmark} tests what would be trained on ({said!r}): leave its tasks out")


def _marks(text: str) -> Iterator[str]:
    """What a text is known by: the whole of it, and all its runs of words of a length."""
    words = _WORD.findall(text.casefold())
    yield " ".join(words)
    for start in range(len(words) - WORDS + 1):
        yield " ".join(words[start : start + WORDS])


def asked_by_benchmarks() -> Asked:
    """The tasks of all benchmarks with their usual settings: what their published test sets, and ours, ask.

    Benchmarks whose tasks an extra makes that is not installed are left out.
    """
    return Asked(_all_prompts())


def _all_prompts() -> Iterator[tuple[str, str]]:
    for name in registry.names():
        try:
            tasks = registry.get_benchmark(name).tasks()
        except UsageError as error:
            _log.info("%s is not compared with: %s", name, error)
            continue
        for task in tasks:
            yield name, task.prompt
