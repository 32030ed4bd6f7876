"""The package as a whole: what an import costs, and that every public name is there and documented."""

import subprocess
import sys

import dcgan_lib


def test_import_is_light():
    heavy = ("matplotlib", "sklearn", "torchvision", "torch", "scipy", "papermill")
    code = "import sys, dcgan_lib; print([m for m in sys.argv[1:] if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented():
    for name in dcgan_lib.__all__:
        assert getattr(dcgan_lib, name).__doc__, f"{name} has no docstring"


def test_unknown_name_lists_the_known_ones():
    try:
        dcgan_lib.Genertor
    except AttributeError as error:
        assert "Genertor" in str(error) and "Generator" in str(error)
    else:
        raise AssertionError("a name that does not exist was found")
