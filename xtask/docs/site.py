"""What the site has besides the pages of ``docs/``: papers of the root, and what pages link to.

A paper stands once in the repository, and gets a page here. Links that lead out of ``docs/`` lead
to that page, or to a copy of the file. So the same links work where people read the sources.
"""

from __future__ import annotations

import os
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).resolve().parents[2]
#: Papers outside of ``docs/`` and the page of each.
PAPERS = {
    "README.md": "papers/readme.md",
    "CHANGELOG.md": "papers/changelog.md",
    "CONTRIBUTING.md": "papers/contributing.md",
    "DESIGN.md": "papers/design.md",
    "PERFORMANCE.md": "papers/performance.md",
    "PLATFORMS.md": "papers/platforms.md",
    "PROTOCOL.md": "papers/protocol.md",
    "RELIABILITY.md": "papers/reliability.md",
    "SECURITY.md": "papers/security.md",
    "examples/README.md": "papers/examples.md",
    "models/README.md": "papers/models.md",
}
#: A link or a picture: what stands before its address, and the address.
LINK = re.compile(r"(\]\(\s*|<(?:img|source)\b[^>]*?\b(?:src|srcset)=\")([^)\s\"]+)")
CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]*`)", re.S | re.M)


def place_of(source: str) -> str | None:
    """Where a file of the repository is in the site; None for those that are copied."""
    if source in PAPERS:
        return PAPERS[source]
    if source.startswith("docs/"):
        return source[len("docs/") :]
    return None


def target(source: str, address: str) -> tuple[str, str] | None:
    """Name the file that a relative link means, and the rest of the address."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path:
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(parts.path)))
    return path, (f"#{parts.fragment}" if parts.fragment else "")


def outside_code(text: str, change) -> str:
    """Apply a change to all but code."""
    parts = CODE.split(text)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


def sources() -> dict[str, str]:
    """All pages by their path in the repository, with their text."""
    pages = [path for path in (ROOT / "docs").rglob("*.md")] + [ROOT / paper for paper in PAPERS]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in pages if path.exists()}


def copied(source: str, text: str) -> set[str]:
    """The files without a page that a page links to."""
    found: set[str] = set()

    def look(part: str) -> str:
        for match in LINK.finditer(part):
            meant = target(source, match[2])
            if meant and place_of(meant[0]) is None and (ROOT / meant[0]).is_file():
                found.add(meant[0])
        return part

    outside_code(text, look)
    return found


def on_files(files, config):
    """Add the papers and the files that pages link to."""
    texts = sources()
    for paper, page in PAPERS.items():
        if paper in texts:
            in_nav = page not in ("papers/readme.md", "papers/models.md")
            level = InclusionLevel.INCLUDED if in_nav else InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, page, abs_src_path=str(ROOT / paper), inclusion=level))
    wanted: set[str] = set()
    todo = dict(texts)
    while todo:
        source, text = todo.popitem()
        for path in copied(source, text) - wanted:
            wanted.add(path)
            if path.endswith(".md"):
                todo[path] = (ROOT / path).read_text()
    for path in sorted(wanted):
        files.append(
            File.generated(config, f"files/{path}", content=(ROOT / path).read_bytes(), inclusion=InclusionLevel.NOT_IN_NAV)
            if not path.endswith(".md")
            else File.generated(config, f"files/{path}", abs_src_path=str(ROOT / path), inclusion=InclusionLevel.NOT_IN_NAV)
        )
    return files


def on_page_markdown(markdown, page, config, files):
    """Point the links that lead out of the site to what is in it."""
    own = page.file.src_uri
    papers = {place: paper for paper, place in PAPERS.items()}
    source = papers.get(own) or (own[len("files/") :] if own.startswith("files/") else f"docs/{own}")

    def moved(match: re.Match[str]) -> str:
        meant = target(source, match[2])
        if meant is None:
            return match[0]
        path, rest = meant
        place = place_of(path) or f"files/{path}"
        if files.get_file_from_path(place) is None:
            # The check of links says so, in the words of the source.
            return match[0]
        return match[1] + posixpath.relpath(place, posixpath.dirname(own) or ".") + rest

    return outside_code(markdown, lambda part: LINK.sub(moved, part))


class Page(HTMLParser):
    """The addresses that a built page links to, and those that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = {"", "__top"}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.names.update(value for key in ("id", "name") if (value := given.get(key)))
        self.links += [value for key in ("href", "src") if (value := given.get(key))]


def on_post_build(config):
    """Look at every link of every page that was built, anchors and pictures too."""
    site = Path(config["site_dir"])
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    dead = []
    count = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            to = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
            to = to / "index.html" if to.is_dir() else to
            if not to.is_file():
                dead.append(f"{path.relative_to(site)}: {link}: no such file")
            elif parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].names:
                dead.append(f"{path.relative_to(site)}: {link}: no such place in that page")
    if dead:
        raise PluginError("dead links:\n" + "\n".join(dead))
    print(f"site: {len(pages)} pages, {count} links inside it, none is dead")
