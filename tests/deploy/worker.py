"""A worker's `/metrics` with the load of a small ward, without Kafka, samples or model."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from model.codes import CLASSES
from stream.frames import REASONS
from stream.intake import Event
from stream.metrics import CONTENT_TYPE, Metrics, Stage
from stream.wire import Rule

BEDS = 8
FRAME_S = 0.25
TYPICAL_S = {Stage.INGEST: 4e-3, Stage.QUEUE: 1e-3, Stage.DETECT: 6e-5, Stage.CLASSIFY: 4e-5, Stage.PUBLISH: 3e-3}


@contextlib.contextmanager
def serve(metrics: Metrics) -> Iterator[str]:
    """Serve `/metrics` on loopback; yields ``host:port``."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics.render()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Quiet: there is a scrape every half second."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def load(metrics: Metrics) -> Iterator[None]:
    """Frames of eight beds four times a second, an alert a second, now and then a frame that cannot be used."""
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=(metrics, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _run(metrics: Metrics, stop: threading.Event) -> None:
    chance = random.Random(208)
    metrics.assigned(range(4))
    metrics.beds.set(BEDS)
    metrics.ready.set(1)
    metrics.kafka_up.set(1)
    rules, tick = list(Rule), 0
    while not stop.wait(FRAME_S):
        tick += 1
        for _ in range(BEDS):
            metrics.frames.inc()
            metrics.samples.inc(90)
            for stage, typical in TYPICAL_S.items():
                metrics.stage(stage).observe(chance.lognormvariate(0, 0.5) * typical)
        metrics.beat(chance.choice(CLASSES), BEDS // 4)
        for partition in range(4):
            metrics.lag(partition, chance.randrange(3), FRAME_S * chance.randrange(3))
        if tick % 4 == 0:
            rule = chance.choice(rules)
            metrics.raised(rule, "high")
            metrics.active({(rule, "high"): 1})
            metrics.frame_to_alert.observe(chance.lognormvariate(0, 0.5) * 1e-2)
            metrics.alert_publishes.inc()
            metrics.snapshots.inc(BEDS)
            metrics.rejected(chance.choice(REASONS))
            metrics.event(chance.choice(list(Event)))
        metrics.signal({0: BEDS - 1, 1: 1})
