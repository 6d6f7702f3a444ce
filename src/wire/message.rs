//! Control messages: what clients ask, and what they are answered.

mod reply;
mod request;

pub use reply::{
    Acknowledged, Granted, ack_auth, ack_list, ack_resync, ack_subscribe, ack_unsubscribe, error, pong,
    system_shutdown,
};
pub use request::{Method, OnOverflow, ReqId, Request, RequestError, Resume, Symbols, Token};
