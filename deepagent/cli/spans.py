"""Spans of what commands do, sent to a collector of OpenTelemetry."""

from __future__ import annotations

import os

from deepagent.errors import UsageError


def export_if_configured() -> None:
    """Export spans where the usual variables name a collector.

    Raises:
        UsageError: they do, and the extra is not installed.
    """
    if not (os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")):
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise UsageError("OTEL_EXPORTER_OTLP_ENDPOINT is set: pip install 'deepagent[otel]' to export spans") from error
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
