//! What a gateway and the bus say to each other. Both are of one thread, but for what a broker's library has of its own: to
//! hand each message on to another thread would cost more than the message.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

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
    pub(super) work: JoinHandle<()>,
    pub(super) bell: Arc<Bell>,
}

impl Link {
    /// Ends a [`Link::wait`].
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.bell))
    }

    /// Lets the bus work until something has come, or for that time. `false`: it has ended.
    #[must_use]
    pub async fn wait(&self, most: Duration) -> bool {
        let mut rung = pin!(self.bell.0.notified());
        if most.is_zero() || rung.as_mut().enable() {
            // Whoever rings without end does not keep the bus from its work.
            yield_now().await;
        } else {
            // Over time or not: there is a turn.
            let _ = timeout(most, rung).await;
        }
        // What came together rang several times, and is taken together.
        pin!(self.bell.0.notified()).enable();
        !self.work.is_finished()
    }
}

/// Is rung when there is something for the gateway.
#[derive(Debug, Default)]
pub(super) struct Bell(Notify);

impl Bell {
    pub(super) fn ring(&self) {
        self.0.notify_one();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn link(work: JoinHandle<()>) -> Link {
        let (_, deliveries) = mpsc::channel(1);
        let (orders, _) = mpsc::channel(1);
        Link { deliveries, orders, work, bell: Arc::default() }
    }

    #[tokio::test]
    async fn the_bus_works_although_somebody_rings_in_every_turn() {
        let link = link(tokio::spawn(async {}));
        link.waker().wake_by_ref();
        assert!(!link.wait(HOUR).await, "its work has been done, and has ended");
    }

    #[tokio::test]
    async fn what_rings_before_it_is_waited_for_is_heard_once() {
        let link = link(tokio::spawn(std::future::pending()));
        link.bell.ring();
        link.bell.ring();
        assert!(link.wait(HOUR).await);
        assert!(timeout(Duration::from_millis(1), link.wait(HOUR)).await.is_err());
    }
}
