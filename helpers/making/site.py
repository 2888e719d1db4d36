"""The course as an offline site (`make site`): Sphinx makes its pages of the stored notebooks, nothing is executed.

A notebook stores no sliders, only the words that say where one stood. There the site shows a page of
`widgets.write_page`, which decodes in the browser. `TOOLS` says which models each of them has; all else is found.
``docs/conf.py`` has the settings of Sphinx.
"""

import argparse
import dataclasses
import importlib.metadata
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import typing
from pathlib import Path

from helpers import baselines, checkpoints, course, data, models, training, widgets
from helpers.making import release

NOTEBOOKS = course.ROOT / "notebooks"
DOCS = course.ROOT / "docs"
SITE = course.ROOT / "site"
WIDGET = "application/vnd.jupyter.widget-view+json"
# What Sphinx leaves in a folder that it filled.
_MARK = ".buildinfo"
_NO_PAGES = shutil.ignore_patterns(".*", "_*", "site", "*.py", "*.txt", "*.toml")


class SiteError(RuntimeError):
    """The site cannot be built; the message says what is wrong and what to do."""


@dataclasses.dataclass(frozen=True)
class Tool:
    """What the site shows where a notebook has a slider.

    Attributes:
        says: The stored words that stand there, without "run the notebook to move them".
        models: Dict from the label shown to a name from `checkpoints.names`; or a function from a `data.Dataset` to
            a dict from label to model; or None for the explorer in one file.
        start: Name of the class of the first garment; None leaves it to the page.
        towards: Name of the class of the garment at the end of the way.
        open_maps: Whether the maps of two latents are open.
    """

    says: str
    models: dict | typing.Callable | None
    start: str | None = None
    towards: str | None = None
    open_maps: bool = False


def _pca(dataset):
    return {"PCA": baselines.PCA(dataset.train).keep(8)}


def _untrained(dataset):
    return {"untrained": models.dense_vae(latent_dim=10, hidden=(512, 256, 128), seed=2)}


def _my_vae(dataset):
    """The reader's own model of notebook 07, trained as there."""
    mine = models.dense_vae(latent_dim=4, hidden=(256,), seed=1)
    training.fit(mine, dataset.head(train=10_000, validation=1_000), epochs=6, learning_rate=0.003, verbose=False)
    return {"my_vae": mine}


def _named(*names):
    return {name: name for name in names}


_SAME_MOVE = "The same move in several models"
_SHIRT = {"start": "T-shirt/top", "towards": "Ankle boot"}
_SHOES = {"start": "Sneaker", "towards": "Ankle boot"}

# The tools of each notebook, in the order in which its sliders stand.
TOOLS = {
    "01_preprocessing": [Tool("Sliders for 8 latents of PCA", _pca)],
    "02_dense_autoencoder": [Tool("Sliders for 18 latents of dense_ae_18_wide", _named("dense_ae_18_wide"))],
    "03_dense_vae": [Tool("Sliders for 10 latents of dense_vae_10", _named("dense_vae_10"), **_SHIRT)],
    "04_conv_vae": [Tool("Sliders for 32 latents of conv_vae_32", _named("conv_vae_32"))],
    "05_tuning": [
        Tool(
            _SAME_MOVE,
            {"sigma 0.71": "conv_vae_32_gaussian", "sigma learned": "conv_vae_32_optimal"},
            **_SHOES,
        )
    ],
    "06_comparison": [Tool(_SAME_MOVE, {"autoencoder": "dense_ae_10", "VAE": "dense_vae_10"}, **_SHOES)],
    "07_latent_explorer": [
        Tool("Sliders for 10 latents of untrained", _untrained),
        Tool("Explorer of the shipped models", None),
        Tool("Sliders for 10 latents of dense_vae_10", _named("dense_vae_10"), **_SHIRT),
        Tool("Slider between two garments", _named("dense_vae_10"), **_SHOES),
        Tool(
            _SAME_MOVE,
            _named("dense_ae_10", "dense_vae_10", "conv_vae_32_bernoulli", "conv_vae_32_optimal"),
            **_SHOES,
        ),
        Tool("Map of z[0, 1]", _named("dense_vae_2"), open_maps=True),
        Tool("Map of z[0, 1]", _named("dense_ae_2"), open_maps=True),
        Tool("Sliders for 4 latents of my_vae", _my_vae),
    ],
}


def stored_sliders(notebook):
    """What stands where a notebook had sliders, from the top, as a list of str.

    Args:
        notebook: Path of the notebook.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = itertools.chain.from_iterable(cell.get("outputs", ()) for cell in cells)
    said = ["".join(output["data"].get("text/plain", "")) for output in outputs if WIDGET in output.get("data", ())]
    return [text.strip("<>").partition(": run the notebook")[0] for text in said]


def check(folder=NOTEBOOKS, tools=None):
    """See that each stored slider has its tool, in the right order.

    Args:
        folder: Folder of notebooks; folders in it are looked through too.
        tools: Lists of `Tool` by the notebook's name without its ending; None takes `TOOLS`.

    Raises:
        SiteError: A slider has no tool or another one, or a tool has no slider.
    """
    tools = TOOLS if tools is None else tools
    stored = {notebook.stem: stored_sliders(notebook) for notebook in sorted(folder.rglob("*.ipynb"))}
    for name in dict.fromkeys([*stored, *tools]):
        named = [tool.says for tool in tools.get(name, ())]
        pairs = itertools.zip_longest(stored.get(name, ()), named, fillvalue="nothing")
        for number, (found, wanted) in enumerate(pairs, 1):
            if found != wanted:
                raise SiteError(
                    f"Slider {number} of notebook {name} does not fit TOOLS in helpers/making/site.py.\n"
                    f"The notebook has: {found}\nTOOLS has:        {wanted}\n"
                    "Change TOOLS, which lists the sliders of each notebook in the order in which they stand."
                )


def write_tools(dataset, folder):
    """Write a page for each slider: ``NOTEBOOK_1.html``, ``NOTEBOOK_2.html`` and so on.

    Args:
        dataset: A `data.Dataset`.
        folder: Where to write.
    """
    stand_in = f" ({course.stand_in()})" if course.stand_in() else ""
    for name, tools in TOOLS.items():
        for number, tool in enumerate(tools, 1):
            path = folder / f"{name}_{number}.html"
            if tool.models is None:
                shutil.copy(release.EXPLORER, path)
                continue
            if callable(tool.models):
                shown = tool.models(dataset)
            else:
                shown = {label: checkpoints.load(model, dataset.slug) for label, model in tool.models.items()}
            options = {"start": tool.start, "towards": tool.towards, "open_maps": tool.open_maps}
            widgets.write_page(shown, dataset, path, title=tool.says + stand_in, drawing=False, **options)


def write_sources(folder, note=""):
    """Put together what Sphinx makes pages of.

    Args:
        folder: Where to; it keeps the places that files have in the course, so that links between them hold.
        note: A paragraph for the start page.
    """
    for path in course.ROOT.glob("*.md"):
        shutil.copy(path, folder)
    for name in ("docs", "notebooks", "images"):
        shutil.copytree(course.ROOT / name, folder / name, ignore=_NO_PAGES)
    start = (DOCS / "site" / "index.md").read_text(encoding="utf-8")
    (folder / "index.md").write_text(start.replace("{note}", note), encoding="utf-8")


def missing_packages():
    """Packages of ``docs/requirements.txt`` that are not installed in the version named there, as a list of str."""
    lines = (line.partition("#")[0].strip() for line in (DOCS / "requirements.txt").read_text().splitlines())
    missing = []
    for line in filter(None, lines):
        name, _, version = line.partition("==")
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = None
        if found != version:
            missing.append(line)
    return missing


def build(dataset, out=SITE):
    """Build the site; an old one is replaced when the new one is whole.

    Args:
        dataset: A `data.Dataset`; its garments are those of the tools.
        out: Folder of the site.

    Returns:
        Path of the start page.

    Raises:
        SiteError: Packages are missing, sliders and `TOOLS` do not fit, ``out`` is no site, or Sphinx complains.
    """
    out = Path(out).resolve()
    if missing := missing_packages():
        raise SiteError(
            f"The site needs {', '.join(missing)}. `make site` installs it; so does: "
            ".venv/bin/python -m pip install -r docs/requirements.txt"
        )
    if out.exists() and not (out / _MARK).exists() and (out.is_file() or any(out.iterdir())):
        raise SiteError(f"{out} exists and is no site that was built here. Move it away, or name another folder.")
    check()
    note = ""
    if course.stand_in():
        note = f"The sliders of this copy show {course.stand_in()}: Fashion-MNIST was not at hand when it was made."
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="site-", suffix=".partial", dir=out.parent) as work:
        sources, pages = Path(work, "sources"), Path(work, "pages")
        sources.mkdir()
        write_sources(sources, note)
        sphinx = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going"]
        sphinx += ["-c", str(DOCS), "-d", str(Path(work, "doctrees")), str(sources), str(pages)]
        # Sphinx works on one core while the tools are written on another.
        process = subprocess.Popen(sphinx, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            tools = Path(work, "tools")
            write_tools(dataset, tools)
            said, _ = process.communicate()
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise SiteError(f"Sphinx refuses to build the site:\n{said.strip()}")
        shutil.move(tools, pages / "tools")
        shutil.copy(release.EXPLORER, pages)
        if out.exists():
            shutil.rmtree(out)
        shutil.move(pages, out)
    return out / "index.html"


def main(arguments=None):
    """Command line: ``python -m helpers.making.site [FOLDER]``."""
    parser = argparse.ArgumentParser(prog="python -m helpers.making.site", description=__doc__)
    parser.add_argument("folder", nargs="?", default=SITE, type=Path, help="where the site goes; site/ by default")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    course.begin()
    try:
        page = build(course.use(data.load()), chosen.folder)
    except SiteError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"The site is built in {time.monotonic() - began:.0f} s. Open it: {page.as_uri()}")
    print(f"The folder {page.parent} is all of it: copy it to a USB stick or to any web server.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
