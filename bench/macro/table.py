"""The results as text: what was reached, then each row with all its tools."""

import statistics

from targets import percentile

MIB = 1 << 20
BEGIN, END = "<!-- compare: begin -->", "<!-- compare: end -->"
YES = {True: "yes", False: "no", None: "-"}


def header(about):
    """The machine and the versions, one fact a line."""
    names = (("date", "date"), ("hawser", "hawser"), ("commit", "commit"), ("kernel", "kernel"), ("cpu", "CPU"),
             ("cores", "cores for both sides"), ("congestion", "congestion control of all tools"),
             ("isolation", "isolation"), ("options", "options of hawser"), ("runs", "rounds"), ("rsync", "rsync"),
             ("wdt", "wdt"), ("tar", "tar"), ("cp", "cp"), ("fio", "fio"), ("command", "command"))
    return "\n".join("- %s: %s" % (text, about[name]) for name, text in names if about.get(name) not in (None, ""))


def reached(rows):
    lines = ["| row | target | measured | reached |", "|---|---|---|---|"]
    for name, row in rows.items():
        for target in row.get("targets", []):
            value = "%.3g" % target["value"] if target["value"] is not None else target["why"]
            lines.append("| %s | %s | %s | %s |" % (name, target["target"], value, YES[target["reached"]]))
    return "\n".join(lines)


def spread(samples, key):
    numbers = [s[key] for s in samples]
    return statistics.median(numbers), min(numbers), max(numbers)


def seconds(value):
    return "%.2f ms" % (value * 1e3) if value < 0.1 else "%.3f" % value


def tool_line(name, row, tool):
    samples = tool["samples"]
    wall, low, high = spread(samples, "wall_s")
    client, server = spread(samples, "cpu_client_s")[0], spread(samples, "cpu_server_s")[0]
    cpu = statistics.median(s["cpu_client_s"] + s["cpu_server_s"] for s in samples)
    files, size = row["files"], row["bytes"]
    if files > 1:
        rate, cost = "%.0f files/s" % (files / wall), "%.1f us/file" % (cpu * 1e6 / files)
    elif size >= 16 * MIB:
        rate, cost = "%.2f GB/s" % (size / wall / 1e9), "%.3f s/GB" % (cpu * 1e9 / size)
    else:
        rate, cost = "p99 " + seconds(percentile([s["wall_s"] for s in samples], 99)), "%.2f ms" % (cpu * 1e3)
    memory = "/".join("%.0f" % (spread(samples, key)[2] / MIB) for key in ("memory_client", "memory_server"))
    label = name if tool["variant"] in name else name + " " + tool["variant"]
    return "| %s | %s (%s-%s) | %s | %.2f + %.2f | %s | %s |" % (
        label, seconds(wall), seconds(low), seconds(high), rate, client, server, cost,
        memory if memory != "0/0" else "-")


def row_text(name, row):
    lines = ["### %s: %s (%s, %s)" % (name, row["title"], row["medium"], amount(row)), "",
             "| tool | wall s: median (min-max) | rate | CPU s client + server | CPU | peak MiB client/server |",
             "|---|---|---|---|---|---|"]
    lines += [tool_line(tool, row, values) for tool, values in row["tools"].items()]
    for note in row["notes"]:
        lines += ["", note.replace("\n", " ")]
    return "\n".join(lines)


def amount(row):
    size = "%.2f GB" % (row["bytes"] / 1e9) if row["bytes"] >= 1e8 else "%.2f MB" % (row["bytes"] / 1e6) \
        if row["bytes"] >= 1e5 else "%d bytes" % row["bytes"]
    return size if row["files"] == 1 else "%d files, %d entries, %s" % (row["files"], row["entries"], size)


def markdown(report):
    rows = report["rows"]
    return "\n\n".join([header(report["about"]), reached(rows), *(row_text(*item) for item in rows.items())]) + "\n"


def write_markdown(path, report):
    """Between the marks of a file that has them; else the whole file."""
    text = markdown(report)
    try:
        with open(path, encoding="utf-8") as file:
            old = file.read()
    except FileNotFoundError:
        old = ""
    if BEGIN in old and END in old:
        text = old[:old.index(BEGIN)] + BEGIN + "\n\n" + text + "\n" + old[old.index(END):]
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
