//! Tells whoever waits that a thread which must not end has ended, by a return or by a panic.

use tokio::sync::mpsc;

/// Held by a thread for as long as it lives.
#[derive(Clone, Debug)]
pub struct Lifeline(mpsc::Sender<()>);

/// Learns that some thread has let go.
#[derive(Debug)]
pub struct Watcher(mpsc::Receiver<()>);

/// A lifeline, to be cloned for each thread, and the one that watches all of them.
#[must_use]
pub fn lifeline() -> (Lifeline, Watcher) {
    let (sender, receiver) = mpsc::channel(1);
    (Lifeline(sender), Watcher(receiver))
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        // Full: somebody else has said so already. Closed: nobody watches.
        let _ = self.0.try_send(());
    }
}

impl Watcher {
    /// Returns as soon as any of them has been dropped.
    pub async fn any_dropped(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_noticed() {
        let (line, mut watcher) = lifeline();
        let other = line.clone();
        assert!(watcher.0.try_recv().is_err());
        let thread = std::thread::spawn(move || {
            let _line = other;
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
        assert!(watcher.0.try_recv().is_ok());
        drop(line);
    }
}
