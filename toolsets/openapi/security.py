"""Credentials of an API: which an operation wants, and how they get into a request."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict

from deepagent.errors import ConfigError, ToolFailedError
from deepagent.secrets import Redactor, Secret
from deepagent.toolsets.http import Fetcher, Request, shown
from deepagent.toolsets.openapi.bodies import FORM
from deepagent.toolsets.openapi.document import Part

_EARLY_SECONDS = 30.0
"""A token is renewed so long before it ends."""
_LASTS_SECONDS = 300.0
"""How long a token is used whose server does not say."""


class Credential(BaseModel):
    """Credentials for one security scheme of a document."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: Secret | None = None
    """An API key, a bearer or access token, or `user:password` for basic authentication."""
    client_id: Secret | None = None
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    """With one, OAuth2 tokens are had by refreshing, else by the client's own credentials."""
    token_url: str | None = None
    """Where tokens are had; by default where the document says."""
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scheme:
    """A security scheme of a document."""

    kind: Literal["key", "basic", "bearer", "oauth2"]
    name: str = ""
    where: str = "header"
    token_url: str | None = None


@dataclass
class Additions:
    """What credentials add to a request."""

    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)


def read_schemes(root: Part, base: str) -> dict[str, Scheme]:
    """The schemes of a document that can be served; the others are as good as not there."""
    found: dict[str, Scheme] = {}
    for name, part in root.at("components").at("securitySchemes").items():
        one = part.followed()
        kind, how = one.text("type"), one.text("scheme").lower()
        if kind == "apiKey" and one.text("name") and one.text("in") in ("header", "query", "cookie"):
            found[name] = Scheme("key", one.text("name"), one.text("in"))
        elif kind == "http" and how in ("basic", "bearer"):
            found[name] = Scheme("basic" if how == "basic" else "bearer")
        elif kind == "openIdConnect":
            found[name] = Scheme("bearer")
        elif kind == "oauth2":
            flows = one.at("flows")
            urls = [flow.text("refreshUrl") or flow.text("tokenUrl") for _, flow in flows.items()]
            own = flows.at("clientCredentials").text("tokenUrl")
            url = own or next((one for one in urls if one), None)
            found[name] = Scheme("oauth2", token_url=f"{base.rstrip('/')}{url}" if url and url[0] == "/" else url)
    return found


class Authenticator:
    """Adds credentials to requests.

    Args:
        schemes: what the document knows.
        credentials: what the user has, by scheme.
        redactor: learns every credential that is used.

    Raises:
        ConfigError: a credential is for no scheme of the document, or lacks a part.
    """

    def __init__(
        self, schemes: Mapping[str, Scheme], credentials: Mapping[str, Credential], redactor: Redactor
    ) -> None:
        for name, one in credentials.items():
            if name not in schemes:
                known = ", ".join(schemes) or "none"
                raise ConfigError(f"the document has no security scheme {name!r}; it has {known}")
            if one.token is None and (schemes[name].kind != "oauth2" or (one.client_id or one.refresh_token) is None):
                raise ConfigError(f"credentials for {name!r}: give token (or, for OAuth2, client_id or refresh_token)")
        self._schemes = schemes
        self._credentials = credentials
        self._redactor = redactor
        self._tokens: dict[str, tuple[str, float]] = {}
        self._refresh: dict[str, str] = {}
        self._lock = asyncio.Lock()

    @property
    def token_urls(self) -> list[str]:
        """Where tokens are had."""
        return [url for name in self._credentials if (url := self._token_url(name)) is not None]

    def serves(self, requirements: Sequence[Mapping[str, Any]]) -> list[str] | None:
        """The schemes to use: the first alternative that the credentials are enough for; None where none is."""
        for alternative in requirements:
            if alternative and all(name in self._credentials for name in alternative):
                return list(alternative)
        return [] if not requirements or any(not one for one in requirements) else None

    async def additions(self, names: Sequence[str], fetcher: Fetcher) -> Additions:
        """What these schemes add to a request.

        Raises:
            UsageError: a credential is not where the settings say.
            ToolFailedError: no token was given.
        """
        made = Additions()
        for name in names:
            scheme, credential = self._schemes[name], self._credentials[name]
            if scheme.kind == "oauth2" and credential.token is None:
                made.headers["Authorization"] = f"Bearer {await self._token(name, fetcher)}"
                continue
            secret = self._reveal(credential.token)
            if scheme.kind == "key":
                {"header": made.headers, "query": made.query, "cookie": made.cookies}[scheme.where][scheme.name] = (
                    secret if scheme.where == "header" else quote(secret, safe="")
                )
            elif scheme.kind == "basic":
                made.headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
            else:
                made.headers["Authorization"] = f"Bearer {secret}"
        return made

    def forget(self, names: Sequence[str]) -> bool:
        """Drop tokens that a server refused; whether there were any, so that another try makes sense."""
        dropped = [self._tokens.pop(name, None) for name in names]
        return any(dropped)

    def _reveal(self, secret: Secret | None) -> str:
        value = secret.reveal() if secret else ""
        self._redactor.learn([value, *value.split(":", 1)[1:]])
        return value

    def _token_url(self, name: str) -> str | None:
        credential = self._credentials[name]
        return None if credential.token else credential.token_url or self._schemes[name].token_url

    async def _token(self, name: str, fetcher: Fetcher) -> str:
        async with self._lock:  # calls at the same time ask for one token together
            token, until = self._tokens.get(name, ("", 0.0))
            if time.monotonic() < until:
                return token
            token, seconds = await self._fetch(name, fetcher)
            self._redactor.learn([token])
            self._tokens[name] = token, time.monotonic() + max(seconds - _EARLY_SECONDS, seconds / 2)
            return token

    async def _fetch(self, name: str, fetcher: Fetcher) -> tuple[str, float]:
        credential, url = self._credentials[name], self._token_url(name)
        if not url:
            raise ToolFailedError(f"nobody says where tokens for {name!r} are had; set token_url in its credentials")
        fields = {"grant_type": "client_credentials"}
        if credential.refresh_token is not None:
            fields = {
                "grant_type": "refresh_token",
                "refresh_token": self._refresh.get(name) or self._reveal(credential.refresh_token),
            }
        if credential.scopes:
            fields["scope"] = " ".join(credential.scopes)
        headers = {"Content-Type": FORM, "Accept": "application/json"}
        if credential.client_id is not None:
            user, password = self._reveal(credential.client_id), self._reveal(credential.client_secret)
            pair = f"{quote(user, safe='')}:{quote(password, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            self._redactor.learn([pair])
        response = await fetcher.fetch(Request("POST", url, headers, urlencode(fields).encode()))
        try:
            answer = json.loads(response.body)
            token, seconds = answer["access_token"], float(answer.get("expires_in") or _LASTS_SECONDS)
            if not isinstance(token, str):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ToolFailedError(f"{shown(url)} gave no token (status {response.status})") from error
        if isinstance(answer.get("refresh_token"), str):
            self._refresh[name] = answer["refresh_token"]
            self._redactor.learn([answer["refresh_token"]])
        return token, seconds
