//! `/health/live`, `/health/ready` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::ingest::Control;
use crate::metrics::Metrics;

pub(super) fn routes(feed: Control, metrics: Metrics) -> Router {
    let ready = Router::new().route("/health/ready", get(ready)).with_state(feed);
    let counters = Router::new().route("/metrics", get(render)).with_state(metrics);
    Router::new().route("/health/live", get(|| async { "live\n" })).merge(ready).merge(counters)
}

/// Ready as long as states are served, also those of a feed that is over: the body says which.
async fn ready(State(feed): State<Control>) -> impl IntoResponse {
    let body = serde_json::json!({ "ready": true, "feed": feed.phase().as_str() });
    (StatusCode::OK, axum::Json(body))
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
}
