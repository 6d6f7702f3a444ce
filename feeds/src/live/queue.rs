//! From the network's thread to who asks for events: messages, bounded in their number and in their memory.

use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TryRecvError, TrySendError, sync_channel};

use crate::limits::LIVE_QUEUE_MESSAGES_MAX;
use crate::{EventBody, Level, MarketEvent, Timestamp};

/// What belongs together, and when it was received.
pub(super) struct Message {
    pub(super) ts_recv: Timestamp,
    pub(super) events: Vec<MarketEvent>,
}

impl Message {
    fn bytes(&self) -> usize {
        let levels = |event: &MarketEvent| match &event.body {
            EventBody::BookSnapshot(book) => book.bids.len() + book.asks.len(),
            _ => 0,
        };
        let levels: usize = self.events.iter().map(levels).sum();
        size_of::<Self>() + self.events.len() * size_of::<MarketEvent>() + levels * size_of::<Level>()
    }
}

pub(super) struct Sender {
    messages: SyncSender<Message>,
    /// Of what waits.
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

pub(super) struct Receiver {
    messages: mpsc::Receiver<Message>,
    bytes: Arc<AtomicUsize>,
}

pub(super) fn queue(bytes_max: usize) -> (Sender, Receiver) {
    let (sender, receiver) = sync_channel(LIVE_QUEUE_MESSAGES_MAX);
    let bytes = Arc::<AtomicUsize>::default();
    (
        Sender { messages: sender, bytes: Arc::clone(&bytes), bytes_max },
        Receiver { messages: receiver, bytes },
    )
}

impl Sender {
    /// Where nothing waits there is room for a message of any size.
    pub(super) fn try_send(&self, message: Message) -> Result<(), TrySendError<Message>> {
        let bytes = message.bytes();
        // This is the only sender: meanwhile it can only become less.
        let waiting = self.bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > self.bytes_max {
            return Err(TrySendError::Full(message));
        }
        // Before the other side can take it off again.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.messages.try_send(message).inspect_err(|_| {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        })
    }
}

impl Receiver {
    pub(super) fn try_recv(&self) -> Result<Message, TryRecvError> {
        let message = self.messages.try_recv()?;
        self.bytes.fetch_sub(message.bytes(), Ordering::Relaxed);
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BookSnapshot, Price, Size, SymbolId};

    const BYTES_MAX: usize = 4 << 20;

    fn message(levels: usize) -> Message {
        let level = Level { price: Price(1), size: Size(1) };
        let book = BookSnapshot { bids: vec![level; levels], asks: Vec::new() };
        let ts = Timestamp(1);
        let body = EventBody::BookSnapshot(Box::new(book));
        let event = MarketEvent { symbol: SymbolId(0), ts_event: ts, ts_recv: ts, sequence: 0, body };
        Message { ts_recv: ts, events: vec![event] }
    }

    #[test]
    fn large_messages_wait_for_as_much_memory_as_small_ones() {
        let (sender, receiver) = queue(BYTES_MAX);
        let levels = BYTES_MAX / size_of::<Level>() / 3;
        let taken = (0..10).take_while(|_| sender.try_send(message(levels)).is_ok()).count();
        assert_eq!(taken, 2, "three are more than a third each");
        assert!(sender.try_send(message(10)).is_ok(), "a small one has room");

        assert!(receiver.try_recv().is_ok());
        assert!(sender.try_send(message(levels)).is_ok(), "the room of one that was taken");
        assert!(sender.try_send(message(levels)).is_err());
        while receiver.try_recv().is_ok() {}
        assert!(sender.try_send(message(4 * levels)).is_ok(), "one alone may be larger");
        assert!(sender.try_send(message(0)).is_err());
    }

    #[test]
    fn small_messages_are_counted() {
        let (sender, receiver) = queue(BYTES_MAX);
        for _ in 0..2 {
            let taken = (0..).take_while(|_| sender.try_send(message(0)).is_ok()).count();
            assert_eq!(taken, LIVE_QUEUE_MESSAGES_MAX);
            while receiver.try_recv().is_ok() {}
        }
    }
}
