//! What answers hold of memory until their clients have taken them, and how they are handed to the socket.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::limits::{
    COMPRESSED_AT_ONCE_BYTES_MAX, COMPRESSING_MAX, REST_BYTES_MAX, REST_BYTES_PER_ADDRESS_MAX,
    REST_CHUNK_BYTES_MAX,
};
use crate::server::admission::Holder;
use crate::server::negotiation::Coding;

/// Bytes of one permit: a semaphore counts to 2³² at once.
const PERMIT_BYTES: usize = 1024;

/// Bytes that all answers of the process may hold together. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Budget {
    bytes: Arc<Semaphore>,
    addresses: Addresses,
    /// Who may compress what is long.
    compressing: Arc<Semaphore>,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(REST_BYTES_MAX / PERMIT_BYTES)),
            addresses: Addresses::default(),
            compressing: Arc::new(Semaphore::new(COMPRESSING_MAX)),
        }
    }

    /// Sets bytes aside for an answer; `None`: so many are not left, or not for this address.
    pub(in crate::server) fn reserve(&self, holder: Option<Holder>, bytes: usize) -> Option<Share> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).ok()?;
        let mut counted =
            holder.map(|holder| Counted { addresses: self.addresses.clone(), holder, bytes: 0 });
        if !counted.as_mut().is_none_or(|counted| counted.resize(bytes)) {
            return None;
        }
        let permits = Arc::clone(&self.bytes).try_acquire_many_owned(permits).ok()?;
        Some(Share { permits, counted })
    }

    /// Encodes content for a client that takes the coding; as it was: that is not to be had.
    pub(super) async fn encode(&self, content: Vec<u8>, coding: Coding) -> Result<Vec<u8>, Vec<u8>> {
        if content.len() <= COMPRESSED_AT_ONCE_BYTES_MAX {
            return coding.encode(&content).map_err(|_| content);
        }
        let Ok(_turn) = self.compressing.try_acquire() else { return Err(content) };
        let encoding = spawn_blocking(move || coding.encode(&content).map_err(|_| content));
        encoding.await.unwrap_or_else(|_panicked| Err(Vec::new()))
    }
}

/// Bytes by address, of those that have any: nobody holds so many that others are left without.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<BTreeMap<Holder, usize>>>);

impl Addresses {
    fn bytes(&self) -> MutexGuard<'_, BTreeMap<Holder, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of an answer, counted by an address until this is dropped.
struct Counted {
    addresses: Addresses,
    holder: Holder,
    bytes: usize,
}

impl Counted {
    /// Makes them so many, if the address may have them.
    fn resize(&mut self, bytes: usize) -> bool {
        let mut all = self.addresses.bytes();
        let held =
            all.get(&self.holder).copied().unwrap_or(0).saturating_sub(self.bytes).saturating_add(bytes);
        if bytes > self.bytes && held > REST_BYTES_PER_ADDRESS_MAX {
            return false;
        }
        self.bytes = bytes;
        if held == 0 {
            all.remove(&self.holder);
        } else {
            all.insert(self.holder, held);
        }
        true
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// What is set aside for one answer.
pub(in crate::server) struct Share {
    permits: OwnedSemaphorePermit,
    counted: Option<Counted>,
}

impl Share {
    /// The body that it was set aside for. What that is smaller is given back; what it is larger is taken too, and
    /// `None` means that so much is not left. The memory counts until the last of its bytes is written or given up.
    pub(in crate::server) fn body(mut self, content: Vec<u8>) -> Option<Body> {
        if !self.counted.as_mut().is_none_or(|counted| counted.resize(content.capacity())) {
            return None;
        }
        let (has, needs) = (self.permits.num_permits(), content.capacity().div_ceil(PERMIT_BYTES));
        if needs > has {
            let missing = u32::try_from(needs - has).ok()?;
            self.permits.merge(Arc::clone(self.permits.semaphore()).try_acquire_many_owned(missing).ok()?);
        } else {
            drop(self.permits.split(has - needs));
        }
        Some(Body::new(Chunks(Bytes::from_owner(Held { content, _share: self }))))
    }
}

/// Memory, and the right to it.
struct Held {
    content: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

/// What is left of a body. A chunk is asked for when the ones before it have gone to the socket.
struct Chunks(Bytes);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.0.len().min(REST_CHUNK_BYTES_MAX);
        Poll::Ready(Some(Ok(Frame::data(self.0.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody;

    use super::*;

    fn chunk(body: &mut Body) -> Option<Bytes> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            Poll::Ready(None) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn memory_counts_until_its_last_byte_is_let_go() {
        let budget = Budget::new();
        let left = || budget.bytes.available_permits() * PERMIT_BYTES;
        let content: Vec<u8> = (0_u8..=250).cycle().take(150_000).collect();
        for estimate in [0, 1_000_000] {
            let share = budget.reserve(None, estimate).expect("room");
            let mut body = share.body(content.clone()).expect("room");
            let held = content.len().next_multiple_of(PERMIT_BYTES);
            assert_eq!(left(), REST_BYTES_MAX - held, "what it is, not what it was thought to be");
            assert_eq!(body.size_hint().exact(), Some(150_000));
            let mut chunks = Vec::new();
            while let Some(chunk) = chunk(&mut body) {
                assert!(chunk.len() <= REST_CHUNK_BYTES_MAX);
                chunks.push(chunk);
            }
            assert!(body.is_end_stream());
            assert_eq!(chunks.concat(), content);
            drop(body);
            let last = chunks.pop();
            drop(chunks);
            assert_eq!(left(), REST_BYTES_MAX - held, "a chunk waits for its socket");
            drop(last);
            assert_eq!(left(), REST_BYTES_MAX);
        }
    }

    #[test]
    fn beyond_the_budget_there_is_none() {
        let budget = Budget::new();
        assert!(
            budget.reserve(None, REST_BYTES_MAX + 1).is_none() && budget.reserve(None, usize::MAX).is_none()
        );
        let most = budget.reserve(None, REST_BYTES_MAX - PERMIT_BYTES).expect("room");
        let small = budget.reserve(None, 10).expect("room");
        assert!(budget.reserve(None, 1).is_none());
        assert!(small.body(vec![0; 5_000]).is_none(), "larger than it was thought to be");
        drop(most);
        assert!(budget.reserve(None, REST_BYTES_MAX).is_some(), "nothing is lost by a refusal");
    }

    #[test]
    fn an_address_has_a_part_of_it() {
        let budget = Budget::new();
        let [one, other] = [1, 2].map(|last| Some(Holder::from(std::net::IpAddr::from([192, 0, 2, last]))));
        let held = budget.reserve(one, REST_BYTES_PER_ADDRESS_MAX - 10).expect("room");
        assert!(budget.reserve(one, 11).is_none());
        let small = budget.reserve(one, 10).expect("room");
        assert!(budget.reserve(other, 11).is_some() && budget.reserve(None, 11).is_some());
        assert!(small.body(vec![0; 11]).is_none(), "larger than it was thought to be");
        let body = held.body(vec![0; 1_000]).expect("smaller than it was thought to be");
        assert!(budget.reserve(one, REST_BYTES_PER_ADDRESS_MAX - 1_000).is_some());
        assert!(budget.reserve(one, REST_BYTES_PER_ADDRESS_MAX - 999).is_none());
        drop(body);
        assert!(budget.addresses.bytes().is_empty(), "nothing is kept of those who hold nothing");
        assert!(budget.reserve(one, REST_BYTES_PER_ADDRESS_MAX).is_some());
    }
}
