//! Requests that are not answered, and why.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::auth;
use super::super::view::Unseen;
use super::json_response;
use super::problem::Problem;
use crate::limits::{ECHO_BYTES_MAX, EVENTS_TOPICS_MAX, TAPS_MAX};
use crate::metrics::{AuthRefusal, Refused};
use crate::wire::RequestError;
use crate::wire::code::ErrorCode;

/// A request that cannot be answered.
pub(in crate::server) struct Refusal {
    status: StatusCode,
    code: ErrorCode,
    pub(super) message: String,
}

impl Refusal {
    pub(in crate::server) fn unknown_symbol(name: &str) -> Self {
        let message =
            format!("there is no instrument `{}` here: /v1/instruments lists them", shortened(name));
        Self { status: StatusCode::NOT_FOUND, code: ErrorCode::UnknownSymbol, message }
    }

    /// It comes as it may not, at whatever path.
    pub(in crate::server) fn unreadable(status: StatusCode, message: &str) -> Self {
        Self { status, code: ErrorCode::BadRequest, message: message.to_owned() }
    }

    pub(in crate::server) fn content() -> Self {
        let message = "this route takes no content".to_owned();
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, code: ErrorCode::UnsupportedMediaType, message }
    }

    pub(in crate::server) const fn bad_request(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: ErrorCode::BadRequest, message }
    }

    pub(in crate::server) const fn bad_parameter(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: ErrorCode::BadParameter, message }
    }

    /// Somebody is not let in.
    pub(in crate::server) fn auth(refusal: AuthRefusal) -> Self {
        let message = auth::told(refusal).to_owned();
        let (status, code) = match refusal {
            AuthRefusal::Misplaced => (StatusCode::BAD_REQUEST, ErrorCode::BadRequest),
            AuthRefusal::Missing => (StatusCode::UNAUTHORIZED, ErrorCode::AuthRequired),
            AuthRefusal::Connections => (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited),
            _ => (StatusCode::UNAUTHORIZED, ErrorCode::AuthFailed),
        };
        Self { status, code, message }
    }

    /// API keys are not exchanged.
    pub(in crate::server) fn no_tokens() -> Self {
        let message = "no tokens are given here: the server has no secret to sign them with".to_owned();
        Self { status: StatusCode::NOT_FOUND, code: ErrorCode::NotFound, message }
    }

    pub(in crate::server) fn not_found() -> Self {
        let message = "there is nothing at this path: /v1/docs tells the routes".to_owned();
        Self { status: StatusCode::NOT_FOUND, code: ErrorCode::NotFound, message }
    }

    pub(in crate::server) fn no_connection(id: u64) -> Self {
        let message = format!("there is no connection {id} at this server: /v1/admin/connections lists them");
        Self { status: StatusCode::NOT_FOUND, code: ErrorCode::NotFound, message }
    }

    pub(in crate::server) fn no_admin() -> Self {
        let message = "this is for administrators: who has a role or a token with `admin = true`, which no other right includes";
        Self {
            status: StatusCode::FORBIDDEN,
            code: ErrorCode::EntitlementDenied,
            message: message.to_owned(),
        }
    }

    pub(in crate::server) fn too_many_taps() -> Self {
        let message =
            format!("{TAPS_MAX} connections are tapped, which are as many as may be: end another tap");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: ErrorCode::Busy, message }
    }

    pub(in crate::server) fn wrong_method() -> Self {
        let message = "this path does not take that method: the header `Allow` says which".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: ErrorCode::MethodNotAllowed, message }
    }

    pub(super) fn rate_limited() -> Self {
        let message = "too many requests: try again after the time in `Retry-After`".to_owned();
        Self { status: StatusCode::TOO_MANY_REQUESTS, code: ErrorCode::RateLimited, message }
    }

    /// A request of the socket's kind, by HTTP.
    pub(in crate::server) fn request(error: RequestError) -> Self {
        // Here they are not within `params`.
        let message = error.message.replace("params.", "");
        Self { status: StatusCode::BAD_REQUEST, code: error.code, message }
    }

    pub(in crate::server) fn too_many_topics(topics: usize) -> Self {
        let message = format!(
            "these are {topics} topics: one stream has {EVENTS_TOPICS_MAX} at most; name fewer symbols, or use /v1/ws"
        );
        Self { status: StatusCode::BAD_REQUEST, code: ErrorCode::TooManySubscriptions, message }
    }

    pub(in crate::server) fn origin() -> Self {
        let message = "this page may not connect: `allowed_origins` of the service says which may".to_owned();
        Self { status: StatusCode::FORBIDDEN, code: ErrorCode::OriginDenied, message }
    }

    /// There is no room for another connection: of one address that is its doing, of all it is ours.
    pub(in crate::server) fn admission(reason: Refused) -> Self {
        let (status, code, message) = match reason {
            Refused::HandshakeRate => {
                (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, "too many connections are begun")
            }
            Refused::AddressConnections => (
                StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::RateLimited,
                "too many connections of this address",
            ),
            Refused::Draining => {
                (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, "the service is about to end")
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, "too many connections"),
        };
        Self { status, code, message: message.to_owned() }
    }

    pub(in crate::server) fn busy() -> Self {
        let message = "the server is busy: try again in a moment".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: ErrorCode::Busy, message }
    }
}

impl From<Unseen> for Refusal {
    fn from(unseen: Unseen) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: unseen.code(), message: unseen.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem::new(self.status, self.code, self.message);
        let body = serde_json::to_string(&problem).expect("a problem is JSON");
        let mut response = json_response(self.status, body.into());
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        // RFC 6750 section 3.
        let challenge = match self.code {
            ErrorCode::AuthRequired => Some(HeaderValue::from_static("Bearer realm=\"tickwire\"")),
            ErrorCode::AuthFailed => {
                Some(HeaderValue::from_static("Bearer realm=\"tickwire\", error=\"invalid_token\""))
            }
            _ => None,
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        // By this it is counted.
        response.extensions_mut().insert(self.code);
        if self.code == ErrorCode::Busy {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A client's text as it is shown back to it: cut at [`ECHO_BYTES_MAX`].
pub(in crate::server) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(ECHO_BYTES_MAX)]
}
