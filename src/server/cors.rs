//! What pages of other origins may read: the same that may connect, `allowed_origins`. A browser asks first (a preflight of
//! the Fetch standard) before it sends `Authorization` for such a page, and shows it no answer that does not name its origin.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::admission::{Admission, gate};
use super::rest::Refusal;
use crate::metrics::Refused;

/// Who may come in, and whether connections come in TLS.
#[derive(Clone)]
pub(super) struct Sharing {
    pub(super) admission: Admission,
    pub(super) is_tls: bool,
}

/// Answers a browser that asks on behalf of a page, and names the page's origin in what it may read.
pub(super) async fn share(
    State(Sharing { admission, is_tls }): State<Sharing>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_shared = path.starts_with("/v1/") && path != gate::SOCKET;
    let origin = request.headers().get(header::ORIGIN).filter(|_| is_shared).cloned();
    let Some(origin) = origin else { return next.run(request).await };
    let may_read = gate::may_connect(&admission, &request, is_tls);
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (is_preflight, may_read) {
        (true, true) => {
            let headers = [
                (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST"),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, if-none-match, last-event-id"),
                (header::ACCESS_CONTROL_MAX_AGE, "600"),
            ];
            (StatusCode::NO_CONTENT, headers).into_response()
        }
        (true, false) => {
            admission.refuse(Refused::Origin);
            Refusal::origin().into_response()
        }
        (false, _) => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if may_read {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("etag, retry-after, www-authenticate");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}
