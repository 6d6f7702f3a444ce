//! What answers hold of memory until their clients have taken them, and how they are handed to the socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{REST_BYTES_MAX, REST_CHUNK_BYTES_MAX};

/// Bytes of one permit: a semaphore counts to 2³² at once.
const PERMIT_BYTES: usize = 1024;

/// Bytes that all answers of the process may hold together. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(REST_BYTES_MAX / PERMIT_BYTES)))
    }

    /// Sets bytes aside for an answer; `None`: so many are not left.
    pub(super) fn reserve(&self, bytes: usize) -> Option<Share> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(permits).ok().map(Share)
    }
}

/// What is set aside for one answer.
pub(super) struct Share(OwnedSemaphorePermit);

impl Share {
    /// The body that it was set aside for. What that is smaller is given back; what it is larger is taken too, and
    /// `None` means that so much is not left. The memory counts until the last of its bytes is written or given up.
    pub(super) fn body(mut self, content: Vec<u8>) -> Option<Body> {
        let (has, needs) = (self.0.num_permits(), content.capacity().div_ceil(PERMIT_BYTES));
        if needs > has {
            let missing = u32::try_from(needs - has).ok()?;
            self.0.merge(Arc::clone(self.0.semaphore()).try_acquire_many_owned(missing).ok()?);
        } else {
            drop(self.0.split(has - needs));
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
        let left = || budget.0.available_permits() * PERMIT_BYTES;
        let content: Vec<u8> = (0_u8..=250).cycle().take(150_000).collect();
        for estimate in [0, 1_000_000] {
            let share = budget.reserve(estimate).expect("room");
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
        assert!(budget.reserve(REST_BYTES_MAX + 1).is_none() && budget.reserve(usize::MAX).is_none());
        let most = budget.reserve(REST_BYTES_MAX - PERMIT_BYTES).expect("room");
        let small = budget.reserve(10).expect("room");
        assert!(budget.reserve(1).is_none());
        assert!(small.body(vec![0; 5_000]).is_none(), "larger than it was thought to be");
        drop(most);
        assert!(budget.reserve(REST_BYTES_MAX).is_some(), "nothing is lost by a refusal");
    }
}
