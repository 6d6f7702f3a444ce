//! Control messages: what clients ask, and what they are answered.

mod distinct;
mod reply;
mod request;

pub use reply::{
    Acknowledged, Granted, ack_auth, ack_list, ack_resync, ack_subscribe, ack_unsubscribe, error, pong,
    system_closed, system_closing, system_entitlement, system_shutdown, system_token_expiring,
};
pub use request::{Method, OnOverflow, ReqId, Request, RequestError, Resume, Symbols};
