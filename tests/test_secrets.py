"""Canaries in the places where secrets are: none is found in store, log lines, output, errors or prompts."""

import logging
import sqlite3

from deepagent import Agent
from deepagent.errors import OperatorError
from deepagent.runs.store import RunStore
from tests.models.fake_server import FakeServer
from tests.support import HASHED, answer, execute

CANARY = "canary-5f1d9a37c2"


async def test_the_key_of_a_model_is_found_nowhere(tmp_path, monkeypatch, caplog, walls):
    monkeypatch.setenv("MODEL_KEY", CANARY)
    shown: list[str] = []

    async def echo_key(exchange):
        await exchange.answer(400, f'{{"error": {{"message": "bad key {exchange.headers.get("authorization")}"}}}}')

    script = iter([execute("import os\nprint(dict(os.environ))"), answer("1")])
    async with FakeServer("llama", lambda body: next(script)) as server:
        config = tmp_path / "model.yaml"
        config.write_text(f"kind: http\nurl: {server.url}\napi_key_env: MODEL_KEY\n")
        with caplog.at_level(logging.DEBUG), RunStore(tmp_path / "r.sqlite") as store:
            run = await Agent(str(config), config=HASHED, store=store).run("Do it.")
            server.faults = [echo_key] * 10
            try:
                await Agent(str(config), config=HASHED, store=store).run("Do it.")
            except OperatorError as error:
                shown += [str(error), repr(error.__cause__)]
            shown += [one.model_dump_json() for listed in store.runs() for one in store.events(listed.id)]
        assert any(CANARY in str(exchange.headers) for exchange in server.seen), "the key was never used"
        shown += [str(exchange.body) for exchange in server.seen]
    assert run.answer == "1"
    with sqlite3.connect(tmp_path / "r.sqlite") as connection:
        shown += list(connection.iterdump())
    connection.close()
    assert len(shown) > 20
    assert CANARY not in "\n".join([*shown, caplog.text])
