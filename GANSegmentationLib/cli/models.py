"""``ganseg models``: what models there are, what they say of themselves, and whether their files are whole."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GANSegmentationError
from .terminal import Subparsers, paragraph, print_json, print_table

if TYPE_CHECKING:
    from ..models import Package


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "models",
        description="List, show, import, remove and verify models. Imported models are kept in a folder of the user; "
        "the environment variable GANSEG_MODELS names another.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    list_ = actions.add_parser("list", help="the models that are there", description="List the models.")
    info = actions.add_parser("info", help="what a model's card says", description="Show a model's card.")
    info.add_argument("model", metavar="ID|PATH")
    import_ = actions.add_parser(
        "import",
        help="copy a package into the library",
        description="Check a package and copy it into the user's library.",
    )
    import_.add_argument("package", type=Path, metavar="PATH", help="a .ganseg file or an unpacked package")
    import_.add_argument("--replace", action="store_true", help="replace the same version of the model")
    remove = actions.add_parser(
        "remove",
        help="remove an imported model",
        description="Remove all versions of an imported model from the user's library.",
    )
    remove.add_argument("model", metavar="ID")
    verify = actions.add_parser(
        "verify",
        help="check the files of models against their cards",
        description="Check the files of models against the checksums of their cards. Exit code 3 if only some are "
        "whole, 1 if none is.",
    )
    verify.add_argument("model", nargs="*", metavar="ID|PATH", help="which (default: all)")
    for action in (list_, info, import_, remove, verify):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do one of the actions."""
    actions = {"list": _list, "info": _info, "import": _import, "remove": _remove, "verify": _verify}
    return actions[args.action](args)


def summary(package: Package) -> dict[str, Any]:
    """What a list of models says of one."""
    card = package.card
    return {
        "id": card.id,
        "title": card.title,
        "version": card.version,
        "task": card.task,
        "modalities": list(card.modalities),
        "default_for": list(card.default_for),
        "weights_licence": card.weights_licence,
        "path": str(package.path),
    }


def _list(args: argparse.Namespace) -> int:
    from ..models import ModelLibrary

    library = ModelLibrary()
    packages = library.list()
    broken = library.broken()
    if args.json:
        print_json(
            {
                "models": [summary(package) for package in packages],
                "broken": [{"path": str(path), "error": error.to_dict()} for path, error in broken],
            }
        )
        return 0
    if packages:
        rows = [
            [
                package.card.id,
                package.card.version,
                ", ".join(package.card.modalities),
                ", ".join(package.card.default_for) or "-",
                package.card.task,
                package.card.title,
            ]
            for package in packages
        ]
        print_table(["id", "version", "modalities", "default for", "task", "title"], rows, text_columns=6)
    else:
        print("There are no models. Import one with: ganseg models import PATH")
    for path, error in broken:
        paragraph(f"Broken: {path}: {error} [{error.code}]")
    return 0


def _info(args: argparse.Namespace) -> int:
    from ..models import describe
    from .workflow import find_model

    package = find_model(args.model, None)
    if args.json:
        print_json({**package.card.to_dict(), "path": str(package.path)})
        return 0
    print(f"{package.card.title}\n")
    lines = [*describe(package), ("File", str(package.path))]
    width = max(len(heading) for heading, _ in lines)
    before = ""
    for heading, text in lines:
        paragraph(f"{'' if heading == before else heading:<{width}}  {text}", sys.stdout, indent=width + 2)
        before = heading
    return 0


def _import(args: argparse.Namespace) -> int:
    from ..models import ModelLibrary

    package = ModelLibrary().import_package(args.package, replace=args.replace)
    if args.json:
        print_json(summary(package))
    else:
        print(f"Imported {package.card.id} {package.card.version}: {package.card.title}\n{package.path}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from ..models import ModelLibrary

    removed = ModelLibrary().remove(args.model)
    if args.json:
        print_json({"removed": [str(path) for path in removed]})
    else:
        for path in removed:
            print(f"Removed {path}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    rows = list(verify(args.model))
    failed = sum(row["error"] is not None for row in rows)
    if args.json:
        print_json({"models": rows, "failed": failed})
    else:
        for row in rows:
            print(f"{'whole ' if row['error'] is None else 'BROKEN'}  {row['model']}")
            if row["error"] is not None:
                error = GANSegmentationError.from_dict(row["error"])
                paragraph(f"{row['model']}: {error} [{error.code}]")
        if not rows:
            print("There are no models to verify.")
    if failed == 0:
        return 0
    return 1 if failed == len(rows) else 3


def verify(models: list[str]) -> Iterator[dict[str, Any]]:
    """Open each model, which checks every file, and say what is wrong; all models of the library if none is named."""
    from ..models import ModelLibrary
    from .workflow import find_model

    library = ModelLibrary()
    if not models:
        for path, error in library.broken():
            yield {"model": str(path), "error": error.to_dict()}
    for model in models or [package.card.id for package in library.list()]:
        try:
            package = find_model(model, None)
            package.verify()
            yield {"model": model, "error": None}
        except GANSegmentationError as error:
            yield {"model": model, "error": error.to_dict()}
