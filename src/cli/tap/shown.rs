//! A frame as lines for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;

use crate::client::{Observed, Sender};
use crate::printable::printable;
use crate::topic::TopicId;
use crate::wire::binary::{Change, PriceStep, Record, SideChange, What, decode_records};
use crate::wire::{ServerMessage, decode};
use crate::ws::frame::Opcode;

/// Characters of a message that are shown where it is not to be whole.
const CHARS_MAX: usize = 240;
/// Records of a message, likewise.
const RECORDS_MAX: usize = 12;

/// How frames are shown.
pub(super) struct Shown {
    is_redacted: bool,
    is_whole: bool,
    /// What the server's numbers of topics stand for; as many as are followed.
    topics: BTreeMap<TopicId, String>,
}

impl Shown {
    pub(super) const fn new(is_redacted: bool, is_whole: bool) -> Self {
        Self { is_redacted, is_whole, topics: BTreeMap::new() }
    }

    /// What a connection follows that began before it was looked at.
    pub(super) fn know(&mut self, topics: &BTreeMap<u32, String>) {
        self.topics.extend(topics.iter().map(|(number, name)| (TopicId(*number), name.clone())));
    }

    pub(super) fn print(&mut self, observed: &Observed<'_>, out: &mut impl Write) -> io::Result<()> {
        self.print_of(observed, observed.payload.len() as u64, out)
    }

    /// Prints what its server shows only in part: of a frame, whose payload is none, these objects.
    pub(super) fn print_objects(
        &mut self,
        observed: &Observed<'_>,
        bytes: u64,
        objects: &[Value],
        out: &mut impl Write,
    ) -> io::Result<()> {
        let message = serde_json::to_string(objects)?;
        if observed.sender == Sender::Server && observed.opcode == Opcode::Text {
            self.learn(&message);
        }
        let said = if objects.is_empty() { String::new() } else { self.cut(&message) };
        writeln!(out, "{}", (head(observed, bytes) + &said).trim_end())?;
        out.flush()
    }

    /// Prints a frame of so many bytes, all of which were to be seen once.
    pub(super) fn print_of(
        &mut self,
        observed: &Observed<'_>,
        bytes: u64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let mut text = head(observed, bytes);
        let payload = observed.payload;
        match observed.opcode {
            Opcode::Binary | Opcode::Continuation => self.records(payload, &mut text),
            Opcode::Text => {
                let message = String::from_utf8_lossy(payload);
                if observed.sender == Sender::Server {
                    self.learn(&message);
                }
                text.push_str(&if self.is_redacted {
                    self.cut(&kinds(&message))
                } else {
                    self.cut(&message)
                });
            }
            Opcode::Close => text.push_str(&self.cut(&closing(payload, self.is_redacted))),
            Opcode::Ping | Opcode::Pong if self.is_redacted => {}
            Opcode::Ping | Opcode::Pong => text.push_str(&payload.escape_ascii().to_string()),
        }
        writeln!(out, "{}", text.trim_end())?;
        out.flush()
    }

    /// What a server says, as a terminal may have it.
    fn cut(&self, text: &str) -> String {
        printable(text, if self.is_whole { usize::MAX } else { CHARS_MAX })
    }

    /// Which numbers topics are given.
    fn learn(&mut self, message: &str) {
        // What is wrong with a message says the client.
        for message in decode::decode(message).unwrap_or_default() {
            if let ServerMessage::Ack(ack) = message
                && let Some(channel) = ack.channel
            {
                for granted in &ack.granted {
                    self.topics.insert(TopicId(granted.topic), format!("{channel}:{}", granted.symbol));
                }
            }
        }
    }

    fn records(&self, payload: &[u8], text: &mut String) {
        let mut kinds = BTreeMap::new();
        let mut lines = String::new();
        let mut count = 0;
        for record in decode_records(payload) {
            count += 1;
            match record {
                Ok(record) => {
                    *kinds.entry(kind(&record.what)).or_insert(0_u32) += 1;
                    if !self.is_redacted && (self.is_whole || count <= RECORDS_MAX) {
                        lines.push_str("\n    ");
                        lines.push_str(&self.cut(&self.record(&record)));
                    }
                }
                Err(error) => {
                    lines.push_str("\n    ");
                    lines.push_str(&error.to_string());
                }
            }
        }
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        text.push_str(&kinds.join(", "));
        text.push_str(&lines);
        if !self.is_redacted && !self.is_whole && count > RECORDS_MAX {
            text.push_str(&format!("\n    … {} more", count - RECORDS_MAX));
        }
    }

    fn record(&self, record: &Record<'_>) -> String {
        let topic = match self.topics.get(&record.topic) {
            Some(name) => name.clone(),
            None => format!("topic {}", record.topic.0),
        };
        let (head, change) = match &record.what {
            What::Snapshot(snapshot) => (
                format!("{topic} snapshot seq {} epoch {}", snapshot.seq, snapshot.epoch),
                snapshot.change.as_ref(),
            ),
            What::Update(update) => {
                let merged = if update.merged == 1 { String::new() } else { format!(" n {}", update.merged) };
                let head =
                    format!("{topic} update seq +{}{merged} time {:+} µs", update.step, update.time_step);
                (head, Some(&update.change))
            }
            What::Gap(gap) => (format!("{topic} gap {} to {}", gap.prev_seq + 1, gap.seq), None),
            What::Merged(merged) => {
                (format!("{topic} from {} over {} changes:", merged.prev_seq, merged.n), None)
            }
        };
        head + &change.map(changes).unwrap_or_default()
    }
}

fn head(observed: &Observed<'_>, bytes: u64) -> String {
    let at = observed.at.to_string();
    let arrow = match observed.sender {
        Sender::Client => '→',
        Sender::Server => '←',
    };
    let opcode = match observed.opcode {
        Opcode::Text => "text",
        Opcode::Binary | Opcode::Continuation => "binary",
        Opcode::Close => "close",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
    };
    let z = if observed.is_compressed { 'z' } else { ' ' };
    let wire = observed.wire_bytes;
    format!("{} {arrow} {opcode:<6} {bytes:>7} B {wire:>7} wire{z} ", at.get(11..26).unwrap_or(&at))
}

const fn kind(what: &What<'_>) -> &'static str {
    match what {
        What::Snapshot(_) => "snapshot",
        What::Update(_) => "update",
        What::Gap(_) => "gap",
        What::Merged(_) => "merged",
    }
}

fn changes(change: &Change<'_>) -> String {
    let mut text = String::new();
    match change {
        Change::Quote(quote) => {
            side(&mut text, "bid", &quote.bid);
            side(&mut text, "ask", &quote.ask);
        }
        Change::Trade(trade) => {
            number(&mut text, "price", Some(trade.price), true);
            number(&mut text, "size", Some(trade.size.0), false);
            number(&mut text, "id", trade.id, true);
        }
        Change::Book(book) => {
            for level in book.levels() {
                let side = if level.side == feeds::Side::Bid { "bid" } else { "ask" };
                text.push_str(&format!(" {side} {:+}:{}", level.distance, level.size.0));
            }
            number(&mut text, "checksum", book.checksum, false);
        }
        Change::Ticker(ticker) => {
            step(&mut text, "last", ticker.last);
            step(&mut text, "bid", ticker.bid);
            step(&mut text, "ask", ticker.ask);
            step(&mut text, "close", ticker.close);
            number(&mut text, "last_size", ticker.last_size.map(|size| size.0), false);
            for (name, by) in
                [("open", ticker.open), ("high", ticker.high), ("low", ticker.low), ("trades", ticker.trades)]
            {
                number(&mut text, name, by, true);
            }
            number(&mut text, "volume", ticker.volume, true);
            number(&mut text, "notional", ticker.notional, true);
        }
        Change::Bar(bar) => {
            for (name, by) in [
                ("start", bar.start),
                ("open", bar.open),
                ("high", bar.high),
                ("low", bar.low),
                ("close", bar.close),
                ("trades", bar.trades),
            ] {
                number(&mut text, name, by, true);
            }
            number(&mut text, "volume", bar.volume, true);
            number(&mut text, "notional", bar.notional, true);
            if bar.final_changed {
                text.push_str(" final changed");
            }
        }
        Change::Status { state, reason } => text.push_str(&format!(" {state:?} {reason}")),
    }
    text
}

fn side(text: &mut String, name: &str, change: &SideChange) {
    step(text, name, change.price);
    number(text, &format!("{name}_size"), change.size.map(|size| size.0), false);
}

fn step(text: &mut String, name: &str, step: PriceStep) {
    match step {
        PriceStep::Same => {}
        PriceStep::By(by) => number(text, name, Some(by), true),
        PriceStep::Gone => text.push_str(&format!(" {name} gone")),
    }
}

/// A difference has a sign always.
fn number(text: &mut String, name: &str, value: Option<impl Into<i128>>, is_difference: bool) {
    if let Some(value) = value.map(Into::into) {
        let sign = if is_difference && value >= 0 { "+" } else { "" };
        // Writing to a text does not fail.
        let _ = write!(text, " {name} {sign}{value}");
    }
}

fn closing(payload: &[u8], is_redacted: bool) -> String {
    match payload.split_first_chunk() {
        Some((code, _)) if is_redacted => u16::from_be_bytes(*code).to_string(),
        Some((code, reason)) => {
            format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(reason))
        }
        None => "without a code".to_owned(),
    }
}

/// Of which kinds the objects of a message are, and how many of each.
fn kinds(message: &str) -> String {
    let objects = match serde_json::from_str(message) {
        Ok(Value::Array(objects)) => objects,
        Ok(object) => vec![object],
        Err(_) => return "no JSON".to_owned(),
    };
    let mut kinds = BTreeMap::new();
    for object in &objects {
        let word = |key: &str| object.get(key).and_then(Value::as_str);
        let kind: Vec<&str> = ["method", "channel", "type"].into_iter().filter_map(word).collect();
        *kinds.entry(kind.join(" ")).or_insert(0_u32) += 1;
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    kinds.join(", ")
}

#[cfg(test)]
mod tests {
    use feeds::Timestamp;

    use super::*;

    fn shown(shown: &mut Shown, opcode: Opcode, payload: &[u8]) -> String {
        let at = Timestamp(1_700_000_000_123_456_789);
        let wire_bytes = payload.len() as u64 + 2;
        let sender = Sender::Server;
        let observed = Observed { at, sender, opcode, wire_bytes, is_compressed: true, payload };
        let mut out = Vec::new();
        shown.print(&observed, &mut out).expect("room");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_is_long_is_cut_and_nothing_commands_the_terminal() {
        let mut cut = Shown::new(false, false);
        let text = shown(&mut cut, Opcode::Text, "[\u{1b}[2J\u{9b}1m\n]".as_bytes());
        assert_eq!(text, "22:13:20.123456 ← text        11 B      13 wirez [ [2J 1m ]\n");
        let long = "é".repeat(CHARS_MAX + 1);
        assert!(shown(&mut cut, Opcode::Text, long.as_bytes()).ends_with("é…\n"));
        let mut whole = Shown::new(false, true);
        assert!(shown(&mut whole, Opcode::Text, long.as_bytes()).ends_with(&format!("{long}\n")));
        let close = [&4007_u16.to_be_bytes()[..], b"slow\x1b"].concat();
        assert!(shown(&mut cut, Opcode::Close, &close).ends_with(" 4007 slow\n"));
        assert!(shown(&mut cut, Opcode::Close, &[]).ends_with(" without a code\n"));
        assert!(shown(&mut cut, Opcode::Ping, b"a\x1b").ends_with(" a\\x1b\n"));
    }

    #[test]
    fn bytes_that_are_no_records_are_told_where() {
        let mut all = Shown::new(false, false);
        let text = shown(&mut all, Opcode::Binary, &[3, 9]);
        assert!(text.contains("\n    at byte 1 of a binary message: there is no kind 9\n"), "{text}");
    }

    #[test]
    fn what_is_redacted_tells_kinds() {
        let mut hidden = Shown::new(true, false);
        let message = br#"[{"channel":"quote","type":"update","symbol":"A"},{"channel":"quote","type":"update"},{"channel":"heartbeat"}]"#;
        assert!(shown(&mut hidden, Opcode::Text, message).ends_with(" 1 heartbeat, 2 quote update\n"));
        assert!(shown(&mut hidden, Opcode::Text, b"?").ends_with(" no JSON\n"));
        assert!(!shown(&mut hidden, Opcode::Ping, b"canary").contains("canary"));
        assert!(shown(&mut hidden, Opcode::Close, b"\x0f\xa7canary").ends_with(" 4007\n"));
    }
}
