"""Fills the marks of a page with what the code says: `<!-- generated: NAME -->` becomes the text of that name.

Lines that stand between such a mark and `<!-- end of generated -->` are for readers of the Markdown: they say where the
text is to be found, and the text replaces them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from docs.extension import command_line, records, wire

END = "<!-- end of generated -->"
MARK = re.compile(rf"^<!-- generated: ([\w-]+) -->$(?:(?:\n(?!<!--).+)+\n{END}$)?", re.MULTILINE)
DOCS = Path(__file__).parent.parent
LIVE_PAGE = "page.html"
_FRAME_SCRIPT = """<script>
{ // the frame is as high as the page in it, and has this page's theme
  const frame = () => document.querySelector(".live-page");
  const sendTheme = () => frame()?.contentWindow.postMessage({ theme: document.body.dataset.theme }, "*");
  addEventListener("message", ({ source, data }) => {
    if (source !== frame()?.contentWindow || !Number.isFinite(data?.height_px)) return;
    frame().style.height = `${data.height_px}px`;
    sendTheme();
  });
  new MutationObserver(sendTheme).observe(document.body, { attributeFilter: ["data-theme"] });
}
</script>"""


def live_page() -> str:
    """The page that runs the firmware, in a frame; an animation where it has not been made."""
    if not (DOCS / "_static" / LIVE_PAGE).exists():
        return "![A trained policy balancing](balancing.gif)"
    return f'{live_frame()}\n\n<a href="_static/{LIVE_PAGE}">Open this cart in its own window</a>'


def live_frame() -> str:
    """The frame with that page, in the form without introduction, curves and numbers."""
    return (
        f"{_FRAME_SCRIPT}\n\n"
        f'<iframe class="live-page" src="_static/{LIVE_PAGE}?embedded" loading="lazy" '
        'title="The firmware and a policy on a simulated cart, in this page"></iframe>'
    )


def more_pages() -> str:
    """A list of contents of the pages that lie next to the front page; empty where there are none."""
    names = sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")
    return "" if not names else "\n".join(["```{toctree}", ":caption: More", "", *names, "```"])


def notebooks() -> str:
    """A list of the notebooks, each with its title and its first sentence, to download."""
    from docs.extension.notebooks import list_of_notebooks

    return list_of_notebooks(DOCS / "notebooks")


TEXTS: dict[str, Callable[[], str]] = {
    "command-line": command_line.command_line,
    "cart-file": records.cart_file,
    "preset": records.preset,
    "policy-bundle": records.policy_bundle,
    "recording-columns": wire.recording_columns,
    "wire-protocol": wire.wire_protocol,
    "faults": wire.faults,
    "live-page": live_page,
    "more-pages": more_pages,
    "notebooks": notebooks,
}


def filled(text: str) -> str:
    """A page with its marks filled.

    Raises KeyError for a mark of an unknown name, and ValueError for an end without its mark or after an empty line.
    """
    found = MARK.sub(lambda mark: TEXTS[mark[1]](), text)
    if re.search(rf"^{END}$", found, re.MULTILINE):
        raise ValueError(f"{END} has no mark, or an empty line or a comment between the two")
    return found
