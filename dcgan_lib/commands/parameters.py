"""The parameters of a run: a YAML file, and what the command line puts in its place."""

from difflib import get_close_matches
from pathlib import Path

import yaml


class Refused(ValueError):
    """Parameters that cannot be used; the text is a sentence for the user."""


def read_parameters(path, overrides):
    """{name: value} of a file, with those of the command line, pairs of a name and a text in YAML, in their place."""
    try:
        values = yaml.safe_load(path.read_text()) or {}
        values |= {name: yaml.safe_load(text) for name, text in overrides}
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise Refused(
            f"{path} and -p must give `name: value` in YAML: {' '.join(str(error).split())}"
        ) from None
    for name in ("root", "table_root"):
        if isinstance(
            values.get(name), str
        ):  # a notebook's kernel runs in another folder than the user
            values[name] = str(Path(values[name]).expanduser().absolute())
    return values


def did_you_mean(name, known):
    """ "did you mean NAME? " where a known name is near, else nothing."""
    near = get_close_matches(str(name), known, 1)
    return f"did you mean {near[0]}? " if near else ""
