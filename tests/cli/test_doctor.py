"""`deepagent doctor` looks, tries, and says what to do."""

import json
from importlib.metadata import metadata

from deepagent.cli.doctor import _EXTRAS
from deepagent.sandbox.proof import TOGETHER
from tests.cli.conftest import serving
from tests.models.fake_server import FakeServer


def found(done) -> dict[str, dict]:
    return {finding["name"]: finding for finding in json.loads(done.stdout)}


def test_a_machine_that_works(deepagent):
    done = deepagent("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    findings = found(done)
    walls = [finding for finding in findings.values() if finding["part"] == "sandbox"]
    assert len(walls) > 5
    assert all(wall["state"] == "ok" for wall in walls if wall["name"] != TOGETHER)
    assert findings["store"]["said"].endswith("runs.sqlite")
    absent = findings["all-minilm-l6-v2"]
    assert (absent["state"], absent["said"]) == ("no", "deepagent models pull all-minilm-l6-v2")


def test_every_extra_for_users_is_looked_at():
    extras = set(metadata("deepagent").get_all("Provides-Extra")) - {"browser", "dev", "docs"}
    assert set(_EXTRAS) == extras


def test_people_get_a_table(deepagent, tmp_path):
    done = deepagent("doctor")
    assert done.returncode == 0
    assert "sandbox" in done.stdout
    assert str(tmp_path / "runs.sqlite") in done.stdout, "nothing is cut where no terminal sets a width"
    assert "\x1b" not in done.stdout


def test_what_is_broken_is_exit_code_1(deepagent, tmp_path):
    (tmp_path / "file").write_text("")
    done = deepagent("doctor", "--json", env={"DEEPAGENT_STORE": str(tmp_path / "file" / "runs.sqlite")})
    assert done.returncode == 1
    assert found(done)["store"]["state"] == "broken"


def test_a_server_is_tried_out(deepagent):
    with serving(FakeServer("vllm", '{"ok": "yes"}')) as url:
        done = deepagent("doctor", "--json", "-m", url)
    assert done.returncode == 0
    findings = found(done)
    assert findings["toy"]["said"] == "window of 4096 tokens"
    assert findings["server"]["said"] == "vLLM"
    assert {name: findings[name]["state"] for name in ("stream", "schemas", "functions", "hit_rate")} == {
        "stream": "ok",
        "schemas": "ok",
        "functions": "no",
        "hit_rate": "no",
    }


def test_a_server_that_is_not_there_is_broken(deepagent):
    done = deepagent("doctor", "--json", "-m", "http://127.0.0.1:1/v1")
    assert done.returncode == 1
    assert "is the server running?" in found(done)["http://127.0.0.1:1/v1"]["said"]
