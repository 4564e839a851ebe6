"""A mock of Spotify: a made-up account whose playlists, library, following and player change as they are told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, get_args

from deepagent.toolsets.restbench.apis import Answer, Asked
from deepagent.toolsets.restbench.spotify_calls import (
    HREF,
    MOST,
    RefusedError,
    chosen,
    ids,
    object_of,
    page,
    percent,
    uris,
)
from deepagent.toolsets.restbench.spotify_things import Kind, Thing, Things

USER = "mock_user"
_SNAPSHOT = {"snapshot_id": "MTAsZGVlcGFnZW50"}
_DEVICES = {"device00pc": "My PC", "device0phone": "My Phone"}


@dataclass
class Playlist:
    """One of the account's playlists; its tracks by id."""

    id: str
    name: str
    public: bool = True
    description: str = ""
    tracks: list[str] = field(default_factory=list)


@dataclass
class Player:
    """What plays, and how. Tracks by id."""

    track: str
    queue: list[str]
    playing: bool = True
    device: str = "device00pc"
    volume: int = 50
    repeat: str = "off"
    context: str = ""


class Spotify:
    """The service.

    Attributes:
        playlists: by id, the user's first one first.
        library: what is saved, by kind; ids, the latest first.
        following: ids of artists.
        player: what plays.
    """

    def __init__(self) -> None:
        self.things = Things()
        favourites = [self.things.artist(name) for name in ("Northern Lights", "Paper Boats", "The Quiet Hours")]
        tracks = [track.id for artist in favourites for track in self.things.top_tracks(artist.name)]
        self._numbers = count(1)
        self.playlists: dict[str, Playlist] = {}
        for place, name in enumerate(("Road Trip", "My Rock", "My R&B")):
            self._new_playlist(name, tracks[place : place + 4])
        albums = [self.things.albums(artist.name)[0].id for artist in favourites]
        self.library: dict[Kind, list[str]] = {"track": tracks[:5], "album": albums, "artist": []}
        self.following = [artist.id for artist in favourites]
        self.player = Player(track=tracks[0], queue=tracks[1:4])
        self._played = tracks[4:7]
        self._operations = self._table()

    def answer(self, asked: Asked) -> Answer:
        """As `Service`."""
        try:
            return self._operations[asked.where](asked)
        except RefusedError as refused:
            return Answer(refused.status, {"error": {"status": refused.status, "message": str(refused)}})

    def _table(self) -> dict[str, Callable[[Asked], Answer]]:
        return {
            "GET /albums/{id}": lambda asked: Answer(200, self._album(asked)),
            "GET /albums/{id}/tracks": self._album_tracks,
            "GET /artists/{id}": lambda asked: Answer(200, self._shown("artist", asked.path["id"])),
            "GET /artists/{id}/albums": self._artist_albums,
            "GET /artists/{id}/related-artists": self._related,
            "GET /artists/{id}/top-tracks": self._top_tracks,
            "GET /browse/new-releases": self._new_releases,
            "GET /me": lambda asked: Answer(200, self._me()),
            "GET /me/albums": lambda asked: self._saved("album", asked),
            "PUT /me/albums": lambda asked: self._save("album", asked),
            "DELETE /me/albums": lambda asked: self._unsave("album", asked),
            "GET /me/tracks": lambda asked: self._saved("track", asked),
            "PUT /me/tracks": lambda asked: self._save("track", asked),
            "DELETE /me/tracks": lambda asked: self._unsave("track", asked),
            "GET /me/following": self._followed,
            "PUT /me/following": self._follow,
            "DELETE /me/following": self._unfollow,
            "GET /me/player": lambda asked: Answer(200, {**self._playing(), "device": self._device(), **self._ways()}),
            "GET /me/player/currently-playing": lambda asked: Answer(200, self._playing()),
            "GET /me/player/devices": lambda asked: Answer(200, {"devices": [self._device(id) for id in _DEVICES]}),
            "GET /me/player/queue": self._queue,
            "POST /me/player/queue": self._enqueue,
            "GET /me/player/recently-played": self._recent,
            "POST /me/player/next": self._next,
            "POST /me/player/previous": self._previous,
            "PUT /me/player/pause": lambda asked: self._set(asked, playing=False),
            "PUT /me/player/play": self._play,
            "PUT /me/player/repeat": lambda asked: self._set(
                asked, repeat=chosen(asked, "state", ("track", "context", "off"))
            ),
            "PUT /me/player/volume": lambda asked: self._set(asked, volume=percent(asked)),
            "GET /me/playlists": lambda asked: Answer(200, page(asked, [*map(self._listed, self.playlists.values())])),
            "GET /me/top/{type}": self._top,
            "GET /playlists/{playlist_id}": self._whole_playlist,
            "PUT /playlists/{playlist_id}": self._change_playlist,
            "GET /playlists/{playlist_id}/tracks": self._playlist_tracks,
            "POST /playlists/{playlist_id}/tracks": self._add_tracks,
            "DELETE /playlists/{playlist_id}/tracks": self._remove_tracks,
            "GET /recommendations": self._recommended,
            "GET /search": self._search,
            "GET /tracks/{id}": lambda asked: Answer(200, self._shown("track", asked.path["id"])),
            "POST /users/{user_id}/playlists": self._create_playlist,
        }

    # What can be looked up.

    def _shown(self, kind: Kind, id: str) -> dict[str, Any]:
        return self.things.shown(self._thing(kind, id), id)

    def _all(self, things: Sequence[Thing]) -> list[dict[str, Any]]:
        return [self.things.shown(thing) for thing in things]

    def _thing(self, kind: Kind, id: str) -> Thing:
        thing = self.things.get(kind, id)
        if thing is None:
            raise RefusedError(400, f"invalid id: {id[:40]}")
        return thing

    def _album(self, asked: Asked) -> dict[str, Any]:
        album = self._thing("album", asked.path["id"])
        tracks = page(Asked(asked.where), self._all(self.things.tracks(album)))
        return {**self.things.shown(album, asked.path["id"]), "tracks": tracks}

    def _album_tracks(self, asked: Asked) -> Answer:
        return Answer(200, page(asked, self._all(self.things.tracks(self._thing("album", asked.path["id"])))))

    def _artist_albums(self, asked: Asked) -> Answer:
        return Answer(200, page(asked, self._all(self.things.albums(self._thing("artist", asked.path["id"]).name))))

    def _related(self, asked: Asked) -> Answer:
        name = self._thing("artist", asked.path["id"]).name
        return Answer(200, {"artists": self._all([self.things.artist(f"{name} & Friends")])})

    def _top_tracks(self, asked: Asked) -> Answer:
        tracks = self.things.top_tracks(self._thing("artist", asked.path["id"]).name)
        return Answer(200, {"tracks": self._all(tracks)})

    def _new_releases(self, asked: Asked) -> Answer:
        albums = [self.things.albums(name)[0] for name in ("New Horizons", "Glass City")]
        return Answer(200, {"albums": page(asked, self._all(albums))})

    def _search(self, asked: Asked) -> Answer:
        kinds = [kind.strip() for kind in asked.query["type"].split(",")]
        body: dict[str, Any] = {}
        for kind in kinds:
            if kind in get_args(Kind):
                found = self._all(self.things.found(kind, asked.query["q"]))  # type: ignore[arg-type] # the line above
            elif kind == "playlist":
                wanted = asked.query["q"].casefold()
                found = [self._listed(one) for one in self.playlists.values() if wanted in one.name.casefold()]
            else:
                raise RefusedError(400, f"Bad search type field {kind[:40]}")
            body[f"{kind}s"] = page(asked, found)
        return Answer(200, body)

    def _recommended(self, asked: Asked) -> Answer:
        seeds = [seed for seed in asked.query.get("seed_artists", "").split(",") if seed]
        names = [self._thing("artist", seed).name for seed in seeds] or ["Fresh Finds"]
        return Answer(200, {"seeds": [], "tracks": self._all(self.things.top_tracks(names[0]))})

    # The account.

    def _me(self) -> dict[str, Any]:
        return {"id": USER, "display_name": "Mock User", "type": "user", "uri": f"spotify:user:{USER}"}

    def _saved(self, kind: Kind, asked: Asked) -> Answer:
        items = [{"added_at": "2025-01-01T00:00:00Z", kind: self._shown(kind, id)} for id in self.library[kind]]
        return Answer(200, page(asked, items))

    def _save(self, kind: Kind, asked: Asked) -> Answer:
        new = [id for id in ids(asked) if self._thing(kind, id)]
        self.library[kind] = [*new, *(id for id in self.library[kind] if id not in new)]
        return Answer(200)

    def _unsave(self, kind: Kind, asked: Asked) -> Answer:
        gone = ids(asked)
        self.library[kind] = [id for id in self.library[kind] if id not in gone]
        return Answer(200)

    def _followed(self, asked: Asked) -> Answer:
        items = [self._shown("artist", id) for id in self.following]
        cursor = {"href": f"{HREF}/me/following", "limit": MOST, "next": None, "cursors": {}, "total": len(items)}
        return Answer(200, {"artists": {**cursor, "items": items}})

    def _follow(self, asked: Asked) -> Answer:
        new = [id for id in ids(asked) if self._thing("artist", id)]
        self.following = [*(id for id in self.following if id not in new), *new]
        return Answer(204)

    def _unfollow(self, asked: Asked) -> Answer:
        gone = ids(asked)
        self.following = [id for id in self.following if id not in gone]
        return Answer(204)

    def _top(self, asked: Asked) -> Answer:
        kind = asked.path["type"]
        if kind not in ("artists", "tracks"):
            raise RefusedError(400, "type must be artists or tracks")
        best = [self.player.track, *self.player.queue] if kind == "tracks" else self.following
        known: Kind = "track" if kind == "tracks" else "artist"
        return Answer(200, page(asked, [self._shown(known, id) for id in best]))

    # Playlists.

    def _new_playlist(self, name: str, tracks: list[str], *, public: bool = True, description: str = "") -> Playlist:
        id = f"playlist{next(self._numbers):014}"
        self.playlists[id] = Playlist(id, name, public, description, tracks)
        return self.playlists[id]

    def _playlist(self, asked: Asked) -> Playlist:
        found = self.playlists.get(asked.path["playlist_id"])
        if found is None:
            raise RefusedError(404, "Not found.")
        return found

    def _listed(self, playlist: Playlist) -> dict[str, Any]:
        return {
            "id": playlist.id,
            "name": playlist.name,
            "type": "playlist",
            "uri": f"spotify:playlist:{playlist.id}",
            "public": playlist.public,
            "description": playlist.description,
            "owner": {"id": USER, "display_name": "Mock User"},
            "tracks": {"total": len(playlist.tracks)},
        }

    def _rows(self, playlist: Playlist) -> list[dict[str, Any]]:
        return [{"added_at": "2025-01-01T00:00:00Z", "track": self._shown("track", id)} for id in playlist.tracks]

    def _whole_playlist(self, asked: Asked) -> Answer:
        playlist = self._playlist(asked)
        return Answer(200, {**self._listed(playlist), "tracks": page(Asked(asked.where), self._rows(playlist))})

    def _playlist_tracks(self, asked: Asked) -> Answer:
        return Answer(200, page(asked, self._rows(self._playlist(asked))))

    def _create_playlist(self, asked: Asked) -> Answer:
        told = object_of(asked)
        if asked.path["user_id"] != USER:
            raise RefusedError(403, "You cannot create a playlist for another user")
        if not isinstance(told.get("name"), str):
            raise RefusedError(400, "Missing required field: name")
        public, about = bool(told.get("public", True)), str(told.get("description", ""))
        return Answer(201, self._listed(self._new_playlist(told["name"], [], public=public, description=about)))

    def _change_playlist(self, asked: Asked) -> Answer:
        playlist, told = self._playlist(asked), object_of(asked)
        playlist.name = str(told.get("name", playlist.name))
        playlist.public = bool(told.get("public", playlist.public))
        playlist.description = str(told.get("description", playlist.description))
        return Answer(200)

    def _add_tracks(self, asked: Asked) -> Answer:
        playlist, told = self._playlist(asked), asked.body if isinstance(asked.body, dict) else {}
        place = int(told.get("position", asked.query.get("position", len(playlist.tracks))))
        playlist.tracks[place:place] = self._tracks(uris(asked))
        return Answer(201, _SNAPSHOT)

    def _remove_tracks(self, asked: Asked) -> Answer:
        playlist, rows = self._playlist(asked), object_of(asked).get("tracks")
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "uri" in row for row in rows):
            raise RefusedError(400, "tracks must be a list of objects with a uri")
        gone = self._tracks([str(row["uri"]) for row in rows])
        playlist.tracks = [id for id in playlist.tracks if id not in gone]
        return Answer(200, _SNAPSHOT)

    def _tracks(self, given: Sequence[str]) -> list[str]:
        """The ids of tracks' URIs."""
        found = []
        for uri in given:
            kind, _, id = uri.removeprefix("spotify:").partition(":")
            if not uri.startswith("spotify:") or kind != "track" or self.things.get("track", id) is None:
                raise RefusedError(400, f"Invalid track uri: {uri[:60]}")
            found.append(id)
        return found

    # The player.

    def _playing(self) -> dict[str, Any]:
        player = self.player
        about = {"is_playing": player.playing, "progress_ms": 30_000, "currently_playing_type": "track"}
        return {**about, "item": self._shown("track", player.track), "timestamp": 1_735_700_000_000}

    def _ways(self) -> dict[str, Any]:
        return {"repeat_state": self.player.repeat, "shuffle_state": False}

    def _device(self, id: str | None = None) -> dict[str, Any]:
        id = id or self.player.device
        kind, active = "computer" if id == "device00pc" else "smartphone", id == self.player.device
        return {"id": id, "name": _DEVICES[id], "type": kind, "is_active": active, "volume_percent": self.player.volume}

    def _set(self, asked: Asked, **changes: Any) -> Answer:
        """Change how the player plays."""
        device = asked.query.get("device_id")
        if device is not None and device not in _DEVICES:
            raise RefusedError(404, "Device not found")
        if device is not None:
            self.player.device = device
        for name, value in changes.items():
            setattr(self.player, name, value)
        return Answer(204)

    def _play(self, asked: Asked) -> Answer:
        told = asked.body if isinstance(asked.body, dict) else {}
        if told.get("uris"):
            first, *rest = self._tracks([str(uri) for uri in told["uris"]])
            self.player.track, self.player.queue = first, [*rest, *self.player.queue]
        elif told.get("context_uri"):
            tracks = self._context(str(told["context_uri"]))
            self.player.track, self.player.queue = tracks[0], tracks[1:]
            self.player.context = str(told["context_uri"])
        return self._set(asked, playing=True)

    def _context(self, uri: str) -> list[str]:
        """The tracks of an album, an artist or a playlist."""
        kind, _, id = uri.removeprefix("spotify:").partition(":")
        if kind == "playlist" and self.playlists.get(id):
            tracks = self.playlists[id].tracks
        elif kind == "album":
            tracks = [track.id for track in self.things.tracks(self._thing("album", id))]
        elif kind == "artist":
            tracks = [track.id for track in self.things.top_tracks(self._thing("artist", id).name)]
        else:
            raise RefusedError(400, f"Invalid context uri: {uri[:60]}")
        if not tracks:
            raise RefusedError(404, "Player command failed: the context is empty")
        return list(tracks)

    def _queue(self, asked: Asked) -> Answer:
        queue = [self._shown("track", id) for id in self.player.queue]
        return Answer(200, {"currently_playing": self._shown("track", self.player.track), "queue": queue})

    def _enqueue(self, asked: Asked) -> Answer:
        self.player.queue += self._tracks([asked.query["uri"]])
        return Answer(204)

    def _next(self, asked: Asked) -> Answer:
        if self.player.queue:
            self._played.insert(0, self.player.track)
            self.player.track = self.player.queue.pop(0)
        return self._set(asked, playing=True)

    def _previous(self, asked: Asked) -> Answer:
        if self._played:
            self.player.queue.insert(0, self.player.track)
            self.player.track = self._played.pop(0)
        return self._set(asked, playing=True)

    def _recent(self, asked: Asked) -> Answer:
        items = [{"played_at": "2025-01-01T00:00:00Z", "track": self._shown("track", id)} for id in self._played]
        cursor = {"href": f"{HREF}/me/player/recently-played", "limit": MOST, "next": None, "cursors": {}}
        return Answer(200, {**cursor, "items": items, "total": len(items)})
