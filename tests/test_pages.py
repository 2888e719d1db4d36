"""The pages of text: every link leads somewhere, and every page is reached from README."""

import re

import pytest

from helpers import course

PAGES = [
    *sorted(course.ROOT.glob("*.md")),
    *sorted((course.ROOT / "docs").glob("*.md")),
    course.ROOT / "notebooks" / "glossary.md",
]


def anchors(page):
    """What a heading of a page is called in an address, as GitHub does it."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page):
    return re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} is missing"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def test_readme_leads_to_every_page():
    reached = {(course.ROOT / link.partition("#")[0]).resolve() for link in links(course.ROOT / "README.md")}
    assert set(PAGES) - {course.ROOT / "README.md"} <= reached
