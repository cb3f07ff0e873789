"""What the dispatcher reads: nobody's lines are left out for others'."""
import unittest

from e2e.harness import Sluice, Upstream, line, lines


class Reading(unittest.TestCase):
    def test_lines_of_a_model_far_into_a_file_are_found(self):
        """More chunks of another model lie before them than one look reads."""
        up = Upstream()
        s = Sluice()
        s.path(up)
        data = lines(4500) + "".join(
            line(f"b-{i}", model="m2") + "\n" for i in range(5))
        found = [s.submit(data) for _ in range(8)]
        # Eight lanes that wait take nothing from a ninth.
        for b in [s.submit(lines(3, model="m3")), *found]:
            self.assertEqual(s.wait(b, 60)["request_counts"]["failed"], 0)
        s.stop()
        up.stop()


if __name__ == "__main__":
    unittest.main()
