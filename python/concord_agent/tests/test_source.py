"""The agent's modules, unbuilt, against the one file that they become."""

import json
import subprocess
import sys
import unittest

from runs import SOURCE, agent, program


class Source(unittest.TestCase):
    def test_the_modules_run_unbuilt_and_say_the_same(self):
        command = [sys.executable, "-B", "-m", "concord_agent", "describe"]
        output = subprocess.run(command, cwd=str(SOURCE.parent), stdout=subprocess.PIPE, check=True).stdout
        found, expected = json.loads(output), json.loads(program("describe").stdout)
        for description in (found, expected):
            del description["switches"]["seed"]  # Each process draws one until it is set.
        self.assertEqual(found, expected)

    def test_every_module_computes_on_what_came_before(self):
        modules = agent.modules(3)
        self.assertEqual(len(modules), 4 + 3 * 15 + 5)
        for place, module in enumerate(modules):
            before = [other.path for other in modules[:place] if other.operation]
            self.assertLessEqual(set(module.reads), set(before), module.path)

    def test_tokens_see_each_other_in_attention_and_what_contains_it(self):
        layer = "bert.encoder.layer.0"
        found = [path for path in agent.module_paths(1) if agent.attends(path, 1)]
        self.assertEqual(found, [layer + ".attention.self", layer + ".attention", layer, "bert.encoder"])


if __name__ == "__main__":
    unittest.main()
