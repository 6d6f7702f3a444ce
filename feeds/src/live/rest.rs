//! Requests to a venue by HTTP: one after the other, no faster than it allows, over all connections of a feed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::RETRY_AFTER;
use hyper::{Request, Response, StatusCode};
use rustls::ClientConfig;
use tokio::sync::Mutex;
use tokio::time::{sleep_until, timeout};

use crate::clock::monotonic;
use crate::limits::{
    LIVE_ANSWER_BYTES_MAX, LIVE_CONNECT_MAX, LIVE_REFUSED_PAUSE, LIVE_REFUSED_PAUSE_MAX, LIVE_REST_SPACING,
    LIVE_RESYNC_SPACING,
};
use crate::request::{self, RequestError};

/// Where a venue answers requests.
pub(super) struct Rest {
    /// Scheme, host and port.
    base: String,
    tls: Option<Arc<ClientConfig>>,
    /// When the next request may be sent.
    free: Mutex<Instant>,
}

/// An answer, and what was asked.
pub(super) struct Answer {
    pub(super) url: String,
    pub(super) payload: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub(super) struct RestError {
    url: String,
    problem: Problem,
}

impl RestError {
    /// Whether the venue says that it does not understand the request.
    pub(super) fn is_of_the_request(&self) -> bool {
        matches!(&self.problem, Problem::Refused { status, pause: None, .. } if *status == StatusCode::BAD_REQUEST)
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("took longer than {} s", LIVE_CONNECT_MAX.as_secs())]
    Slow,
    #[error("refused with {status}{}: {told}", in_words(*pause))]
    Refused { status: StatusCode, told: String, pause: Option<Duration> },
}

impl Rest {
    pub(super) fn new(base: String, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { base, tls, free: Mutex::new(monotonic()) }
    }

    /// Asks for `path` when it is its turn. After a failure all wait: for as long as the venue says, if it does,
    /// and that is no more than [`LIVE_REFUSED_PAUSE_MAX`].
    pub(super) async fn get(&self, path: &str) -> Result<Answer, RestError> {
        let mut free = self.free.lock().await;
        sleep_until((*free).into()).await;
        *free = monotonic() + LIVE_REST_SPACING;
        drop(free);
        let url = format!("{}{path}", self.base);
        let answer = timeout(LIVE_CONNECT_MAX, self.request(&url)).await.unwrap_or(Err(Problem::Slow));
        match answer {
            Ok(payload) => Ok(Answer { url, payload }),
            Err(problem) => {
                let pause = match problem {
                    Problem::Refused { pause, .. } => pause,
                    _ => None,
                };
                *self.free.lock().await = monotonic() + pause.unwrap_or(LIVE_RESYNC_SPACING);
                Err(RestError { url, problem })
            }
        }
    }

    async fn request(&self, url: &str) -> Result<Vec<u8>, Problem> {
        let request = Request::get(url).body(Full::default()).map_err(|_| RequestError::Address)?;
        read(request::send(request, self.tls.as_ref(), LIVE_ANSWER_BYTES_MAX).await?)
    }
}

fn read(answer: Response<Bytes>) -> Result<Vec<u8>, Problem> {
    let (head, body) = answer.into_parts();
    if head.status.is_success() {
        return Ok(body.to_vec());
    }
    let told = String::from_utf8_lossy(&body[..body.len().min(256)]).into_owned();
    // 418: an address that went on after a 429, which Binance shuts out.
    let is_too_fast = matches!(head.status.as_u16(), 418 | 429);
    let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let pause = is_too_fast.then(|| seconds.map_or(LIVE_REFUSED_PAUSE, Duration::from_secs));
    let pause = pause.map(|pause| pause.min(LIVE_REFUSED_PAUSE_MAX));
    Err(Problem::Refused { status: head.status, told, pause })
}

fn in_words(pause: Option<Duration>) -> String {
    pause.map_or_else(String::new, |pause| format!(", and not asked again for {} s", pause.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// What a venue that answers once, and so, is found to say.
    fn refused(head: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut lines = BufReader::new(&stream).lines();
                while lines.next().is_some_and(|line| !line.expect("a head").is_empty()) {}
                write!(stream, "HTTP/1.1 {head}\r\ncontent-length: 2\r\n\r\n{{}}").expect("a client");
            });
            let answer = runtime.block_on(Rest::new(base.clone(), None).get("/depth"));
            let told = answer.err().expect("no answer").to_string();
            told.strip_prefix(&format!("{base}/depth: ")).expect("what was asked").to_owned()
        })
    }

    #[test]
    fn a_venue_is_asked_again_however_long_it_says_and_the_pause_is_told() {
        let paused =
            |of: &str| format!("refused with 429 Too Many Requests, and not asked again for {of} s: {{}}");
        for (told, pause) in
            [("7", "7"), ("9223372036854775", "3600"), ("18446744073709551615", "3600"), ("?", "60")]
        {
            assert_eq!(refused(&format!("429 Too Many Requests\r\nretry-after: {told}")), paused(pause));
        }
        let shut_out = refused("418 I'm a teapot\r\nretry-after: 259200");
        assert_eq!(shut_out, "refused with 418 I'm a teapot, and not asked again for 3600 s: {}");
        assert_eq!(refused("404 Not Found"), "refused with 404 Not Found: {}");
    }
}
