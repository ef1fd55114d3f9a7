"""`telebeat monitor`: one worker of the monitor, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def monitor(
    *,
    bootstrap: Annotated[str | None, typer.Option(help="TELEBEAT_KAFKA_BOOTSTRAP: host:port of the brokers")] = None,
    group: Annotated[str | None, typer.Option(help="TELEBEAT_KAFKA_GROUP: workers of one group share the beds")] = None,
    model_dir: Annotated[
        Path | None, typer.Option(help="TELEBEAT_MODEL_DIR: a trained model; default: the one that ships")
    ] = None,
    http_host: Annotated[str | None, typer.Option(help="TELEBEAT_HTTP_HOST: where the pages listen")] = None,
    http_port: Annotated[
        int | None, typer.Option(help="TELEBEAT_HTTP_PORT: of /metrics, /healthz, /readyz, /latency; 0: any free")
    ] = None,
    silent_after_s: Annotated[
        float | None, typer.Option(help="TELEBEAT_SILENT_AFTER_S: seconds without a frame until a bed is silent")
    ] = None,
    checkpoint_s: Annotated[
        float | None, typer.Option(help="TELEBEAT_CHECKPOINT_S: seconds between two snapshots of a bed")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="TELEBEAT_LOG_FORMAT: json or console")] = None,
    log_level: Annotated[str | None, typer.Option(help="TELEBEAT_LOG_LEVEL: debug, info, warning or error")] = None,
) -> None:
    """Watch the beds on Kafka: find beats, judge rhythms, publish alerts.

    Start as many as there is work for; those of one group share the beds. SIGTERM or Ctrl-C ends it after the last
    snapshot, a second one at once. Every option has a variable, named first in its help.

    The limits of the alarms are variables only, told in docs/alarms.md: `TELEBEAT_LIMIT_` with `ASYSTOLE_S`, `PAUSE_S`,
    `EXTREME_TACHYCARDIA_BPM`, `EXTREME_TACHYCARDIA_BEATS`, `EXTREME_BRADYCARDIA_BPM`, `EXTREME_BRADYCARDIA_BEATS`,
    `VENTRICULAR_RUN_BEATS`, `VENTRICULAR_TACHYCARDIA_BEATS`, `VENTRICULAR_TACHYCARDIA_BPM`, `FIBRILLATION_S`,
    `LEAD_OFF_S`, `UNMONITORED_S`, `FLAT_LINE_S`, `SATURATED_S`, `NOISY_S`.
    """
    import structlog

    from model.reader import Reader
    from stream import limits, logs, serve, settings
    from stream.ward import Ward
    from stream.warm import announce_compilation, warm_up

    chosen = settings.load(
        **_given(
            model_dir=model_dir,
            http_host=http_host,
            http_port=http_port,
            silent_after_s=silent_after_s,
            checkpoint_s=checkpoint_s,
            log_format=log_format,
            log_level=log_level,
        )
    )
    cluster = settings.load_kafka(**_given(bootstrap=bootstrap, group=group))
    alarms = limits.load()
    logs.configure(chosen.log_format, chosen.log_level)
    log = structlog.get_logger()
    if changed := alarms.changed():
        log.info("alarm limits that are not the defaults", **changed)
    reader = Reader.load(chosen.model_dir)
    announce_compilation(log.info)
    warm_up(reader)
    serve.main(chosen, cluster, Ward(reader, alarms))


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
