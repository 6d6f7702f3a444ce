//! What goes over a connection, for whoever wants to see it.

use feeds::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ws::frame::Opcode;

/// Is shown each message and each control frame, before anything is made of it.
pub type Tap = Box<dyn FnMut(&Observed<'_>) + Send>;

/// A message or a control frame.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// When it was read, or was put where it is sent from.
    pub at: Timestamp,
    /// Who sends it.
    pub sender: Sender,
    /// What it is.
    pub opcode: Opcode,
    /// Its bytes on the wire, as they are sent: with headers, and compressed where they are. TLS is below.
    pub wire_bytes: u64,
    /// Whether it was compressed.
    pub is_compressed: bool,
    /// What it carries, inflated. A token that is presented is not shown.
    pub payload: &'a [u8],
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sender {
    /// We.
    Client,
    /// The other one.
    Server,
}
