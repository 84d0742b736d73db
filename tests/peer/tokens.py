"""Tokens with the audiences of Azure's public cloud, for an emulator that knows its own alone.

The proxy signs in at the emulator for its audience, and hands the client a token that names the public cloud's: the SDK looks
at a token's audience before it sends it. On the way in, each is replaced by the emulator's own again."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

import jwt

PUBLIC_ML, PUBLIC_MANAGEMENT = "https://ml.azure.com", "https://management.azure.com"


class Tokens:
    def __init__(self, emulator: str, emulator_ml: str) -> None:
        self._audience = {PUBLIC_ML: emulator_ml, PUBLIC_MANAGEMENT: emulator}
        self._own: dict[str, str] = {}

    def asked(self, body: bytes) -> tuple[bytes, str | None]:
        """A sign-in's form for the emulator, and the public audience that the client asked for."""
        form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        wanted = form.get("scope", "").split(" ")[0].removesuffix("/.default").rstrip("/")
        if wanted not in self._audience:
            return body, None
        form["scope"] = self._audience[wanted] + "/.default"
        return urlencode(form).encode(), wanted

    def given(self, token: str, audience: str) -> str:
        """The client's token for the emulator's `token`."""
        claims = jwt.decode(token, options={"verify_signature": False})
        public = jwt.encode({**claims, "aud": audience}, "a token of the peer tests, checked by nobody", algorithm="HS256")
        self._own[public] = token
        return public

    def own(self, header: str) -> str:
        """A header's value with the emulator's token in it; other values as they are."""
        scheme, _, token = header.rpartition(" ")
        found = self._own.get(token, token)
        return f"{scheme} {found}" if scheme else found
