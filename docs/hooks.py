"""A notebook as a page of the site: its cells, and the outputs that are stored in it.

nbconvert writes Markdown, so that a notebook looks like the other pages and asks the network for
nothing; pictures become files beside the page.
"""

import pathlib

import nbconvert
import nbformat
import traitlets.config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_NOTEBOOK = "tour.ipynb"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Puts the page and its pictures in the place of the notebook."""
    files.remove(files.get_file_from_path(_NOTEBOOK))
    source = pathlib.Path(config.docs_dir) / _NOTEBOOK
    text, pictures = as_markdown(source)
    files.append(File.generated(config, source.with_suffix(".md").name, content=text))
    for name, content in pictures.items():
        files.append(File.generated(config, name, content=content))
    return files


def as_markdown(notebook: pathlib.Path) -> tuple[str, dict[str, bytes]]:
    """The page, and the pictures that it shows by name."""
    settings = traitlets.config.Config(
        # In the order of preference: tables of rich are text, whatever HTML they have as well.
        NbConvertBase={"display_data_priority": ["image/png", "text/markdown", "text/plain"]}
    )
    exporter = nbconvert.MarkdownExporter(config=settings)
    resources = {"unique_key": notebook.stem, "output_files_dir": f"{notebook.stem}_files"}
    page, made = exporter.from_notebook_node(nbformat.read(notebook, as_version=4), resources)
    return page, made["outputs"]
