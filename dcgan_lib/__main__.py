"""The command line: `python -m dcgan_lib`, or `dcgan` where the package is installed."""

import argparse
import signal
from pathlib import Path

from dcgan_lib import __version__

EXAMPLES = """\
examples:
  dcgan batch params/fashion.yaml            all chapters, executed in runs/fashion/notebooks
  dcgan batch params/*.yaml -p epochs 2     the same for several files, with 2 epochs in each
  dcgan train params/pets.yaml              one network, without the chapters
  torchrun --standalone --nproc-per-node 2 -m dcgan_lib train params/pets.yaml

The command ends with 0 when all went well, 1 when something failed, 2 when it was refused and
nothing was run, 130 after Ctrl-C and 143 after SIGTERM. After these, the same command goes on.
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-p",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        dest="overrides",
        help="set a parameter, in place of the file's own value; may be given several times",
    )
    common.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="FOLDER",
        help="where the run folders go (default: runs); each is named after its file and every -p",
    )
    parser = argparse.ArgumentParser(
        prog="dcgan",
        description="Train a DCGAN, or run all chapters of the book, as a parameter file says.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dcgan_lib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="train | batch")
    train = commands.add_parser(
        "train",
        parents=[common],
        help="train one network",
        description="Train one network. An interrupted training goes on where it stopped.",
    )
    train.add_argument("file", type=Path, help="a parameter file, such as params/fashion.yaml")
    train.add_argument("--device", help="cuda, mps or cpu (default: the fastest that is here)")
    batch = commands.add_parser(
        "batch",
        parents=[common],
        help="run all chapters of the book over parameter files",
        description="Run all chapters of the book. Each file gets a run folder with the executed "
        "notebooks, the trained networks, and a record of all numbers. Start it in the folder of "
        "the book.",
    )
    batch.add_argument(
        "file", nargs="+", type=Path, help="parameter files, such as params/fashion.yaml"
    )
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Run a command. Without `arguments` those of the command line are taken."""
    parser = make_parser()
    options = vars(parser.parse_args(arguments))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    from dcgan_lib.commands import batch, parameters, train  # only now: torch takes seconds

    try:
        {"train": train, "batch": batch}[options.pop("command")].main(**options)
    except parameters.BadParameters as refusal:
        parser.exit(2, f"{refusal}\nNothing was run.\n")
    except KeyboardInterrupt as stop:
        parser.exit(143 if "SIGTERM" in str(stop) else 130, f"\n{stop}\n")


def _stop(number, _):
    raise KeyboardInterrupt(f"stopped by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'}")


if __name__ == "__main__":
    main()
