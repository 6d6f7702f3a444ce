//! What becomes of frames: of those that are right, and of those that are not.

use std::time::Duration;

use axum::http::StatusCode;

use super::check::Check;
use super::handshakes::retry_after;
use super::report::{Report, Verdict};
use super::talk::{Door, Heard, Opening, Talk, masked};
use crate::limits::LINT_MESSAGE_BYTES;
use crate::ws::frame::{self, Opcode};

const PAYLOAD: &[u8] = b"tickwire-lint";
const NORMAL: u16 = 1000;
const UNREADABLE: &str = "the server's frames cannot be read";
/// What an answer has that says of something that it is wrong.
const OBJECTIONS: [&str; 7] = ["error", "invalid", "malformed", "bad", "fail", "too", "parse"];

/// A rule that is broken, on a connection of its own.
#[derive(Clone, Copy)]
pub(super) struct Breach {
    check: Check,
    /// What is done.
    what: &'static str,
    frame: fn() -> Vec<u8>,
    /// The codes that such a connection is to be closed with.
    codes: &'static [u16],
    /// What it means that an answer comes instead, or nothing at all, and the connection goes on.
    else_answered: Option<Verdict>,
    else_nothing: Verdict,
}

pub(super) const BREACHES: [Breach; 6] = [
    Breach {
        check: Check::Mask,
        what: "a frame that is not masked",
        frame: || frame::text(b"{}"),
        codes: &[1002],
        else_answered: None,
        else_nothing: Verdict::Error,
    },
    Breach {
        check: Check::ReservedBits,
        what: "a frame with a reserved bit",
        frame: || with_first_byte(|first| first | 0x20),
        codes: &[1002],
        else_answered: None,
        else_nothing: Verdict::Error,
    },
    Breach {
        check: Check::ReservedOpcode,
        what: "a frame of the reserved kind 3",
        frame: || with_first_byte(|first| first & 0xf0 | 0x3),
        codes: &[1002],
        else_answered: None,
        else_nothing: Verdict::Error,
    },
    Breach {
        check: Check::Utf8,
        what: "text that is not UTF-8",
        frame: || masked(Opcode::Text, b"\"\xc3\x28\""),
        codes: &[1007],
        else_answered: None,
        else_nothing: Verdict::Error,
    },
    Breach {
        check: Check::Json,
        what: "a message that is not JSON",
        frame: || masked(Opcode::Text, b"{\"tickwire-lint\":"),
        codes: &[1003, 1007, 1008],
        else_answered: Some(Verdict::Fine),
        else_nothing: Verdict::Warning,
    },
    Breach {
        check: Check::Size,
        what: "a message of more than 1 MiB",
        frame: || masked(Opcode::Text, &vec![b' '; LINT_MESSAGE_BYTES]),
        codes: &[1009],
        else_answered: Some(Verdict::Fine),
        else_nothing: Verdict::Note,
    },
];

fn with_first_byte(change: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut frame = masked(Opcode::Text, b"{}");
    if let Some(first) = frame.first_mut() {
        *first = change(*first);
    }
    frame
}

/// Looks at what becomes of a ping and of a close frame.
pub(super) async fn well_behaved(mut talk: Talk, timeout: Duration, report: &mut Report) {
    talk.wait_for(timeout);
    talk.say(Opcode::Ping, PAYLOAD);
    let (verdict, seen, goes_on) = ping(&mut talk, timeout, report).await;
    report.add(Check::Ping, verdict, seen);
    if goes_on {
        talk.wait_for(timeout);
        talk.say(Opcode::Close, &frame::close_payload(NORMAL, ""));
        let (verdict, seen) = close(&mut talk, timeout, report).await;
        report.add(Check::Close, verdict, seen);
    } else {
        report.add(Check::Close, Verdict::Unchecked, "the connection was over before");
    }
    // Until here something may have come that is no frame.
    report.add(Check::Frames, Verdict::Fine, "all that came can be read");
}

/// How a ping is answered, and whether the connection goes on.
async fn ping(talk: &mut Talk, timeout: Duration, report: &mut Report) -> (Verdict, String, bool) {
    loop {
        return match talk.hear().await {
            // Pongs without a payload may be signs of life: section 5.5.3.
            Heard::Text(_) | Heard::Binary | Heard::Ping => continue,
            Heard::Pong(payload) if payload.is_empty() => continue,
            Heard::Pong(payload) if payload == PAYLOAD => {
                (Verdict::Fine, "answered with a pong of the same payload".to_owned(), true)
            }
            Heard::Pong(payload) => {
                (Verdict::Error, format!("answered with the payload `{}`", payload.escape_ascii()), true)
            }
            Heard::Silence => (Verdict::Error, format!("no pong within {timeout:?}"), true),
            Heard::Close(code) => (Verdict::Error, format!("closed {}", with(code)), false),
            Heard::End => (Verdict::Error, "hangs up without a close frame".to_owned(), false),
            Heard::TooMuch => (Verdict::Unchecked, too_much(), false),
            Heard::Wrong(error) => {
                report.add(Check::Frames, Verdict::Error, error.to_string());
                (Verdict::Unchecked, UNREADABLE.to_owned(), false)
            }
        };
    }
}

async fn close(talk: &mut Talk, timeout: Duration, report: &mut Report) -> (Verdict, String) {
    let code = loop {
        match talk.hear().await {
            Heard::Text(_) | Heard::Binary | Heard::Ping | Heard::Pong(_) => {}
            Heard::Close(code) => break code,
            Heard::Silence => return (Verdict::Error, format!("no close frame within {timeout:?}")),
            Heard::End => return (Verdict::Error, "hangs up without a close frame".to_owned()),
            Heard::TooMuch => return (Verdict::Unchecked, too_much()),
            Heard::Wrong(error) => {
                report.add(Check::Frames, Verdict::Error, error.to_string());
                return (Verdict::Unchecked, UNREADABLE.to_owned());
            }
        }
    };
    // Nothing more is decoded.
    if !matches!(talk.hear().await, Heard::End) {
        return (
            Verdict::Warning,
            format!("closed {}, but the connection stands after {timeout:?}", with(code)),
        );
    }
    if code == Some(NORMAL) {
        (Verdict::Fine, "answered with the same code, and ended".to_owned())
    } else {
        (Verdict::Note, format!("{NORMAL} is answered {}", with(code)))
    }
}

/// Breaks a rule, and looks at what becomes of it.
pub(super) async fn breach(door: &Door, breach: Breach, report: &mut Report) {
    let Some(mut talk) = open(door, breach.check, report).await else { return };
    talk.wait_for(door.timeout);
    talk.say_bytes(&(breach.frame)());
    talk.say(Opcode::Ping, PAYLOAD);
    let mut goes_on = false;
    let what = breach.what;
    let (verdict, seen) = loop {
        match talk.hear().await {
            Heard::Close(Some(code)) if breach.codes.contains(&code) => {
                break (Verdict::Fine, format!("{what} is closed with {code}"));
            }
            Heard::Close(code) => {
                break (
                    Verdict::Warning,
                    format!("{what} is closed {}, not with {}", with(code), one_of(breach.codes)),
                );
            }
            Heard::End => break (Verdict::Warning, format!("{what} is hung up on without a close frame")),
            Heard::Text(text) => {
                let is_objection = OBJECTIONS.iter().any(|word| text.to_ascii_lowercase().contains(word));
                if let Some(verdict) = breach.else_answered.filter(|_| is_objection) {
                    break (verdict, format!("{what} is answered: {text}"));
                }
            }
            Heard::Pong(payload) if payload == PAYLOAD => {
                goes_on = true;
                // An answer may come behind it.
                if breach.else_answered.is_none() {
                    break (
                        breach.else_nothing,
                        format!("{what} is passed over, and the connection goes on"),
                    );
                }
            }
            Heard::Binary | Heard::Ping | Heard::Pong(_) => {}
            Heard::Silence if goes_on => {
                break (breach.else_nothing, format!("{what} is passed over without a word"));
            }
            Heard::Silence => {
                let verdict = breach.else_nothing.max(Verdict::Warning);
                break (verdict, format!("{what}: nothing comes within {:?}", door.timeout));
            }
            Heard::TooMuch => break (Verdict::Unchecked, too_much()),
            Heard::Wrong(error) => {
                report.add(Check::Frames, Verdict::Error, error.to_string());
                break (Verdict::Unchecked, UNREADABLE.to_owned());
            }
        }
    };
    report.add(breach.check, verdict, seen);
}

/// Waits for a sign of life on a silent connection.
pub(super) async fn heartbeat(door: &Door, patience: Duration, report: &mut Report) {
    let Some(mut talk) = open(door, Check::Heartbeat, report).await else { return };
    // What is sent to everybody who comes is no sign of life: it comes before the pong.
    talk.wait_for(door.timeout);
    talk.say(Opcode::Ping, PAYLOAD);
    while let Heard::Text(_) | Heard::Binary | Heard::Ping = talk.hear().await {}
    talk.wait_for(patience);
    let (verdict, seen) = match talk.hear().await {
        Heard::Text(_) | Heard::Binary | Heard::Pong(_) => {
            (Verdict::Fine, "a message comes by itself".to_owned())
        }
        Heard::Ping => (Verdict::Fine, "a ping comes by itself".to_owned()),
        Heard::Silence => (Verdict::Warning, format!("nothing comes within {patience:?}")),
        Heard::Close(code) => (Verdict::Note, format!("a silent connection is closed {}", with(code))),
        Heard::End => {
            (Verdict::Warning, "a silent connection is hung up on without a close frame".to_owned())
        }
        Heard::TooMuch => (Verdict::Unchecked, too_much()),
        Heard::Wrong(error) => {
            report.add(Check::Frames, Verdict::Error, error.to_string());
            (Verdict::Unchecked, UNREADABLE.to_owned())
        }
    };
    report.add(Check::Heartbeat, verdict, seen);
}

/// A connection for a check that needs one.
async fn open(door: &Door, check: Check, report: &mut Report) -> Option<Talk> {
    let answer = match door.knock(&Opening::GOOD).await {
        Ok(answer) => answer,
        Err(error) => {
            report.add(check, Verdict::Unchecked, error.to_string());
            return None;
        }
    };
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        return Some(answer.talk);
    }
    retry_after(&answer, report);
    report.add(check, Verdict::Unchecked, format!("another connection is answered {}", answer.status));
    None
}

fn with(code: Option<u16>) -> String {
    code.map_or_else(|| "without a code".to_owned(), |code| format!("with {code}"))
}

fn one_of(codes: &[u16]) -> String {
    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
    codes.join(" or ")
}

fn too_much() -> String {
    "more comes than is read here".to_owned()
}
