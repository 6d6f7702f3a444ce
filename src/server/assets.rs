//! The page at `/`: plain files of `web/`, inside the binary.

use axum::Router;
use axum::http::header;
use axum::routing::{MethodRouter, get};

/// No script, style or connection but our own.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

pub(super) fn routes() -> Router {
    Router::new()
        .route("/", file(HTML, include_str!("../../web/index.html")))
        .route("/style.css", file(CSS, include_str!("../../web/style.css")))
        .route("/icon.svg", file(SVG, include_str!("../../web/icon.svg")))
        .route("/app.js", file(JAVASCRIPT, include_str!("../../web/app.js")))
        .route("/book.js", file(JAVASCRIPT, include_str!("../../web/book.js")))
        .route("/decimal.js", file(JAVASCRIPT, include_str!("../../web/decimal.js")))
        .route("/feed.js", file(JAVASCRIPT, include_str!("../../web/feed.js")))
        .route("/panel.js", file(JAVASCRIPT, include_str!("../../web/panel.js")))
        .route("/table.js", file(JAVASCRIPT, include_str!("../../web/table.js")))
}

fn file(content_type: &'static str, content: &'static str) -> MethodRouter {
    get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        (headers, content)
    })
}
