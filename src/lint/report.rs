//! What was found: for people as a table, for programs as JSON.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::check::Check;
use crate::limits::LINT_SEEN_CHARS_MAX;
use crate::printable::printable;

/// What was found at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The endpoint.
    pub url: String,
    /// In the order in which it was looked.
    pub findings: Vec<Finding>,
}

/// What was found by one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// By which.
    pub check: Check,
    /// How it is.
    pub verdict: Verdict,
    /// What the endpoint did, or did not.
    pub seen: String,
}

/// How it is with what was looked at, the better before the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// It could not be looked at.
    Unchecked,
    /// To be known, and no fault where it is meant.
    Note,
    /// Clients have a hard time.
    Warning,
    /// Clients, or the endpoint itself, are in danger.
    Error,
}

impl Verdict {
    /// How reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Unchecked => "unchecked",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Report {
    pub(super) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), findings: Vec::new() }
    }

    /// What is found again on another connection is told once.
    pub(super) fn add(&mut self, check: Check, verdict: Verdict, seen: impl AsRef<str>) {
        let seen = printable(seen.as_ref(), LINT_SEEN_CHARS_MAX);
        match self.findings.iter_mut().find(|finding| finding.check == check) {
            None => self.findings.push(Finding { check, verdict, seen }),
            Some(found) if found.verdict < verdict => (found.verdict, found.seen) = (verdict, seen),
            Some(_) => {}
        }
    }

    /// How many findings are so.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

impl Serialize for Finding {
    /// With the explanation, where there is something to explain.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let explained = self.check.explained();
        let mut object = serializer.serialize_struct("Finding", 6)?;
        object.serialize_field("check", &self.check)?;
        object.serialize_field("verdict", &self.verdict)?;
        object.serialize_field("seen", &self.seen)?;
        object.serialize_field("source", explained.source)?;
        if self.verdict >= Verdict::Note {
            object.serialize_field("why", explained.why)?;
            object.serialize_field("advice", explained.advice)?;
        } else {
            object.skip_field("why")?;
            object.skip_field("advice")?;
        }
        object.end()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { check, verdict, seen } in &self.findings {
            let explained = check.explained();
            writeln!(f, "{:<9}  {:<15}  {seen}", verdict.as_str(), explained.name)?;
            if *verdict >= Verdict::Note {
                writeln!(f, "{:29}why: {} ({})", "", explained.why, explained.source)?;
                writeln!(f, "{:29}do:  {}", "", explained.advice)?;
            }
        }
        let [errors, warnings, notes, unchecked] =
            [Verdict::Error, Verdict::Warning, Verdict::Note, Verdict::Unchecked]
                .map(|verdict| self.count(verdict));
        write!(f, "{} checks; errors: {errors}, warnings: {warnings}, notes: {notes}", self.findings.len())?;
        if unchecked > 0 {
            write!(f, ", unchecked: {unchecked}")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_check_is_told() {
        let mut report = Report::new("ws://x/");
        report.add(Check::Frames, Verdict::Fine, "a");
        report.add(Check::Frames, Verdict::Error, "b\u{1b}[31m");
        report.add(Check::Frames, Verdict::Warning, "c");
        assert_eq!(
            report.findings,
            [Finding { check: Check::Frames, verdict: Verdict::Error, seen: "b [31m".to_owned() }]
        );
        assert_eq!(report.count(Verdict::Error), 1);
    }

    #[test]
    fn what_is_long_is_cut() {
        let mut report = Report::new("ws://x/");
        report.add(Check::Json, Verdict::Fine, "é".repeat(LINT_SEEN_CHARS_MAX));
        assert_eq!(report.findings[0].seen, "é".repeat(LINT_SEEN_CHARS_MAX));
        report.add(Check::Size, Verdict::Fine, "é".repeat(LINT_SEEN_CHARS_MAX + 1));
        assert_eq!(report.findings[1].seen, format!("{}…", "é".repeat(LINT_SEEN_CHARS_MAX)));
    }

    #[test]
    fn a_fault_is_explained_and_what_is_fine_is_not() {
        let mut report = Report::new("ws://x/");
        report.add(Check::Ping, Verdict::Fine, "a pong");
        report.add(Check::Mask, Verdict::Error, "goes on");
        let text = report.to_string();
        assert!(
            text.starts_with("fine       ping             a pong\nerror      mask             goes on\n"),
            "{text}"
        );
        assert!(
            text.contains("(RFC 6455 section 5.1)\n") && text.contains("do:  close with 1002\n"),
            "{text}"
        );
        assert!(text.ends_with("2 checks; errors: 1, warnings: 0, notes: 0\n"), "{text}");
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["findings"][0]["verdict"], "fine");
        assert!(json["findings"][0].get("why").is_none() && json["findings"][1]["why"].is_string(), "{json}");
    }
}
