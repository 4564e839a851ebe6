"""A framework for tests: it does what its task says, and knows nothing of deepagent, as any other."""

import os
import time

from benchmarks.success.peers.link import CallFailedError, Job, Link


def solve(job: Job, link: Link) -> str | None:
    print("frameworks print what they like")
    if "raise" in job.task:
        raise ValueError("the limit of turns is reached")
    if "die" in job.task:
        os._exit(3)
    if "hang" in job.task:
        time.sleep(600)
    found = link.search("add two numbers") if job.finds else [tool.name for tool in job.tools]
    try:
        link.call("add", {"a": 1})
    except CallFailedError as error:
        said = str(error)
    unknown = link.told("no_such_tool", {})
    return f"{link.call('add', {'a': 1, 'b': 2})} by {', '.join(found)}; {said}; {unknown}"
