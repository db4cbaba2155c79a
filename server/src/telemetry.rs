//! What the process tells of its work: lines on the standard error and, with the cargo feature
//! `otel`, spans to an OpenTelemetry collector. Called once, by `main`.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

#[cfg(feature = "otel")]
pub(crate) use self::otel::continue_trace;

/// Where the collector is, as OpenTelemetry names it.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];

/// Lines that are told unless `GRANARY_LOG` says otherwise: not that a client sent what is no HTTP,
/// which it is answered with.
const USUAL: &str = "warn,actix_http::h1::dispatcher=off";

/// Lives as long as the process works; what is still to be sent goes out at its end.
pub(crate) struct Telemetry {
    #[cfg(feature = "otel")]
    _spans: Option<otel::Spans>,
}

impl Telemetry {
    /// Begins to tell. `GRANARY_LOG` says which lines, as in `GRANARY_LOG=info`.
    pub(crate) fn start() -> Telemetry {
        let filter =
            EnvFilter::try_from_env("GRANARY_LOG").unwrap_or_else(|_| EnvFilter::new(USUAL));
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_filter(filter);
        let subscriber = tracing_subscriber::registry().with(lines);
        let is_asked = ENDPOINTS
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        #[cfg(feature = "otel")]
        {
            let spans = is_asked.then(otel::Spans::start).flatten();
            subscriber
                .with(spans.as_ref().map(otel::Spans::layer))
                .init();
            Telemetry { _spans: spans }
        }
        #[cfg(not(feature = "otel"))]
        {
            subscriber.init();
            if is_asked {
                tracing::warn!(
                    "no spans are exported: this granary was built without `--features otel`"
                );
            }
            Telemetry {}
        }
    }
}

#[cfg(feature = "otel")]
mod otel {
    use actix_web::http::header::HeaderMap;
    use opentelemetry::propagation::{Extractor, TextMapPropagator};
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::SpanExporter;
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::level_filters::LevelFilter;
    use tracing::{Span, Subscriber};
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::registry::LookupSpan;
    use tracing_subscriber::{Layer, filter};

    /// Ours alone: those of the exporter's own client would be exported too.
    const TARGET: &str = "granary";

    /// Spans on their way to a collector, by OTLP over HTTP, in a thread of their own.
    pub(super) struct Spans(SdkTracerProvider);

    impl Spans {
        /// As `OTEL_*` in the environment says.
        pub(super) fn start() -> Option<Spans> {
            let exporter = match SpanExporter::builder().with_http().build() {
                Ok(exporter) => exporter,
                Err(error) => {
                    eprintln!("granary: no spans are exported: {error}");
                    return None;
                }
            };
            let mut resource = Resource::builder();
            if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
                resource = resource.with_service_name("granary");
            }
            let provider = SdkTracerProvider::builder()
                .with_resource(resource.build())
                .with_batch_exporter(exporter)
                .build();
            Some(Spans(provider))
        }

        pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
        where
            S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
        {
            let ours: filter::Targets = Targets::new().with_target(TARGET, LevelFilter::INFO);
            tracing_opentelemetry::layer()
                .with_tracer(self.0.tracer("granary"))
                .with_filter(ours)
        }
    }

    impl Drop for Spans {
        fn drop(&mut self) {
            // There is nobody left to tell of a collector that does not answer.
            let _ = self.0.shutdown();
        }
    }

    /// Makes a span part of the trace that a request names by `traceparent`.
    pub(crate) fn continue_trace(span: &Span, headers: &HeaderMap) {
        if !span.is_disabled() {
            let parent = TraceContextPropagator::new().extract(&Headers(headers));
            let _ = span.set_parent(parent);
        }
    }

    struct Headers<'a>(&'a HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(|name| name.as_str()).collect()
        }
    }
}
