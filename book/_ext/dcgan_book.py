"""Theme settings that `_config.yml` cannot express without replacing the ones made from its other keys."""

from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "_static"


def configure(app, config):
    """Adds the book's static files; keeps the theme's second header off the pages."""
    # Naming the folder in _config.yml would load every script in it, MathJax included, a second time.
    config.html_static_path.append(str(STATIC))
    config.html_css_files.append("book.css")
    config.html_theme_options["navbar_persistent"] = []


def setup(app):
    app.connect("config-inited", configure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
