"""Hooks of the site: files of the repository that pages link to become pages, and formulas become MathML.

The pages are read in the repository as well, where `../../tests/porting/test_writers.py` is a file. On the site it is
a page below `source/`.
"""

from __future__ import annotations

import html
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))

from built_pages import BUILT  # noqa: E402  (beside this file, which is in no package)
from notebooks import markdown_of  # noqa: E402

#: Pages of the repository that are on the site, linked to or not.
PAGES = [
    *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "examples").rglob("*.ipynb")),
]

_LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
_MARK = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
_BUILT = re.compile(r"^<!-- built: (\w+) -->$", re.MULTILINE)
_FORMULA = re.compile(r"\\\((?P<inline>.+?)\\\)|\\\[(?P<block>.+?)\\\]", re.DOTALL)
_LANGUAGES = {".py": "python", ".h": "c", ".rs": "rust", ".mjs": "js", ".json": "json", ".sh": "bash", ".yml": "yaml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside the documentation that a page links to, and for those it links to."""
    known = {Path(str(file.abs_src_path)) for file in files if file.inclusion.is_included()}
    waiting = [*(path for path in known if path.suffix == ".md"), *PAGES]
    while waiting:
        path = waiting.pop()
        if path not in known:
            known.add(path)
            files.append(_shown(path, config))
        waiting += [target for target in targets(path) if target not in known]
    return files


def targets(path: Path) -> Iterator[Path]:
    """The files that a page links to."""
    for match in _LINK.finditer(path.read_text(encoding="utf-8") if path.suffix == ".md" else ""):
        target = _file(path.parent, match["target"])
        if target is not None:
            yield target


def _file(folder: Path, target: str) -> Path | None:
    """The file of a link; a folder stands for the README in it."""
    path = Path(os.path.normpath(folder / target))
    path = path / "README.md" if path.is_dir() else path
    return path if path.is_file() and path.is_relative_to(ROOT) else None


def _uri(path: Path) -> str:
    """Where a file of the repository is found on the site."""
    inside = path.relative_to(ROOT)
    if inside.parts[0] == "docs" and path.suffix != ".py":
        return Path(*inside.parts[1:]).as_posix()
    return f"source/{inside.as_posix()}" + ("" if path.suffix == ".md" else ".md")


def _shown(path: Path, config: MkDocsConfig) -> File:
    """A page of its own for a file outside the documentation."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = markdown_of(text)
    elif path.suffix != ".md":
        title = path.relative_to(ROOT).as_posix()
        fence = "~" * 8
        text = f"# {title}\n\n{fence}{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n{fence}\n"
        text = f"---\nsearch:\n  exclude: true\n---\n{text}"
    return File.generated(config, _uri(path), content=text, inclusion=InclusionLevel.NOT_IN_NAV)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to their pages, and leave out the marks of generators."""
    uri = page.file.src_uri
    inside = uri.removeprefix("source/") if uri.startswith("source/") else f"docs/{uri}"
    if not ((ROOT / inside).is_file() or inside.endswith(".ipynb.md")):
        return markdown  # code that is shown
    folder = (ROOT / inside).parent
    markdown = _BUILT.sub(lambda match: BUILT[match[1]](), markdown)

    def on_site(match: re.Match[str]) -> str:
        target = _file(folder, match["target"])
        if target is None:
            return match[0]
        return os.path.relpath(_uri(target), Path(uri).parent).replace(os.sep, "/") + (match["anchor"] or "")

    return _LINK.sub(on_site, _MARK.sub("", markdown))


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the formulas of arithmatex, which a script in the browser would draw."""
    return _FORMULA.sub(_mathml, content) if 'class="arithmatex"' in content else content


def _mathml(match: re.Match[str]) -> str:
    inline: Any = match["inline"]
    formula = str(convert(html.unescape(inline or match["block"]), display="inline" if inline else "block"))
    return formula.replace('<mo stretchy="false">&#x0007C;', '<mo stretchy="false" lspace="0" rspace="0">&#x0007C;')
