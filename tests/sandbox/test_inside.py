"""What the program inside the walls makes of the tools it is told of."""

import keyword

from hypothesis import given
from hypothesis import strategies as st

from deepagent.sandbox.inside.tools import signature

NAMES = st.text(max_size=4) | st.sampled_from(["arguments", "arguments_", "class", "self", ".0", "implicit0", "a-b"])


@given(st.dictionaries(NAMES, st.booleans(), max_size=6))
def test_parameters_of_any_names_have_asignature(required):
    names = sorted(required, key=lambda name: not required[name])
    shown = signature([{"name": name, "required": required[name], "default": None} for name in names]).parameters
    plain = [name for name in names if name.isidentifier() and not keyword.iskeyword(name)]
    assert list(shown)[: len(plain)] == plain
    assert len(shown) == len(plain) + (len(plain) < len(names))
