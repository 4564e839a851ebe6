"""Spotify's artists, albums and tracks: whoever is searched for exists, under an id that is always the same.

Every artist has three albums of four tracks each. Things are only as complete as the document demands.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["artist", "album", "track"]

_ID = re.compile(r"[0-9A-Za-z]{22}")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FIELD = re.compile(r"(artist|album|track|genre|year):\s*(\"[^\"]*\"|[^:]*?)(?=\s+\w+:|$)")
_ALBUMS = 3
_TRACKS = 4
_NEWEST = 2025
_HREF = "https://api.spotify.com/v1"


@dataclass(frozen=True)
class Thing:
    """An artist, album or track.

    Attributes:
        place: of an album among its artist's, of a track among its album's; from 1.
    """

    kind: Kind
    name: str
    artist: str
    album: str = ""
    place: int = 1

    @property
    def id(self) -> str:
        """Spotify's form of id: 22 letters and digits."""
        digest = hashlib.sha256(repr((self.kind, self.name, self.artist, self.album)).casefold().encode()).digest()
        return "".join(_BASE62[byte % 62] for byte in digest[:22])

    @property
    def uri(self) -> str:
        """`spotify:KIND:ID`."""
        return f"spotify:{self.kind}:{self.id}"


class Things:
    """Everything that has been named. What an unknown id names is made up when it is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Thing] = {}

    def artist(self, name: str) -> Thing:
        """The artist of this name."""
        return self._kept(Thing("artist", name, name))

    def albums(self, artist: str) -> list[Thing]:
        """An artist's albums, the newest first."""
        return [
            self._kept(Thing("album", f"{artist}, Album {number}", artist, place=number))
            for number in range(_ALBUMS, 0, -1)
        ]

    def tracks(self, album: Thing) -> list[Thing]:
        """An album's tracks, in their order."""
        return [
            self._kept(Thing("track", f"{album.name}, Track {number}", album.artist, album.name, number))
            for number in range(1, _TRACKS + 1)
        ]

    def top_tracks(self, artist: str) -> list[Thing]:
        """An artist's best known tracks."""
        return [self.tracks(album)[0] for album in self.albums(artist)]

    def found(self, kind: Kind, query: str) -> list[Thing]:
        """What a search brings: the thing of that name first, then what is near."""
        fields = {name: value.strip(' "') for name, value in _FIELD.findall(query)}
        words = fields.get(kind) or _FIELD.sub("", query).strip() or next(iter(fields.values()), query)
        by = fields.get("artist", words)
        if kind == "artist":
            return [self.artist(words), self.artist(f"{words} Tribute")]
        if kind == "album":
            named = self._kept(Thing("album", words, fields.get("artist", f"The {words} Band"), place=_ALBUMS))
            return [named, *self.albums(by)]
        artist = fields.get("artist", f"The {words} Band")
        return [self._kept(Thing("track", words, artist, self.albums(artist)[0].name)), *self.top_tracks(by)]

    def get(self, kind: Kind, id: str) -> Thing | None:
        """The thing of this id; None when it is no id."""
        if not _ID.fullmatch(id):
            return None
        known = self._known.get(id)
        if known is None or known.kind != kind:
            known = self._known[id] = Thing(kind, f"{kind.title()} {id[:4]}", f"Artist {id[:4]}", f"Album {id[:4]}")
        return known

    def _kept(self, thing: Thing) -> Thing:
        return self._known.setdefault(thing.id, thing)

    def shown(self, thing: Thing, id: str | None = None) -> dict[str, Any]:
        """The thing as the API shows it.

        Args:
            thing: what is shown.
            id: under which it was asked for.
        """
        known = id or thing.id
        base = {
            "id": known,
            "name": thing.name,
            "type": thing.kind,
            "uri": f"spotify:{thing.kind}:{known}",
            "href": f"{_HREF}/{thing.kind}s/{known}",
            "external_urls": {},
        }
        if thing.kind == "artist":
            return {**base, "genres": ["pop"], "popularity": 70, "followers": {"total": 1000}, "images": []}
        by = {key: self.shown(self.artist(thing.artist))[key] for key in ("id", "name", "type", "uri")}
        if thing.kind == "album":
            released = f"{_NEWEST - _ALBUMS + thing.place}-01-01"
            about = {"album_type": "album", "total_tracks": _TRACKS, "release_date": released}
            rest = {"release_date_precision": "day", "available_markets": [], "images": []}
            return {**base, **about, **rest, "artists": [by]}
        album = self._kept(Thing("album", thing.album, thing.artist, place=_ALBUMS))
        about = {"duration_ms": 200_000, "track_number": thing.place, "explicit": False}
        return {**base, **about, "artists": [by], "album": self.shown(album)}
