//! The page at `/`: plain files of `web/`, inside the binary.

use axum::Router;
use axum::http::header;
use axum::routing::get;

const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'";

pub(super) fn routes() -> Router {
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("../../web/index.html")))
        .route("/app.js", file("text/javascript; charset=utf-8", include_str!("../../web/app.js")))
        .route("/style.css", file("text/css; charset=utf-8", include_str!("../../web/style.css")))
}

fn file(content_type: &'static str, content: &'static str) -> axum::routing::MethodRouter {
    get(move || async move {
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, content)
    })
}
