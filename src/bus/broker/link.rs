//! What a gateway's thread and the broker's say to each other.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::message::{Carried, Want};
use crate::bus::Request;
use crate::topic::TopicId;

/// What comes by the bus.
#[derive(Debug)]
pub enum Delivery {
    /// A part of a topic's stream.
    Carried(Carried),
    /// The stream lives, in that epoch.
    Lives(Arc<str>),
    /// The ingests have other instruments, or share them otherwise, than this gateway began with.
    IsAnother,
    /// What is no message, or none that a gateway takes.
    Bad,
    /// The connection to the broker stands again: whatever was sent meanwhile is lost.
    Reconnected,
}

/// What the bus is to do, in this order.
#[derive(Debug)]
pub struct Order {
    /// Topics to be listened to.
    pub listen: Vec<TopicId>,
    /// Topics that are not, any more.
    pub leave: Vec<TopicId>,
    /// What the ingest is told, and the run of the stream that it is about.
    pub follow: (Arc<str>, Vec<(TopicId, Want)>),
    /// [`Request::Read`], [`Request::History`] and [`Request::Tape`] for the ingest.
    pub forwards: Vec<Request>,
}

/// A gateway's ends of the bus.
#[derive(Debug)]
pub struct Link {
    /// What comes.
    pub deliveries: mpsc::Receiver<Delivery>,
    /// What is wanted.
    pub orders: mpsc::Sender<Order>,
}
