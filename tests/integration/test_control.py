#!/usr/bin/env python3
"""A transfer that its user interrupts, pauses, lets go on: by signals, and by the commands for it."""

import json
import os
import signal
import socket
import subprocess
import time

import hawser_test
import tree
from way import MIB, RATE, UNIT, Way as Transfer, moved

TOGETHER = 2
SMALL = 200
STREAMS = 2
SLOW = 8 * MIB  # a second: long enough for commands that take seconds


class Way(Transfer):
    """Large and small files, of so many streams that what is cut is counted easily."""

    def __init__(self, t, way, **kw):
        super().__init__(t, way, "--streams=%d" % STREAMS, small=SMALL, **kw)


def interrupted(t, way, how):
    """What was on its way arrives, is kept, and is not sent again."""
    run = Way(t, way)
    p = run.begin(60 * MIB)
    p.kill(how)
    begun = time.monotonic()
    r = p.wait(30)
    took = time.monotonic() - begun
    t.check(r.rc == 130, "exit 130 expected:", r)
    t.check(took < 9, "it did not end in good order: %.1f s" % took, r)
    t.check([row["state"] for row in p.rows("state")] == ["stopping"], r)
    t.says(r, "stopping", "run the same command again")
    first = r.summary()
    t.check(first["kept_files"] > 0 and first["kept_bytes"] > 0, first)
    # Of each stream the end of a unit is missing, which has to be sent again.
    sent = first["wire_sent" if way == "push" else "wire_received"]
    arrived = first["bytes"] + first["kept_bytes"]
    t.check(arrived > 50 * MIB and sent - arrived < STREAMS * UNIT + MIB,
            "sent %d, of use %d:" % (sent, arrived), first)
    t.check(first["files_durable"] in (first["files"], 0), "nothing waits to be synced:", first)
    second = run.finish()
    t.check(second["resumed_bytes"] == first["kept_bytes"], first, second)
    again = second["wire_sent" if way == "push" else "wire_received"] + sent - run.bytes
    t.check(again < STREAMS * UNIT + 2 * MIB, "sent twice: %d" % again, first, second)


def test_interrupted_push(t):
    interrupted(t, "push", signal.SIGINT)


def test_interrupted_pull(t):
    interrupted(t, "pull", signal.SIGINT)


def test_terminated_push(t):
    interrupted(t, "push", signal.SIGTERM)


def test_interrupted_twice(t):
    """The second time it does not wait for anything: not for a server that is stopped."""
    run = Way(t, "push")
    p = run.begin(20 * MIB)
    run.server.kill(signal.SIGSTOP)
    p.kill(signal.SIGINT)
    time.sleep(1)
    t.check(p.poll() is None, "it waits for its server:", p.result())
    begun = time.monotonic()
    p.kill(signal.SIGINT)
    r = p.wait(10)
    t.check(r.rc == 130 and time.monotonic() - begun < 2, r)
    run.server.kill(signal.SIGCONT)
    run.finish()


def test_interrupted_without_an_answer(t):
    """A server that does not answer is not waited for longer than --timeout."""
    run = Way(t, "push")
    p = run.begin(20 * MIB, "--timeout=2")
    run.server.kill(signal.SIGSTOP)
    p.kill(signal.SIGINT)
    begun = time.monotonic()
    r = p.wait(10)
    t.check(r.rc == 130 and time.monotonic() - begun < 5, r)
    run.server.kill(signal.SIGCONT)
    run.finish()


def test_interrupted_small_files(t):
    """Names that were given stay, and are counted."""
    run = Way(t, "push", large=0)
    p = run.begin(MIB, rate=MIB)
    p.kill(signal.SIGINT)
    r = p.wait(30)
    first = r.summary()
    t.check(r.rc == 130 and 0 < first["files"] < SMALL, first)
    second = run.finish()
    t.check(first["files"] + second["files"] == SMALL, first, second)


def test_error_says_what_is_kept(t):
    """A server that ends a session because of an error says first what it keeps."""
    run = Way(t, "push")
    p = run.begin(60 * MIB, "--retries=0")
    run.server.kill(signal.SIGTERM)
    t.until(lambda: b"draining" in run.server.read("err"), what="drain")
    run.server.kill(signal.SIGTERM)  # it does not wait for us
    r = p.wait(30)
    t.check(r.rc == 3, r)
    first = r.summary()
    t.check(first["kept_bytes"] > 20 * MIB, first)
    run.server.wait(30)
    run.serve()
    second = run.finish()
    t.check(second["resumed_bytes"] >= first["kept_bytes"], first, second)


# ---- hawser jobs, pause, resume, cancel ----


class Jobs:
    """The jobs of one user, all in directories of the test's own: each command sees these in place of /tmp/hawser-UID
    and /run/user, by mounts of its own. Else it would meet, and cancel, what this user runs beside the test."""

    def __init__(self, t):
        self.t = t
        self.runtime = t.dir("runtime", 0o700)
        self.env = dict(t.env, XDG_RUNTIME_DIR=self.runtime)
        self.place = self.runtime + "/hawser"
        self.temp, self.login = t.dir("temp", 0o700), t.dir("login")
        self.without = {key: value for key, value in self.env.items() if key != "XDG_RUNTIME_DIR"}
        place = "/tmp/hawser-%d" % os.geteuid()
        if not os.path.lexists(place):
            os.mkdir(place, 0o700)  # as hawser itself makes it
        script = ('mount --bind "$1" "$2" && if [ -d /run/user ]; then mount --bind "$3" /run/user; fi && '
                  'shift 3 && exec "$@"')
        own = [] if tree.is_root() else ["--user", "--map-current-user", "--keep-caps"]
        self.prefix = ["unshare", "--mount", *own, "sh", "-c", script, "sh", self.temp, place, self.login]
        if subprocess.run([*self.prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            raise hawser_test.Skip("mounts of its own are not allowed here")

    def run(self, *args, rc=0, env=None):
        return self.t.run(*args, env=env or self.env, rc=rc, prefix=self.prefix)

    def list(self, env=None):
        return [json.loads(line) for line in self.run("jobs", "--json", env=env).out.splitlines()]

    def begin(self, way, at, *more, env=None, **kw):
        return way.begin(at, *more, env=env or self.env, prefix=self.prefix, **kw)


def rests(t, p):
    """What had moved when nothing had any more for a second: what was being sent has left."""
    seen = [moved(p), time.monotonic()]

    def still():
        if moved(p) != seen[0]:
            seen[:] = moved(p), time.monotonic()
        return time.monotonic() - seen[1] > 1

    t.until(still, what="rest")
    return seen[0]


def paused(t, direction):
    """Longer than anybody waits for a silent peer; then it goes on and ends well."""
    jobs, run = Jobs(t), Way(t, direction, large=2, server=["--idle-timeout=3"])
    p = jobs.begin(run, 4 * MIB, "--timeout=3", rate=2 * SLOW)
    t.check([job["state"] for job in jobs.list()] == ["running"], jobs.list())
    t.says(jobs.run("pause"), "paused")
    t.until(lambda: p.rows("progress")[-1]["paused"], what="a paused line of progress")
    before = rests(t, p)
    time.sleep(4.5)  # with that second longer than what is called a stall
    t.check(p.poll() is None, "it ended:", p.result())
    t.check(moved(p) == before < run.bytes, before, moved(p))
    job = jobs.list()[0]
    t.check(job["state"] == "paused" and job["bytes_done"] == before, job)
    t.check(job["command"].startswith(direction), job)
    t.says(jobs.run("resume", job["job"]), "going on")
    r = p.wait(60)
    t.check(r.rc == 0, r)
    t.check([row["state"] for row in p.rows("state")] == ["paused", "running"], r)
    # Of a connection, in brackets, a beat may be late on a busy machine.
    t.check(not p.rows("retry") and all("(" in row["text"] for row in p.rows("stall") if row["text"]), r)
    t.check(r.summary()["streams_lost"] == 0, r)
    t.same(run.src, run.dst)
    t.check(jobs.list() == [] and os.listdir(jobs.place) == [], os.listdir(jobs.place))


def test_paused_push(t):
    paused(t, "push")


def test_paused_pull(t):
    paused(t, "pull")


def test_cancelled(t):
    """As Ctrl-C, also while it is paused; two of them are told apart by their numbers."""
    jobs, run, other = Jobs(t), Way(t, "push", large=2), Way(t, "push", name="other-", large=2)
    q = jobs.begin(other, MIB, rate=4 * MIB)  # for as long as this may take
    p = jobs.begin(run, 30 * MIB, rate=2 * SLOW)
    found = jobs.list()
    t.check(len(found) == 2 and {job["job"] for job in found} ==
            {row["job"] for row in p.rows("start") + q.rows("start")}, found)
    t.says(jobs.run("cancel", rc=1), "say which")
    t.check(p.poll() is None and q.poll() is None, "one of them ended")
    name = p.rows("start")[0]["job"]
    jobs.run("pause", name)
    jobs.run("cancel", name)
    r = p.wait(20)
    t.check(r.rc == 130, r)
    first = r.summary()
    t.check(first["kept_bytes"] > 10 * MIB, first)
    t.check(run.finish()["resumed_bytes"] == first["kept_bytes"], first)
    t.check(len(jobs.list()) == 1, jobs.list())
    jobs.run("cancel")
    t.check(q.wait(20).rc == 130, q.result())
    t.says(jobs.run("cancel", rc=1), "no transfer of yours runs")


def test_no_such_job(t):
    """Names that are paths are none; what a killed job left is taken away."""
    jobs, run = Jobs(t), Way(t, "push", large=1)
    t.check(jobs.list() == [], "jobs of nobody")
    for name in ("../../etc/passwd", "/tmp/1", "1/2", "", "x", ".1"):
        t.says(jobs.run("pause", name, rc=2), "is no job")
    p = jobs.begin(run, MIB)
    t.says(jobs.run("pause", "1", rc=1), "there is no job 1")
    p.kill(signal.SIGKILL)
    p.wait(20)
    t.check(len(os.listdir(jobs.place)) == 1, os.listdir(jobs.place))
    t.check(jobs.list() == [] and os.listdir(jobs.place) == [], os.listdir(jobs.place))


def test_other_environment(t):
    """A job that cron started, without XDG_RUNTIME_DIR, is seen from a login shell, and the reverse."""
    jobs, run, other = Jobs(t), Way(t, "push"), Way(t, "push", name="other-")
    p = jobs.begin(run, MIB, rate=SLOW)
    q = jobs.begin(other, MIB, rate=SLOW, env=jobs.without)
    t.check(len(os.listdir(jobs.place)) == 1 and len(os.listdir(jobs.temp)) == 1, os.listdir(jobs.temp))
    names = [process.rows("start")[0]["job"] for process in (p, q)]
    t.check({job["job"] for job in jobs.list()} == set(names), jobs.list())
    t.says(jobs.run("cancel", rc=1), "say which")
    t.says(jobs.run("pause", names[1]), "paused")
    t.check({job["job"]: job["state"] for job in jobs.list()} == dict(zip(names, ("running", "paused"))), jobs.list())
    t.says(jobs.run("cancel", names[1]), "stopping")
    t.check(q.wait(20).rc == 130, q.result())
    if os.path.isdir("/run/user"):
        # The reverse: a directory that logind made is looked at without the variable, too.
        os.mkdir(jobs.login + "/%d" % os.geteuid(), 0o700)
        os.rename(jobs.place, jobs.login + "/%d/hawser" % os.geteuid())
        t.check([job["job"] for job in jobs.list(env=jobs.without)] == names[:1], jobs.list(env=jobs.without))
        t.says(jobs.run("pause", names[0], env=jobs.without), "paused")
    else:
        os.rename(jobs.place + "/" + names[0], jobs.temp + "/" + names[0])
    t.check([job["job"] for job in jobs.list()] == names[:1], jobs.list())
    t.says(jobs.run("cancel"), "stopping")
    t.check(p.wait(20).rc == 130, p.result())


def test_one_number_twice(t):
    """Of containers that share a place: nobody is told anything."""
    jobs, run = Jobs(t), Way(t, "push", large=1)
    p = jobs.begin(run, MIB, rate=SLOW)
    name = p.rows("start")[0]["job"]
    place = os.open(jobs.temp, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("/proc/self/fd/%d/%s" % (place, name))  # the whole path may be too long for an address
        other.listen()
        t.says(jobs.run("cancel", name, rc=1), "2 jobs are called")
        t.check(p.poll() is None, p.result())
    os.close(place)
    t.says(jobs.run("cancel", name), "stopping")  # that one is gone, and what it left was taken away
    t.check(os.listdir(jobs.temp) == [], os.listdir(jobs.temp))
    t.check(p.wait(20).rc == 130, p.result())


def test_runtime_of_somebody_else(t):
    """After su(1) XDG_RUNTIME_DIR may be another user's: then it is none."""
    if not tree.is_root():
        raise hawser_test.Skip("another user's directory needs root")
    jobs, run = Jobs(t), Way(t, "push", large=1)
    os.chown(jobs.runtime, 65534, 65534)
    p = jobs.begin(run, MIB, rate=SLOW)
    t.check(os.listdir(jobs.runtime) == [] and len(os.listdir(jobs.temp)) == 1, os.listdir(jobs.temp))
    t.says(jobs.run("cancel"), "stopping")
    t.check(p.wait(20).rc == 130, p.result())


def test_place_of_somebody_else(t):
    """A directory that others may enter is refused; the transfer runs all the same."""
    jobs, run = Jobs(t), Way(t, "push", large=0)
    os.mkdir(jobs.place)
    os.chmod(jobs.place, 0o755)
    r = jobs.run(*run.args())
    t.says(r, "nobody else may enter it")
    t.same(run.src, run.dst)
    t.check(os.listdir(jobs.place) == [], os.listdir(jobs.place))
    t.says(jobs.run("jobs", rc=1), "nobody else may enter it")
    if os.geteuid() == 0:
        os.chmod(jobs.place, 0o700)
        os.chown(jobs.place, 65534, 65534)
        t.says(jobs.run(*run.args()), "must belong to you")
    # Of a place of another environment nothing is said: nothing of ours can be there.
    os.chmod(jobs.temp, 0o755)
    t.says(jobs.run("jobs", env=jobs.without, rc=1), "nobody else may enter it")
    os.rmdir(jobs.place)
    r = jobs.run("jobs")
    t.check(r.out == r.err == b"", r)


if __name__ == "__main__":
    hawser_test.main(globals())
