"""How Sphinx makes the course an offline site. helpers/making/site.py (`make site`) puts its sources together."""

import html
import importlib.metadata
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

ROOT = Path(__file__).resolve().parent.parent
# One file, which draws formulas as SVG: fonts are not loaded from the disk by every browser.
MATHJAX = importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(
    "sphinx-mathjax-offline/static/mathjax/tex-svg.js"
)
WIDGET = "application/vnd.jupyter.widget-view+json"

project = "Latent Wardrobe"
author = "The Latent Wardrobe authors"
copyright = "The Latent Wardrobe authors, MIT licence"
language = "en"

extensions = ["myst_nb", "sphinx.ext.mathjax"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}  # would come from a content network
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_title = "Latent Wardrobe"
html_favicon = str(ROOT / "docs" / "_static" / "icon.svg")
html_static_path = ["_static", str(MATHJAX)]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_context = {"default_mode": "auto"}
html_show_sphinx = False
html_use_index = False
html_show_search_summary = False  # would fetch pages, which a browser refuses on file://
html_theme_options = {
    "home_page_in_toc": True,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],  # the search field stands in the sidebar already
}

mathjax_path = "tex-svg.js"
# Neither the menu nor the explorer of formulas, which would load more files; screen readers get MathML all the same.
mathjax3_config = {"options": {"enableMenu": False}}


def put_tools(app, docname, source):
    """Where a notebook had a slider, show its page of ``tools/`` in a frame."""
    if app.env.doc2path(docname, base=False).suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    name, up, number = docname.split("/")[-1], "../" * docname.count("/"), 0
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", ())):
        if WIDGET in output.get("data", ()):
            number += 1
            says = "".join(output["data"]["text/plain"]).strip("<>").partition(":")[0]
            output["data"] = {"text/html": frame(f"{up}tools/{name}_{number}.html", says)}
    source[0] = json.dumps(notebook)


def frame(address, says):
    """A tool within a page, and a link to it alone."""
    title = html.escape(says)
    return (
        f'<figure class="tool"><iframe src="{address}" title="{title}" loading="lazy"></iframe>'
        f'<figcaption>{title}: live, without Python. <a href="{address}">Open it alone</a></figcaption></figure>'
    )


def name_pictures(app, doctree):
    """Give each picture of a notebook the alt text that a clear pixel after it carries, and drop the pixel."""
    picture = None
    for node in list(doctree.findall(lambda node: isinstance(node, (nodes.image, nodes.raw)))):
        if isinstance(node, nodes.image):
            picture = node
        elif pixel := re.fullmatch(r'\s*<img alt="([^"]*)" src="data:[^"]*" width="1" height="1">\s*', node.astext()):
            picture["alt"] = html.unescape(pixel[1])
            node.parent.remove(node)


def leave_as_text(app, doctree):
    """A link to a file of the course that has no page here stays as text; the explorer has its own place."""
    docname = app.env.docname
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node["reftype"] != "myst" or node["refdomain"]:
            continue
        path = (ROOT / docname).parent.joinpath(node["reftarget"].partition("#")[0]).resolve()
        if path == ROOT / "explorer.html":
            address = "../" * docname.count("/") + path.name
            node.replace_self(nodes.reference("", "", *node.children, refuri=address))
        elif path.exists():
            node.replace_self(node.children)


def setup(app):
    """Connect the functions above."""
    app.connect("source-read", put_tools)
    app.connect("doctree-read", name_pictures)
    app.connect("doctree-read", leave_as_text)
