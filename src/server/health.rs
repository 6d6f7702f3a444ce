//! `/health/live`, `/health/ready` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::ingest::{Control, Phase};
use crate::metrics::Metrics;

pub(super) fn routes(feed: Control, metrics: Metrics) -> Router {
    let ready = Router::new().route("/health/ready", get(ready)).with_state(feed);
    let counters = Router::new().route("/metrics", get(render)).with_state(metrics);
    Router::new().route("/health/live", get(|| async { "live\n" })).merge(ready).merge(counters)
}

/// Ready as long as states are served, also those of a feed that is over; not when the feed is damaged, which serves
/// no more than what came before.
async fn ready(State(feed): State<Control>) -> impl IntoResponse {
    let phase = feed.phase();
    let is_ready = phase != Phase::Failed;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(serde_json::json!({ "ready": is_ready, "feed": phase.as_str() })))
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
}
