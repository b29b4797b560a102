"""What the fault tests share: servers of their own, a made-up company, what must hold at every moment, and the operations that are disturbed.

An operation is undertaken again and again, each time over new facts (`prepare`), disturbed half way, and then run to its end. What everything comes to is compared
with a twin that was given the same facts and never disturbed. People are named by their identifiers, so that numbers do not matter.
"""
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SEED = int(os.environ.get("FAULT_SEED") or time.time())
AS_SERVER = shlex.split(os.environ.get("AS_SERVER", ""))
BIN = os.environ["PGBIN"]
TMP = pathlib.Path(os.environ["TEST_TMP"])
BEGAN = time.time()
ENV = {k: v for k, v in os.environ.items() if k not in ("PGDATABASE", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE")}
ENV |= {"PGCLIENTENCODING": "UTF8", "PGUSER": "postgres", "PGPORT": "5432"}


def say(text):
    print(f"{time.time() - BEGAN:5.0f}s {text}", flush=True)


def count(text):
    """A figure that the run of the tests shows."""
    print(f"count: {text}", flush=True)


def fail(text):
    print(f"FAILED: {text[:4000]}", flush=True)
    sys.exit(1)


def quote(text):
    return "'" + str(text).replace("'", "''") + "'"


def begin(name):
    """Prints and returns the seed, and the random numbers it begins."""
    print(f"{name}: FAULT_SEED={SEED}", flush=True)
    return random.Random(SEED)


def processes():
    return [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]


def parent(pid):
    """The number of the process it belongs to; None when it is gone, or dead and not collected."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[1])


class Server:
    """A server of the test's own: killing a backend takes every connection of its server with it."""

    def __init__(self, name, extra=(), copy_of=None):
        self.data, self.log = TMP / name, TMP / f"{name}.log"
        self.socket = pathlib.Path(tempfile.mkdtemp(prefix="pg_cdp_fault.", dir="/tmp"))
        if AS_SERVER:
            shutil.chown(self.socket, TMP.owner())
        self.env = ENV | {"PGHOST": str(self.socket)}
        if copy_of is None:
            self._bin("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        else:
            # A standby: it follows the other server.
            self._bin("pg_basebackup", "-D", self.data, "-h", copy_of.socket, "-p", "5432", "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync")
        # What is killed does not lose what the operating system was given: nothing has to reach the disk.
        settings = ["listen_addresses = ''", "fsync = off", "full_page_writes = off", "max_wal_size = 4GB", "shared_buffers = 64MB", "timezone = 'UTC'",
                    "restart_after_crash = on", "log_line_prefix = '%m [%p] %q%d %e '", "autovacuum_naptime = 10s", *extra]
        subprocess.run([*AS_SERVER, "tee", "-a", self.data / "postgresql.conf"], input="\n".join(settings) + "\n", text=True, stdout=subprocess.DEVNULL, check=True, cwd="/")
        self.start()

    def _bin(self, command, *args, check=True):
        return subprocess.run([*AS_SERVER, f"{BIN}/{command}", *map(str, args)], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=check, cwd="/", env=ENV)

    def start(self):
        self._bin("pg_ctl", "-s", "-w", "-t", "60", "-D", self.data, "-l", self.log, "-o", f"-k {self.socket}", "start")

    def stop(self, mode="fast", check=True):
        self._bin("pg_ctl", "-s", "-w", "-t", "60", "-m", mode, "-D", self.data, "stop", check=check)

    def drop(self):
        self.stop("immediate", check=False)
        shutil.rmtree(self.socket, ignore_errors=True)

    def psql(self, database, sql, check=True):
        """Runs SQL text; returns what it prints, unaligned. Unchecked: the finished process."""
        run = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", database, "-f", "-"],
                             input="SET client_min_messages = warning;\n" + sql, capture_output=True, text=True, check=False, env=self.env)
        if check and (run.returncode != 0 or run.stderr):
            fail(f"psql ended with {run.returncode}\n{sql[:400]}\n{run.stderr[-3000:]}\n{run.stdout[-1000:]}")
        return run.stdout.strip() if check else run

    def connect(self, database):
        """A session that waits for what to do. Returns the process and the number of the backend."""
        session = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", database, "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, env=self.env)
        session.stdin.write("SET client_min_messages = warning;\nSELECT pg_backend_pid();\n")
        session.stdin.flush()
        return session, int(session.stdout.readline())

    def session(self, database, sql):
        """A session that does something. Returns the process and the number of the backend."""
        session, pid = self.connect(database)
        session.stdin.write(sql)
        session.stdin.close()
        return session, pid

    def up(self):
        """Waits until the server answers; one that has not noticed a killed process yet refuses the second question."""
        for _ in range(1200):
            run = self.psql("postgres", "SELECT pg_sleep(0.01);", check=False)
            if run.returncode == 0:
                return
            time.sleep(0.03)
        fail("the server did not come back")

    def kill(self, pid, what="backend"):
        """Kills one backend (`backend`), stops the whole server at once (`server`), or kills the process that all others belong to (`postmaster`)."""
        if what == "server":
            self.stop("immediate")
            self.start()
        elif what == "postmaster":
            self._kill_postmaster()
        else:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _kill_postmaster(self):
        file = self.data / "postmaster.pid"
        postmaster = int(file.read_text().split()[0])
        others = [pid for pid in processes() if parent(pid) == postmaster]
        os.kill(postmaster, signal.SIGKILL)
        # Its backends end as they notice it. Until the last is gone the memory they share keeps a new server out.
        for _ in range(1200):
            if not any(parent(pid) is not None for pid in (postmaster, *others)):
                break
            time.sleep(0.05)
        else:
            fail("backends went on without their postmaster")
        # Where nobody collects dead processes its number is still taken.
        if pathlib.Path(f"/proc/{postmaster}").exists():
            file.unlink()
            (self.socket / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        self.start()

    def internal_errors(self):
        """Lines of the log that no fault excuses."""
        text = self.log.read_text(errors="replace")
        lines = re.findall(r".*(?:PANIC:| XX00[0-9] |panicked at|memory allocation of|TRAP:).*|.*terminated by signal (?!9\b|3\b).*", text)
        return lines


# --- The company ---------------------------------------------------------------------------------------------------
COMPANY = """
CREATE EXTENSION pg_cdp;
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id int PRIMARY KEY, email text, card text, city text, age int, updated_at timestamptz);
CREATE TABLE shop.member (id int PRIMARY KEY, card text, tier int);
CREATE TABLE shop.sale (id int PRIMARY KEY, card text, email text, amount numeric, category text, at timestamptz);
CREATE TABLE shop.visit (id int PRIMARY KEY, cookie text, email text, kind text, seconds int, at timestamptz);
SELECT cdp_init('cdp', 'Europe/Berlin');
SELECT cdp_source_create('crm', 'shop.customer', '{"updated_at": "updated_at", "overlap": "1 hour", "identifiers": {"email": "email", "loyalty_card": "card"}, "traits": {"city": "city", "age": "age"}}');
SELECT cdp_source_create('members', 'shop.member', '{"deletions": "retract", "identifiers": {"loyalty_card": "card"}, "traits": {"tier": "tier"}}');
SELECT cdp_source_create('pos', 'shop.sale', '{"deletions": "retract", "identifiers": {"loyalty_card": "card", "email": "email"}, "event": {"name": "''purchase''", "at": "at", "properties": {"amount": "amount", "category": "category"}}}');
SELECT cdp_source_create('web', 'shop.visit', '{"updated_at": "at", "identifiers": {"cookie": "cookie", "email": "email"}, "traits": {"last_kind": "kind"}, "event": {"name": "''view''", "at": "at", "properties": {"kind": "kind", "seconds": "seconds"}}}');

-- Facts of a round: new ones, changed ones, and some that go.
CREATE FUNCTION shop.round(n int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO shop.customer SELECT i, 'c' || i || '@example.com', 'K' || i, 'city ' || i % 7, i % 90, timestamptz '2024-01-01' + i * interval '1 min' FROM generate_series(n * 40 + 1, n * 40 + 40) i;
  INSERT INTO shop.member SELECT i, 'K' || i, i % 4 FROM generate_series(n * 40 + 1, n * 40 + 30) i;
  INSERT INTO shop.sale SELECT i, 'K' || 1 + (i * 7919) % (n * 40 + 40), CASE WHEN i % 101 = 0 THEN 's' || i % 7 || '@example.com' END, (i % 97) / 4.0, 'cat ' || i % 5, timestamptz '2024-02-01' + i * interval '3 min' FROM generate_series(n * 200 + 1, n * 200 + 200) i;
  INSERT INTO shop.visit SELECT i, 'ck' || i % 200, CASE WHEN i % 30 = 0 THEN 'c' || 1 + i % (n * 40 + 40) || '@example.com' END, 'dev' || i % 3, i % 60, timestamptz '2024-03-01' + i * interval '7 min' FROM generate_series(n * 200 + 1, n * 200 + 200) i;
  UPDATE shop.customer SET city = 'city ' || n % 7, updated_at = timestamptz '2024-01-01' + (n * 40 + 40) * interval '1 min' WHERE id % 17 = n % 17;
  DELETE FROM shop.sale WHERE id % 23 = n % 23;
  UPDATE shop.sale SET amount = amount + 1 WHERE id % 37 = n % 37;
  DELETE FROM shop.member WHERE id % 19 = n % 19;
$$;

-- What everything comes to, whatever numbers people have: a person is named by its first identifier.
CREATE VIEW shop.named AS SELECT profile_id, min(type || ' ' || value COLLATE "C") AS name FROM cdp.identifiers GROUP BY 1;
CREATE FUNCTION shop.expressions() RETURNS SETOF text LANGUAGE sql AS $$
  VALUES ('true'), ('city = ''city 3'''), ('age > 50'), ('tier >= 2'), ('tier IS NULL'), ('last_kind = ''dev1'''), ('count(purchase) > 5'), ('sum(purchase.amount) FILTER (WHERE category = ''cat 4'') > 20'),
      ('sum(purchase.amount) > 60'), ('count(view) FILTER (WHERE at >= ''2024-03-02 00:00+01'' AND at < ''2024-03-04 11:00+01'') >= 3'), ('count(view) FILTER (WHERE kind = ''dev2'') > 2'), ('count(view) = 0')
$$;
CREATE FUNCTION shop.result() RETURNS SETOF text LANGUAGE plpgsql SET timezone = 'Europe/Berlin' AS $$
DECLARE x text; s text;
BEGIN
  RETURN QUERY SELECT concat_ws(' ', 'identifier', n.name, i.type, i.value, i.first_seen, i.last_seen) FROM cdp.identifiers i JOIN shop.named n USING (profile_id) ORDER BY 1;
  RETURN QUERY SELECT concat_ws(' ', 'person', n.name, p.city, p.age, p.tier, p.last_kind) FROM cdp.profiles p JOIN shop.named n USING (profile_id) ORDER BY 1;
  RETURN QUERY SELECT concat_ws(' ', 'edge', e.from_type, e.from_value, e.to_type, e.to_value, e.source, e.trust, e.state, e.reason, CASE WHEN e.source <> 'operator' THEN concat_ws(' ', e.first_seen, e.last_seen) END) FROM cdp.edges e ORDER BY 1;
  RETURN QUERY SELECT concat_ws(' ', 'event', n.name, e.source, e.event, e.at, e.properties, count(*)) FROM cdp.events e JOIN shop.named n USING (profile_id) GROUP BY n.name, e.source, e.event, e.at, e.properties ORDER BY 1;
  RETURN QUERY SELECT concat_ws(' ', 'reject', r.source, r.key, r.reason) FROM cdp.rejects r ORDER BY 1;
  FOR x IN SELECT * FROM shop.expressions() LOOP
    RETURN NEXT (SELECT concat_ws(' ', x, count(*), md5(string_agg(n.name, ',' ORDER BY n.name COLLATE "C"))) FROM cdp_members(cdp_segment(x)) m JOIN shop.named n ON n.profile_id = m);
  END LOOP;
  FOR s IN SELECT name FROM cdp.segment WHERE kind = 'dynamic' ORDER BY name LOOP
    RETURN NEXT (SELECT concat_ws(' ', 'segment', s, count(*), md5(string_agg(n.name, ',' ORDER BY n.name COLLATE "C"))) FROM cdp_members(s) m JOIN shop.named n ON n.profile_id = m);
  END LOOP;
END $$;

-- What must hold at every moment, whatever was disturbed.
CREATE FUNCTION shop.wrong() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE x text; a bigint[]; b bigint[];
BEGIN
  RETURN QUERY SELECT format('event %s of source %s is there %s times', key, source_id, count(*)) FROM cdp.event GROUP BY source_id, key HAVING count(*) > 1;
  RETURN QUERY SELECT format('cdp_identity_verify(): %s: %s', v.check, v.detail) FROM cdp_identity_verify() v WHERE NOT v.ok;
  RETURN QUERY SELECT format('identifier %s belongs to %s, which does not live', n.node_id, n.profile_id) FROM cdp.node n LEFT JOIN cdp.profile p USING (profile_id)
    WHERE n.profile_id IS NOT NULL AND (p.profile_id IS NULL OR p.merged_into IS NOT NULL);
  RETURN QUERY SELECT format('column %s of values does not follow the live profiles', p.profile_id) FROM cdp.profile p FULL JOIN cdp.profile_value v USING (profile_id)
    WHERE (v.profile_id IS NULL AND p.merged_into IS NULL) OR p.profile_id IS NULL OR (v.profile_id IS NOT NULL AND p.merged_into IS NOT NULL);
  FOR x IN SELECT * FROM shop.expressions() UNION ALL SELECT expression FROM cdp.segment WHERE expression IS NOT NULL LOOP
    a := ARRAY(SELECT cdp_members(cdp_segment(x)));
    EXECUTE 'SELECT coalesce(array_agg(profile_id ORDER BY profile_id), ''{}'') FROM (' || cdp_segment_sql(x) || ') q' INTO b;
    IF a <> b THEN RETURN NEXT format('columns and facts differ: %s', x); END IF;
  END LOOP;
END $$;
"""
DEFINITIONS = """
SELECT cdp_tag_create('spend', 'sum(purchase.amount)');
SELECT cdp_tag_create('level', 'CASE WHEN spend > 100 THEN ''high'' WHEN spend > 20 THEN ''middle'' ELSE ''low'' END');
SELECT cdp_segment_create('good', 'spend > 50 AND tier >= 1');
SELECT cdp_segment_create('lookers', 'count(view) > 3 AND count(purchase) = 0');
SELECT cdp_segment_create('rest', 'NOT in_segment(''good'') AND city <> ''city 2''');
SELECT count(*) FROM cdp_tag_refresh();
SELECT count(*) FROM cdp_segment_refresh();
"""
# Every segment and tag is what its expression comes to now.
FRESH = """
SELECT format('segment %s is not what it is when computed anew', name) FROM cdp.segment WHERE kind = 'dynamic'
  AND NOT cdp_segment_sql(expression) IS NULL AND ARRAY(SELECT cdp_members(name)) <> ARRAY(SELECT cdp_members(cdp_segment(expression)))
UNION ALL SELECT format('tag spend of %s is not what it is when computed anew: %s', profile_id, spend) FROM cdp.profiles p WHERE p.spend IS DISTINCT FROM
  (SELECT sum((e.properties ->> 'amount')::numeric) FROM cdp.events e WHERE e.profile_id = p.profile_id AND e.event = 'purchase')
UNION ALL SELECT format('tag level of %s is not what it is when computed anew', profile_id) FROM cdp.profiles WHERE level IS DISTINCT FROM CASE WHEN spend > 100 THEN 'high' WHEN spend > 20 THEN 'middle' ELSE 'low' END;
"""


class Operation:
    """Something that can be disturbed. `prepare(n)` gives facts of round n and disturbs nothing; `run(n)` is the operation; running it again after it was disturbed
    completes it. `half(server, database, n)` says what is wrong before it is run again, `whole` what is wrong after."""
    name = ""
    # The tests it is for, when not for all; and how often it is disturbed, when not as often as the others.
    only, times = None, None
    # What the disturbed run said before, and its round.
    said, round = "", 0

    def prepare(self, n):
        return ""

    def run(self, n):
        raise NotImplementedError

    def statement(self, n):
        """The operation as few statements, for what is a matter of one statement."""
        return self.run(n)

    def half(self, server, database, n):
        return ""

    def whole(self, server, database, n):
        return ""


class Sync(Operation):
    name = "sync"

    def prepare(self, n):
        return f"SELECT shop.round({n + 2});"

    def run(self, n):
        return "CALL cdp_sync('crm'); CALL cdp_sync('pos');"

    def whole(self, server, database, n):
        return server.psql(database, "SELECT 'jobs are left open' FROM cdp.jobs WHERE state IN ('running', 'interrupted') LIMIT 1;")


class Link(Operation):
    """A person who has a growing part of the company behind it, and another one, become one."""
    name = "merge"

    def run(self, n):
        return f"SELECT cdp_link('loyalty_card', 'K1', 'loyalty_card', 'K{n + 1}', 'the same house') WHERE cdp_profile_id('loyalty_card', 'K1') <> cdp_profile_id('loyalty_card', 'K{n + 1}');"

    def half(self, server, database, n):
        return server.psql(database, f"""SELECT 'an operation without its merge, or a merge without its operation'
            WHERE (cdp_profile_id('loyalty_card', 'K1') = cdp_profile_id('loyalty_card', 'K{n + 1}')) <> EXISTS (SELECT FROM cdp.identity_operation WHERE kind = 'link' AND arguments::text LIKE '%"K{n + 1}"%');""")

    def whole(self, server, database, n):
        return server.psql(database, f"SELECT 'they are not one' WHERE cdp_profile_id('loyalty_card', 'K1') <> cdp_profile_id('loyalty_card', 'K{n + 1}');")


class Refresh(Operation):
    name = "refresh"

    def prepare(self, n):
        return f"INSERT INTO shop.sale SELECT {n} * 1000 + i, 'K' || (i * 7 + {n}) % 120, NULL, i % 50, 'cat ' || i % 5, timestamptz '2024-06-01' + (i - 100000) * interval '1 hour' FROM generate_series(100001, 100060) i; CALL cdp_sync('pos');"

    def run(self, n):
        return "SELECT count(*) FROM cdp_tag_refresh(); SELECT count(*) FROM cdp_segment_refresh();"

    def half(self, server, database, n):
        return server.psql(database, """SELECT format('segment %s counts %s and has %s', name, profiles, cdp_count(name)) FROM cdp.segments WHERE profiles <> cdp_count(name);""")

    def whole(self, server, database, n):
        return server.psql(database, FRESH)


class Flush(Operation):
    """Changes wait in pending, as single events leave them, until they are folded."""
    name = "flush"

    def prepare(self, n):
        return f"""SELECT count(cdp_identify(jsonb_build_object('email', 'f' || i || '@example.com', 'loyalty_card', 'K' || i % 110), 'crm', timestamptz '2024-05-01' + i * interval '1 min')) FROM generate_series({n} * 40, {n} * 40 + 39) i;"""

    def run(self, n):
        return "SELECT cdp_flush();"

    def whole(self, server, database, n):
        return server.psql(database, "SELECT format('%s changes are pending', count(*)) FROM cdp.pending HAVING count(*) > 0;")


def messages(n, count, prefix):
    """Messages of round n as client libraries send them: purchases of people by their cards, and who they are."""
    for i in range(1, count + 1):
        k = (n * 13 + i * 7) % 110
        message = {"messageId": f"{prefix}{n}-{i}", "userId": f"u{k % 60}", "context": {"externalIds": [{"type": "loyalty_card", "id": f"K{k}"}]}, "timestamp": f"2024-06-{1 + i % 28:02}T10:00:00Z"}
        if i % 5:
            yield message | {"type": "track", "event": "purchase", "properties": {"amount": i + 0.25, "category": f"cat {i % 5}"}}
        else:
            yield message | {"type": "identify", "traits": {"email": f"c{k}@example.com", "city": f"city {i % 7}"}}


class Ingest(Operation):
    """Messages one by one: what was answered is there, once, with all that follows from it."""
    name = "ingest"

    def run(self, n):
        return "".join(f"SELECT 'ack ' || (cdp_ingest({quote(json.dumps(m))}, 'app') ->> 'messageId');\n" for m in messages(n, 20, "i"))

    def statement(self, n):
        return f"SELECT count(*) FROM cdp_ingest({quote(json.dumps(list(messages(n, 20, 'i'))))}, 'app');"

    def half(self, server, database, n):
        # Rounds before are complete; of this one what was answered is there.
        acknowledged = re.findall(r"ack (\S+)", self.said) if n == self.round else []
        missing = [m for m in acknowledged if m not in server.psql(database, f"SELECT message_id FROM cdp.message WHERE message_id LIKE 'i{n}-%';").split()]
        half = server.psql(database, f"""SELECT format('message %s without its event', m.message_id) FROM cdp.message m WHERE m.message_id LIKE 'i{n}-%' AND m.answer::text LIKE '%purchase%'
            AND NOT EXISTS (SELECT FROM cdp.event e WHERE e.source_id = m.source_id AND e.key = m.message_id);""")
        return "\n".join([f"message {m} was answered and is not there" for m in missing] + [half] * bool(half)) or server.psql(database, FRESH)

    def whole(self, server, database, n):
        return server.psql(database, f"""SELECT format('%s events of messages', count(*)) FROM cdp.event WHERE key LIKE 'i{n}-%' HAVING count(*) <> {sum(m["type"] == "track" for m in messages(n, 20, "i"))};""") or server.psql(database, FRESH)


class Inbox(Operation):
    """Messages in bulk: each waits in the inbox or has become what it says, never both and never neither."""
    name = "inbox"

    def prepare(self, n):
        return "INSERT INTO cdp.inbox (payload, source) VALUES " + ", ".join(f"({quote(json.dumps(m))}, 'app')" for m in messages(n, 60, "b")) + ";"

    def run(self, n):
        return "CALL cdp_process_inbox(20);"

    def half(self, server, database, n):
        return server.psql(database, f"""SELECT format('%s purchases wait and %s are taken', i.n, e.n) FROM (SELECT count(*) AS n FROM cdp.inbox WHERE payload LIKE '%"b{n}-%' AND payload LIKE '%purchase%') i,
            (SELECT count(*) AS n FROM cdp.event WHERE key LIKE 'b{n}-%') e WHERE i.n + e.n <> {sum(m["type"] == "track" for m in messages(n, 60, "b"))};""")

    def whole(self, server, database, n):
        return self.half(server, database, n) or server.psql(database, "SELECT format('%s messages wait', count(*)) FROM cdp.inbox HAVING count(*) > 0 UNION ALL SELECT 'jobs are left open' FROM cdp.jobs WHERE state IN ('running', 'interrupted');")


class Retain(Operation):
    """Events past their retention: each is there whole, or as what its day column counts, never both and never neither."""
    name = "retain"
    only, times = {"kill"}, 6

    def prepare(self, n):
        return f"SELECT shop.round({n + 2}); CALL cdp_sync(); SELECT cdp_event_retention('view', '30 days');"

    def run(self, n):
        return f"SELECT count(*) FROM cdp_retain(timestamptz '2024-03-31 12:00+00' + {n} * interval '1 day');"

    def half(self, server, database, n):
        return server.psql(database, f"""SELECT format('event %s is there twice', e.event_id) FROM cdp.event e JOIN cdp.event_day d USING (event_id)
            UNION ALL SELECT format('%s visits are kept of %s', e.n, v.n) FROM (SELECT count(*) AS n FROM cdp.events WHERE event = 'view') e, (SELECT count(*) AS n FROM shop.visit) v,
                (SELECT count(*) AS n FROM cdp.rejects WHERE source = 'web') r WHERE e.n + r.n <> v.n;""")

    def whole(self, server, database, n):
        return self.half(server, database, n) or server.psql(database, "SELECT format('%s events are past their retention', count(*)) FROM cdp.event e JOIN cdp.event_type t USING (event_type_id) WHERE e.at < t.kept_from HAVING count(*) > 0;")


class Replay(Operation):
    """Rejected rows and messages that are right under other rules: each waits among the rejects or has landed, never both and never neither."""
    name = "replay"
    only, times = {"kill"}, 6

    def messages(self, n):
        return [{"type": "track", "messageId": f"r{n}-{i}", "userId": f"u{i}", "event": "purchase", "timestamp": "2024-06-01T10:00:00Z", "properties": {"amount": 5000 + i, "category": "cat 1"}} for i in range(1, 16)]

    def prepare(self, n):
        return (f"""SELECT cdp_property_alter('purchase', 'amount', '{{"max": 1000, "validation": "reject"}}');
            INSERT INTO shop.sale SELECT 700000 + {n} * 100 + i, 'K' || i, NULL, 5000 + i, 'cat 2', timestamptz '2024-05-01' + i * interval '1 hour' FROM generate_series(1, 60) i; CALL cdp_sync('pos');
            SELECT count(cdp_ingest({quote(json.dumps(self.messages(n)))}, 'app')); SELECT cdp_property_alter('purchase', 'amount', '{{"max": null}}');""")

    def run(self, n):
        return "SELECT * FROM cdp_reject_replay('pos'); SELECT * FROM cdp_reject_replay('app');"

    def half(self, server, database, n):
        return server.psql(database, f"""WITH all_of AS (SELECT (700000 + {n} * 100 + i)::text AS key FROM generate_series(1, 60) i UNION ALL SELECT 'r{n}-' || i FROM generate_series(1, 15) i)
            SELECT format('%s: %s events, %s rejects', a.key, e.n, r.n) FROM all_of a, LATERAL (SELECT count(*) AS n FROM cdp.event e WHERE e.key = a.key) e, LATERAL (SELECT count(*) AS n FROM cdp.reject r WHERE r.key = a.key) r WHERE e.n + r.n <> 1;""")

    def whole(self, server, database, n):
        return self.half(server, database, n) or server.psql(database, "SELECT format('%s rejects are left', count(*)) FROM cdp.rejects WHERE source IN ('pos', 'app') HAVING count(*) > 0;")


TEST = pathlib.Path(sys.argv[0]).name
OPERATIONS = [o for o in (Sync(), Link(), Refresh(), Flush(), Ingest(), Inbox(), Retain(), Replay()) if o.name in os.environ.get("FAULT_OPERATIONS", o.name).split(",") and (o.only is None or TEST in o.only)]


def company(server, definitions=True):
    """Makes the database `seed`, which others are copied from, with the facts of round 0."""
    server.psql("postgres", "CREATE DATABASE seed;")
    server.psql("seed", COMPANY + "SELECT shop.round(n) FROM generate_series(0, 2) n; CALL cdp_sync();" + (DEFINITIONS if definitions else ""))


def copy(server, name, of="seed"):
    # A sequence that is copied with values already reserved would give them out again after a crash, until a checkpoint lies between: PostgreSQL's own doing.
    server.psql("postgres", f"CREATE DATABASE {name} TEMPLATE {of};\nCHECKPOINT;")


def wrong(server, database):
    return server.psql(database, "SELECT * FROM shop.wrong();")


def result(server, database):
    return server.psql(database, "SELECT * FROM shop.result();").splitlines()


def same(server, database, twin):
    """Fails when two databases do not come to the same."""
    a, b = result(server, twin), result(server, database)
    if a != b:
        more = "\n".join([f"- {x}" for x in a if x not in set(b)][:10] + [f"+ {x}" for x in b if x not in set(a)][:10])
        fail(f"{database} differs from its undisturbed twin:\n{more}")
    if len(a) < 100:
        fail(f"{database} and its twin know next to nothing: {len(a)} lines")


def clean_log(server):
    lines = server.internal_errors()
    if lines:
        fail("the server's log:\n" + "\n".join(lines[:10]))


def clean_indexes(server, database):
    """Every index of the workspace has all its rows."""
    server.psql(database, """CREATE EXTENSION IF NOT EXISTS amcheck;
        SELECT count(bt_index_check(c.oid, true)) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
        WHERE c.relnamespace = 'cdp'::regnamespace AND c.relkind = 'i';""")


def ended(signal_number=signal.SIGTERM):
    """Lets a test that is told to end run its cleaning up."""
    signal.signal(signal_number, lambda *_: sys.exit(1))
