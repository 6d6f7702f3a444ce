//! Every error code and every close code: what happened, whose doing it is, and what the client should do.

use std::fmt;

/// Why a request failed, or a symbol of it. The text of [`ErrorCode::as_str`] is the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The message is not JSON.
    BadJson,
    /// The message is JSON, but a field is missing, unknown, or of the wrong type. The message names the field.
    BadRequest,
    /// There is no such method.
    UnknownMethod,
    /// There is no such channel.
    UnknownChannel,
    /// There is no such instrument here.
    UnknownSymbol,
    /// The channel has no such depth or interval; a REST parameter has no such value.
    BadParameter,
    /// The connection does not follow that topic.
    NotSubscribed,
    /// The connection follows as many topics as it may.
    TooManySubscriptions,
    /// The client has to say first who it is.
    AuthRequired,
    /// What it presented is not valid. The message says why.
    AuthFailed,
    /// It is not part of what this client may see.
    EntitlementDenied,
    /// HTTP only: the page that asks is not one that may connect.
    OriginDenied,
    /// The message is longer than [`REQUEST_BYTES_MAX`](crate::limits::REQUEST_BYTES_MAX).
    MessageTooLarge,
    /// The protocol has it, this server does not, yet.
    Unsupported,
    /// HTTP only: the request has content, of which none is taken.
    UnsupportedMediaType,
    /// REST only: there is nothing at that path.
    NotFound,
    /// REST only: the path does not take that method.
    MethodNotAllowed,
    /// Too much is asked of the server at once.
    Busy,
    /// One client asks more often than it may.
    RateLimited,
    /// A fault of the server.
    Internal,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 20] = [
        Self::BadJson,
        Self::BadRequest,
        Self::UnknownMethod,
        Self::UnknownChannel,
        Self::UnknownSymbol,
        Self::BadParameter,
        Self::NotSubscribed,
        Self::TooManySubscriptions,
        Self::AuthRequired,
        Self::AuthFailed,
        Self::EntitlementDenied,
        Self::OriginDenied,
        Self::MessageTooLarge,
        Self::Unsupported,
        Self::UnsupportedMediaType,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Busy,
        Self::RateLimited,
        Self::Internal,
    ];

    /// As the protocol spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "BAD_JSON",
            Self::BadRequest => "BAD_REQUEST",
            Self::UnknownMethod => "UNKNOWN_METHOD",
            Self::UnknownChannel => "UNKNOWN_CHANNEL",
            Self::UnknownSymbol => "UNKNOWN_SYMBOL",
            Self::BadParameter => "BAD_PARAMETER",
            Self::NotSubscribed => "NOT_SUBSCRIBED",
            Self::TooManySubscriptions => "TOO_MANY_SUBSCRIPTIONS",
            Self::AuthRequired => "AUTH_REQUIRED",
            Self::AuthFailed => "AUTH_FAILED",
            Self::EntitlementDenied => "ENTITLEMENT_DENIED",
            Self::OriginDenied => "ORIGIN_DENIED",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::Unsupported => "UNSUPPORTED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::Busy => "BUSY",
            Self::RateLimited => "RATE_LIMITED",
            Self::Internal => "INTERNAL",
        }
    }

    /// Whether the same request may succeed later, unchanged.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Busy | Self::RateLimited | Self::Internal)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the server closed a connection: the status code of the WebSocket close frame (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1001: the server goes away.
    GoingAway,
    /// 1002: the client broke the WebSocket protocol.
    ProtocolError,
    /// 1007: a text message is not UTF-8.
    InvalidPayload,
    /// 1008: the client broke a rule of the service, such as too many wrong requests.
    Policy,
    /// 1009: a message is far too big to be read to its end.
    TooBig,
    /// 1012: the server restarts.
    Restart,
    /// 1013: the server had no room for what this client needed it to hold or to do.
    TryAgainLater,
    /// 4001: no `auth` came in time.
    AuthTimeout,
    /// 4002: the token is not valid.
    AuthFailed,
    /// 4004: the token has expired.
    TokenExpired,
    /// 4006: too many connections.
    ConnectionLimit,
    /// 4007: the client read too slowly for too long.
    TooSlow,
    /// 4009: what the client follows is not allowed to it any more.
    EntitlementRevoked,
    /// 4029: too many requests.
    RateLimited,
}

/// What a client does about a [`CloseCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Return {
    /// Connects again, after a jittered back-off.
    Yes,
    /// Connects again once it has another token.
    WithNewToken,
    /// Does not: the same would happen again.
    No,
}

impl CloseCode {
    /// All codes.
    pub const ALL: [Self; 14] = [
        Self::GoingAway,
        Self::ProtocolError,
        Self::InvalidPayload,
        Self::Policy,
        Self::TooBig,
        Self::Restart,
        Self::TryAgainLater,
        Self::AuthTimeout,
        Self::AuthFailed,
        Self::TokenExpired,
        Self::ConnectionLimit,
        Self::TooSlow,
        Self::EntitlementRevoked,
        Self::RateLimited,
    ];

    /// The status code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::InvalidPayload => 1007,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::Restart => 1012,
            Self::TryAgainLater => 1013,
            Self::AuthTimeout => 4001,
            Self::AuthFailed => 4002,
            Self::TokenExpired => 4004,
            Self::ConnectionLimit => 4006,
            Self::TooSlow => 4007,
            Self::EntitlementRevoked => 4009,
            Self::RateLimited => 4029,
        }
    }

    /// The meaning of a status code, if it is one of ours.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|close| close.code() == code)
    }

    /// The text that goes with it in the close frame.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "going away",
            Self::ProtocolError => "protocol error",
            Self::InvalidPayload => "not UTF-8",
            Self::Policy => "policy violation",
            Self::TooBig => "message too big",
            Self::Restart => "restart",
            Self::TryAgainLater => "try again later",
            Self::AuthTimeout => "auth timeout",
            Self::AuthFailed => "auth failed",
            Self::TokenExpired => "token expired",
            Self::ConnectionLimit => "connection limit",
            Self::TooSlow => "too slow for too long",
            Self::EntitlementRevoked => "entitlement revoked",
            Self::RateLimited => "rate limited",
        }
    }

    /// Whether the client should come back.
    #[must_use]
    pub const fn come_back(self) -> Return {
        match self {
            Self::GoingAway | Self::Restart | Self::TryAgainLater | Self::TooSlow | Self::RateLimited => {
                Return::Yes
            }
            Self::AuthTimeout | Self::AuthFailed | Self::TokenExpired => Return::WithNewToken,
            Self::ProtocolError
            | Self::InvalidPayload
            | Self::Policy
            | Self::TooBig
            | Self::ConnectionLimit
            | Self::EntitlementRevoked => Return::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of `protocol.md`'s tables of codes; the text is what clients are written to.
    #[test]
    fn every_code_is_in_the_protocol_and_means_one_thing() {
        let protocol = include_str!("protocol.md");
        for (index, code) in ErrorCode::ALL.into_iter().enumerate() {
            let retryable = if code.retryable() { "yes" } else { "no" };
            let row = format!("| `{code}` | {retryable} |");
            assert!(protocol.contains(&row), "protocol.md lacks `{row}`");
            assert!(
                !ErrorCode::ALL[..index].iter().any(|other| other.as_str() == code.as_str()),
                "{code} twice"
            );
        }
        for close in CloseCode::ALL {
            let back = match close.come_back() {
                Return::Yes => "yes",
                Return::WithNewToken => "with a new token",
                Return::No => "no",
            };
            let row = format!("| {} | {} | {back} |", close.code(), close.reason());
            assert!(protocol.contains(&row), "protocol.md lacks `{row}`");
            assert_eq!(CloseCode::from_code(close.code()), Some(close));
            assert!(close.reason().len() <= 123, "a close frame holds 125 bytes with the code");
        }
        assert_eq!(CloseCode::from_code(1000), None);
    }
}
