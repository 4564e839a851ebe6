"""Interpreters that are started ahead."""

import asyncio
import os
import time

import pytest

from deepagent.errors import SandboxError, SandboxUnavailableError
from deepagent.sandbox import Kernel, Pool, SandboxConfig
from deepagent.sandbox.bubblewrap import Bubblewrap
from tests.sandbox.processes import descendants, open_files, until

CONFIG = SandboxConfig(warm=2)


async def test_a_run_gets_an_interpreter_that_is_ready_and_nobody_used(walls):
    async with Pool(CONFIG) as pool:
        await until(lambda: all(task.done() for task in pool._ahead))
        ready = {task.result() for task in pool._ahead}
        leased = await pool.lease()
        assert leased in ready
        other = await pool.lease()
        assert other is not leased
        for worker in (leased, other):
            await worker.stop()
    assert not descendants(os.getpid())


async def test_runs_share_nothing(walls):
    async with Pool(CONFIG) as pool:
        for name in ("one", "two", "three"):
            async with Kernel(CONFIG, pool=pool) as kernel:
                run = await kernel.execute("import os; found = os.listdir('.'), 'x' in globals(); x = 1; found")
                assert run.value == "([], False)"
                await kernel.execute(f"open({name!r}, 'w').close()")


async def test_no_more_start_at_one_time_than_there_are_processors(walls, monkeypatch):
    starting = most = 0
    start = Bubblewrap.enclose

    class Watched(Bubblewrap):
        def enclose(self, *args):
            nonlocal starting, most
            starting += 1
            most = max(most, starting)
            return start(self, *args)

        def setup(self, config):
            nonlocal starting
            starting -= 1  # asked for when it has started
            return super().setup(config)

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    async with Pool(SandboxConfig(warm=0), walls=Watched()) as pool:
        workers = await asyncio.gather(*(pool.lease() for _ in range(10)))
        assert len({id(worker) for worker in workers}) == 10
        for worker in workers:
            await worker.stop()
    assert most <= 2


async def test_an_interpreter_that_died_while_it_waited_is_not_given_out(walls):
    async with Pool(SandboxConfig(warm=1)) as pool:
        await until(lambda: all(task.done() for task in pool._ahead))
        waiting = pool._ahead[0].result()
        waiting._process.kill()
        waiting._process.wait()
        worker = await pool.lease()
        assert worker is not waiting
        assert worker.alive
        await worker.stop()
    assert not descendants(os.getpid())


@pytest.mark.parametrize("turns", [0, 1, 3, 20])
async def test_a_lease_that_is_given_up_leaves_nothing_behind(walls, turns):
    before = open_files()
    async with Pool(SandboxConfig(warm=0)) as pool:
        leasing = asyncio.create_task(pool.lease())
        for _ in range(turns):
            await asyncio.sleep(0)
        leasing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leasing
    await until(lambda: not descendants(os.getpid()))
    assert open_files() == before


async def test_a_closed_pool_gives_nothing(walls):
    async with Pool(CONFIG) as pool:
        pass
    with pytest.raises(SandboxError, match="the pool is closed"):
        await pool.lease()


async def test_what_cannot_be_started_is_told_to_the_one_who_asks(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    async with Pool(CONFIG) as pool:
        with pytest.raises(SandboxUnavailableError, match="is not installed"):
            await pool.lease()


@pytest.mark.heavy
@pytest.mark.timeout(600)
async def test_256_interpreters_live_at_one_time(walls):
    before = open_files()
    config = SandboxConfig(warm=0)
    async with Pool(config) as pool:
        kernels = [Kernel(config, pool=pool) for _ in range(256)]
        began = time.monotonic()
        runs = await asyncio.gather(*(kernel.execute(f"x = {n}; x") for n, kernel in enumerate(kernels)))
        assert [run.value for run in runs] == [str(n) for n in range(256)]
        runs = await asyncio.gather(*(kernel.execute("x + 1") for kernel in kernels))
        assert [run.value for run in runs] == [str(n + 1) for n in range(256)]
        assert all(kernel.alive for kernel in kernels)
        print(f"256 live interpreters after {time.monotonic() - began:.1f} s")
        await asyncio.gather(*(kernel.__aexit__(None, None, None) for kernel in kernels))
    assert not descendants(os.getpid())
    assert open_files() == before
