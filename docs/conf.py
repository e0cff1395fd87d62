"""Settings of the documentation site."""

from __future__ import annotations

from typing import Any

import sksparse

project = "sksparse"
author = "the sksparse developers"
copyright = author
version = release = sksparse.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "literal"
suppress_warnings = ["config.cache"]  # the gallery's sort key is an object, which is not pickled

autosummary_generate = True
autodoc_typehints = "none"  # the numpydoc sections say more
numpydoc_show_class_members = False  # the class template lists them
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_\w+\.py$",  # the quick start runs these again, so it is only shown
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "sksparse"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}


def skip_what_scikit_learn_documents(
    app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave methods that come from scikit-learn's base classes to its own site."""
    module = getattr(obj, "__module__", None) or ""
    return True if module.partition(".")[0] == "sklearn" else None


def setup(app: Any) -> None:
    app.connect("autodoc-skip-member", skip_what_scikit_learn_documents)
