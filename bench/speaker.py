"""What a `berth speaker` receives for each address that is allocated, with ever more of them in use.

The speaker is alone on its host, and the counters of its interface are read when they stand still. At each level 64 Services get
addresses, a whole block of them: all at once, and one after another. The controller runs elsewhere; nothing is announced.
"""

import time

from growth import fill, one_of_berth
from system import wait_until
from talk import Talk
from testbed import ASIDE, spread

POOL = "198.18.0.0/15"
LEVELS, BATCH = (100, 1000, 10_000), 64
IDLE_SECONDS = 5


def measure(bed, levels=LEVELS):
    bed.make_pool(POOL)
    controller = bed.start_berth("control", "controller")
    speaker = bed.start_berth(ASIDE, "speaker")
    rows, have = [], 0
    try:
        controller.wait_leading()
        speaker.wait_for(lambda m: all(value == 1 for name, value in m.items() if "_watch_synced" in name), "the speaker's lists")
        for level in levels:
            before = settled(bed)
            fill(bed, controller, f"fill-{level}-", level - have, have)
            row = {"used": level, "filling": (settled(bed) - before) / (level - have), "filled": level - have}
            have = level
            before = settled(bed)
            fill(bed, controller, f"batch-{level}-", BATCH, have)
            row["at_once"] = (settled(bed) - before) / BATCH
            before = settled(bed)
            with Talk(bed) as talk:
                for number in range(BATCH):
                    one_of_berth(talk, f"one-{level}-{number}")
            row["one_by_one"] = (settled(bed) - before) / BATCH
            have += 2 * BATCH
            before = bed.traffic()["received"]
            time.sleep(IDLE_SECONDS)
            row["idle_per_second"] = (bed.traffic()["received"] - before) / IDLE_SECONDS
            rows.append(row)
            bed.say(f"{level} used: {row['at_once']:.0f} bytes an address at once, {row['one_by_one']:.0f} one by one")
        result = {"batch": BATCH, "levels": rows, "flat": {key: spread([row[key] for row in rows]) for key in ("at_once", "one_by_one")}}
    finally:
        speaker.stop()
        controller.stop()
    return result


def settled(bed):
    """Bytes received, when nothing more comes."""
    known = [bed.traffic()["received"]]

    def still():
        time.sleep(1)
        known.append(bed.traffic()["received"])
        return known[-1] - known[-2] < 1000
    wait_until(still, 120, "silence on the speaker's wire")
    return known[-1]
