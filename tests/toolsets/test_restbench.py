"""RestBench's mock services: what they remember, what they refuse, and that they answer as the documents say."""

import gzip
import json

import jsonschema
import pytest

from deepagent.errors import ToolFailedError
from deepagent.toolsets.restbench.apis import Asked, document_path, example, operations
from deepagent.toolsets.restbench.server import MockServer
from deepagent.toolsets.restbench.spotify import Spotify
from deepagent.toolsets.restbench.tmdb import Tmdb
from deepagent.toolsets.restbench.toolset import MockApi, live


def test_every_operation_is_known():
    assert (len(operations("tmdb")), len(operations("spotify"))) == (54, 40)
    assert all(example("tmdb", where) is not None for where in operations("tmdb"))


# TMDB


def tmdb(service, where, query=None, **path):
    answer = service.answer(Asked(where, {name: str(value) for name, value in path.items()}, query or {}))
    assert answer.status == 200
    return answer.body


def test_a_name_that_is_searched_for_is_found_and_keeps_its_number():
    service = Tmdb()
    first = tmdb(service, "GET /search/movie", {"query": "Titanic"})["results"][0]
    assert first["title"] == "Titanic"
    assert tmdb(service, "GET /search/movie", {"query": "TITANIC"})["results"][0]["id"] == first["id"]
    assert tmdb(service, "GET /movie/{movie_id}", movie_id=first["id"])["title"] == "Titanic"
    assert tmdb(Tmdb(), "GET /search/movie", {"query": "Titanic"})["results"][0]["id"] == first["id"]
    assert tmdb(service, "GET /search/person", {"query": "Titanic"})["results"][0]["id"] != first["id"]


@pytest.mark.parametrize(
    ("listing", "path", "rows", "details", "title"),
    [
        ("GET /movie/{movie_id}/credits", {"movie_id": 7}, "cast", "GET /person/{person_id}", "name"),
        ("GET /person/{person_id}/movie_credits", {"person_id": 7}, "cast", "GET /movie/{movie_id}", "title"),
        ("GET /person/{person_id}/tv_credits", {"person_id": 7}, "cast", "GET /tv/{tv_id}", "name"),
        ("GET /movie/popular", {}, "results", "GET /movie/{movie_id}", "title"),
        ("GET /trending/{media_type}/{time_window}", {"media_type": "tv", "time_window": "day"}, "results",
         "GET /tv/{tv_id}", "name"),
        ("GET /tv/{tv_id}", {"tv_id": 7}, "networks", "GET /network/{network_id}", "name"),
        ("GET /movie/{movie_id}", {"movie_id": 7}, "production_companies", "GET /company/{company_id}", "name"),
        ("GET /collection/{collection_id}", {"collection_id": 7}, "parts", "GET /movie/{movie_id}", "title"),
    ],
)  # fmt: skip
def test_what_an_answer_names_has_that_name_when_it_is_asked_for(listing, path, rows, details, title):
    service = Tmdb()
    row = tmdb(service, listing, **path)[rows][0]
    (parameter,) = [part[1:-1] for part in details.split("/") if part.startswith("{")]
    asked = tmdb(service, details, **{parameter: row["id"]})
    assert (asked["id"], asked[title]) == (row["id"], row[title])


def test_a_keyword_is_no_show():
    service = Tmdb()
    keyword = tmdb(service, "GET /tv/{tv_id}/keywords", tv_id=7)["results"][0]
    sample = example("tmdb", "GET /tv/{tv_id}")["name"]
    assert tmdb(service, "GET /tv/{tv_id}", tv_id=keyword["id"])["name"] == sample


def test_seasons_have_their_numbers_and_pages_end():
    service = Tmdb()
    assert tmdb(service, "GET /tv/{tv_id}/season/{season_number}", tv_id=7, season_number=3)["season_number"] == 3
    assert tmdb(service, "GET /search/movie", {"query": "x", "page": "2"})["results"] == []
    assert service.answer(Asked("GET /movie/popular", {}, {"page": "0"})).status == 422
    assert service.answer(Asked("GET /movie/{movie_id}", {"movie_id": "first"})).status == 404


def test_samples_are_never_changed():
    before = example("tmdb", "GET /search/movie")
    tmdb(Tmdb(), "GET /search/movie", {"query": "Titanic"})
    assert example("tmdb", "GET /search/movie") == before


# Spotify

TRACK = "4iV5W9uYEdYUVa79Axb7Rh"


def spotify(service, where, query=None, body=None, **path):
    answer = service.answer(Asked(where, path, query or {}, body))
    return answer.status, answer.body


def test_playlists_are_made_filled_renamed_and_emptied():
    service = Spotify()
    status, made = spotify(service, "POST /users/{user_id}/playlists", body={"name": "Quiet"}, user_id="mock_user")
    assert (status, made["name"]) == (201, "Quiet")
    where = {"playlist_id": made["id"]}
    uri = f"spotify:track:{TRACK}"
    assert spotify(service, "POST /playlists/{playlist_id}/tracks", {"uris": uri}, **where)[0] == 201
    assert spotify(service, "GET /playlists/{playlist_id}/tracks", **where)[1]["items"][0]["track"]["id"] == TRACK
    assert spotify(service, "PUT /playlists/{playlist_id}", body={"name": "Loud", "public": False}, **where)[0] == 200
    listed = spotify(service, "GET /me/playlists")[1]["items"]
    assert [(one["name"], one["public"]) for one in listed][-1] == ("Loud", False)
    gone = {"tracks": [{"uri": uri}]}
    assert spotify(service, "DELETE /playlists/{playlist_id}/tracks", body=gone, **where)[0] == 200
    assert spotify(service, "GET /playlists/{playlist_id}", **where)[1]["tracks"]["items"] == []


def test_the_player_does_as_it_is_told():
    service = Spotify()
    before = spotify(service, "GET /me/player/queue")[1]["queue"]
    assert spotify(service, "POST /me/player/next")[0] == 204
    assert spotify(service, "GET /me/player/currently-playing")[1]["item"]["id"] == before[0]["id"]
    spotify(service, "PUT /me/player/volume", {"volume_percent": "60"})
    spotify(service, "PUT /me/player/repeat", {"state": "track"})
    spotify(service, "PUT /me/player/pause", {"device_id": "device0phone"})
    player = spotify(service, "GET /me/player")[1]
    assert (player["is_playing"], player["repeat_state"]) == (False, "track")
    assert (player["device"]["name"], player["device"]["volume_percent"]) == ("My Phone", 60)
    album = spotify(service, "GET /search", {"q": "Mojito", "type": "album"})[1]["albums"]["items"][0]
    assert album["name"] == "Mojito"
    assert spotify(service, "PUT /me/player/play", body={"context_uri": album["uri"]})[0] == 204
    assert spotify(service, "GET /me/player")[1]["item"]["album"]["id"] == album["id"]
    spotify(service, "POST /me/player/queue", {"uri": f"spotify:track:{TRACK}"})
    assert spotify(service, "GET /me/player/queue")[1]["queue"][-1]["id"] == TRACK
    spotify(service, "POST /me/player/previous")
    assert spotify(service, "GET /me/player")[1]["is_playing"]


def test_library_and_following_change():
    service = Spotify()
    artist = spotify(service, "GET /search", {"q": "Taylor Swift", "type": "artist"})[1]["artists"]["items"][0]
    spotify(service, "PUT /me/following", {"type": "artist", "ids": artist["id"]})
    followed = spotify(service, "GET /me/following", {"type": "artist"})[1]["artists"]["items"]
    assert followed[-1]["name"] == "Taylor Swift"
    spotify(service, "DELETE /me/following", {"type": "artist", "ids": artist["id"]})
    assert len(spotify(service, "GET /me/following", {"type": "artist"})[1]["artists"]["items"]) == len(followed) - 1
    for kind in ("tracks", "albums"):
        had = spotify(service, f"GET /me/{kind}")[1]["total"]
        assert spotify(service, f"PUT /me/{kind}", body={"ids": [TRACK]})[0] == 200
        assert spotify(service, f"GET /me/{kind}")[1]["items"][0][kind[:-1]]["id"] == TRACK
        spotify(service, f"DELETE /me/{kind}", {"ids": TRACK})
        assert spotify(service, f"GET /me/{kind}")[1]["total"] == had


def test_an_artists_albums_come_newest_first_and_hold_their_tracks():
    service = Spotify()
    artist = spotify(service, "GET /search", {"q": "artist:Maroon 5", "type": "artist"})[1]["artists"]["items"][0]
    assert artist["name"] == "Maroon 5"
    albums = spotify(service, "GET /artists/{id}/albums", id=artist["id"])[1]["items"]
    dates = [album["release_date"] for album in albums]
    assert dates == sorted(dates, reverse=True)
    tracks = spotify(service, "GET /albums/{id}/tracks", id=albums[0]["id"])[1]["items"]
    assert {track["artists"][0]["id"] for track in tracks} == {artist["id"]}
    assert spotify(service, "GET /tracks/{id}", id=tracks[1]["id"])[1]["name"] == tracks[1]["name"]


@pytest.mark.parametrize(
    ("where", "query", "body", "path", "status"),
    [
        ("GET /albums/{id}", {}, None, {"id": "short"}, 400),
        ("GET /playlists/{playlist_id}", {}, None, {"playlist_id": "none"}, 404),
        ("POST /users/{user_id}/playlists", {}, {"name": "x"}, {"user_id": "somebody"}, 403),
        ("POST /users/{user_id}/playlists", {}, {}, {"user_id": "mock_user"}, 400),
        ("PUT /me/tracks", {}, None, {}, 400),
        ("PUT /me/player/volume", {"volume_percent": "101"}, None, {}, 400),
        ("PUT /me/player/repeat", {"state": "always"}, None, {}, 400),
        ("PUT /me/player/pause", {"device_id": "toaster"}, None, {}, 404),
        ("POST /me/player/queue", {"uri": "spotify:album:" + TRACK}, None, {}, 400),
        ("PUT /me/player/play", {}, {"context_uri": "spotify:track:" + TRACK}, {}, 400),
        ("GET /search", {"q": "x", "type": "poem"}, None, {}, 400),
        ("GET /me/tracks", {"limit": "0"}, None, {}, 400),
        (
            "DELETE /playlists/{playlist_id}/tracks",
            {},
            {"tracks": "all"},
            {"playlist_id": "playlist00000000000001"},
            400,
        ),
    ],
)
def test_what_the_service_refuses(where, query, body, path, status):
    told = Spotify().answer(Asked(where, path, query, body))
    assert told.status == status
    assert told.body["error"]["message"]


def as_schema(value):
    """The document says in words, or as `nullable`, what may be null, and writes numbers and truth values as text."""
    if isinstance(value, list):
        return [as_schema(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {
        key: as_schema(one) for key, one in value.items() if key not in ("additionalProperties", "maximum", "minimum")
    }
    nullable = "nullable" in made or "`null`" in str(made.get("description"))
    return made | {"type": [made["type"], "null"]} if nullable and isinstance(made.get("type"), str) else made


def test_answers_have_the_form_that_the_document_says():
    document = as_schema(json.loads(gzip.decompress(document_path("spotify").read_bytes())))
    known = {
        "id": TRACK, "playlist_id": "playlist00000000000001", "user_id": "mock_user",
        "q": "x", "type": "track", "ids": TRACK,
    }  # fmt: skip
    checked = 0
    for where in operations("spotify"):
        method, _, path = where.partition(" ")
        if method != "GET":
            continue
        told = known | {"type": "artists"} if "{type}" in where else known
        given = {part[1:-1]: told[part[1:-1]] for part in path.split("/") if part.startswith("{")}
        answer = Spotify().answer(Asked(where, given, {"q": "x", "type": "track"}))
        response = document["paths"][path]["get"]["responses"][str(answer.status)]
        schema = {"$ref": response["$ref"] + "/content/application~1json/schema", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer.body)
        checked += 1
    assert checked == 23


# The servers


async def test_each_episode_has_a_service_of_its_own_over_real_http():
    async with MockServer("spotify") as server, MockApi(server, "spotify") as one, MockApi(server, "spotify") as other:
        named = [{tool.name: tool for tool in api.tools} for api in (one, other)]
        await named[0]["create_playlist"].invoke({"user_id": "mock_user", "body": {"name": "Only here"}})
        lists = [await tools["get_a_list_of_current_users_playlists"].invoke({}) for tools in named]
        assert [any(playlist["name"] == "Only here" for playlist in listed["items"]) for listed in lists] == [
            True,
            False,
        ]
        await named[0]["pause_a_users_playback"].invoke({})
        with pytest.raises(ToolFailedError, match="the server answered 404"):
            await named[0]["get_playlist"].invoke({"playlist_id": "none"})


async def test_paths_that_are_words_are_no_numbers_and_required_parameters_are_asked_for():
    async with MockServer("tmdb") as server, MockApi(server, "tmdb") as api:
        tools = {tool.name: tool for tool in api.tools}
        assert "results" in await tools["GET_movie_popular"].invoke({})
        assert (await tools["GET_movie_movie_id"].invoke({"movie_id": 12}))["id"] == 12
        with pytest.raises(ToolFailedError, match=r"400: .*query is required"):
            await tools["GET_search_movie"].invoke({})


async def test_a_service_that_was_closed_is_gone():
    async with MockServer("tmdb") as server:
        async with MockApi(server, "tmdb") as api:
            tools = {tool.name: tool for tool in api.tools}
        async with api:
            with pytest.raises(ToolFailedError, match="no such service"):
                await tools["GET_movie_popular"].invoke({})


def test_the_real_services_are_where_the_documents_say():
    api = live("tmdb", {}, ["GET /movie/{movie_id}"])
    assert [tool.name for tool in api.tools] == ["GET_movie_movie_id"]
