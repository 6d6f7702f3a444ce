//! What handshakes are answered: one that is right, and some that are not.

use std::time::Duration;

use axum::http::StatusCode;
use feeds::Timestamp;
use feeds::clock::Clock;

use super::check::Check;
use super::report::{Report, Verdict};
use super::talk::{Answer, Door, NoAnswer, Opening};
use super::{LintError, talks};
use crate::limits::LINT_CERTIFICATE_LEFT_MIN;
use crate::ws::extensions::Negotiated;
use crate::ws::handshake::{self, AnswerError};

/// Not known to anybody: RFC 6761 section 6.4.
const NOBODY: &str = "https://tickwire-lint.invalid";
const UNSPOKEN: &str = "tickwire-lint.invalid";

/// Handshakes that should open nothing, or agree on nothing, and what is looked at by each.
pub(super) const WRONG: [(Check, Opening); 4] = [
    (Check::Subprotocol, Opening { subprotocol: Some(UNSPOKEN), ..Opening::GOOD }),
    (Check::Version, Opening { version: "8", ..Opening::GOOD }),
    (Check::Key, Opening { has_key: false, ..Opening::GOOD }),
    (Check::Origin, Opening { origin: Some(NOBODY), ..Opening::GOOD }),
];

/// Looks at a connection that does everything right; `false`: there is none, and nothing more can be looked at.
pub(super) async fn well_behaved(door: &Door, report: &mut Report) -> Result<bool, LintError> {
    let opening = Opening { offers_deflate: true, ..Opening::GOOD };
    let mut answer = match door.knock(&opening).await {
        Ok(answer) => answer,
        Err(NoAnswer::Untrusted(why)) => {
            report.add(Check::Certificate, Verdict::Error, why);
            return Ok(false);
        }
        Err(NoAnswer::Connect(why)) => return Err(LintError::Connect(why)),
        Err(error) => {
            report.add(Check::Handshake, Verdict::Error, error.to_string());
            return Ok(false);
        }
    };
    check_tls(door, &answer, report);
    if answer.status != StatusCode::SWITCHING_PROTOCOLS {
        retry_after(&answer, report);
        let who = if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            "; if it is for want of a token, give --token-file"
        } else {
            ""
        };
        let seen = format!("answered {}: {}{who}", answer.status, answer.body());
        report.add(Check::Handshake, Verdict::Error, seen);
        return Ok(false);
    }
    check_answer(&mut answer, report);
    talks::well_behaved(answer.talk, door.timeout, report).await;
    Ok(true)
}

fn check_tls(door: &Door, answer: &Answer, report: &mut Report) {
    match answer.talk.tls() {
        None if door.is_here() => report.add(Check::Tls, Verdict::Fine, "none, within this machine"),
        None => report.add(Check::Tls, Verdict::Warning, "everything is sent in the clear"),
        Some((version, end)) => {
            report.add(Check::Tls, Verdict::Fine, version);
            match end {
                None => report.add(Check::Certificate, Verdict::Unchecked, "its end cannot be read"),
                Some(end) => check_end(end, Clock::System.now(), report),
            }
        }
    }
    debug_assert_eq!(answer.talk.tls().is_some(), door.is_tls(), "TLS is what the URL says");
}

fn check_end(end: Timestamp, now: Timestamp, report: &mut Report) {
    let left = end.since(now);
    let (verdict, seen) = if end.0 == i64::MAX {
        (Verdict::Fine, "trusted, and good for centuries".to_owned())
    } else {
        let verdict = if left < LINT_CERTIFICATE_LEFT_MIN { Verdict::Warning } else { Verdict::Fine };
        let days = left.as_secs() / Duration::from_hours(24).as_secs();
        let day = end.to_string();
        (verdict, format!("trusted, and good until {}: {days} days", day.get(..10).unwrap_or(&day)))
    };
    report.add(Check::Certificate, verdict, seen);
}

/// The head of an answer that opens a WebSocket.
fn check_answer(answer: &mut Answer, report: &mut Report) {
    let read = handshake::read_answer(answer.status, &answer.headers, &answer.key, &[], true);
    let deflate = match &read {
        Ok(agreed) => agreed.deflate,
        Err(AnswerError::Extensions) => {
            let chosen = answer.header("sec-websocket-extensions").unwrap_or_default();
            let seen = format!("`permessage-deflate` was offered, and answered with `{chosen}`");
            report.add(Check::Compression, Verdict::Error, seen);
            None
        }
        Err(AnswerError::Subprotocol) => {
            let chosen = answer.header("sec-websocket-protocol").unwrap_or_default();
            let seen = format!("`{chosen}` was chosen, and none was offered");
            report.add(Check::Subprotocol, Verdict::Error, seen);
            None
        }
        Err(error) => {
            report.add(Check::Handshake, Verdict::Error, error.to_string());
            None
        }
    };
    if let Some(deflate) = &deflate {
        answer.talk.agree(deflate);
    }
    report.add(Check::Handshake, Verdict::Fine, "101, with the proof of the key");
    match (&read, deflate) {
        (_, Some(deflate)) => report.add(Check::Compression, Verdict::Fine, told(deflate)),
        (Ok(_), None) => {
            report.add(
                Check::Compression,
                Verdict::Note,
                "`permessage-deflate` was offered, and not taken up",
            );
        }
        (Err(_), None) => report.add(Check::Compression, Verdict::Unchecked, "the answer is not right"),
    }
}

fn told(deflate: Negotiated) -> String {
    let context = if deflate.server_no_context_takeover { "without" } else { "with" };
    let bits = deflate.server_max_window_bits;
    format!("`permessage-deflate`, {context} the messages before as context, in a window of {bits} bits")
}

/// Looks at the answer to a handshake that is not right.
pub(super) async fn wrong(door: &Door, (check, opening): (Check, Opening), report: &mut Report) {
    let answer = match door.knock(&opening).await {
        Ok(answer) => answer,
        Err(error @ (NoAnswer::Untrusted(_) | NoAnswer::Connect(_))) => {
            return report.add(check, Verdict::Unchecked, error.to_string());
        }
        Err(error) => return report.add(check, Verdict::Warning, error.to_string()),
    };
    if retry_after(&answer, report) {
        return report.add(check, Verdict::Unchecked, format!("answered {}", answer.status));
    }
    let (verdict, seen) = judge(check, &answer);
    report.add(check, verdict, seen);
}

fn judge(check: Check, answer: &Answer) -> (Verdict, String) {
    let status = answer.status;
    let is_open = status == StatusCode::SWITCHING_PROTOCOLS;
    if !is_open && !status.is_client_error() {
        return (
            Verdict::Warning,
            format!("answered {status}, which is no refusal that says whose fault it is"),
        );
    }
    let opens = |what: &str| (Verdict::Error, format!("a WebSocket is opened {what}"));
    let refused = || (Verdict::Fine, format!("refused with {status}"));
    match check {
        Check::Version if is_open => opens("to a client of version 8"),
        Check::Version => match answer.header("sec-websocket-version") {
            Some(versions) if versions.split(',').any(|version| version.trim() == "13") => refused(),
            _ => (
                Verdict::Warning,
                format!("version 8 is refused with {status}, without `Sec-WebSocket-Version: 13`"),
            ),
        },
        Check::Key if is_open => opens("to a client without `Sec-WebSocket-Key`"),
        Check::Subprotocol if is_open => match answer.header("sec-websocket-protocol") {
            None => (Verdict::Fine, "one that nobody speaks is not chosen".to_owned()),
            Some(UNSPOKEN) => (Verdict::Warning, format!("`{UNSPOKEN}` is chosen, which nobody speaks")),
            Some(other) => (Verdict::Error, format!("`{other}` is chosen, and `{UNSPOKEN}` was offered")),
        },
        Check::Origin if is_open && answer.headers.contains_key("set-cookie") => {
            (Verdict::Warning, format!("a page of {NOBODY} may connect, and cookies are given"))
        }
        Check::Origin if is_open => (
            Verdict::Note,
            format!("a page of {NOBODY} may connect: right as long as no cookie says who somebody is"),
        ),
        _ => refused(),
    }
}

/// Looks at an answer that there is no room; `true`: it is one.
pub(super) fn retry_after(answer: &Answer, report: &mut Report) -> bool {
    let status = answer.status;
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return false;
    }
    match answer.header("retry-after") {
        Some(when) => report.add(Check::RetryAfter, Verdict::Fine, format!("{status}: after {when}")),
        None => report.add(Check::RetryAfter, Verdict::Warning, format!("{status} without `Retry-After`")),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_is_told() {
        let day = Duration::from_hours(24);
        let now = Timestamp(1_700_000_000_000_000_000);
        for (left, verdict, seen) in [
            (LINT_CERTIFICATE_LEFT_MIN + day, Verdict::Fine, "2023-11-29: 15 days"),
            (day, Verdict::Warning, "2023-11-15: 1 days"),
            (Duration::ZERO, Verdict::Warning, "2023-11-14: 0 days"),
        ] {
            let mut report = Report::new("wss://x/");
            check_end(now.plus(left), now, &mut report);
            assert_eq!(report.findings[0].verdict, verdict);
            assert!(report.findings[0].seen.ends_with(seen), "{report}");
        }
        let mut report = Report::new("wss://x/");
        check_end(Timestamp(i64::MAX), now, &mut report);
        assert_eq!(report.findings[0].verdict, Verdict::Fine);
    }
}
