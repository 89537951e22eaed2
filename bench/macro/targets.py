"""What a row is held to: the text of each target, what was measured, and whether that reaches it."""

import statistics


class Missing(Exception):
    """A tool that the target is about did not run."""


class Target:
    def __init__(self, text, bound, value, most=False):
        self.text, self.bound, self.value, self.most = text, bound, value, most

    def judge(self, row):
        try:
            value = self.value(row)
        except Missing as reason:
            return {"target": self.text, "value": None, "bound": self.bound, "reached": None, "why": str(reason)}
        reached = value <= self.bound if self.most else value >= self.bound
        return {"target": self.text, "value": value, "bound": self.bound, "reached": reached}


def samples(row, tool):
    if tool not in row["tools"]:
        raise Missing("no " + tool)
    return row["tools"][tool]["samples"]


def walls(row, tool):
    return [sample["wall_s"] for sample in samples(row, tool)]


def cpu(row, tool):
    return statistics.median(s["cpu_client_s"] + s["cpu_server_s"] for s in samples(row, tool))


def paired(ours, theirs):
    """The median of the ratios of the rounds: what drifts slower than a round cancels out."""
    return statistics.median(t / o for o, t in zip(ours, theirs))


def percentile(numbers, share):
    """The nearest rank: p99 of 100 is the 99th."""
    ordered = sorted(numbers)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def speed(peer, bound, of="hawser"):
    """Throughput as a multiple of the peer's."""
    text = "at least %g of %s" % (bound, peer)
    return Target(text if of == "hawser" else "%s: %s" % (of, text), bound,
                  lambda row: paired(walls(row, of), walls(row, peer)))


def speed_of_slower(peers, bound):
    def value(row):
        return paired(walls(row, "hawser"), [max(pair) for pair in zip(*(walls(row, peer) for peer in peers))])
    return Target("at least %g of the slower of %s" % (bound, " and ".join(peers)), bound, value)


def time(peer, bound):
    """Wall time as a share of the peer's."""
    return Target("at most %g of the time of %s" % (bound, peer), bound,
                  lambda row: paired(walls(row, peer), walls(row, "hawser")), most=True)


def latency(peer, share, bound):
    def value(row):
        return percentile(walls(row, "hawser"), share) / percentile(walls(row, peer), share)
    return Target("p%d at most %g of %s" % (share, bound, peer), bound, value, most=True)


def cpu_share(peer, bound):
    return Target("CPU at most %g of %s" % (bound, peer), bound,
                  lambda row: cpu(row, "hawser") / cpu(row, peer), most=True)


def cpu_per_file(bound_us):
    return Target("CPU at most %g us a file" % bound_us, bound_us,
                  lambda row: cpu(row, "hawser") * 1e6 / row["files"], most=True)


def memory(bound_mib):
    def value(row):
        return max(max(s["memory_client"], s["memory_server"]) for s in samples(row, "hawser")) / (1 << 20)
    return Target("at most %g MiB a side, buffers included" % bound_mib, bound_mib, value, most=True)
