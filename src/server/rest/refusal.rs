//! Requests that are not answered, and why.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::json_response;
use crate::limits::ECHO_BYTES_MAX;
use crate::wire::code::ErrorCode;

/// A request that cannot be answered.
pub(super) struct Refusal {
    status: StatusCode,
    code: ErrorCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn unknown_symbol(name: &str) -> Self {
        let message =
            format!("there is no instrument `{}` here: /v1/instruments lists them", shortened(name));
        Self { status: StatusCode::NOT_FOUND, code: ErrorCode::UnknownSymbol, message }
    }

    pub(super) const fn bad_request(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: ErrorCode::BadRequest, message }
    }

    pub(super) const fn bad_parameter(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: ErrorCode::BadParameter, message }
    }

    pub(super) fn not_found() -> Self {
        let message = "there is nothing at this path: src/wire/protocol.md tells the routes".to_owned();
        Self { status: StatusCode::NOT_FOUND, code: ErrorCode::NotFound, message }
    }

    pub(super) fn wrong_method() -> Self {
        let message = "this path does not take that method: the header `Allow` says which".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: ErrorCode::MethodNotAllowed, message }
    }

    pub(super) fn busy() -> Self {
        let message = "the server is busy: try again in a moment".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: ErrorCode::Busy, message }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = serde_json::json!({
            "code": self.code.as_str(), "message": self.message, "retryable": self.code.retryable(),
        });
        let body = serde_json::json!({ "error": error }).to_string();
        let mut response = json_response(self.status, body.into());
        if self.code == ErrorCode::Busy {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A client's text as it is shown back to it: cut at [`ECHO_BYTES_MAX`].
pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(ECHO_BYTES_MAX)]
}
