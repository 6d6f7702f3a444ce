//! Answers to requests, as far as they have to be the same.

use std::collections::BTreeMap;

use serde_json::Value;

use super::report::{Difference, Disagreement, Findings};
use super::state::each_difference;

/// What belongs to a run of the stream, to its time, or to people.
const FREE: [&str; 6] = ["epoch", "topic", "seq", "ts", "expires", "message"];

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The capture's line.
    line: Option<u64>,
    /// The method and the request's number.
    subject: String,
    /// What it says, by name: elements of an array are named by their symbols, where they have any.
    fields: BTreeMap<String, String>,
}

impl Answer {
    /// Those of a text message, which the client reads too.
    pub(super) fn all(line: Option<u64>, text: &str) -> Vec<Self> {
        // Nearly all messages are data, and not worth to be read twice.
        if !text.contains("\"success\"") {
            return Vec::new();
        }
        let objects: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
        let is_answer = |object: &&Value| object["success"].is_boolean() && object["method"] != "auth";
        objects.iter().filter(is_answer).map(|object| Self::new(line, object)).collect()
    }

    fn new(line: Option<u64>, object: &Value) -> Self {
        let mut fields = BTreeMap::new();
        flatten(object, "", &mut fields);
        let subject = match (&object["method"], &object["req_id"]) {
            (method, Value::Null) => plain(method),
            (method, number) => format!("{} {}", plain(method), plain(number)),
        };
        Self { line, subject, fields }
    }

    pub(super) fn compare(&self, server: &Self, findings: &mut Findings) {
        findings.answers += 1;
        each_difference(&self.fields, &server.fields, |field, captured, server| {
            findings.add(|| Difference {
                line: self.line,
                subject: Some(format!("answer to {}", self.subject)),
                field: Some(field.to_owned()),
                captured: captured.map(str::to_owned),
                server: server.map(str::to_owned),
                ..Difference::new(Disagreement::Value)
            });
        });
    }

    pub(super) fn has_not_come(&self, findings: &mut Findings) {
        findings.add(|| Difference {
            line: self.line,
            subject: Some(format!("answer to {}", self.subject)),
            ..Difference::new(Disagreement::NotCome)
        });
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.fields.iter().map(|(name, value)| 64 + name.len() + value.len()).sum::<usize>()
    }
}

fn flatten(value: &Value, path: &str, fields: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(object) => {
            for (name, value) in object.iter().filter(|(name, _)| !FREE.contains(&name.as_str())) {
                flatten(value, &below(name), fields);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                match (element, &element["symbol"]) {
                    (Value::String(name), _) | (_, Value::String(name)) => {
                        flatten(element, &below(name), fields);
                    }
                    _ => flatten(element, &below(&index.to_string()), fields),
                }
            }
        }
        value => {
            fields.insert(path.to_owned(), plain(value));
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(captured: &str, server: &str) -> Vec<String> {
        let mut findings = Findings::default();
        let [captured, server] = [captured, server].map(|text| Answer::all(Some(2), text).remove(0));
        captured.compare(&server, &mut findings);
        let told = findings.differences.iter().map(|difference| {
            let Difference { line, subject, field, captured, server, .. } = difference;
            assert_eq!((*line, subject.as_deref()), (Some(2), Some("answer to subscribe 1")));
            format!("{} {captured:?} {server:?}", field.as_deref().unwrap_or_default())
        });
        told.collect()
    }

    #[test]
    fn runs_differ_freely_and_what_is_granted_does_not() {
        let captured = r#"[{"channel":"quote"},{"method":"subscribe","success":true,"req_id":1,"result":{"channel":"quote",
            "epoch":"a","granted":[{"symbol":"A","topic":1,"price_exponent":-2,"size_exponent":0,"seq":7},
            {"symbol":"B","topic":2,"price_exponent":-2,"size_exponent":0,"seq":9}],"rejected":[{"symbol":"C","code":"X"}]}}]"#;
        let other_run = captured.replace("\"a\"", "\"b\"").replace("\"seq\":7", "\"seq\":1");
        assert!(differences(captured, &other_run).is_empty());
        let swapped = captured.replace("\"A\"", "\"?\"").replace("\"B\"", "\"A\"").replace("\"?\"", "\"B\"");
        assert!(differences(captured, &swapped).is_empty());
        let other = captured.replace("\"code\":\"X\"", "\"code\":\"Y\"").replacen("-2", "-3", 1);
        assert_eq!(
            differences(captured, &other),
            [
                r#"result.granted.A.price_exponent Some("-2") Some("-3")"#,
                r#"result.rejected.C.code Some("X") Some("Y")"#
            ]
        );
    }

    #[test]
    fn an_error_is_its_code_and_not_its_words() {
        let error = |code: &str, message: &str| {
            format!(
                r#"[{{"method":"subscribe","success":false,"req_id":1,"error":{{"code":"{code}","message":"{message}","retryable":false}}}}]"#
            )
        };
        assert!(differences(&error("A", "one"), &error("A", "other")).is_empty());
        assert_eq!(differences(&error("A", ""), &error("B", "")), [r#"error.code Some("A") Some("B")"#]);
        let success = r#"[{"method":"subscribe","success":true,"req_id":1,"result":{}}]"#;
        assert_eq!(differences(&error("A", ""), success).len(), 3, "success, code, retryable");
        assert!(Answer::all(None, r#"[{"method":"auth","success":true,"result":{}}]"#).is_empty());
    }
}
