#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks of tools/demo before it begins."""

import contextlib
import io
import os
import sys
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from lab import demo  # noqa: E402  (the path above comes first)


class WithoutRoot(unittest.TestCase):
    """Nothing is installed or built for somebody who cannot run what comes of it."""

    def test_it_is_said_at_once(self):
        said = io.StringIO()
        with mock.patch("os.geteuid", return_value=1000), \
                mock.patch("lab.demo.run") as install, \
                mock.patch("lab.builds.Build.configure") as configure, \
                mock.patch("lab.builds.Build.compile") as compile_, \
                contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = demo.main([])
        self.assertEqual(status, demo.ENVIRONMENT)
        self.assertIn("need root", said.getvalue())
        for step in (install, configure, compile_):
            step.assert_not_called()


if __name__ == "__main__":
    unittest.main()
