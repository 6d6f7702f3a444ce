//! Which refusal an error code is, for those who count.

use crate::metrics::{Metrics, Refused};
use crate::wire::code::ErrorCode;

/// Counts what was refused with that code.
pub(super) fn count(metrics: &Metrics, code: ErrorCode) {
    if let Some(reason) = reason(code) {
        metrics.refusals_total().of(reason).add(1);
    }
}

/// `None`: it is counted where it is known more exactly why, or it is a fault of ours.
const fn reason(code: ErrorCode) -> Option<Refused> {
    Some(match code {
        ErrorCode::BadJson => Refused::BadJson,
        ErrorCode::BadRequest => Refused::BadRequest,
        ErrorCode::UnknownMethod => Refused::UnknownMethod,
        ErrorCode::UnknownChannel => Refused::UnknownChannel,
        ErrorCode::UnknownSymbol => Refused::UnknownSymbol,
        ErrorCode::BadParameter => Refused::BadParameter,
        ErrorCode::NotSubscribed => Refused::NotSubscribed,
        ErrorCode::TooManySubscriptions => Refused::TooManySubscriptions,
        ErrorCode::EntitlementDenied => Refused::EntitlementDenied,
        ErrorCode::MessageTooLarge => Refused::MessageTooLarge,
        ErrorCode::Unsupported => Refused::Unsupported,
        ErrorCode::NotFound => Refused::NotFound,
        ErrorCode::MethodNotAllowed => Refused::MethodNotAllowed,
        ErrorCode::Busy => Refused::Busy,
        ErrorCode::AuthRequired
        | ErrorCode::AuthFailed
        | ErrorCode::OriginDenied
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::RateLimited
        | ErrorCode::Internal => return None,
    })
}
