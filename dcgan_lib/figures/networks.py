"""Both networks of a DCGAN side by side, drawn from their layers: each is the other's mirror."""

from html import escape
from math import log2

from dcgan_lib.figures.colours import DISCRIMINATOR as BLUE
from dcgan_lib.figures.colours import GENERATOR as ORANGE
from dcgan_lib.figures.drawings import Drawing
from dcgan_lib.models import Discriminator, Generator, layer_table

INK = "#22252a"
WIDTH, BOX, HEIGHT = 380, 178, 44  # of the drawing, and of the box of a layer
TIMES = " &#215; "
LEFT, RIGHT, TOP = 4, 198, 30  # of the two columns, and under their titles


def network_drawing(
    generator: Generator, discriminator: Discriminator, caption: str = ""
) -> Drawing:
    """The generator downwards and the discriminator upwards, shapes on the arrows.

    Everything in it comes from `layer_table`, so that it cannot contradict the networks.

    Parameters
    ----------
    generator, discriminator : Generator, Discriminator
        Of the same image size, channels, width and kernel.
    caption : str, default ""

    Raises
    ------
    ValueError
        The shapes of one network are not those of the other in reverse.

    Examples
    --------
    >>> network_drawing(Generator(32, 1), Discriminator(32, 1))  # doctest: +ELLIPSIS
    Two columns. The generator, downwards: 100x1x1, 256x4x4, ...
    """
    down, up = layer_table(generator), layer_table(discriminator)
    image = (discriminator.channels, discriminator.image_size, discriminator.image_size)
    going = [(generator.latent_dim, 1, 1), *(row["output"] for row in down)]
    coming = [image, *(row["output"] for row in up)]
    if going[1:] != coming[-2::-1]:
        raise ValueError(f"the shapes {coming} are not {going} in reverse")

    parts, y = [], TOP
    for level, shape in enumerate(going):
        room = _side(shape) + 3 * _sheets(shape) + 32
        ends = level == 0, level == len(down)
        words = ["latent z"] * ends[0] + ["image G(z)"] * ends[1], ["logit"] * ends[0]
        words[1].extend(["x or G(z)"] * ends[1])
        other = coming[len(up) - level]
        parts.append(_maps(LEFT, y, room, shape, words[0], ORANGE, ends[0], ends[1]))
        parts.append(_maps(RIGHT, y, room, other, words[1], BLUE, ends[0], ends[1], upwards=True))
        y += room
        if level < len(down):
            parts.append(_layer(LEFT, y, down[level]["layers"], ORANGE))
            parts.append(_layer(RIGHT, y, up[-1 - level]["layers"], BLUE))
            y += HEIGHT
    titles = (
        f'<g text-anchor="middle" font-weight="700" font-size="15">'
        f'<text x="{LEFT + BOX / 2}" y="20" fill="{ORANGE}">generator &#8595;</text>'
        f'<text x="{RIGHT + BOX / 2}" y="20" fill="{BLUE}">discriminator &#8593;</text></g>'
    )
    tips = "".join(
        f'<marker id="networks-{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        f'markerHeight="8" orient="auto"><path d="M0 0 10 5 0 10z" fill="{colour}"/></marker>'
        for name, colour in (("g", ORANGE), ("d", BLUE))
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 4:.0f}" '
        f'style="display:block;margin:auto;width:100%;max-width:480px" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">'
        f"<defs>{tips}</defs>{titles}{''.join(parts)}</svg>"
    )
    about = (
        f"Two columns. The generator, downwards: {', '.join(map(_words, going))}. "
        f"The discriminator, upwards: {', '.join(map(_words, coming))}."
    )
    return Drawing(svg, about, caption)


def _words(shape):
    return "x".join(map(str, shape))


def _side(shape):
    return 9 + 7 * log2(shape[1])


def _sheets(shape):
    """How many sheets the pile of maps shows: one more for every fourfold of maps."""
    return round(log2(shape[0]) / 2)


def _maps(left, y, room, shape, words, colour, first, last, upwards=False):
    """A pile of maps on the arrow between two layers, and their shape beside it."""
    side, sheets = _side(shape), _sheets(shape)
    middle, x = y + room / 2, left + 36
    start, end = y, y + room - 2
    if upwards:
        start, end = y + room, y + 2
    if (last and upwards) or (first and not upwards):  # nothing comes before
        start = middle
    if (last and not upwards) or (first and upwards):  # the pile is the end of the way
        half = (side + 3 * sheets) / 2
        end = middle + half if upwards else middle - half
    tip = "d" if upwards else "g"
    arrow = (
        f'<path d="M{x} {start:.0f}V{end:.0f}" stroke="{colour}" stroke-width="2" '
        f'marker-end="url(#networks-{tip})"/>'
    )
    pile = "".join(
        f'<rect x="{x - side / 2 + 3 * (i - sheets / 2):.1f}" '
        f'y="{middle - side / 2 + 3 * (sheets / 2 - i):.1f}" width="{side:.1f}" '
        f'height="{side:.1f}" rx="2" fill="#fff" stroke="{colour}" stroke-width="1.4"/>'
        for i in reversed(range(sheets + 1))
    )
    lines = [
        f'<tspan font-weight="600">{_words(shape).replace("x", TIMES)}</tspan>',
        *map(escape, words),
    ]
    top = middle + 5 - 8 * (len(lines) - 1)
    text = "".join(
        f'<text x="{left + 72}" y="{top + 16 * i:.0f}">{line}</text>'
        for i, line in enumerate(lines)
    )
    return arrow + pile + text


def _layer(left, y, layers, colour):
    """A box with the convolution in its first line and what follows it in the second."""
    kernel, stride, *others = layers.replace("x", "&#215;", 1).split(", ")
    lines = [f"{kernel}, {stride}", ", ".join(others)]
    if not others:
        lines.pop()
    middle = y + HEIGHT / 2
    text = "".join(
        f'<text x="{left + BOX / 2}" y="{middle + 4.5 + 17 * (i - (len(lines) - 1) / 2):.1f}">'
        f"{line}</text>"
        for i, line in enumerate(lines)
    )
    return (
        f'<rect x="{left}" y="{y:.0f}" width="{BOX}" height="{HEIGHT}" rx="7" fill="{colour}"/>'
        f'<g fill="#fff" text-anchor="middle">{text}</g>'
    )
