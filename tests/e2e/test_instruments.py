"""The instruments see what they are there to see; without this, "nothing was lost" says nothing."""

from harness import E2eTest


class Instruments(E2eTest):
    def test_loss_is_seen(self):
        """A route that goes and comes back is a deletion to the recorder and loss to the prober."""
        lab = self.lab
        address = lab.service("seen")
        with lab.record() as recorder, lab.prober(address) as prober:
            self.assertEqual(recorder.events(address), [])
            lab.cluster.stop("router")   # its daemon cleans up behind itself
            lab.wait_for_hops(address, ())
            lab.cluster.start("router")
            lab.wait_for_hops(address, lab.all_next_hops(), 60)
            self.assertGreaterEqual(len(recorder.deletions(address)), 1)
        self.figure(prober.summary())
        self.assertGreater(len(prober.result["lost"]), 0)
        self.assertGreater(prober.result["longest_gap"], 0.05)
