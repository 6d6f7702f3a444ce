//! The thread that follows the files and the JWKS. What is wrong leaves what was before in its place.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Instant;

use feeds::clock::monotonic;
use hyper::Uri;
use rustls::ClientConfig;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep_until, timeout};
use tracing::{error, info};

use super::jwks::Place;
use super::{AuthError, Holds, Inner, fetch, jwks};
use crate::limits::{AUTH_CHECK_EVERY, JWKS_FETCH_WAIT, JWKS_RETRY_AFTER, JWKS_UNKNOWN_KEY_EVERY};
use crate::metrics::Metrics;

/// A file, and how it looked when it was read last. A changed one looks different, also one that has taken its place.
pub(super) struct File {
    holds: Holds,
    path: PathBuf,
    stamp: Stamp,
    /// How it looked last.
    seen: Stamp,
}

type Stamp = Option<(u64, i64, i64, u64)>;

impl File {
    /// To be made before it is read: what changes meanwhile is read again.
    pub(super) fn new(holds: Holds, path: PathBuf) -> Self {
        let mut file = Self { holds, path, stamp: None, seen: None };
        file.stamp = file.look();
        file.seen = file.stamp;
        file
    }

    fn look(&self) -> Stamp {
        let metadata = fs::metadata(&self.path).ok()?;
        Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
    }
}

/// The fetches of a JWKS, as those see them who wait for one.
#[derive(Debug)]
pub(super) struct Fetches {
    state: watch::Sender<State>,
    wanted: Notify,
}

#[derive(Debug)]
struct State {
    is_running: bool,
    finished: u64,
    /// When a token last had it fetched before its time.
    asked: Option<Instant>,
}

impl Default for Fetches {
    fn default() -> Self {
        // The first begins with the thread.
        let state = State { is_running: true, finished: 0, asked: None };
        Self { state: watch::Sender::new(state), wanted: Notify::new() }
    }
}

impl Fetches {
    /// Waits for the fetch that runs, or for one that is asked for now. `false`: it is too early for another, or it takes
    /// too long.
    pub(super) async fn anew(&self) -> bool {
        let mut receiver = self.state.subscribe();
        let before = receiver.borrow().finished;
        let now = monotonic();
        let mut waits = true;
        self.state.send_if_modified(|state| {
            if state.is_running {
                return false;
            }
            waits = state.asked.is_none_or(|asked| now.duration_since(asked) >= JWKS_UNKNOWN_KEY_EVERY);
            if waits {
                (state.is_running, state.asked) = (true, Some(now));
            }
            waits
        });
        if !waits {
            return false;
        }
        self.wanted.notify_one();
        let finished = receiver.wait_for(|state| state.finished > before);
        timeout(JWKS_FETCH_WAIT, finished).await.is_ok_and(|state| state.is_ok())
    }

    fn finish(&self) {
        self.state.send_modify(|state| {
            state.is_running = false;
            state.finished += 1;
        });
    }
}

/// Starts the thread, which ends when the rest of `inner` is dropped.
pub(super) fn start(inner: &Arc<Inner>, files: Vec<File>, metrics: &Metrics) -> Result<(), AuthError> {
    let fetch = match &inner.settings.jwks {
        Some(Place::Url(uri)) => {
            let is_tls = uri.scheme_str() == Some("https");
            let tls = is_tls.then(feeds::live::tls::config).transpose().map_err(AuthError::Tls)?;
            Some((uri.clone(), tls))
        }
        Some(Place::File(_)) | None => None,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AuthError::Thread)?;
    let (weak, fetches, metrics) = (Arc::downgrade(inner), Arc::clone(&inner.fetches), metrics.clone());
    let follow = async move {
        // Files are not looked at later because a server is slow: they say what is taken back.
        tokio::select! {
            () = look(&weak, files, &metrics) => {}
            () = fetch_on(&weak, fetch, &fetches, &metrics) => {}
        }
    };
    let thread = std::thread::Builder::new().name("auth".to_owned());
    thread.spawn(move || runtime.block_on(follow)).map(|_| ()).map_err(AuthError::Thread)
}

async fn look(weak: &Weak<Inner>, mut files: Vec<File>, metrics: &Metrics) {
    let mut ticks = tokio::time::interval(AUTH_CHECK_EVERY);
    loop {
        ticks.tick().await;
        let Some(inner) = weak.upgrade() else { return };
        for file in &mut files {
            let stamp = file.look();
            // Whoever writes it may not have come to its end: it is to stay as it is from one look to the next.
            let is_settled = std::mem::replace(&mut file.seen, stamp) == stamp;
            if !is_settled || stamp == file.stamp {
                continue;
            }
            // Once for each change, also for one that cannot be used.
            file.stamp = stamp;
            let mut known = (*inner.known()).clone();
            let loaded = known.load(file.holds, &file.path);
            tell(
                loaded.map_err(|error| error.to_string()),
                &file.path.display().to_string(),
                metrics,
                |()| {
                    // The fetch of a JWKS may have changed its part meanwhile, no other.
                    inner.change(|now| match file.holds {
                        Holds::Secret => now.secret = known.secret,
                        Holds::PublicKey => now.public_key = known.public_key,
                        Holds::Jwks => now.jwks = known.jwks,
                        Holds::ApiKeys => now.api_keys = known.api_keys,
                        Holds::Revocations => now.revocations = known.revocations,
                    });
                },
            );
        }
    }
}

async fn fetch_on(
    weak: &Weak<Inner>,
    from: Option<(Uri, Option<Arc<ClientConfig>>)>,
    fetches: &Fetches,
    metrics: &Metrics,
) {
    let Some((uri, tls)) = from else { return std::future::pending().await };
    loop {
        let fetched = fetch::get(&uri, tls.as_ref()).await.map_err(|error| error.to_string());
        let keys = fetched.and_then(|json| jwks::read(&json).map_err(|error| error.to_string()));
        let Some(inner) = weak.upgrade() else { return };
        let again = if keys.is_ok() { inner.settings.jwks_every } else { JWKS_RETRY_AFTER };
        tell(keys, &uri.to_string(), metrics, |keys| inner.change(|known| known.jwks = Arc::new(keys)));
        drop(inner);
        fetches.finish();
        tokio::select! {
            () = sleep_until((monotonic() + again).into()) => {}
            () = fetches.wanted.notified() => {}
        }
    }
}

/// Takes what was read, or tells why it is not taken.
fn tell<T>(read: Result<T, String>, from: &str, metrics: &Metrics, take: impl FnOnce(T)) {
    match read {
        Ok(read) => {
            take(read);
            metrics.auth_loads_total().add(1);
            info!(from, "it was read again who is let in");
        }
        Err(error) => {
            metrics.auth_load_failures_total().add(1);
            error!(from, error, "what was read of who is let in cannot be used; what was before stays");
        }
    }
}
