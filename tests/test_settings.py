"""Settings from several places: which counts, where it comes from, and what a mistake is answered with."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deepagent.config import RunConfig, effective
from deepagent.errors import ConfigError
from deepagent.settings import DEFAULT, Given, from_option, merge

ACTIONS = ("agent", "limits", "actions")


def test_options_count_more_than_the_environment_that_more_than_the_file_that_more_than_defaults(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("model: a\nauxiliary: a\njudge: a\nagent: {limits: {actions: 9}}")
    environ = {"DEEPAGENT_CONFIG": str(file), "DEEPAGENT_AUXILIARY": "b", "DEEPAGENT_JUDGE": "b", "PATH": "/bin"}
    merged = effective(options=[Given(("judge",), "c", "--judge")], environ=environ)
    found = merged.settings
    assert (found.model, found.auxiliary, found.judge, found.vision) == ("a", "b", "c", None)
    assert found.agent.limits.actions == 9
    assert merged.origin(("model",)) == merged.origin(ACTIONS) == f"config {file}"
    assert merged.origin(("auxiliary",)) == "DEEPAGENT_AUXILIARY"
    assert merged.origin(("judge",)) == "--judge"
    assert merged.origin(("vision",)) == merged.origin(("agent", "limits", "folds")) == DEFAULT


def test_an_option_names_another_file_than_the_environment(tmp_path):
    (tmp_path / "one.yaml").write_text("model: one")
    (tmp_path / "two.yaml").write_text("model: two")
    environ = {"DEEPAGENT_CONFIG": str(tmp_path / "one.yaml")}
    assert effective(tmp_path / "two.yaml", environ=environ).settings.model == "two"


@given(st.lists(st.tuples(st.sampled_from(["actions", "folds", "idle"]), st.integers(1, 99)), max_size=6))
def test_what_comes_last_counts_and_is_named(assignments):
    places = [Given(("agent", "limits", name), value, f"place {n}") for n, (name, value) in enumerate(assignments)]
    merged = merge(places, RunConfig)
    last = {name: (value, f"place {n}") for n, (name, value) in enumerate(assignments)}
    for name, (value, origin) in last.items():
        assert getattr(merged.settings.agent.limits, name) == value
        assert merged.origin(("agent", "limits", name)) == origin


def test_every_setting_is_told_once_and_makes_the_same_settings_again():
    merged = effective(options=[from_option("agent.fold.at=0.5", RunConfig)], environ={})
    rows = list(merged.rows())
    assert len({key for key, _, _ in rows}) == len(rows)
    again = merge([Given(key, value, origin) for key, value, origin in rows], RunConfig)
    assert again.settings == merged.settings
    assert {origin for key, _, origin in rows if key == ("agent", "fold", "at")} == {"--set agent.fold.at"}


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("agent.limits.actions=20", ACTIONS, 20),
        ("agent.fold=null", ("agent", "fold"), None),
        ("agent.fold.at=0.4", ("agent", "fold", "at"), 0.4),
        ("agent.guidance=Note: be brief = good", ("agent", "guidance"), "Note: be brief = good"),
        ("agent.guidance=null", ("agent", "guidance"), "null"),
        ("auxiliary=null", ("auxiliary",), None),
        ("agent.dialect=text", ("agent", "dialect"), "text"),
        ("tools=[toolhop, 'python:a.py']", ("tools",), ["toolhop", "python:a.py"]),
    ],
)
def test_text_is_text_where_text_is_wanted_and_yaml_elsewhere(text, key, value):
    one = from_option(text, RunConfig)
    assert (one.key, one.value) == (key, value)
    merge([one], RunConfig)


def test_a_tree_that_is_replaced_leaves_no_origin_behind():
    merged = merge([Given(("agent", "fold"), {"at": 0.5}, "file"), Given(("agent", "fold"), None, "later")], RunConfig)
    assert merged.settings.agent.fold is None
    assert merged.origins == {("agent", "fold"): "later"}


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"DEEPAGENT_MODLE": "x"}, "environment: unknown setting DEEPAGENT_MODLE; did you mean DEEPAGENT_MODEL?"),
        ({"DEEPAGENT_STOER": "x"}, "environment: unknown setting DEEPAGENT_STOER; did you mean DEEPAGENT_STORE?"),
        (
            {"DEEPAGENT_AGENT__LIMITS__ACTION": "3"},
            "DEEPAGENT_AGENT__LIMITS__ACTION: unknown key 'agent.limits.action'; did you mean 'actions'?",
        ),
        (
            {"DEEPAGENT_AGENT__LIMITS__ACTIONS": "0"},
            "DEEPAGENT_AGENT__LIMITS__ACTIONS: agent.limits.actions: Input should be greater than or equal to 1",
        ),
        ({"DEEPAGENT_TOOLS": "[a"}, "DEEPAGENT_TOOLS: is not YAML"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable_and_the_nearest_known_name(environ, said):
    with pytest.raises(ConfigError) as raised:
        effective(environ=environ)
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


def test_a_mistake_is_told_with_its_own_place_among_several(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("agent: {limits: {actoins: 3}}")
    with pytest.raises(ConfigError, match=rf"^config {file}: unknown key 'agent.limits.actoins'; did you mean 'actio"):
        effective(file, [from_option("agent.limits.actions=3", RunConfig)], {"DEEPAGENT_MODEL": "x"})


def test_variables_that_hold_secrets_are_no_settings():
    environ = {"DEEPAGENT_API_KEY": "k", "DEEPAGENT_SERVE_TOKEN": "t", "DEEPAGENT_DB_PASSWORD": "p"}
    assert "k" not in yaml.safe_dump([row[1] for row in effective(environ=environ).rows()]).split()


@pytest.mark.parametrize("text", ["agent.limits", "=3", "agent..fold=3"])
def test_an_option_without_the_form_is_refused(text):
    with pytest.raises(ConfigError, match="write KEY=VALUE"):
        from_option(text, RunConfig)
