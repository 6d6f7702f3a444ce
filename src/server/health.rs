//! `/health/live`, `/health/ready` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::admission::Admission;
use super::auth::Auth;
use crate::ingest::{Control, Phase};
use crate::metrics::Metrics;

pub(super) fn routes(feed: Control, admission: Admission, auth: Auth, metrics: Metrics) -> Router {
    let ready = Router::new().route("/health/ready", get(ready)).with_state((feed, admission, auth));
    let counters = Router::new().route("/metrics", get(render)).with_state(metrics);
    Router::new().route("/health/live", get(|| async { "live\n" })).merge(ready).merge(counters)
}

/// Ready as long as states are served, also those of a feed that is over; not when the feed is damaged, which serves
/// no more than what came before, nor while it is on its way to where it is to begin: what is served then is of the past; not at a gateway whose bus is silent;
/// not before the keys have come without which nobody can be let in; and not when the service is about to end.
async fn ready(State((feed, admission, auth)): State<(Control, Admission, Auth)>) -> impl IntoResponse {
    let (phase, is_draining) = (feed.phase(), admission.is_draining());
    let seek = feed.seek();
    let waits_for_keys = auth.waits_for_keys();
    let has_states = !matches!(phase, Phase::Failed | Phase::Cut) && seek.is_none();
    let is_ready = has_states && !waits_for_keys && !is_draining;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut state = serde_json::json!({ "ready": is_ready, "feed": phase.as_str() });
    if let Some((reached, to)) = seek {
        state["reached"] = reached.map(|reached| reached.to_string()).into();
        state["from"] = to.to_string().into();
    }
    if waits_for_keys {
        state["reason"] =
            "nobody can be let in: `auth_jwks` could not be fetched yet, as the log says".into();
    }
    if is_draining {
        state["draining"] = true.into();
    }
    (status, axum::Json(state))
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
}
