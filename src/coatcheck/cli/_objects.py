"""`coatcheck objects`: what a storage holds, and deleting a scope of it."""

from __future__ import annotations

import json
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import anyio
import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from coatcheck._core.scopes import Scope
from coatcheck.config import Config
from coatcheck.errors import CoatcheckError
from coatcheck.objects import Amount, ScopeUsage, delete_scope
from coatcheck.objects import usage as counted_usage
from coatcheck.service import ServiceConfig
from coatcheck.service._storage import opened_storage
from coatcheck.service._usage import usage_document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coatcheck.objects import ScopeDeletion

_FAILED: Final = 1
_T = TypeVar("_T")

app = typer.Typer(help="What a storage holds.", no_args_is_help=True)

_Storage = Annotated[
    str,
    typer.Option(envvar="COATCHECK_STORAGE", help="file:FOLDER or s3://BUCKET/PREFIX."),
]


@app.command()
def usage(
    *,
    storage: _Storage,
    usecase: Annotated[str | None, typer.Option(help="Only this usecase.")] = None,
    scope: Annotated[
        str | None,
        typer.Option(help="Only this scope of it, and those below: org=1;project=2."),
    ] = None,
    by_day: Annotated[
        bool, typer.Option("--by-day", help="Count by the day of expiry, too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document a line.")
    ] = False,
) -> None:
    """Count objects and bytes by usecase and scope."""

    async def count() -> list[ScopeUsage]:
        found: list[ScopeUsage] = []
        async with opened_storage(_config(storage)) as opened:
            within = None if scope is None else Scope.parse(scope)
            counted = counted_usage(
                opened.bucket, usecase=usecase, scope=within, by_day=by_day
            )
            async with aclosing(counted):
                async for each in counted:
                    if as_json:
                        typer.echo(json.dumps(usage_document(each)))
                    else:
                        found.append(each)
        return found

    found = _run(count)
    if not as_json:
        Console().print(_table(found))


@app.command()
def delete(
    usecase: Annotated[str, typer.Argument(help="The usecase.")],
    scope: Annotated[
        str, typer.Argument(help="The scope, for instance org=1;project=2, or _.")
    ],
    *,
    storage: _Storage,
    below: Annotated[
        bool, typer.Option("--below", help="Delete the scopes below it, too.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; without it they are only counted.")
    ] = False,
) -> None:
    """Delete all objects of a scope; without --yes, only count them."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())

    async def act(*, dry_run: bool, progress: Callable[[int], object]) -> ScopeDeletion:
        async with opened_storage(_config(storage)) as opened:
            return await delete_scope(
                opened.bucket,
                usecase,
                Scope.parse(scope),
                below=below,
                dry_run=dry_run,
                progress=progress,
            )

    with Progress(*columns, console=console, transient=True) as bar:
        counting = bar.add_task("counting", total=None)
        found = _run(
            partial(act, dry_run=True, progress=partial(bar.advance, counting))
        )
        deleted = None
        if yes:
            total = found.found.count
            deleting = bar.add_task("deleting", total=total)
            deleted = _run(
                partial(act, dry_run=False, progress=partial(bar.advance, deleting))
            )
    typer.echo(_told(found if deleted is None else deleted, is_done=yes))
    if deleted is not None and deleted.deleted < deleted.found.count:
        raise typer.Exit(_FAILED)


def _told(outcome: ScopeDeletion, *, is_done: bool) -> str:
    amount = outcome.found
    told = f"{amount.count} objects of {decimal(amount.size)}"
    uploads = f"{outcome.uploads} unfinished uploads"
    if is_done:
        return f"deleted {outcome.deleted} of {told}, and {uploads}"
    return f"would delete {told}, and {uploads}; say --yes to do so"


def _config(storage: str) -> ServiceConfig:
    return ServiceConfig(storage=storage, auth="off", s3=Config.from_env().s3)


def _run(act: Callable[[], Awaitable[_T]]) -> _T:
    try:
        return anyio.run(act)
    except CoatcheckError as error:
        typer.echo(f"coatcheck: {error.message}", err=True)
        raise typer.Exit(_FAILED) from None


def _table(found: list[ScopeUsage]) -> Table:
    table = Table("usecase", "scope", "expires")
    for name in ("objects", "size"):
        table.add_column(name, justify="right")
    total = Amount()
    for each in found:
        total += each.amount
        rows = each.days or {None: each.amount}
        for day, amount in rows.items():
            expires = "" if not each.days else "never" if day is None else str(day)
            table.add_row(
                each.usecase,
                str(each.scope),
                expires,
                str(amount.count),
                decimal(amount.size),
            )
    table.add_section()
    table.add_row("all", "", "", str(total.count), decimal(total.size))
    return table
