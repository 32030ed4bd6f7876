"""The exact sign test as a figure to play with: coins, and how odd a number of heads is."""

from dcgan_lib.figures.live import Live


def coins(a: int, b: int, names: tuple[str, str] = ("A", "B"), caption: str = "") -> Live:
    """A live figure: how often fair coins divide as unevenly as two classifiers did.

    Parameters
    ----------
    a, b : int
        Cases that only the first, and only the second classifier gets right. Both get a slider,
        and these are the values with which the figure begins.
    names : tuple of two str, default ("A", "B")
    caption : str, default ""

    Examples
    --------
    >>> coins(15, 5)
    20 fair coins: bars for every number of heads; those as far from 10 as 15 is are dark.
    """
    cases = a + b
    about = (
        f"{cases} fair coins: bars for every number of heads; those as far from "
        f"{cases / 2:g} as {a} is are dark."
    )
    data = {"a": a, "b": b, "most": max(30, 2 * a, 2 * b), "names": list(names)}
    return Live("coins", data, about, caption)
