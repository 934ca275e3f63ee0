#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which sources clang-tidy is given together."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from lab.tidy import MOST_TOGETHER, group, names_of  # noqa: E402  (the path above comes first)

SOURCE = """\
#include <string>

namespace noclash {
namespace {

constexpr int most = 3, least = 1;
std::array<int, 3> table{};

class Reader {
  public:
    int read();
};

template <class Peer>
int helper(Peer& peer) {
    return most;
}

}  // namespace

int Reader::read() {
    return helper(*this);
}

TEST(Suite, Name) {
}

}  // namespace noclash
"""


class Names(unittest.TestCase):
    """The names that a file declares outside of classes and functions."""

    def test_constants_variables_classes_and_functions(self):
        self.assertEqual(names_of(SOURCE), {"most", "table", "Reader", "helper", "Reader::read"})


class Groups(unittest.TestCase):
    """Every file in one group, none beside another with the same name in it."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def file(self, name, text):
        (self.directory / name).write_text(text, encoding="utf-8")
        return str(self.directory / name)

    def test_clashing_names_are_kept_apart(self):
        one = self.file("one.cpp", "int helper() {\n}\n")
        two = self.file("two.cpp", "int other() {\n}\n")
        three = self.file("three.cpp", "void helper(int number) {\n}\n")
        self.assertEqual(group([one, two, three]), [[one, two], [three]])

    def test_no_group_is_too_large(self):
        files = [self.file(f"{number}.cpp", f"int f{number}() {{\n}}\n")
                 for number in range(3 * MOST_TOGETHER)]
        groups = group(files)
        self.assertEqual([len(members) for members in groups], [MOST_TOGETHER] * 3)
        self.assertEqual(sorted(sum(groups, [])), sorted(files))


if __name__ == "__main__":
    unittest.main()
