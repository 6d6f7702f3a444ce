//! Connects anew whenever a connection is lost, for a broker whose library does not.

use std::future::Future;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::connection::{BusError, Traced, retry_after};

/// Whoever connects, and serves what a connection brings.
pub(super) trait Connects: Send + Sync + 'static {
    /// A connection, which is closed with this.
    type Opened: Send;

    /// What a collector of traces is told of a connection, which stands from now on.
    fn stands(&self) -> Traced;

    /// Connects, and listens to all that is listened to.
    fn open(&self) -> impl Future<Output = Result<Self::Opened, BusError>> + Send;

    /// Delivers until the connection is lost; says why it is.
    fn serve(&self, opened: Self::Opened) -> impl Future<Output = String> + Send;

    /// There is no connection now.
    fn forget(&self);
}

/// What others use of the present connection: nothing while it is lost.
pub(super) struct Present<S>(Mutex<Option<Arc<S>>>);

impl<S> Default for Present<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Present<S> {
    pub(super) fn get(&self) -> Option<Arc<S>> {
        self.lock().clone()
    }

    pub(super) fn set(&self, session: Option<Arc<S>>) {
        *self.lock() = session;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<S>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes on with a connection and those after it. It ends with its runtime.
pub(super) async fn keep<C: Connects>(
    connects: Arc<C>,
    mut opened: C::Opened,
    reconnected: mpsc::Sender<()>,
) {
    let lot = std::hash::RandomState::new();
    loop {
        let traced = connects.stands();
        let reason = connects.serve(opened).await;
        traced.lost(&reason);
        warn!(%reason, "the connection to the bus is lost");
        connects.forget();
        let mut attempts = 0;
        opened = loop {
            attempts += 1;
            sleep(retry_after(attempts, lot.hash_one(attempts))).await;
            match connects.open().await {
                Ok(opened) => break opened,
                Err(error) if attempts == 1 => info!(%error, "the bus is tried again and again"),
                Err(error) => debug!(%error, attempts, "the bus"),
            }
        };
        // One that is not taken yet says the same.
        let _ = reconnected.try_send(());
    }
}
