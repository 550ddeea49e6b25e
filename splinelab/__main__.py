"""The command line: `python -m splinelab train | decompose | zoo | claims`."""

import argparse
import io
import sys
from pathlib import Path

from splinelab.errors import SplinelabError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status. An expected error is one line on stderr and status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a terminal without Unicode shows \\u2013 for a dash
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
    except SplinelabError as error:
        print(f"splinelab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print("splinelab: interrupted" + "".join(f"; {kept}" for kept in interrupt.args), file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m splinelab", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(title="commands", required=True)

    for run, words, name in (
        (_train, "train a net of the zoo by its recipe", "an entry that `zoo` lists, or story"),
        (_decompose, "train a toy model and decompose it by our recipe", "such as TMS-40-10 or MLP-2"),
    ):
        command = commands.add_parser(run.__name__[1:], help=words)
        command.add_argument("name", help=name)
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--device", default="cpu", help="cpu (default) or cuda")
        command.add_argument("--out", default="zoo", metavar="DIR", help="where it goes (default: zoo)")
        command.set_defaults(run=run)
    zoo = commands.add_parser("zoo", help="list the nets that ship with the book")
    zoo.set_defaults(run=_zoo)
    claims = commands.add_parser("claims", help="print the scoreboard of the claims ledger")
    claims.add_argument("--json", action="store_true", help="as a JSON list of objects")
    claims.set_defaults(run=_claims)
    return parser


# Each command imports what it needs: `claims` starts without waiting for torch.


def _train(args: argparse.Namespace) -> None:
    from splinelab import zoo

    if args.name == "story":
        path = zoo.train_story(args.seed, device=args.device, folder=args.out)
        found = zoo.story_card(args.seed, folder=args.out)
        losses = {name: f"{value:.3f}" for name, value in found["metrics"].items()}
        print(f"{path}: nats per token {losses}, {found['seconds']:.0f} s")
        return
    for path in zoo.train(args.name, args.seed, device=args.device, folder=args.out):
        found = zoo.card(*_name_and_seed(path), folder=args.out)
        metrics = found["metrics"]
        print(
            f"{path}: train {metrics['train_accuracy']:.4f}, held out {metrics['heldout_accuracy']:.4f}, "
            f"{found['seconds']:.0f} s"
        )


def _decompose(args: argparse.Namespace) -> None:
    from splinelab import zoo

    path = zoo.decompose(args.name, args.seed, device=args.device, folder=args.out)
    found = zoo.decomposition_card(args.name, args.seed, folder=args.out)
    layers = found["metrics"]["layers"]
    alive = ", ".join(
        f"{layer} {alive} of {expected}"
        for layer, alive, expected in zip(layers["layer"], layers["alive"], layers["expected"], strict=True)
    )
    print(f"{path}: alive {alive}; {found['seconds']:.0f} s")


def _name_and_seed(path: Path) -> tuple[str, int]:
    name, _, seed = path.stem.rpartition("-")
    return name, int(seed)


def _zoo(args: argparse.Namespace) -> None:
    from splinelab import zoo

    table = zoo.table()
    print(table.drop(columns="about").to_string(index=False, float_format="{:.3f}".format, na_rep="–"))
    print(f"{table['MB'].sum():.1f} MB. Retrain one with: python -m splinelab train NAME --seed N")
    print(f"{'story':<18} language model, seed 0")
    for name, seeds in zoo.decomposed().items():
        print(f"{name:<18} decomposition, seeds {', '.join(map(str, seeds))}")
    print("Decompose one again with: python -m splinelab decompose NAME --seed N")


def _claims(args: argparse.Namespace) -> None:
    from splinelab import claims

    claims.print_scoreboard(as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
