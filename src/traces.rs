//! Spans of connections and requests, sent to a collector of OpenTelemetry; never of updates.
//!
//! Whoever has a connection or a request makes a span of [`feeds::TRACED`], holds it, and drops it at the end. It is not
//! entered, so that nothing of it is on the way of an update; where nobody collects, it is not even made. What it says goes by
//! the [semantic conventions](https://opentelemetry.io/docs/specs/semconv/) where these have a name for it.

mod collector;
#[cfg(feature = "otlp")]
mod export;
#[cfg(feature = "otlp")]
mod parent;

pub use collector::{Collector, CollectorError, Ratio, Settings};
#[cfg(feature = "otlp")]
pub use export::{Exporter, ExporterError};
#[cfg(feature = "otlp")]
pub use parent::follow;

/// A span has no parent elsewhere where none is exported.
#[cfg(not(feature = "otlp"))]
pub const fn follow(_span: &tracing::Span, _headers: &hyper::HeaderMap) {}
