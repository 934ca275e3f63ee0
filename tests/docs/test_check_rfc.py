#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_rfc.py finds each fault that it is there for, in small trees made for it."""

import contextlib
import io
import pathlib
import tempfile
import unittest

import check_rfc

CLAUSES = """
[sources]
"RFC 1" = "hosts"
"field" = "failures"
[[clause]]
id = "RFC 1 REQ-1"
says = "does one thing"
state = "met"
[[clause]]
id = "field a"
says = "does another"
state = "not met"
lacks = "all of it"
"""
CODE = "// Does it [RFC 1 REQ-1].\n"
CPP = "// [RFC 1 REQ-1]\nTEST(Hosts, DoOneThing) {\n    EXPECT_TRUE(true);\n}\n"
PYTHON = '''class Hosts(Case):
    def test_one_thing(self):
        """[RFC 1 REQ-1]"""
        self.assertTrue(True)
'''
BUILD = "executable('t', 'a_test.cpp')\n"


class Tree(unittest.TestCase):
    """Each test gets a tree with one clause that is met, and breaks one thing in it."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.write("tests/rfc/clauses.toml", CLAUSES)
        self.write("nat/a.cpp", CODE)
        self.write("tests/unit/a_test.cpp", CPP)
        self.write("tests/unit/meson.build", BUILD)
        self.write("docs/rfc.md", "")
        self.assertEqual(self.check("--write")[0], 0)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def check(self, *argv):
        """Returns the exit status and what it complains of."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = check_rfc.main(list(argv), self.root)
        return status, said.getvalue()

    def assert_fault(self, *words):
        for argv in ([], ["--write"]):
            status, said = self.check(*argv)
            self.assertEqual(status, 1, said)
            for word in words:
                self.assertIn(word, said)


class Faults(Tree):
    """Faults of the clauses, and disagreements between them and the annotations."""

    def test_all_is_well(self):
        self.assertEqual(self.check(), (0, ""))
        page = (self.root / "docs/rfc.md").read_text(encoding="utf-8")
        self.assertIn("| REQ-1 | does one thing | **met** | [nat/a.cpp](../nat/a.cpp) | "
                      "[tests/unit/a_test.cpp](../tests/unit/a_test.cpp): `Hosts.DoOneThing` |",
                      page)
        self.assertIn("| a | does another | **not met**: all of it |", page)

    def test_a_stale_page(self):
        self.write("tests/unit/a_test.cpp", CPP.replace("DoOneThing", "DoIt"))
        status, said = self.check()
        self.assertEqual(status, 1)
        self.assertIn("docs/rfc.md is out of date", said)
        self.assertEqual(self.check("--write")[0], 0)
        self.assertEqual(self.check()[0], 0)

    def test_a_missing_page(self):
        (self.root / "docs/rfc.md").unlink()
        self.assertEqual(self.check()[0], 1)

    def test_met_without_code(self):
        self.write("nat/a.cpp", "")
        self.assert_fault("RFC 1 REQ-1 is met, but no code names it")

    def test_met_without_a_test(self):
        self.write("tests/unit/a_test.cpp", CPP.replace("// [RFC 1 REQ-1]", "//"))
        self.assert_fault("RFC 1 REQ-1 is met, but no test names it")

    def test_not_met_but_annotated(self):
        self.write("nat/a.cpp", CODE + "// [field a]\n")
        self.assert_fault("nat/a.cpp:2: [field a]", "says not met")

    def test_an_unknown_clause(self):
        self.write("nat/a.cpp", CODE + "\n// [RFC 1 REQ-9]\n")
        self.assert_fault("nat/a.cpp:3: [RFC 1 REQ-9] is no clause")

    def test_an_annotation_outside_of_a_test(self):
        self.write("tests/unit/a_test.cpp", CPP + "// [RFC 1 REQ-1]\n\nint helper();\n")
        self.assert_fault("tests/unit/a_test.cpp:5: [RFC 1 REQ-1] stands in no test")

    def test_a_disabled_test(self):
        self.write("tests/unit/a_test.cpp", CPP.replace("DoOne", "DISABLED_DoOne"))
        self.assert_fault("Hosts.DISABLED_DoOneThing is disabled")

    def test_a_test_that_nobody_builds(self):
        self.write("tests/unit/meson.build", "")
        self.assert_fault("tests/unit/a_test.cpp: annotated, but no meson.build names it")

    def test_state_and_what_is_lacking(self):
        for before, after in (('state = "met"', 'state = "nearly"'), ('lacks = "all of it"', ""),
                              ('state = "met"', 'state = "met"\nlacks = "a bit"'),
                              ('says = "does one thing"', ""), ("field a", "RFC 1 REQ-1"),
                              ('"field" = "failures"', "")):
            with self.subTest(after=after):
                self.write("tests/rfc/clauses.toml", CLAUSES.replace(before, after))
                self.assert_fault("tests/rfc/clauses.toml: ")


class Tests(Tree):
    """In which test an annotation stands."""

    def shown_by(self, path, text):
        self.write("tests/unit/a_test.cpp", "")
        self.write(path, text)
        status, said = self.check("--write")
        self.assertEqual(status, 0, said)
        return (self.root / "docs/rfc.md").read_text(encoding="utf-8")

    def test_in_a_body(self):
        body = CPP.replace("// [RFC 1 REQ-1]\n", "").replace("(true);", "(true);  // [RFC 1 REQ-1]")
        self.write("tests/unit/meson.build", BUILD)
        self.write("tests/unit/a_test.cpp", "TEST(Other, Test) {\n}\n\n" + body)
        self.assertEqual(self.check()[0], 0)

    def test_of_the_gateway(self):
        self.assertIn("`Hosts.test_one_thing`", self.shown_by("tests/gateway/test_a.py", PYTHON))

    def test_above_a_method(self):
        text = PYTHON.replace('        """[RFC 1 REQ-1]"""\n', "").replace(
            "    def test", "    # [RFC 1 REQ-1]\n    def test")
        self.assertIn("`Hosts.test_one_thing`", self.shown_by("tests/gateway/test_a.py", text))

    def test_of_a_class(self):
        text = PYTHON.replace('        """[RFC 1 REQ-1]"""\n', "").replace(
            "Case):\n", 'Case):\n    """[RFC 1 REQ-1]"""\n')
        self.assertIn("`Hosts`", self.shown_by("tests/gateway/test_a.py", text))

    def test_of_a_golden_packet(self):
        self.assertIn("`ping`", self.shown_by("tests/packets/icmp.txt",
                                              "about: ping [RFC 1 REQ-1]\ndo: parse\n"))

    def test_that_is_skipped(self):
        self.write("tests/gateway/test_a.py",
                   PYTHON.replace("    def test", "    @unittest.skip('later')\n    def test"))
        self.assert_fault("Hosts.test_one_thing is skipped")

    def test_that_nobody_runs(self):
        self.write("tests/gateway/helper.py", PYTHON)
        self.assert_fault("tests/gateway/helper.py: annotated")


if __name__ == "__main__":
    unittest.main()
