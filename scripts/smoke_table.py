"""Writes the figures of `make eval-smoke` into a page of the docs, between its two marks.

python scripts/smoke_table.py docs/reports/smoke.json docs/evaluation.md
"""

import json
import sys
from pathlib import Path

BEGIN, END = "<!-- smoke: written by scripts/smoke_table.py -->\n", "<!-- /smoke -->\n"


def _share(estimate: dict | None) -> str:
    return "-" if estimate is None else f"{estimate['mean']:.2f}"


def _rows(evaluation: dict) -> list[str]:
    setup, statuses = evaluation["evaluation"]["setup"], evaluation["statuses"]
    ended = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    cost = f"{ended} | {evaluation['steps']} | {evaluation['usage']['cached_tokens']:,} of "
    cost += f"{evaluation['usage']['prompt_tokens']:,} | {evaluation['seconds']:.0f}"
    lines = []
    for number, one in enumerate(evaluation["metrics"]):
        name = f"{setup['benchmark']} ({setup['mode']}) | {evaluation['tasks']}" if number == 0 else " | "
        figures = f"{one['metric']['name']} | {_share(one['published'])} | {_share(one['corrected'])}"
        lines.append(f"| {name} | {figures} | {cost if number == 0 else ' | | | '} |")
    return lines


def _table(figures: dict) -> str:
    head = "| benchmark | tasks | metric | published | corrected | ended | steps | prompt tokens cached | seconds |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for evaluation in figures["evaluations"]:
        lines += _rows(evaluation)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put the table of the figures in the first file between the marks of the second."""
    figures, page = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    before, _, rest = page.read_text().partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"{page} lacks the marks {BEGIN.strip()} and {END.strip()}")
    page.write_text(f"{before}{BEGIN}\n{_table(figures)}\n{END}{after}")


if __name__ == "__main__":
    main()
