"""``trinetra bench``: benchmarks; every result names the machine that it was measured on.

Each benchmark is imported by its own command: together they take seconds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from trinetra.benchmarks.machine import describe_machine
from trinetra.commands.console import output, print_json, print_text
from trinetra.commands.demo import demo_site
from trinetra.commands.hosting import prepare_networks
from trinetra.commands.progress import FetchProgress
from trinetra.models.samples import ensure_clips
from trinetra.settings import load_settings
from trinetra.telemetry import configure_logging

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Video = Annotated[Path, typer.Option("--video", help="A video file; it is looped.")]
_Seconds = Annotated[float, typer.Option("--seconds", min=1, help="How long to measure.")]
_Cameras = Annotated[int, typer.Option("--cameras", min=1, max=200, help="How many cameras.")]
_Still = Annotated[bool, typer.Option("--still", help="Show an empty shop instead of people.")]
_KeyFrames = Annotated[
    bool,
    typer.Option("--key-frames-while-idle", help="Decode still scenes by key frames only."),
]
_Size = Annotated[int, typer.Option("--size", min=10, help="How many embeddings.")]
_Server = Annotated[
    bool, typer.Option("--server", help="Use TRINETRA_QDRANT_URL, not the embedded engine.")
]

_RedisUrl = Annotated[
    str | None, typer.Option("--redis-url", help="Redis to use; by default one is started.")
]
_KafkaServers = Annotated[
    str | None, typer.Option("--kafka-servers", help="host:port of a Kafka to use.")
]
_Rounds = Annotated[int, typer.Option("--rounds", min=6, help="Rounds of each comparison.")]
_Events = Annotated[int, typer.Option("--events", min=1000, help="How many detections.")]
_Rate = Annotated[float, typer.Option("--rate", min=1, help="Events a second, for latencies.")]
_Identities = Annotated[int, typer.Option("--identities", min=1000, help="How many are active.")]
_Seeds = Annotated[int, typer.Option("--seeds", min=1, max=50, help="How many runs.")]
_Viewers = Annotated[int, typer.Option(min=0, max=200, help="How many, at the same time.")]
_StoreUrl = Annotated[
    str | None, typer.Option("--store-url", help="An empty database; an SQLite file if left out.")
]
_Days = Annotated[int, typer.Option("--days", min=8, max=730, help="How many days are on record.")]
_Hours = Annotated[float, typer.Option("--hours", min=0.05, help="Opening hours of a run.")]
_LookAlikes = Annotated[
    float,
    typer.Option("--look-alikes", min=0, max=1, help="Share of people who look like another."),
]

bench = typer.Typer(no_args_is_help=True, help="Benchmarks of this machine.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the application."""
    app.add_typer(bench, name="bench")


@bench.command("pipeline")
def pipeline(*, video: _Video, seconds: _Seconds = 30.0, as_json: _Json = False) -> None:
    """Measure end-to-end frames per second against those of the networks alone."""
    from trinetra.benchmarks import pipeline as pipeline_bench

    configure_logging(as_json=False, level="ERROR")
    with FetchProgress() as progress:
        figures = pipeline_bench.run(video, seconds, load_settings(), progress)
    _print("pipeline", figures, as_json=as_json)


@bench.command("ingest")
def ingest(
    *,
    cameras: _Cameras = 8,
    seconds: _Seconds = 10.0,
    still: _Still = False,
    key_frames_while_idle: _KeyFrames = False,
    as_json: _Json = False,
) -> None:
    """Measure the load of 720p cameras at 15 frames/s, and the lateness of their samples."""
    from trinetra.benchmarks import ingest as ingest_bench

    configure_logging(as_json=False, level="ERROR")
    load = ingest_bench.Load(still=still, key_frames_while_idle=key_frames_while_idle)
    _print("ingest", ingest_bench.run(cameras, seconds, load), as_json=as_json)


@bench.command("gallery")
def gallery(*, size: _Size = 10_000, server: _Server = False, as_json: _Json = False) -> None:
    """Measure search, recall and insertion in a gallery of 512-dimensional embeddings."""
    from trinetra.benchmarks import gallery as gallery_bench

    configure_logging(as_json=False, level="ERROR")
    if not server:
        _print("gallery", gallery_bench.run_edge(size), as_json=as_json)
        return
    settings = load_settings()
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    figures = gallery_bench.run_server(size, settings.qdrant_url, api_key=key)
    _print("gallery on a server", figures, as_json=as_json)


@bench.command("registry")
def registry(*, identities: _Identities = 50_000, as_json: _Json = False) -> None:
    """Measure the registry of active identities when it is full."""
    from trinetra.benchmarks import registry as registry_bench

    _print("registry", registry_bench.run(identities), as_json=as_json)


@bench.command("gate")
def gate(
    *,
    seeds: _Seeds = 4,
    hours: _Hours = 0.25,
    look_alikes: _LookAlikes = 0.3,
    as_json: _Json = False,
) -> None:
    """Measure the effect of the spatiotemporal gate on false merges, on a twin with look-alikes."""
    from trinetra.benchmarks import gate as gate_bench

    configure_logging(as_json=False, level="ERROR")
    figures = gate_bench.run(range(1, seeds + 1), hours=hours, look_alikes=look_alikes)
    _print("gate", figures, as_json=as_json)


@bench.command("decision")
def decision(*, as_json: _Json = False) -> None:
    """Measure the resolver's processor time per track update, without the gallery search."""
    from trinetra.benchmarks import decision as decision_bench

    configure_logging(as_json=False, level="ERROR")
    _print("decision", decision_bench.run(), as_json=as_json)


@bench.command("false-match")
def false_match(*, seeds: _Seeds = 4, as_json: _Json = False) -> None:
    """Measure the false match rate over all pairs of tracks."""
    from trinetra.benchmarks import false_match as false_match_bench

    configure_logging(as_json=False, level="ERROR")
    _print("false_match", false_match_bench.run(range(1, seeds + 1)), as_json=as_json)


@bench.command("insights")
def insights(*, store_url: _StoreUrl = None, days: _Days = 365, as_json: _Json = False) -> None:
    """Measure figures of a year of a store with 20 cameras, and the insight engine."""
    from trinetra.benchmarks import insights as insights_bench
    from trinetra.benchmarks.insight_year import YearPlan

    configure_logging(as_json=False, level="ERROR")
    figures = insights_bench.run(store_url=store_url, plan=YearPlan(days))
    _print("insights", figures, as_json=as_json)


@bench.command("queue-forecast")
def queue_forecast() -> None:
    """Measure the forecast of waits in queues on days of the digital twin, as in docs/queues.md."""
    from trinetra.benchmarks import queue_forecast as forecast_bench

    print_text(forecast_bench.as_table(forecast_bench.measure()))


@bench.command("alerts")
def alerts(
    *,
    events: Annotated[int, typer.Option(min=10, help="Alert events to send.")] = 300,
    per_s: Annotated[float, typer.Option("--per-s", min=0.1, help="Events per second.")] = 10.0,
    as_json: _Json = False,
) -> None:
    """Measure the time from an alert event to its webhook."""
    from trinetra.benchmarks import alerts as alerts_bench

    configure_logging(as_json=False, level="ERROR")
    _print("alerts", alerts_bench.run(events, per_s, load_settings()), as_json=as_json)


@bench.command("twin")
def twin(*, seconds: _Seconds = 12.0, as_json: _Json = False) -> None:
    """Measure how many detection events per second the digital twin generates."""
    from trinetra.benchmarks import twin as twin_bench

    configure_logging(as_json=False, level="ERROR")
    _print("twin", twin_bench.run(seconds), as_json=as_json)


@bench.command("transport")
def transport(
    *,
    redis_url: _RedisUrl = None,
    kafka_servers: _KafkaServers = None,
    rounds: _Rounds = 9,
    as_json: _Json = False,
) -> None:
    """Measure the transport of events and frames, against the bare clients."""
    from trinetra.benchmarks import transport as transport_bench

    configure_logging(as_json=False, level="ERROR")
    cache_dir = load_settings().cache_dir
    figures = transport_bench.run(
        redis_url=redis_url, kafka_servers=kafka_servers, cache_dir=cache_dir, rounds=rounds
    )
    _print("transport", figures, as_json=as_json)


@bench.command("resolve")
def resolve(
    *,
    events: _Events = 50_000,
    gallery: _Size = 100_000,
    rate: _Rate = 1_000.0,
    kafka_servers: _KafkaServers = None,
    as_json: _Json = False,
) -> None:
    """Measure the throughput and the latency of the identity-resolver."""
    from trinetra.benchmarks import resolve as resolve_bench

    configure_logging(as_json=False, level="ERROR")
    figures = resolve_bench.run(
        load_settings(), events, gallery_size=gallery, rate=rate, kafka_servers=kafka_servers
    )
    _print("resolve", figures, as_json=as_json)


@bench.command("latency")
def latency(
    *,
    seconds: _Seconds = 30.0,
    redis_url: _RedisUrl = None,
    kafka_servers: _KafkaServers = None,
    as_json: _Json = False,
) -> None:
    """Measure the latency from frame to identity on the five clips, in one process and in four."""
    from trinetra.benchmarks import latency as latency_bench

    configure_logging(as_json=False, level="ERROR")
    settings = load_settings()
    with FetchProgress() as progress:
        clips = ensure_clips(settings.samples_dir, settings.cache_dir, progress)
        figures = latency_bench.run(
            demo_site(clips, loop=True),
            settings,
            progress,
            seconds=seconds,
            redis_url=redis_url,
            kafka_servers=kafka_servers,
        )
    _print("latency", figures, as_json=as_json)


@bench.command("web")
def web(
    *,
    cameras: _Cameras = 24,
    viewers: _Viewers = 50,
    streams: _Viewers = 20,
    seconds: _Seconds = 15.0,
    as_json: _Json = False,
) -> None:
    """Measure what viewers of live pictures cost."""
    from trinetra.benchmarks import web as web_bench

    configure_logging(as_json=False, level="ERROR")
    figures = web_bench.run(cameras, viewers, streams, seconds)
    _print("web", figures, as_json=as_json)


@bench.command("web-pages")
def web_pages(*, as_json: _Json = False) -> None:
    """Measure pages of the dashboard and their calls of the API over a year of 20 cameras."""
    from trinetra.benchmarks import web_pages as pages_bench

    configure_logging(as_json=False, level="ERROR")
    _print("web-pages", pages_bench.run(), as_json=as_json)


@bench.command("faces-shown")
def faces_shown(*, video: _Video, as_json: _Json = False) -> None:
    """Measure the share of faces that live pictures still show although they are to be hidden."""
    from trinetra.benchmarks import faces_shown as shown_bench

    networks = prepare_networks(load_settings())
    configure_logging(as_json=False, level="ERROR")
    figures = {
        role: shown_bench.measure(video, networks, role)._asdict()
        for role in ("entrance", "tracking")
    }
    _print("faces-shown", figures, as_json=as_json)


def _print(name: str, figures: Mapping[str, object], *, as_json: bool) -> None:
    document = {"benchmark": name, **figures, "machine": describe_machine()}
    if as_json:
        print_json(document)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    for key, value in document.items():
        table.add_row(key, str(value))
    output().print(table)
