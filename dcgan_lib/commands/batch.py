"""The chapters over parameter files: one run folder, one set of executed notebooks, one record for each file.

    python -m dcgan_lib.batch params/*.yaml [-p NAME VALUE ...] [--runs runs]

Everything that can be known beforehand is checked before anything runs. A file whose chapter fails does not keep the
next file from running; the command then ends with 1 (2: nothing was run; 130: Ctrl-C).
"""

import argparse
import ast
import csv
import sys
import time
from pathlib import Path

from dcgan_lib.commands.parameters import Refused, did_you_mean, read_parameters
from dcgan_lib.data.loading import available_datasets
from dcgan_lib.records import environment, read_record, write_record


def find_chapters(folder=Path("notebooks")):
    """The chapters and what each lets a user set: {path: {parameter: default}}, in reading order."""
    try:
        import papermill
    except ImportError:
        raise Refused(
            "papermill, which runs the notebooks, is missing: pip install papermill ipykernel"
        ) from None
    paths = sorted(folder.absolute().glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise Refused(
            f"no chapter in {folder.absolute()}; go to the folder of the book, where notebooks/ is"
        )
    return {
        path: {
            name: ast.literal_eval(parameter["default"])
            for name, parameter in papermill.inspect_notebook(str(path)).items()
        }
        for path in paths
    }


def fits(value, default):
    """Whether a value has the type of the default; anything fits where the default is None."""
    if default is None:
        return not isinstance(value, (list, dict))
    if type(default) is float:
        return type(value) in (int, float)
    return type(value) is type(default)


def check(path, values, known):
    """Refuse names that no chapter declares, and values of another type than the chapters' own."""
    if "run_dir" in values:
        raise Refused(
            f"{path}: run_dir follows from the file's name; --runs chooses the folder around it"
        )
    for name, value in values.items():
        if name not in known:
            raise Refused(
                f"{path}: no chapter has a parameter {name!r}; {did_you_mean(name, known)}There are: "
                f"{', '.join(sorted(known))}"
            )
        if not fits(value, known[name]):
            raise Refused(
                f"{path}: {name} is {value!r}, a {type(value).__name__}; the chapters' own value is "
                f"{known[name]!r}, a {type(known[name]).__name__}"
            )
    for parameter, its_root in (("dataset", "root"), ("table_dataset", "table_root")):
        dataset, root = values.get(parameter, known.get(parameter)), values.get(its_root)
        if dataset not in (None, *available_datasets()):
            raise Refused(
                f"{path}: no data set is called {dataset!r}; there are {', '.join(available_datasets())}"
            )
        if dataset == "folder" and not (root and Path(root).is_dir()):
            raise Refused(
                f"{path}: the data set 'folder' needs a root that exists; {root!r} is no folder "
                f"(-p {its_root} PATH)"
            )


def plan(paths, overrides, chapters):
    """Read and check every file before the first one runs: {path: parameters}; Refused with the first that is wrong."""
    names = [path.stem for path in paths]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(
            f"two files are called {', '.join(twice)}, and each needs a run folder of its own"
        )
    known = {name: default for declared in chapters.values() for name, default in declared.items()}
    plans = {path: read_parameters(path, overrides) for path in paths}
    for path, values in plans.items():
        check(path, values, known)
    return plans


def run_chapters(name, values, chapters, folder):
    """Execute the chapters into folder/notebooks until one fails.

    Returns the seconds of every chapter that was started, and None or what failed: chapter, error, notebook.
    """
    import papermill

    seconds = {}
    for number, (path, declared) in enumerate(chapters.items(), 1):
        given = {key: value for key, value in values.items() if key in declared}
        if "run_dir" in declared:
            given["run_dir"] = str(folder)
        output, start, failed = folder / "notebooks" / path.name, time.perf_counter(), ""
        try:
            papermill.execute_notebook(
                str(path),
                str(output),
                given,
                cwd=str(path.parent),
                kernel_name="python3",
                extra_arguments=["--log-level=CRITICAL"],
            )
        except papermill.PapermillExecutionError as error:
            failed = f"{error.ename}: {error.evalue}"
        except Exception as error:  # a kernel that died or never came up, a full disk
            failed = f"{type(error).__name__}: {error}"
        seconds[path.stem] = round(time.perf_counter() - start, 1)
        outcome = "failed after" if failed else "done in"
        print(
            f"{name} [{number}/{len(chapters)}] {path.stem} {outcome} {seconds[path.stem]} s",
            flush=True,
        )
        if failed:
            print(f"  {failed}\n  see {output}", flush=True)
            return seconds, {"chapter": path.stem, "error": failed, "notebook": str(output)}
    return seconds, None


def findings(folder):
    """What the chapters left in a run folder, for the record: seed, device, data, final metrics, table."""
    training, found = folder / "dcgan", {}
    if (training / "config.json").exists():
        setting = read_record(training / "config.json")
        found = {
            "seed": setting["config"]["seed"],
            "device": setting["device"],
            "data": setting["data"],
            "training": setting["config"],
        }
    if (training / "history.csv").exists():
        with open(training / "history.csv", newline="") as file:
            steps = list(csv.DictReader(file))
        last = [step for step in steps if step["epoch"] == steps[-1]["epoch"]]
        found["final_metrics"] = {
            key: sum(float(step[key]) for step in last) / len(last) for key in last[0]
        }
    for name in ("table", "odd"):
        if (folder / f"{name}.json").exists():
            found[name] = read_record(folder / f"{name}.json")
    return found


def run_file(path, values, chapters, runs):
    """Run the chapters with one file's parameters and write the run's record; True when all of them passed."""
    folder = runs.absolute() / path.stem
    (folder / "notebooks").mkdir(parents=True, exist_ok=True)
    for old in (
        folder / "record.json",
        *(folder / "notebooks").glob("*.ipynb"),
    ):  # trained networks stay
        old.unlink(missing_ok=True)
    seconds, failed = run_chapters(path.stem, values, chapters, folder)
    record = {
        "name": path.stem,
        "parameters": values,
        "environment": environment(),
        "seconds": seconds,
        **({"failed": failed} if failed else findings(folder)),
    }
    write_record(folder / "record.json", record)
    print(f"{path.stem}: {folder / 'record.json'}", flush=True)
    return not failed


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m dcgan_lib.batch", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "file", nargs="+", type=Path, help="YAML files of parameters, such as params/digits.yaml"
    )
    parser.add_argument(
        "-p",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        dest="overrides",
        help="a parameter for every file, stronger than the file's own",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="where the run folders go (runs)"
    )
    options = parser.parse_args(arguments)
    try:
        chapters = find_chapters()
        plans = plan(options.file, options.overrides, chapters)
    except Refused as refusal:
        print(f"{refusal}\nNothing was run.", file=sys.stderr)
        sys.exit(2)
    passed = {}
    try:
        for path, values in plans.items():
            passed[path.stem] = run_file(path, values, chapters, options.runs)
    except KeyboardInterrupt:
        done = ", ".join(passed) or "no file"
        print(
            f"\nStopped by Ctrl-C in {path.stem}; {done} done. The same command goes on.",
            file=sys.stderr,
        )
        sys.exit(130)
    if failed := [name for name, good in passed.items() if not good]:
        print(f"{len(failed)} of {len(passed)} failed: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
