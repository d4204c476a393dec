"""The configuration of the documentation site; `make docs` builds it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from cartpole_robot import __version__  # noqa: E402  the source tree, installed or not

project = "cartpole_robot"
author = "the authors of cartpole_robot"
version = release = __version__
project_copyright = "the authors of cartpole_robot, MIT licence"
language = "en"
smartquotes = False  # it would turn the two hyphens of an option into a dash

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "docs.extension"]
exclude_patterns = ["_build", "extension", "**.ipynb_checkpoints"]
suppress_warnings = ["toc.empty_glob"]  # pages that only some branches or machines have
default_role = "code"  # docstrings put single backticks around names
nitpicky = False  # type hints name classes that have no page of their own

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4  # links to sections are checked
myst_links_external_new_tab = False

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"

copybutton_exclude = ".linenos, .gp, .go"
html_theme = "furo"
html_title = "cartpole_robot"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
