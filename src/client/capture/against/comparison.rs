//! What was captured beside what a server sends now: pure, and in any order of the two.

use std::collections::{BTreeMap, VecDeque};

use super::answer::Answer;
use super::pair::{Load, Pair, at};
use super::report::{Compared, Difference, Disagreement, Findings, Verdict};
use super::side::{Made, Side};
use super::state::TopicName;
use crate::client::capture::End;
use crate::wire::Encoding;

/// A message of a server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

pub(super) struct Comparison {
    captured: Half,
    server: Half,
    pairs: BTreeMap<TopicName, Pair>,
    findings: Findings,
    /// Whether there is no more of the capture.
    is_read: bool,
    has_end: bool,
}

struct Half {
    side: Side,
    /// Those that the other side has not given yet.
    answers: VecDeque<Answer>,
    load: Load,
}

impl Half {
    fn new(url: &str, encoding: Encoding) -> Self {
        Self { side: Side::new(url, encoding), answers: VecDeque::new(), load: Load::default() }
    }

    fn take(&mut self, line: Option<u64>, message: Message<'_>) -> Vec<Made> {
        match message {
            Message::Text(text) => self.side.text(line, text),
            Message::Binary(bytes) => self.side.records(line, bytes),
        }
    }

    fn pop_answer(&mut self) -> Option<Answer> {
        let answer = self.answers.pop_front()?;
        self.load.bytes -= answer.bytes();
        Some(answer)
    }

    fn push_answer(&mut self, answer: Answer) {
        self.load.bytes += answer.bytes();
        self.answers.push_back(answer);
    }
}

impl Comparison {
    pub(super) fn new(captured_at: &str, server: &str, encoding: Encoding) -> Self {
        Self {
            captured: Half::new(captured_at, encoding),
            server: Half::new(server, encoding),
            pairs: BTreeMap::new(),
            findings: Findings::default(),
            is_read: false,
            has_end: false,
        }
    }

    /// Takes what was captured of the server; whether anything is to be compared in it.
    pub(super) fn take_captured(&mut self, line: u64, message: Message<'_>) -> bool {
        let made = self.captured.take(Some(line), message);
        let is_any = !made.is_empty();
        for made in made {
            match made {
                Made::Answer(answer) => {
                    self.captured.push_answer(answer);
                    self.settle_answers();
                }
                Made::Step(topic, step) => {
                    self.pairs.entry(topic.clone()).or_default().captured.push(step, &mut self.captured.load);
                    self.settle(&topic);
                }
                Made::Fault(topic, what) => {
                    self.captured_fault(line, topic.as_ref(), what);
                    self.settle_all();
                }
            }
        }
        is_any
    }

    /// What was captured proves to be wrong.
    pub(super) fn captured_fault(&mut self, line: u64, topic: Option<&TopicName>, what: String) {
        self.findings.add(|| Difference {
            line: Some(line),
            subject: topic.map(|(channel, symbol)| format!("{channel}:{symbol}")),
            captured: Some(what),
            ..Difference::new(Disagreement::CaptureFault)
        });
    }

    /// Takes what the server sends; whether something that was awaited has come, or has come nearer.
    pub(super) fn take_server(&mut self, message: Message<'_>) -> bool {
        let mut is_awaited = false;
        for made in self.server.take(None, message) {
            match made {
                Made::Answer(answer) => {
                    is_awaited |= !self.captured.answers.is_empty();
                    self.server.push_answer(answer);
                    self.settle_answers();
                }
                Made::Step(topic, step) => {
                    let pair = self.pairs.entry(topic.clone()).or_default();
                    is_awaited |= !pair.captured.is_empty();
                    pair.server.push(step, &mut self.server.load);
                    self.settle(&topic);
                }
                Made::Fault(topic, what) => {
                    is_awaited = true;
                    self.server_fault(topic.as_ref(), what);
                    self.settle_all();
                }
            }
        }
        is_awaited
    }

    fn server_fault(&mut self, topic: Option<&TopicName>, what: String) {
        let awaited = topic.and_then(|topic| self.pairs.get(topic)?.captured.line());
        self.findings.add(|| Difference {
            line: awaited,
            subject: topic.map(|(channel, symbol)| format!("{channel}:{symbol}")),
            server: Some(what),
            ..Difference::new(Disagreement::ServerFault)
        });
    }

    /// There is no more of the capture.
    pub(super) fn end(&mut self) {
        self.is_read = true;
        self.settle_all();
    }

    /// What the capture says was known at its end.
    pub(super) fn captured_end(&mut self, line: u64, then: &End) {
        self.has_end = true;
        let mut faults = Vec::new();
        End::of(self.captured.side.client()).compare(then, |what| faults.push(what));
        for what in faults {
            self.captured_fault(line, None, what);
        }
    }

    /// Whether something that was captured has not come yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.captured.load.steps > 0 || !self.captured.answers.is_empty()
    }

    /// Whether what the server sent cannot be read any further.
    pub(super) const fn is_server_over(&self) -> bool {
        self.server.side.is_over()
    }

    /// Bytes that are kept of what was captured, and of what the server sent, because the other one has not come that far.
    pub(super) const fn bytes(&self) -> (usize, usize) {
        (self.captured.load.bytes, self.server.load.bytes)
    }

    fn settle_answers(&mut self) {
        let mut is_any = false;
        while !self.captured.answers.is_empty() && !self.server.answers.is_empty() {
            if let (Some(captured), Some(server)) = (self.captured.pop_answer(), self.server.pop_answer()) {
                captured.compare(&server, &mut self.findings);
                is_any = true;
            }
        }
        if is_any {
            self.settle_all();
        }
    }

    fn settle_all(&mut self) {
        let topics: Vec<TopicName> = self.pairs.keys().cloned().collect();
        for topic in &topics {
            self.settle(topic);
        }
    }

    /// Compares what there is of a topic, and forgets what the other side has nothing of, nor will have.
    fn settle(&mut self, topic: &TopicName) {
        let Self { captured, server, pairs, findings, is_read, .. } = self;
        let Some(pair) = pairs.get_mut(topic) else { return };
        pair.settle(topic, &mut captured.load, &mut server.load, findings);
        // A side that is ahead of the other's answers may follow what the other does not follow yet.
        if pair.server.is_empty() && captured.answers.is_empty() && !server.side.follows(topic) {
            while let Some((_, step)) = pair.captured.pop(&mut captured.load) {
                findings.passed_over.unfollowed += u64::from(step.state.is_some());
            }
        }
        let is_unfollowed = || server.answers.is_empty() && !captured.side.follows(topic);
        if pair.captured.is_empty() && (*is_read || is_unfollowed()) {
            while pair.server.pop(&mut server.load).is_some() {}
        }
    }

    /// What has not come by now will not come.
    pub(super) fn give_up(&mut self) {
        while let Some(answer) = self.captured.pop_answer() {
            answer.has_not_come(&mut self.findings);
        }
        for (topic, pair) in &mut self.pairs {
            while let Some((_, step)) = pair.captured.pop(&mut self.captured.load) {
                if step.state.is_some() {
                    self.findings.add(|| at(topic, &step, step.line, Disagreement::NotCome));
                }
            }
        }
    }

    /// `cannot_tell`: why not all was compared, if so; `frames`, `requests`: how many were read, and sent.
    pub(super) fn finish(
        mut self,
        cannot_tell: Option<String>,
        captured_at: String,
        server: String,
        (frames, requests): (u64, u64),
    ) -> Compared {
        let unaccounted = |half: &Half| {
            let changes = half.side.client().stats().unaccounted;
            (changes > 0).then(|| format!("{changes} changes that numbers and counts do not agree on"))
        };
        if let Some(captured) = unaccounted(&self.captured) {
            let fault = Difference::new(Disagreement::CaptureFault);
            self.findings.add(|| Difference { captured: Some(captured), ..fault });
        }
        if let Some(server) = unaccounted(&self.server) {
            self.server_fault(None, server);
        }
        let cannot_tell = cannot_tell.or_else(|| self.uncompared());
        let topics = self.pairs.values().filter(|pair| pair.in_common > 0).count();
        let Findings { later_us, answers, states, passed_over, differences, differences_total } =
            self.findings;
        let verdict = match &cannot_tell {
            _ if differences_total > 0 => Verdict::Differs,
            Some(_) => Verdict::CannotTell,
            None => Verdict::Equal,
        };
        Compared {
            verdict,
            cannot_tell,
            captured_at,
            server,
            frames,
            requests,
            answers,
            states,
            topics,
            later_us,
            passed_over,
            differences,
            differences_total,
        }
    }

    /// Why what was compared is not all of it.
    fn uncompared(&self) -> Option<String> {
        if !self.has_end {
            return Some("the capture has no end: it was broken off, or cut off since".to_owned());
        }
        let mut without =
            self.pairs.iter().filter(|(_, pair)| pair.captured.states > 0 && pair.in_common == 0);
        if let Some(((channel, symbol), _)) = without.next() {
            let more = match without.count() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            return Some(format!(
                "the server has no state of {channel}:{symbol}{more} that was captured: let it begin where the \
                 capture does, as `serve --wait-clients 1` does"
            ));
        }
        let is_nothing = self.findings.answers == 0 && self.findings.states == 0;
        is_nothing.then(|| "there is nothing in the capture to be compared".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATES: u64 = 24;
    const GRANTED: &str = r#"[{"method":"subscribe","success":true,"req_id":1,"result":{"channel":"status","epoch":"e",
        "granted":[{"symbol":"A","topic":1,"price_exponent":0,"size_exponent":0,"seq":1}],"rejected":[]}}]"#;

    /// What a server sends that begins at a state, and merges as many as these each time; and the numbers that it stops at.
    fn stream(first: u64, steps: &[u64], changed: Option<u64>) -> (Vec<String>, Vec<u64>) {
        let reason =
            |seq: u64| if changed == Some(seq) { "changed".to_owned() } else { format!("reason {seq}") };
        let mut messages = vec![
            GRANTED.to_owned(),
            format!(
                r#"[{{"channel":"status","type":"snapshot","symbol":"A","epoch":"e","seq":{first},"ts_event":0,"state":"halted","reason":"{}"}}]"#,
                reason(first)
            ),
        ];
        let mut numbers = vec![first];
        let mut prev = first;
        for step in steps {
            let seq = prev + step;
            if seq > STATES {
                break;
            }
            messages.push(format!(
                r#"[{{"channel":"status","type":"update","symbol":"A","seq":{seq},"prev_seq":{prev},"n":{step},"ts_event":0,"state":"halted","reason":"{}"}}]"#,
                reason(seq)
            ));
            numbers.push(seq);
            prev = seq;
        }
        (messages, numbers)
    }

    fn compare(captured: &[String], server: &[String], order: &[bool]) -> Compared {
        let mut comparison = Comparison::new("", "", Encoding::Json);
        let (mut captured, mut server) = (captured.iter(), server.iter());
        let mut line = 0;
        for is_captured in order.iter().copied().chain(std::iter::repeat_n([true, false], 64).flatten()) {
            if !is_captured {
                if let Some(message) = server.next() {
                    comparison.take_server(Message::Text(message));
                }
            } else if let Some(message) = captured.next() {
                line += 1;
                comparison.take_captured(line, Message::Text(message));
            }
        }
        comparison.end();
        assert_eq!(comparison.server.load.bytes, 0, "nothing is kept");
        comparison.finish(None, String::new(), String::new(), (0, 0))
    }

    proptest! {
        #[test]
        fn however_two_streams_are_cut_they_agree_but_where_a_state_is_another(
            begins in (1_u64..6, 1_u64..6),
            steps in (prop::collection::vec(1_u64..4, 40), prop::collection::vec(1_u64..4, 40)),
            order in prop::collection::vec(any::<bool>(), 0..60),
            changed in 1..=STATES,
        ) {
            let (captured, ours) = stream(begins.0, &steps.0, None);
            let (server, theirs) = stream(begins.1, &steps.1, None);
            let in_common = ours.iter().filter(|seq| theirs.contains(seq)).count() as u64;
            let same = compare(&captured, &server, &order);
            prop_assert!(same.differences.is_empty(), "{:?}", same.differences);
            prop_assert_eq!((same.states, same.answers), (in_common, 1));

            let (server, _) = stream(begins.1, &steps.1, Some(changed));
            let other = compare(&captured, &server, &order);
            let expected = ours.contains(&changed) && theirs.contains(&changed);
            prop_assert_eq!(other.differences_total, u64::from(expected), "{:?}", other.differences);
        }

        #[test]
        fn a_number_that_nobody_may_leave_out_is_missed(
            left_out in 2_u64..STATES,
            is_captured in any::<bool>(),
            order in prop::collection::vec(any::<bool>(), 0..60),
        ) {
            let (whole, _) = stream(1, &[1; 40], None);
            // One change, as it says, over two numbers.
            let (mut less, _) = stream(1, &[1; 40], None);
            let at = usize::try_from(left_out).expect("small");
            less.remove(at);
            less[at] = less[at].replace(&format!("\"prev_seq\":{left_out}"), &format!("\"prev_seq\":{}", left_out - 1));
            let found = if is_captured { compare(&less, &whole, &order) } else { compare(&whole, &less, &order) };
            let expected = if is_captured { Disagreement::Extra } else { Disagreement::Missing };
            let found: Vec<_> = found.differences.iter().map(|found| (found.what, found.seq)).collect();
            prop_assert_eq!(found, [(expected, Some(left_out))]);
        }
    }
}
