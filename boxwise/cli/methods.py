"""The verb that lists what has a name: methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from boxwise.registry import Method

app = typer.Typer()


@app.command()
def methods(
    which: Annotated[
        str | None, typer.Argument(metavar="[KIND|NAME]", help="detectors, scorers, strategies, policies, embedders, or a name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """List detectors, scorers, strategies, policies and embedders.

    What each is, its paper, what it needs, and what it costs beyond the pool pass; of one by its name, its options too. Those of installed
    packages are among them; exit code 1 when there are some that cannot be used.
    """
    from boxwise.cli.console import say_json
    from boxwise.registry import KINDS

    found = _found(which)
    if as_json:
        say_json({kind: {name: _entry(kind, name) for name in names} for kind, names in found.items()})
    elif which is None or which in found:
        for kind, names in found.items():
            _list(kind, names)
    else:
        for kind, names in found.items():
            _describe(kind, names[0])
    if faults := [fault for kind in found for fault in KINDS[kind].faults()] if which is None or which in found else []:
        for fault in faults:
            typer.echo(f"Error: {fault}", err=True)
        raise typer.Exit(1)


def _found(which: str | None) -> dict[str, list[str]]:
    """Kind → names, of a kind, of one name in the kinds that have it, or of everything."""
    from boxwise.errors import BoxwiseError, unknown
    from boxwise.registry import KINDS

    if which is None or which in KINDS:
        return {kind: list(methods.loaded()) for kind, methods in KINDS.items() if which in (None, kind)}
    having = {kind: [which] for kind, methods in KINDS.items() if which in methods}
    if not having:
        raise BoxwiseError(unknown("kind or method", which, {*KINDS, *(name for methods in KINDS.values() for name in methods)}))
    return having


def _list(kind: str, names: list[str]) -> None:
    from boxwise.cli.console import table
    from boxwise.registry import KINDS

    entries = [(name, KINDS[kind][name]) for name in names]
    has = kind == "detectors"
    rows = [(name, m.about, m.paper, _words(m.offers if has else m.needs), *(() if has else (m.cost,))) for name, m in entries]
    head = ("name", "what it is", "paper", "has") if has else ("name", "what it is", "paper", "needs", "cost")
    if kind == "strategies":
        rows = [(*row, method.scorer or "none") for row, (_, method) in zip(rows, entries, strict=True)]
        head = (*head, "usual scorer")
    table(kind.capitalize(), head, rows, numbers=False)


def _describe(kind: str, name: str) -> None:
    """One method with its options."""
    from boxwise.cli.console import say, table
    from boxwise.registry import KINDS

    method, section = KINDS[kind][name], KINDS[kind].kind
    package = KINDS[kind].package_of(name)
    say(f"{name}, {'an' if section[0] in 'aeiou' else 'a'} {section}{f' of the package {package}' if package else ''}: {method.about}.")
    facts = {
        "paper": method.paper,
        "needs": _words(method.needs),
        "usual scorer": method.scorer,
        "has": _words(method.offers),
        "cost": method.cost,
    }
    for key, words in facts.items():
        if words:
            say(f"  {key}: {words}")
    options = _options(method)
    if options:
        rows = [(f"{section}.{name}.{option}", str(facts["default"]), facts["description"]) for option, facts in options.items()]
        table("Options", ("key", "default", "what it does"), rows, numbers=False)


def _entry(kind: str, name: str) -> dict[str, Any]:
    from boxwise.registry import KINDS

    method = KINDS[kind][name]
    return {
        "about": method.about,
        "paper": method.paper,
        "needs": sorted(method.needs),
        "scorer": method.scorer,
        "has": sorted(method.offers),
        "cost": method.cost,
        "package": KINDS[kind].package_of(name) or "boxwise",
        "options": _options(method),
    }


def _options(method: Method) -> dict[str, dict[str, Any]]:
    """Option → its default and what it does."""
    fields = method.options.model_fields
    return {name: {"default": field.get_default(), "description": field.description or ""} for name, field in fields.items()}


def _words(needs: frozenset[str]) -> str:
    from boxwise.registry import NEEDS

    return ", ".join(NEEDS.get(need, need) for need in sorted(needs))
