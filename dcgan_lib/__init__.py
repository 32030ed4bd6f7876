"""The thin package behind the DCGAN book.

Importing `dcgan_lib` costs nothing: a name is fetched from its module the first time it is used,
so that a reader who only looks at images never waits for matplotlib or scikit-learn.
`__init__.pyi` lists every public name with its module; editors and type checkers read the same
list.
"""

import lazy_loader

__version__ = "0.2.0"

_fetch, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name):
    try:
        return _fetch(name)
    except AttributeError:
        known = ", ".join(__all__)
        raise AttributeError(f"dcgan_lib has no name {name!r}; it has {known}") from None
