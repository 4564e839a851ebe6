"""The proof tells which walls stand, and notices when one does not."""

from deepagent.sandbox import bubblewrap
from deepagent.sandbox.attacks import ATTACKS
from deepagent.sandbox.bubblewrap import Bubblewrap
from deepagent.sandbox.proof import prove
from deepagent.sandbox.walls import Wall

ALWAYS = {attack.name for attack in ATTACKS} | {"no interpreter outlives its host"}


async def test_every_wall_stands_here(walls):
    proofs = {proof.name: proof for proof in await prove()}
    assert {name for name in proofs if "all processes together" not in name} == ALWAYS
    for name in ALWAYS:
        assert proofs[name].held, proofs[name]
        assert proofs[name].happened
        assert not proofs[name].remedy


async def test_a_wall_that_is_missing_is_told_with_a_remedy(walls):
    fallen = {proof.name: proof for proof in await prove(walls=Bubblewrap(frozenset({Wall.DISK}))) if not proof.held}
    assert {"the workspace is limited", "a file with holes is limited too"} <= fallen.keys()
    assert len(fallen) <= 3  # an ordinary user may have no control groups
    for proof in fallen.values():
        assert proof.remedy


async def test_where_nothing_can_be_confined_nothing_is_tried(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap.check.cache_clear()
    (proof,) = await prove()
    bubblewrap.check.cache_clear()
    assert not proof.held
    assert "install bubblewrap" in proof.remedy
