"""What the documents point to is there: links, headings, files, modules and names."""

import ast
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "litefocus_jax/assets/**/*.md")
    for path in ROOT.glob(pattern)
)
SOURCES = sorted(path for folder in ("litefocus_jax", "convert", "examples") for path in (ROOT / folder).rglob("*.py"))
TWO_SCREENS = 80  # lines, from which on a page begins with its contents
WRITTEN_BY_A_PROGRAM = {"MODEL_CARD.md"}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(r"(?<![\w/.-])(?:litefocus_jax|convert|docs|examples|tests)/[\w./{},*-]*\w}?")
_MODULE = re.compile(r"(?<![\w/.-])litefocus_jax(?:\.\w+)+")

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))

every_file = pytest.mark.parametrize("path", [*DOCUMENTS, *SOURCES], ids=lambda path: str(path.relative_to(ROOT)))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def links_in(path: Path) -> list[str]:
    """Where the links of a document lead, those to other sites aside."""
    return [link for link in _LINK.findall(_FENCE.sub("", text_of(path))) if not link.startswith(("http", "mailto:"))]


def anchors_in(path: Path, level: str = "#+") -> list[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = re.findall(rf"^{level} (.+)$", _FENCE.sub("", text_of(path)), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def spelt_out(pattern: str) -> list[str]:
    """A shell's braces: ``a{b,c}`` is ``ab`` and ``ac``."""
    match = re.search(r"\{([^}]*)\}", pattern)
    if match is None:
        return [pattern]
    parts = match[1].split(",")
    return [whole for part in parts for whole in spelt_out(pattern[: match.start()] + part + pattern[match.end() :])]


def imports_in(path: Path) -> Iterator[str]:
    """Dotted names of ours that the Python examples of a document import."""
    for language, code in _FENCE.findall(text_of(path)):
        if language == "python":
            for node in ast.walk(ast.parse(textwrap.dedent(code))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("litefocus_jax"):
                    yield from (f"{node.module}.{alias.name}" for alias in node.names)


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    for link in links_in(document):
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), f"{link} does not exist"
        assert not anchor or anchor in anchors_in(target), f"{link} is no heading of {target.name}"


@every_file
def test_files_that_are_named_exist(path: Path) -> None:
    named = [pattern for found in _PATH.findall(text_of(path)) for pattern in spelt_out(found)]
    assert [pattern for pattern in named if not any(ROOT.glob(pattern))] == []


@every_file
def test_modules_and_names_of_ours_can_be_imported(path: Path) -> None:
    missing = []
    for name in sorted({*_MODULE.findall(text_of(path)), *imports_in(path)}):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError) as error:
            missing.append(str(error))
    assert missing == []


@every_document
def test_long_pages_begin_with_their_contents(document: Path) -> None:
    lines = text_of(document).splitlines()
    if len(lines) > TWO_SCREENS and document.name not in WRITTEN_BY_A_PROGRAM:
        beginning = text_of(document).partition("\n## ")[0]
        missing = set(anchors_in(document, "##")) - {link.removeprefix("#") for link in _LINK.findall(beginning)}
        assert missing == set()


@pytest.mark.parametrize("path", [*DOCUMENTS, *SOURCES], ids=str)
def test_nothing_is_installed_from_an_index_where_it_is_not(path: Path) -> None:
    assert not re.findall(r"pip install [^&|;\n]*litefocus-jax.*", text_of(path)), "say '.' or '.[extra]', from a clone"
