"""Documents are read whatever they hold, or refused with a reason in one line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepagent.errors import DeepAgentError, ToolDefinitionError
from deepagent.tools import check_arguments
from deepagent.toolsets.openapi import document as module
from deepagent.toolsets.openapi.document import document, load
from deepagent.toolsets.openapi.operations import read_operations
from deepagent.toolsets.openapi.toolset import OpenApi, OpenApiConfig

HEAD: dict[str, Any] = {"openapi": "3.0.3", "info": {"title": "Shop", "version": "1"}}


def written(folder: Path, content: Any, name: str = "api.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def operations(paths: Any, **more: Any):
    made, refused = read_operations(document({**HEAD, "paths": paths, **more}, Path("api.json")))
    return {one.name: one for one in made}, refused


def body_schema(schema: Any, **more: Any) -> Any:
    content = {"application/json": {"schema": schema}}
    made, _ = operations({"/x": {"post": {"operationId": "f", "requestBody": {"content": content}}}}, **more)
    return made["f"].schema


YAML = """
openapi: 3.0.0
info: {title: Shop, version: 2020-01-02}
servers: [{url: "https://{region}.shop.test/v1", variables: {region: {default: eu, enum: [eu, us]}}}]
paths:
  /orders/{id}:
    parameters: [{$ref: "#/components/parameters/Id"}]
    get:
      operationId: get order
      summary: One order.
      parameters:
        - {name: state, in: query, schema: {type: string, enum: [no, off, 2020-01-01]}}
      responses: {200: {description: ok}}
components:
  parameters:
    Id: {name: id, in: path, required: true, schema: {type: integer}}
"""


def test_yaml_is_read_as_json_means_it(tmp_path):
    (one,) = read_operations(load(written(tmp_path, YAML)))[0]
    assert (one.name, one.method, one.server) == ("get_order", "GET", "https://eu.shop.test/v1")
    assert one.schema["properties"]["state"]["enum"] == ["no", "off", "2020-01-01"]
    assert one.schema["required"] == ["id"]


def test_variables_of_a_server_are_filled_in_from_settings(tmp_path):
    found, _ = read_operations(load(written(tmp_path, YAML)), variables={"region": "us"})
    assert found[0].server == "https://us.shop.test/v1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it holds no object"),
        ("[]", "it holds no object"),
        ("{}", "it names no version"),
        ('{"openapi": "4.0.0"}', "its version is '4.0.0'"),
        ('{"openapi": "3.0.0"}', "describes no paths"),
        ('{"openapi": "3.0.0", "paths": []}', "describes no paths"),
        ('{"openapi": "3.0.0", "paths": {}}', "describes no operations"),
        ('{"openapi": "3.0.0", "paths": {"/a": {"get": 3}}}', "describes no operations"),
        ("a: [", "neither JSON nor YAML"),
        ("a: !!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
        ("[" * 100_000, "nested too deeply"),
        ("a: &a [*a]", "neither JSON nor YAML"),
        ('{"a": "\\ud800', "neither JSON nor YAML"),
        ('{"openapi": "3.0.0", "paths": {"/a": {"$ref": "#/paths/~1a"}}}', "leads in a circle"),
        ('{"openapi": "3.0.0", "paths": {"/a": {"$ref": "#/nowhere"}}}', "'#/nowhere' leads nowhere"),
        ('{"openapi": "3.0.0", "paths": {"/a": {"$ref": "https://evil.test/a.yaml"}}}', "leads nowhere"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path, content, words):
    path = written(tmp_path, content)
    with pytest.raises(ToolDefinitionError) as caught:
        OpenApi(OpenApiConfig(document=path))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_that_expand_to_billions_are_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ToolDefinitionError, match="expands without end"):
        load(written(tmp_path, "\n".join(lines)))


def test_merge_keys_that_expand_to_billions_are_plain_keys(tmp_path):
    lines = ["a0: &a0 {b: 1}"] + [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 6)]
    with pytest.raises(ToolDefinitionError, match="names no version"):
        load(written(tmp_path, "\n".join(lines)))


def test_missing_folders_binary_and_huge_files_are_told(tmp_path, monkeypatch):
    with pytest.raises(ToolDefinitionError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ToolDefinitionError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ToolDefinitionError, match="no UTF-8 text"):
        load(tmp_path / "b")
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    with pytest.raises(ToolDefinitionError, match="is larger than"):
        load(written(tmp_path, HEAD))


def test_references_reach_files_beside_the_document_and_no_others(tmp_path):
    folder = tmp_path / "api"
    folder.mkdir()
    written(
        folder,
        {"Id": {"name": "id", "in": "query", "schema": {"$ref": "#/Kind"}}, "Kind": {"type": "integer"}},
        "parts.json",
    )
    written(tmp_path, {"Id": {"name": "secret", "in": "query"}}, "outside.json")
    os.symlink(tmp_path / "outside.json", folder / "link.json")
    paths = {
        "/a": {"get": {"operationId": "a", "parameters": [{"$ref": "parts.json#/Id"}]}},
        "/b": {"get": {"operationId": "b", "parameters": [{"$ref": "../outside.json#/Id"}]}},
        "/c": {"get": {"operationId": "c", "parameters": [{"$ref": "link.json#/Id"}]}},
        "/d": {"get": {"operationId": "d", "parameters": [{"$ref": "file:///etc/passwd"}]}},
    }
    made, refused = read_operations(load(written(folder, {**HEAD, "paths": paths})))
    assert [one.name for one in made] == ["a"]
    assert made[0].schema["properties"]["id"] == {"type": "integer"}
    assert [one.operation for one in refused] == ["GET /b", "GET /c", "GET /d"]


def test_one_broken_operation_does_not_take_the_others_with_it():
    paths = {
        "/good": {"get": {"operationId": "good"}},
        "/bad": {"get": {"parameters": [{"name": "x", "in": "nowhere"}]}},
        "/odd": {"get": {"parameters": ["x", {"$ref": 3}]}},
    }
    made, refused = operations(paths)
    assert list(made) == ["good"]
    assert [(one.operation, one.reason.split(":")[0]) for one in refused] == [
        ("GET /bad", "parameter 'x'"),
        ("GET /odd", "parameter ''"),
    ]


def test_names_are_identifiers_and_never_taken_twice():
    paths = {
        "/a/{b-c}": {"get": {}, "put": {"operationId": "x.y"}},
        "/b": {"get": {"operationId": "x/y"}, "put": {"operationId": "3d"}},
    }
    made, _ = operations(paths)
    assert list(made) == ["get_a_b_c", "x_y", "x_y_2", "_3d"]
    assert made["get_a_b_c"].schema["required"] == ["b_c"], "a forgotten path parameter is one all the same"


def test_effects_follow_the_method():
    made, _ = operations(
        {"/a": {method: {"operationId": method} for method in ("get", "put", "delete", "post", "patch")}}
    )
    assert {name: one.effect for name, one in made.items()} == {
        "get": "pure",
        "put": "idempotent",
        "delete": "idempotent",
        "post": "unsafe",
        "patch": "unsafe",
    }


def test_arguments_of_one_name_in_two_places_are_told_apart():
    parameters = [
        {"name": "id", "in": "path", "required": True},
        {"name": "id", "in": "query"},
        {"name": "body", "in": "query"},
    ]
    content = {"application/json": {}}
    made, _ = operations(
        {"/a/{id}": {"post": {"operationId": "f", "parameters": parameters, "requestBody": {"content": content}}}}
    )
    assert list(made["f"].schema["properties"]) == ["id", "id_2", "body", "body_2"]


def test_what_carries_credentials_is_not_the_models_to_fill_in():
    scheme = {"securitySchemes": {"k": {"type": "apiKey", "in": "query", "name": "key"}}}
    parameters = [
        {"name": "key", "in": "query", "required": True},
        {"name": "Authorization", "in": "header"},
        {"name": "q", "in": "query"},
    ]
    made, _ = operations(
        {"/a": {"get": {"operationId": "f", "parameters": parameters}}}, components=scheme, security=[{"k": []}]
    )
    assert list(made["f"].schema["properties"]) == ["q"]


def test_a_circle_of_schemas_is_a_schema_that_checks():
    node = {
        "type": "object",
        "required": ["next"],
        "properties": {"next": {"$ref": "#/components/schemas/Node"}, "v": {"type": "integer"}},
    }
    schema = body_schema({"$ref": "#/components/schemas/Node"}, components={"schemas": {"Node": node}})
    assert schema["properties"]["body"]["properties"]["next"] == {"$ref": "#/$defs/Node"}
    spec = spec_of(schema)
    with pytest.raises(DeepAgentError, match=r"body.next.next: 'next' is a required|'next' is a required property"):
        check_arguments(spec, {"body": {"next": {"next": {}}}})
    with pytest.raises(DeepAgentError, match="is not of type 'integer'"):
        check_arguments(spec, {"body": {"next": {"next": 1, "v": "x"}}})


def spec_of(schema: Any) -> Any:
    from deepagent.tools import ToolSpec

    return ToolSpec(name="f", parameters=schema)


def test_an_api_that_refers_to_everything_it_has_stays_small():
    schemas = {
        f"S{n}": {"type": "object", "properties": {f"p{m}": {"$ref": f"#/components/schemas/S{m}"} for m in range(60)}}
        for n in range(60)
    }
    schema = body_schema({"$ref": "#/components/schemas/S0"}, components={"schemas": schemas})
    assert len(json.dumps(schema)) < 60_000
    assert check_arguments(spec_of(schema), {"body": {"p1": {"p59": {}}}}) == {"body": {"p1": {"p59": {}}}}


def test_fields_of_all_parts_of_a_body_are_in_sight():
    base = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
    whole = {"allOf": [{"$ref": "#/components/schemas/Base"}, {"properties": {"b": {"type": "integer"}}}]}
    schema = body_schema(whole, components={"schemas": {"Base": base}})
    assert schema["properties"]["body"] == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a"],
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": True}, {"type": "number", "exclusiveMinimum": 1}),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": False}, {"type": "number", "maximum": 1}),
        ({"type": "file"}, {"type": "string"}),
        ({"type": "int", "minLength": -1, "required": True, "enum": []}, {}),
        (
            {"anyOf": [{"type": "string"}], "nullable": True},
            {"anyOf": [{"anyOf": [{"type": "string"}]}, {"type": "null"}]},
        ),
        (
            {"properties": {"id": {"readOnly": True}, "b": {}}, "required": ["id", "b"]},
            {"properties": {"b": {}}, "required": ["b"]},
        ),
        ({"$ref": "#/components/schemas/none"}, {}),
        ({"items": {"$ref": "#/components/schemas/none"}}, {"items": {}}),
        (3, {}),
    ],
)
def test_schemas_of_3_0_become_schemas_of_today(old, new):
    from deepagent.toolsets.openapi.document import Part
    from deepagent.toolsets.openapi.schemas import SchemaWriter

    root = document({**HEAD, "paths": {}}, Path("api.json")).root
    assert SchemaWriter("3.0").write({"x": (Part(old, root.resolver), "")}, [])["properties"]["x"] == new


def test_type_arrays_and_references_with_company_of_3_1():
    paths = {
        "/x": {
            "get": {
                "operationId": "f",
                "parameters": [
                    {"name": "a", "in": "query", "schema": {"type": ["string", "null"], "const": "x"}},
                    {
                        "name": "b",
                        "in": "query",
                        "schema": {"items": {"$ref": "#/components/schemas/T", "maxLength": 3}},
                    },
                ],
            }
        }
    }
    raw = {**HEAD, "openapi": "3.1.0", "paths": paths, "components": {"schemas": {"T": {"type": "string"}}}}
    (one,), _ = read_operations(document(raw, Path("api.json")))
    assert one.schema["properties"]["a"] == {"type": ["string", "null"], "const": "x"}
    assert one.schema["properties"]["b"] == {"items": {"maxLength": 3, "$ref": "#/$defs/T"}}


SWAGGER = {
    "swagger": "2.0",
    "info": {"title": "Old"},
    "host": "old.test",
    "basePath": "/v2",
    "schemes": ["http", "https"],
    "consumes": ["application/json"],
    "parameters": {"Pet": {"name": "pet", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Pet"}}},
    "definitions": {"Pet": {"type": "object", "properties": {"name": {"type": "string", "x-nullable": True}}}},
    "securityDefinitions": {
        "b": {"type": "basic"},
        "o": {"type": "oauth2", "flow": "application", "tokenUrl": "https://old.test/t"},
    },
    "paths": {
        "/pets": {
            "post": {"operationId": "add", "parameters": [{"$ref": "#/parameters/Pet"}]},
            "get": {
                "operationId": "find",
                "parameters": [
                    {
                        "name": "tag",
                        "in": "query",
                        "type": "array",
                        "items": {"type": "string"},
                        "collectionFormat": "pipes",
                    }
                ],
            },
        },
        "/photo": {
            "post": {
                "operationId": "photo",
                "parameters": [
                    {"name": "f", "in": "formData", "type": "file", "required": True},
                    {"name": "n", "in": "formData", "type": "string"},
                ],
            },
            "put": {
                "operationId": "form",
                "parameters": [{"name": "n", "in": "formData", "type": "integer"}],
                "consumes": ["application/x-www-form-urlencoded"],
            },
        },
    },
}


def test_swagger_2_is_read_as_what_it_means():
    whole = document(SWAGGER, Path("old.json"))
    made = {one.name: one for one in read_operations(whole)[0]}
    assert whole.source == "2.0"
    assert made["add"].server == "https://old.test/v2"
    assert made["add"].schema["properties"]["body"]["properties"] == {"name": {"type": ["string", "null"]}}
    assert made["add"].schema["required"] == ["body"]
    assert made["find"].spellings["tag"].style == "pipeDelimited"
    assert made["photo"].body is not None
    assert (made["photo"].body.media, made["photo"].body.files) == ("multipart/form-data", frozenset({"f"}))
    assert made["form"].body is not None
    assert made["form"].body.media == "application/x-www-form-urlencoded"
    assert made["form"].schema["properties"]["body"]["properties"]["n"] == {"type": "integer"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$ref",
                    "in",
                    "name",
                    "schema",
                    "type",
                    "properties",
                    "items",
                    "content",
                    "parameters",
                    "requestBody",
                    "security",
                    "allOf",
                    "required",
                    "enum",
                    "get",
                    "post",
                    "/a",
                    "application/json",
                    "servers",
                    "url",
                    "variables",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(
    paths=st.dictionaries(st.sampled_from(["/a", "/b/{c}"]), JSON),
    components=JSON,
    version=st.sampled_from(["2.0", "3.0.0", "3.1.0"]),
)
def test_no_document_crashes_the_reader(paths, components, version):
    key = "swagger" if version == "2.0" else "openapi"
    raw = {
        key: version,
        "paths": paths,
        "components": components,
        "servers": components,
        "securityDefinitions": components,
        "parameters": components,
    }
    try:
        made, refused = read_operations(document(raw, Path("api.json")))
    except DeepAgentError:
        return
    for one in made:
        assert len(spec_of(one.schema).card) < 20_000
    assert all("\n" not in one.reason for one in refused)


def test_operations_share_what_they_refer_to_so_that_large_documents_stay_light():
    schemas = {
        f"S{n}": {"properties": {f"p{m}": {"$ref": f"#/components/schemas/S{m}"} for m in range(9)}} for n in range(9)
    }
    parameters = [{"name": "q", "in": "query", "schema": {"items": {"$ref": "#/components/schemas/S3"}}}]
    paths = {f"/{n}": {"get": {"operationId": f"f{n}", "parameters": parameters}} for n in range(2)}
    made, _ = operations(paths, components={"schemas": schemas})
    one, other = (made[name].schema["$defs"] for name in ("f0", "f1"))
    assert set(one) == set(other) == set(schemas)
    assert all(one[name] is other[name] for name in schemas)
