//! The trace that a client's request belongs to, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) tells it.

use hyper::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::limits::TRACE_HEADER_BYTES_MAX;

/// Makes a span, just begun, a part of the trace that the headers name. Where they name none, or not as they should, it is
/// the first of one.
pub fn follow(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() {
        return;
    }
    // A span that nobody collects has no parent either.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        // Of two it is not known which is meant; and what is long would be kept for as long as its connection.
        let value = values.next().filter(|value| value.len() <= TRACE_HEADER_BYTES_MAX);
        if values.next().is_some() { None } else { value?.to_str().ok() }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use opentelemetry::trace::TraceContextExt;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// The span that is followed, and its state.
    fn found(headers: &[(&'static str, &str)]) -> Option<(String, String)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).expect("a header"));
        }
        let context = TraceContextPropagator::new().extract(&Headers(&map));
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| (span.span_id().to_string(), span.trace_state().header()))
    }

    #[test]
    fn one_parent_is_followed_and_what_is_odd_is_not() {
        let id = "b7ad6b7169203331".to_owned();
        assert_eq!(found(&[("traceparent", PARENT)]), Some((id.clone(), String::new())));
        assert_eq!(
            found(&[("traceparent", PARENT), ("tracestate", "a=1,b=2")]),
            Some((id.clone(), "a=1,b=2".to_owned()))
        );
        let long = format!("a={}", "x".repeat(TRACE_HEADER_BYTES_MAX));
        assert_eq!(found(&[("traceparent", PARENT), ("tracestate", &long)]), Some((id, String::new())));
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("traceparent", PARENT), ("traceparent", PARENT)]), None);
        for wrong in
            ["", "00-0-0-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &PARENT[..40]]
        {
            assert_eq!(found(&[("traceparent", wrong)]), None, "{wrong}");
        }
        let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        assert_eq!(found(&[("traceparent", zero)]), None);
    }
}
