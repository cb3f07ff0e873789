"""What the dispatcher reads: nobody's lines are left out for others'."""
import unittest

from e2e.harness import Sluice, Upstream, line, lines, until


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

    def test_retries_of_a_dead_path_do_not_hold_up_others(self):
        up = Upstream()
        s = Sluice()
        s.apply({"paths": [
            {"name": "dead", "url": "http://127.0.0.1:1", "models": ["d*"],
             "limits": [{"dimension": "concurrent", "amount": 100}]},
            {"name": "sim", "url": up.url, "models": ["m*"]}]})
        # In one batch, so that all go before the path is found dead.
        s.submit("".join(line(f"d{i}-{k}", model=f"d{i}") + "\n"
                         for i in range(8) for k in range(3)))
        until(lambda: s.sql("select count(distinct lane_id) from sluice.retry "
                            "where not_before < now()") == "8")
        up.control(fault=["500=0.3"])
        b = s.submit(lines(30, model="m1"))
        until(lambda: s.sql("select count(*) from sluice.retry r join "
                            "sluice.batch_lane l on l.id = r.lane_id "
                            "where l.model = 'm1'") != "0")
        up.control(fault=[])
        self.assertEqual(s.wait(b, 20)["request_counts"]["completed"], 30)
        s.stop()
        up.stop()

    def test_a_batch_that_cannot_be_ended_fails_alone(self):
        up = Upstream()
        s = Sluice()
        s.path(up, models=["m*"])
        s.apply({"paths": [{"name": "dead", "url": "http://127.0.0.1:1",
                            "models": ["d*"]}]})
        b = s.submit(lines(3, model="d1"))
        until(lambda: s.show(b)["status"] == "in_progress")
        s.sql("delete from sluice.place p using sluice.batch b "
              "where b.input_id = p.file_id; "
              "update sluice.batch set deadline = now()")
        failed = s.wait(b, 20)
        self.assertEqual((failed["status"], failed["errors"]["data"][0]["code"]),
                         ("failed", "input_lost"))
        self.assertIn(f'{b} failed: The rest of the input file',
                      s.schedulers[0].text())
        self.assertNotIn("dispatch.restart", s.schedulers[0].text())
        self.assertEqual(s.wait(s.submit(lines(3)), 20)["status"], "completed")
        s.stop()
        up.stop()


class Limits(unittest.TestCase):
    def test_a_path_that_comes_back_knows_what_it_granted(self):
        up = Upstream("--latency", "20000")
        s = Sluice(worker_options=["--drain", "1s"])
        limits = [("tokens", 60, 1000)]
        s.path(up, limits=limits)
        s.submit(lines(1, max_tokens=900))
        until(lambda: len(up.sends()) == 1)
        s.apply({"remove_paths": ["sim"]})
        # The ledger alone, not the grid, must hold it.
        s.sql("update sluice.rate_limit_state set next_at = null")
        s.path(up, limits=limits)
        s.submit(lines(1, max_tokens=900))
        until(lambda: s.sql("select now -> 'binds' ->> 'limit' from "
                            "sluice.path_state") == "tokens/1m")
        self.assertEqual(len(up.sends()), 1)
        s.stop()
        up.stop()


if __name__ == "__main__":
    unittest.main()
