"""`coatcheck serve`."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from coatcheck._core.permissions import ADMIN_USAGE
from coatcheck.config import Config
from coatcheck.errors import CoatcheckError
from coatcheck.service import ServiceConfig
from coatcheck.service._server import serve as serve_until_signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_USAGE: Final = 2


def serve(
    *,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="On which port; 0 is any free one.")
    ] = 8888,
    storage: Annotated[
        str | None,
        typer.Option(
            help="memory: (the default), file:FOLDER or s3://BUCKET/PREFIX.",
            envvar="COATCHECK_STORAGE",
        ),
    ] = None,
    auth_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KID=PEM",
            help="A key id and a file with its Ed25519 public key; an id may be"
            " given again while its key is being rotated.",
        ),
    ] = None,
    admin_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KID=PEM",
            help="A key whose tokens see what all usecases hold (GET /admin/usage), and"
            " nothing else.",
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Serve everybody who can connect.")
    ] = False,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Where links are answered, as outsiders see it; their signing key is"
            " COATCHECK_SIGNING_KEY."
        ),
    ] = None,
    compat_scopes: Annotated[
        bool,
        typer.Option(
            "--compat-scopes", help="Let tokens open wider scopes, as objectstore does."
        ),
    ] = False,
    compat_status: Annotated[
        bool,
        typer.Option(
            "--compat-status",
            help="Answer missing credentials by 400, as objectstore does.",
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file with further fields of ServiceConfig: usecases, rates,"
            " killswitches, limits. Options beside it win."
        ),
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning, error.")] = (
        "warning"
    ),
) -> None:
    """Serve objects over HTTP until a signal ends it.

    Prints one line with the service's URL when it is ready. How S3 is reached stands
    in COATCHECK_S3__ENDPOINT_URL and its like, and in AWS's own variables.
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    given = {
        "storage": storage,
        "auth": "off" if no_auth else None,
        "auth_keys": {
            **_keys(admin_key or (), permissions=[ADMIN_USAGE]),
            **_keys(auth_key or ()),
        },
        "public_url": public_url,
        "compat_scopes": compat_scopes,
        "compat_status": compat_status,
    }
    try:
        fields = _environment() | _read(config)
        fields |= {name: value for name, value in given.items() if value}
        serve_until_signal(
            ServiceConfig(**fields), host=host, port=port, announce=_announce
        )
    except CoatcheckError as error:
        typer.echo(f"coatcheck: {error.message}", err=True)
        raise typer.Exit(_USAGE) from None


def _environment() -> dict[str, Any]:
    """Return what `COATCHECK_*` says of S3 and of links."""
    environment = Config.from_env()
    return {
        "s3": environment.s3,
        "public_url": environment.public_url,
        "signing_key": environment.signing_key,
        "retired_signing_keys": environment.retired_signing_keys,
    }


def _announce(url: str) -> None:
    typer.echo(f"coatcheck serves at {url}")


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot read {path}: {error}") from None


def _keys(given: Iterable[str], **more: Any) -> Mapping[str, Any]:
    keys: dict[str, Any] = {}
    for each in given:
        kid, equals, path = each.partition("=")
        if not (kid and equals and path):
            raise typer.BadParameter(f"{each[:80]!a} is not KID=PEM")
        try:
            pem = Path(path).read_text()
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"cannot read {path}: {error}") from None
        keys.setdefault(kid, {"public_keys": [], **more})["public_keys"].append(pem)
    return keys
