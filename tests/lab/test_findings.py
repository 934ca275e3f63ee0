#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows, what is wrong, and the finding, out of outcomes."""

import unittest

from races import SENT, live_pairs, live_service, live_storm, models_json, race

from lab.process import LabError
from lab.racelab_findings import accounted, finding, percent, rows, wrong
from lab.racelab_models import read_models, sweep
from lab.racelab_results import (EXHAUSTION, KEEP, LIVE, MASQUERADE, MODEL, NOCLASH, TRANSLATE,
                                 Models)


def rows_by_name(one_race):
    return {row.name: row for row in rows(one_race)}


class ModelsAsAgreed(unittest.TestCase):
    """race_models --json is read."""

    def test_the_common_place_is_what_most_storms_share(self):
        models = read_models(models_json())
        storms = [outcome for outcome in models.outcomes if outcome.scenario == "storm"]
        self.assertEqual(len(storms), 16)  # four contestants, two protocols, two schedules
        self.assertEqual({(one.threads, one.distance_ns, one.rate_cps) for one in storms},
                         {(2, 2000, 10000)})

    def test_a_place_that_the_program_names_wins(self):
        text = models_json()[:-1] + \
            ', "default": {"threads": 4, "distance_ns": 2000, "rate_cps": 10000}}'
        threads = {one.threads for one in read_models(text).outcomes if one.scenario == "storm"}
        self.assertEqual(threads, {4})

    def test_a_sweep_is_in_order_and_holds_the_rest(self):
        models = read_models(models_json())
        found = sweep(models, MASQUERADE, "distance_ns")
        self.assertEqual([one.distance_ns for one in found], [0, 100, 2000, 10000])
        self.assertEqual([one.lost for one in found], [0, 100, 12000, 10000])
        self.assertEqual([one.threads for one in sweep(models, MASQUERADE, "threads")],
                         [2, 4, 8, 16])

    def test_what_was_not_agreed_is_told(self):
        for text in ("", "{}", '{"storm": [{}], "dns": [], "exhaustion": []}'):
            with self.assertRaisesRegex(LabError, "not what was agreed"):
                read_models(text)


class Rows(unittest.TestCase):
    """One for each scenario and contestant."""

    def test_all_is_well(self):
        found = rows(race())
        self.assertEqual([row.name for row in found if not row.ok], [])
        self.assertEqual(len(found), 32 + 2 + 2 * 5 + 8 + 2 * 3 + 4 + 2 * 4)
        self.assertEqual(wrong(race()), [])

    def test_the_kernel_must_lose_for_the_storm_to_be_one(self):
        calm = race()
        calm.find(LIVE, MASQUERADE, protocol="udp").lost = 0
        row = rows_by_name(calm)[f"UDP storm in step, live: {MASQUERADE}, lost"]
        self.assertFalse(row.ok)
        ratio = rows_by_name(calm)[f"UDP storm in step, {MASQUERADE}: model and live kernel apart"]
        self.assertFalse(ratio.measured)

    def test_shares_are_compared_and_not_counts(self):
        name = f"TCP storm in step, {MASQUERADE}: model and live kernel apart"
        self.assertAlmostEqual(rows_by_name(race())[name].value, (12000 / 40000) / (5000 / 20000))
        for lost in (21000, 4000):  # too much, too little
            apart = race(models=read_models(models_json(lost)))
            self.assertGreater(rows_by_name(apart)[name].value, 2)
            self.assertFalse(rows_by_name(apart)[name].ok)

    def test_what_did_not_run_is_listed_as_not_measured(self):
        without = race(models=Models(not_run="no such program"))
        found = rows(without)
        self.assertEqual(sum(not row.measured for row in found), 16 + 2)
        self.assertEqual(without.not_run(), [("models in process", "no such program")])
        self.assertEqual(wrong(without), [])

    def test_a_live_contestant_that_did_not_run(self):
        lone = race(live=[live_storm(NOCLASH, not_run="no root")])
        self.assertFalse(rows_by_name(lone)["TCP storm in step, live: noclash, lost or duplicated"]
                         .measured)
        self.assertEqual(lone.not_run(), [("TCP storm in step, live: noclash", "no root")])

    def test_what_did_not_run_for_one_reason_is_told_once(self):
        none = race(live=[live_storm(NOCLASH, protocol, not_run="no root")
                          for protocol in ("tcp", "udp")])
        self.assertEqual(none.not_run(), [("all 2 live runs", "no root")])


class Wrong(unittest.TestCase):
    """A connection that noclash does not deliver exactly once is a wrong answer."""

    def test_each_fault_of_noclash(self):
        for fault in ("lost", "duplicated", "tuple_collisions", "bad_checksums", "split_pairs"):
            for origin in (LIVE, MODEL):
                one = race()
                setattr(one.find(origin, NOCLASH), fault, 1)
                self.assertEqual(len(wrong(one)), 1, f"{fault}, {origin}")

    def test_the_source_that_a_backend_sees(self):
        """The client's where it is kept, another where it is translated."""
        for source, changed, count in ((KEEP, 3, 3), (TRANSLATE, SENT - 4, 4)):
            outcome = live_service(NOCLASH, source=source, changed_sources=changed)
            words, = wrong(race(live=[outcome]))
            self.assertIn(f"{count} from a wrong source", words)
            self.assertEqual(wrong(race(live=[live_service(NOCLASH, source=source)])), [])

    def test_a_fault_in_a_sweep(self):
        one = race()
        sweep(one.models, NOCLASH, "threads")[-1].lost = 2
        self.assertIn("2 lost", wrong(one)[0])

    def test_a_connection_refused_while_a_port_is_free(self):
        one = race()
        next(point for point in one.models.exhaustion if point.contestant == NOCLASH and
             point.occupancy_percent == 99.9).succeeded = 999
        self.assertIn("99.9 %", wrong(one)[0])

    def test_a_port_that_the_live_daemon_did_not_find(self):
        one = race()
        next(outcome for outcome in one.outcomes(EXHAUSTION)
             if outcome.contestant == NOCLASH).lost = 1
        self.assertIn("one destination, all but a few ports, live, noclash: 1 lost", wrong(one))

    def test_what_the_kernel_lost_is_accounted_for(self):
        one = race()
        self.assertIn("All 10,542 connections", accounted(one))
        one.find(LIVE, MASQUERADE).insert_failed -= 4
        self.assertIn("differ by 4", accounted(one))
        self.assertEqual(accounted(race(live=[])), "")

    def test_an_instrument_that_failed(self):
        one = race()
        one.live[0].failure = "the capture lost frames"
        self.assertIn("the capture lost frames", wrong(one)[0])

    def test_a_model_that_found_itself_wrong(self):
        self.assertEqual(wrong(race(models=Models(wrong="race_models: 3 left over"))),
                         ["race_models: 3 left over"])

    def test_split_pairs_of_the_kernel_are_no_fault_of_ours(self):
        self.assertEqual(wrong(race(live=[live_pairs("netfilter", split=7500)])), [])


class Finding(unittest.TestCase):
    """One sentence, out of the figures."""

    def test_it_names_the_kernel_and_its_loss(self):
        words = finding(race())
        self.assertIn("Linux 6.18.1's masquerade loses 25 % of TCP and 25 % of UDP connections",
                      words)
        self.assertIn("noclash loses none of 464,500 connections and queries, and duplicates none, "
                      "in 11 live runs and 5 simulated runs", words)
        self.assertEqual(words.count("."), 3)  # of the kernel's name, and the sentence's

    def test_it_says_so_when_noclash_loses(self):
        one = race()
        one.find(LIVE, NOCLASH, protocol="udp").lost = 3
        self.assertIn("noclash fails 3 of ", finding(one))
        self.assertIn("worst: UDP storm in step, live: 3 lost", finding(one))
        self.assertNotIn("loses none of", finding(one))

    def test_it_says_so_when_the_kernel_loses_nothing(self):
        one = race()
        for protocol in ("tcp", "udp"):
            one.find(LIVE, MASQUERADE, protocol=protocol).lost = 0
        self.assertIn("masquerade loses none of TCP and none of UDP", finding(one))

    def test_it_falls_back_on_the_model(self):
        self.assertIn("a model of netfilter's masquerade loses 30 %", finding(race(live=[])))

    def test_nothing_ran(self):
        self.assertEqual(finding(race(live=[], models=Models())), "Neither this kernel's NAT nor a "
                         "model of it was run; noclash was not run.")


class Percent(unittest.TestCase):
    """A small share is not rounded to nothing."""

    def test_words(self):
        for share, words in ((0, "none"), (1, "100 %"), (0.2612, "26.1 %"), (0.0149, "1.49 %"),
                             (1 / 20000, "0.005 %"), (1 / 64000, "0.0016 %")):
            self.assertEqual(percent(share), words)


if __name__ == "__main__":
    unittest.main(verbosity=2)
