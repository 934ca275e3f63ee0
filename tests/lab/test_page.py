#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page is well formed, needs no network, and holds every figure and every command."""

import re
import unittest
import xml.etree.ElementTree
from html.parser import HTMLParser

from races import live_crowd, live_pairs, live_service, live_storm, race

from lab.racelab_findings import finding
from lab.racelab_page import page
from lab.racelab_results import LIVE, MASQUERADE, NOCLASH, Models
from lab.racelab_sections import count_words, time_words
from lab.racelab_svg import ShareScale, ValueScale, apart

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Checks that tags are balanced; collects identifiers, links and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.faults, self.ids, self.places, self.words = [], [], [], [], []
        self.addresses = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag == "a":
            self.places.append(attributes["href"])
        self.addresses += [attributes[name] for name in ("src", "srcset", "data", "action")
                           if name in attributes]
        self.addresses += [attributes["href"]] if "href" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass  # <circle/>

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> at {self.getpos()} within {self.open[-3:]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        self.words.append(data)


class Page(unittest.TestCase):
    """As a browser meets it."""

    def setUp(self):
        self.race = race()
        self.text = page(self.race)
        self.reader = Reader(self.text)

    def test_tags_are_balanced(self):
        self.assertEqual((self.reader.faults, self.reader.open), ([], []))

    def test_the_reader_sees_what_is_not_balanced(self):
        self.assertTrue(Reader("<p><b></p></b>").faults)

    def test_nothing_is_fetched(self):
        self.assertEqual([address for address in self.reader.addresses
                          if not address.startswith("#")], [])
        self.assertNotRegex(self.text, r"https?:|url\(|@import|<script|<link")

    def test_links_lead_somewhere_and_identifiers_are_unique(self):
        self.assertGreater(len(self.reader.places), 30)
        for place in self.reader.places:
            self.assertIn(place.removeprefix("#"), self.reader.ids)
        self.assertEqual(len(self.reader.ids), len(set(self.reader.ids)))

    def test_it_opens_with_the_finding(self):
        heading = re.search(r"<h1>(.*?)</h1>", self.text)[1]
        self.assertEqual(Reader(heading).words, [finding(self.race).replace(" %", "\xa0%")])

    def test_every_row_has_a_cell_for_each_column(self):
        for one in (self.race, race(live=[live_storm(MASQUERADE, not_run="x"),
                                          live_pairs(NOCLASH, not_run="x"),
                                          live_service(NOCLASH, not_run="x"),
                                          live_crowd(NOCLASH, not_run="x")])):
            tables = re.findall(r"<table>.*?</table>", page(one), re.DOTALL)
            self.assertGreaterEqual(len(tables), 8)
            for table in tables:
                columns = len(re.findall(r'<th scope="col">', table))
                for row in re.findall(r"<tr>(.*?)</tr>", table)[1:]:
                    self.assertEqual(len(re.findall(r"<t[hd][ >]", row)), columns, row)

    def test_drawings_are_xml_and_tell_what_they_show(self):
        drawings = re.findall(r"<svg.*?</svg>", self.text, re.DOTALL)
        self.assertEqual(len(drawings), 4 + 3 + 1 + (4 + 1) + 2)
        for drawing in drawings:
            root = xml.etree.ElementTree.fromstring(drawing)
            self.assertTrue(root.find("title").text)
            self.assertGreater(len(root.find("desc").text), 40)
            self.assertTrue(set(root.get("aria-labelledby").split()) <=
                            {child.get("id") for child in root})

    def test_no_drawing_leaves_its_box(self):
        for drawing in re.findall(r"<svg.*?</svg>", self.text, re.DOTALL):
            root = xml.etree.ElementTree.fromstring(drawing)
            width, height = map(float, root.get("viewBox").split()[2:])
            for element in root.iter():
                for name, most in (("x", width), ("cx", width), ("x1", width), ("y", height),
                                   ("cy", height), ("y2", height)):
                    value = float(element.get(name, 0))
                    self.assertTrue(0 <= value <= most, f"{element.tag} {name} {value}")

    def test_the_machine_and_the_commands_are_on_it(self):
        words = " ".join(self.reader.words)
        for what in ("Linux 6.18.1-x", "A <CPU> & more", "racelab --quick", "race_models --json",
                     "storm send --rate 10000", "storm receive --port 80", "table ip <x> {}"):
            self.assertIn(what, words)

    def test_every_outcome_has_its_figures(self):
        words = " ".join(self.reader.words)
        for outcome in [*self.race.live, *self.race.models.outcomes]:
            self.assertIn(f"{outcome.sent:,}", words)
            self.assertIn(outcome.contestant, words)
        self.assertIn("5,000", words)
        self.assertIn("7,500", words)
        self.assertIn("731", words)
        self.assertIn("271", words)
        self.assertIn("4,999", words)

    def test_what_did_not_run_is_on_it(self):
        without = race(live=[live_storm(MASQUERADE, not_run="needs <root>")],
                       models=Models(not_run="no such program"))
        reader = Reader(page(without))
        self.assertEqual((reader.faults, reader.open), ([], []))
        words = " ".join(reader.words)
        self.assertIn("needs <root>", words)
        self.assertIn("models in process: no such program", words)

    def test_a_fault_of_noclash_stands_at_the_top(self):
        self.race.find(LIVE, NOCLASH).lost = 7
        reader = Reader(page(self.race))
        self.assertEqual(reader.faults, [])
        self.assertTrue("TCP storm in step, live, noclash: 7 lost" in reader.words)
        self.assertTrue("noclash fails 7 of " in " ".join(reader.words))


class Scales(unittest.TestCase):
    """Where things stand in a drawing."""

    def test_none_stands_apart_and_shares_ascend(self):
        scale = ShareScale(10, 50, 350)
        shares = (0, 1e-7, 1e-4, 0.01, 0.5, 1)
        places = [scale(share) for share in shares]
        self.assertEqual(places, sorted(places))
        self.assertEqual((places[0], places[1], places[-1]), (10, 50, 350))
        self.assertAlmostEqual(scale(0.1) - scale(0.01), scale(0.01) - scale(0.001))

    def test_values_with_and_without_zero(self):
        scale = ValueScale([0, 100, 1000, 10000], 0, 230)
        self.assertEqual([round(scale(value)) for value in (0, 100, 1000, 10000)],
                         [0, 30, 130, 230])
        self.assertEqual(ValueScale([5], 0, 100)(5), 50)

    def test_labels_do_not_cover_one_another(self):
        for places in ([5, 5, 5, 5], [100, 99, 98], [0, 50, 200], [199, 200, 1]):
            moved = apart(places, 14, 12, 208)
            for one, other in zip(sorted(moved), sorted(moved)[1:]):
                self.assertGreaterEqual(other - one, 13.99)
            self.assertTrue(all(12 <= place <= 208 for place in moved))
        self.assertEqual(apart([20, 60, 100], 14, 12, 208), [20, 60, 100])


class Words(unittest.TestCase):
    """Values of axes."""

    def test_units(self):
        self.assertEqual([time_words(ns) for ns in (0, 100, 1000, 2500, 100000)],
                         ["0", "100 ns", "1 µs", "2.5 µs", "100 µs"])
        self.assertEqual([count_words(count) for count in (500, 10000, 2500000)],
                         ["500", "10 k", "2.5 M"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
