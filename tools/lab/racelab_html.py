# SPDX-License-Identifier: Apache-2.0
"""Pieces of HTML: tables, figures, folds."""

from html import escape


def table(header, rows, *, caption=""):
    """Scrolls in its own box where it is wider than the page. A cell is text, or Link."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        '<tr>' + "".join(f'<th scope="row">{_cell(cell)}</th>' if index == 0 else
                         f"<td>{_cell(cell)}</td>" for index, cell in enumerate(row)) + "</tr>\n"
        for row in rows)
    label = escape(caption or f"Figures by {header[0]}")
    return (f"{paragraph(caption, 'legend')}"
            f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table>'
            f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n")


def phrase(words):
    """Words of a sentence: a number and its percent sign stay on one line."""
    return escape(words).replace(" %", "&nbsp;%")


class Link:
    """A cell that leads to another place of the page."""

    def __init__(self, words, place):
        self.words, self.place = words, place


def _cell(cell):
    if isinstance(cell, Link):
        return f'<a href="#{escape(cell.place)}">{escape(cell.words)}</a>'
    if isinstance(cell, float):
        return f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else escape(str(cell))


def panel(title, drawing):
    """One drawing of several."""
    return f"<figure><h3>{escape(title)}</h3>{drawing}</figure>\n"


def panels(*parts, classes="panels"):
    return f'<div class="{classes}">{"".join(parts)}</div>\n'


def fold(title, *parts, place=""):
    """A part that a reader may open. A link to `place`, which is within, opens it, too."""
    content = "".join(parts)
    if place:
        content = f'<div id="{escape(place)}">{content}</div>'
    return f"<details><summary>{escape(title)}</summary>{content}</details>\n"


def section(title, *parts):
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>\n"


def paragraph(words, classes="text"):
    """Nothing, when there is nothing to say."""
    return f'<p class="{classes}">{phrase(words)}</p>\n' if words else ""


def keys(*pairs):
    """The legend: pairs of class and words."""
    return '<p class="legend">' + " ".join(
        f'<span class="entry"><span class="key {escape(name)}"></span>{escape(words)}</span>'
        for name, words in pairs) + "</p>\n"


def bullets(*items):
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>\n"


def preformatted(words):
    return f'<pre tabindex="0">{escape(words)}</pre>\n'


def command(words):
    """Wraps, so that all of it can be read."""
    return f'<pre class="command">{escape(words)}</pre>\n'


def facts(pairs):
    """The facts that a reader has to know about a run."""
    return '<dl class="facts">' + "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in pairs) + "</dl>\n"
