//! What a client is told by HTTP that is not answered: a problem document (RFC 9457).

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::code::ErrorCode;

/// Why a request was not answered (RFC 9457).
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Problem {
    /// Where the code is described: a URI reference.
    r#type: String,
    /// The kind of problem, in a few words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// For programs: the contract.
    code: String,
    /// Whether the same request may succeed later, unchanged.
    retryable: bool,
    /// What to do about it.
    action: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: ErrorCode, detail: String) -> Self {
        Self {
            r#type: format!("/v1/docs#{code}"),
            title: title(code).to_owned(),
            status: status.as_u16(),
            detail,
            code: code.as_str().to_owned(),
            retryable: code.retryable(),
            action: action(code).to_owned(),
        }
    }
}

/// What a code means.
pub(super) const fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadJson => "Not JSON",
        ErrorCode::BadRequest => "Not a request of this service",
        ErrorCode::UnknownMethod => "No such method",
        ErrorCode::UnknownChannel => "No such channel",
        ErrorCode::UnknownSymbol => "No such instrument",
        ErrorCode::BadParameter => "No such value of a parameter",
        ErrorCode::NotSubscribed => "Not followed",
        ErrorCode::TooManySubscriptions => "Too many topics",
        ErrorCode::AuthRequired => "Nobody in particular",
        ErrorCode::AuthFailed => "Not let in",
        ErrorCode::EntitlementDenied => "Not for this client",
        ErrorCode::OriginDenied => "Not for this page",
        ErrorCode::MessageTooLarge => "Too large",
        ErrorCode::Unsupported => "Not there yet",
        ErrorCode::UnsupportedMediaType => "Content that is not taken",
        ErrorCode::NotFound => "Nothing here",
        ErrorCode::MethodNotAllowed => "Another method",
        ErrorCode::Busy => "Busy",
        ErrorCode::RateLimited => "Too often",
        ErrorCode::Internal => "A fault of the server",
    }
}

/// What to do about it.
pub(super) const fn action(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadJson | ErrorCode::BadRequest | ErrorCode::UnknownMethod => {
            "Correct what `detail` names: /v1/docs has the routes and their parameters."
        }
        ErrorCode::UnknownChannel => "Use one of quote, trade, book, ticker, bar and status.",
        ErrorCode::UnknownSymbol => "Look the name up in /v1/instruments.",
        ErrorCode::BadParameter => "Use one of the values that `detail` names.",
        ErrorCode::NotSubscribed => "Subscribe first.",
        ErrorCode::TooManySubscriptions => "Ask for fewer topics, or spread them over several connections.",
        ErrorCode::AuthRequired => "Present a token or an API key in `Authorization: Bearer …`.",
        ErrorCode::AuthFailed => {
            "Present another token or API key: `detail` says what is wrong with this one."
        }
        ErrorCode::EntitlementDenied => {
            "Ask for what you may see, which lists without `symbols` have, or ask the operator for more."
        }
        ErrorCode::OriginDenied => "Ask the operator to allow the page by `allowed_origins`.",
        ErrorCode::MessageTooLarge => "Send less at once.",
        ErrorCode::Unsupported => "Do without it.",
        ErrorCode::UnsupportedMediaType => "Send the request without content.",
        ErrorCode::NotFound => "Look the path up in /v1/docs.",
        ErrorCode::MethodNotAllowed => "Use a method that the header `Allow` names.",
        ErrorCode::Busy | ErrorCode::RateLimited => "Try again after the seconds of `Retry-After`.",
        ErrorCode::Internal => "Try again, and tell the operator.",
    }
}
