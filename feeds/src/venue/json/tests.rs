//! Against serde_json and simd-json, and against what a text was made of.

use proptest::prelude::*;
use simd_json::prelude::{TypedScalarValue, ValueAsScalar};

use super::*;

/// What stands in a text of JSON; numbers with the digits as sent.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

fn node() -> impl Strategy<Value = Node> {
    let text = || prop_oneof!["[a-z0-9.@-]{0,12}", any::<String>()];
    let scalar = prop_oneof![
        Just(Node::Null),
        any::<bool>().prop_map(Node::Bool),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?".prop_map(Node::Number),
        text().prop_map(Node::Text),
    ];
    scalar.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Node::List),
            prop::collection::vec((text(), inner), 0..6).prop_map(Node::Object),
        ]
    })
}

/// Space that may stand anywhere between the parts of a text; only such as stands for itself within a text, too.
fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("  ")]
}

impl Node {
    fn of(value: Value<'_>) -> Self {
        if let Some(digits) = value.as_number() {
            Self::Number(digits.to_owned())
        } else if let Some(text) = value.as_text() {
            Self::Text(text.to_owned())
        } else if let Some(is_true) = value.as_bool() {
            Self::Bool(is_true)
        } else if let Some(list) = value.as_array() {
            assert_eq!(list.len(), list.iter().count());
            assert!(list.get(list.len()).is_none());
            Self::List(list.iter().map(Self::of).collect())
        } else if let Some(object) = value.as_object() {
            Self::Object(object.iter().map(|(key, value)| (key.to_owned(), Self::of(value))).collect())
        } else {
            assert!(value.is_null());
            Self::Null
        }
    }

    /// What simd-json has found, but for the digits of numbers, which it does not keep.
    fn of_simd_json(value: simd_json::tape::Value<'_, '_>) -> Self {
        if let Some(text) = value.as_str() {
            Self::Text(text.to_owned())
        } else if let Some(is_true) = value.as_bool() {
            Self::Bool(is_true)
        } else if let Some(list) = value.as_array() {
            Self::List(list.iter().map(Self::of_simd_json).collect())
        } else if let Some(object) = value.as_object() {
            Self::Object(
                object.iter().map(|(key, value)| (key.to_owned(), Self::of_simd_json(value))).collect(),
            )
        } else if value.is_null() {
            Self::Null
        } else {
            Self::Number(String::new())
        }
    }

    fn without_digits(self) -> Self {
        match self {
            Self::Number(_) => Self::Number(String::new()),
            Self::List(list) => Self::List(list.into_iter().map(Self::without_digits).collect()),
            Self::Object(fields) => {
                Self::Object(fields.into_iter().map(|(key, value)| (key, value.without_digits())).collect())
            }
            other => other,
        }
    }

    fn write(&self, space: &str, out: &mut String) {
        let text = |text: &str| serde_json::to_string(text).expect("a text");
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(is_true) => out.push_str(if *is_true { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(content) => out.push_str(&text(content)),
            Self::List(list) => {
                out.push('[');
                for (index, item) in list.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    item.write(space, out);
                }
                out.push_str(space);
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    *out += &format!("{space}{}{space}:{space}", text(key));
                    value.write(space, out);
                    out.push_str(space);
                }
                out.push('}');
            }
        }
    }

    fn to_text(&self, space: &str) -> String {
        let mut out = space.to_owned();
        self.write(space, &mut out);
        out + space
    }
}

fn read(text: &[u8]) -> Result<Node, VenueError> {
    Json::default().parse(false, text, |value| Ok(Node::of(value)))
}

fn read_nested(text: &[u8]) -> Option<Node> {
    Json::default().parse_nested(false, text, |value| Ok(Node::of(value))).map(|read| read.expect("read"))
}

/// The text as it stands within a text, without the quotes around it.
fn nest(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a text");
    quoted[1..quoted.len() - 1].to_owned()
}

/// What serde_json says of it; `None` where it cannot tell, as it has no numbers of that size.
fn is_json(text: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().contains("out of range") => None,
        Err(_) => Some(false),
    }
}

/// Texts as venues send them, some bytes of which are others, gone, or twice there.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let bytes =
        prop_oneof![Just(b'"'), Just(b'\\'), Just(b','), Just(b'}'), Just(b']'), Just(b'0'), any::<u8>()];
    let damage = prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, bytes), 0..3);
    (node(), space(), damage).prop_map(|(node, space, damage)| {
        let mut text = node.to_text(space).into_bytes();
        for (place, kind, byte) in damage {
            let at = place.index(text.len().max(1));
            match kind {
                0 => text.insert(at.min(text.len()), byte),
                1 if at < text.len() => drop(text.remove(at)),
                _ if at < text.len() => text[at] = byte,
                _ => {}
            }
        }
        text
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(node in node(), space in space()) {
        let text = node.to_text(space);
        prop_assert_eq!(read(text.as_bytes()), Ok(node.clone()), "{}", text);
        if let Some(nested) = read_nested(nest(&text).as_bytes()) {
            prop_assert_eq!(nested, node, "{}", text);
        } else {
            // An escape within a text, or a character that is one within a text.
            prop_assert!(text.contains(|character: char| character == '\\' || character.is_control()), "{}", text);
        }
    }

    #[test]
    fn what_is_json_serde_json_says_as_well(text in damaged()) {
        if let Some(is_json) = is_json(&text) {
            prop_assert_eq!(read(&text).is_ok(), is_json, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn what_simd_json_reads_is_read_alike(text in damaged()) {
        let mut scratch = text.clone();
        // What it refuses may be a number that is too large for it.
        if let Ok(tape) = simd_json::to_tape(&mut scratch) {
            let node = read(&text).map(Node::without_digits);
            prop_assert_eq!(node, Ok(Node::of_simd_json(tape.as_value())), "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn what_is_read_within_a_text_is_what_the_text_says(text in damaged(), place: prop::sample::Index, byte: u8) {
        let mut nested = nest(&String::from_utf8_lossy(&text)).into_bytes();
        if byte < 128 && !nested.is_empty() {
            let at = place.index(nested.len());
            nested[at] = byte;
        }
        if let Some(node) = read_nested(&nested) {
            let line = [b"\"", &nested[..], b"\""].concat();
            let plain: String = serde_json::from_slice(&line).expect("a text");
            prop_assert_eq!(read(plain.as_bytes()), Ok(node));
        }
    }

    #[test]
    fn numbers_are_told_as_texts_where_they_are_to_be(node in node()) {
        fn quote(node: Node) -> Node {
            match node {
                Node::Number(digits) => Node::Text(digits),
                Node::List(list) => Node::List(list.into_iter().map(quote).collect()),
                Node::Object(fields) => {
                    Node::Object(fields.into_iter().map(|(key, value)| (key, quote(value))).collect())
                }
                other => other,
            }
        }
        fn of(value: Value<'_>) -> Node {
            match (value.as_text(), value.as_array(), value.as_object()) {
                (Some(text), _, _) => Node::Text(text.to_owned()),
                (_, Some(list), _) => Node::List(list.iter().map(of).collect()),
                (_, _, Some(object)) => {
                    Node::Object(object.iter().map(|(key, value)| (key.to_owned(), of(value))).collect())
                }
                _ => Node::of(value),
            }
        }
        let text = node.to_text("");
        let found = Json::default().parse(true, text.as_bytes(), |value| Ok(of(value)));
        prop_assert_eq!(found, Ok(quote(node)));
    }

    #[test]
    fn a_text_that_is_looked_at_is_one_that_is_read(text in damaged(), place: prop::sample::Index, byte: u8) {
        let text = String::from_utf8_lossy(&text);
        // The other control characters have escapes of their own.
        let has_number_escape = |sign: char| sign < ' ' && !"\u{8}\u{c}\n\r\t".contains(sign);
        let nested = nest(&text);
        prop_assert_eq!(is_text(nested.as_bytes()), !text.contains(has_number_escape), "{}", nested);
        let mut nested = nested.into_bytes();
        if !nested.is_empty() {
            let at = place.index(nested.len());
            nested[at] = byte;
        }
        let line = [b"\"", &nested[..], b"\""].concat();
        prop_assert!(!is_text(&nested) || read(&line).is_ok());
    }

    #[test]
    fn a_plain_text_is_what_it_says(text in "[ -~é]{0,12}", behind: String) {
        let line = format!("{text}\"{behind}");
        let quote = text.find(['"', '\\']).unwrap_or(text.len());
        let is_plain = line.as_bytes()[quote] == b'"';
        prop_assert_eq!(plain_text(line.as_bytes()), is_plain.then(|| (&line[..quote], &line.as_bytes()[quote + 1..])));
    }

    #[test]
    fn fields_are_the_first_of_their_names(fields in prop::collection::vec(("[abc]{1,2}", 0_u8..9), 0..9)) {
        let text = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>().join(",");
        let names = ["a", "b", "ab", "cc", "d"];
        let first = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_string());
        let read = Json::default().parse(false, format!("{{{text}}}").as_bytes(), |value| {
            let object = value.as_object().expect("an object");
            let digits = |value: Option<Value<'_>>| value.and_then(Value::as_number).map(str::to_owned);
            for (name, found) in names.iter().zip(object.fields(names)) {
                assert_eq!((digits(found), digits(object.get(name))), (first(name), first(name)));
            }
            Ok(())
        });
        prop_assert_eq!(read, Ok(()));
    }

    #[test]
    fn the_closing_quote_is_the_one_that_serde_json_finds(text: String, behind: String) {
        let nested = nest(&text);
        prop_assert_eq!(closing_quote(format!("{nested}\"{behind}").as_bytes()), Some(nested.len()));
        prop_assert_eq!(closing_quote(nested.as_bytes()), None);
    }
}

#[test]
fn a_flaw_is_named_with_its_place() {
    for (text, problem) in [
        ("", "expected a value at offset 0 of it"),
        (r#"{"a":1"#, "expected `,` or `}` at offset 6 of it"),
        (r#"{"a" 1}"#, "expected `:` at offset 5 of it"),
        (r#"{"a":1,}"#, "expected a quote at offset 7 of it"),
        (r#"[1,]"#, "expected a value at offset 3 of it"),
        (r#"[1 2]"#, "expected `,` or `]` at offset 3 of it"),
        (r#"[01]"#, "expected a number without leading zeros at offset 1 of it"),
        (r#"[1.]"#, "expected a digit at offset 3 of it"),
        (r#"[nul]"#, "expected a value at offset 1 of it"),
        (r#"["ab"#, "expected the end of a text at offset 4 of it"),
        (r#"["\x"]"#, "expected an escape of JSON at offset 2 of it"),
        (r#"["a\ud800"]"#, "expected an escape of JSON at offset 3 of it"),
        ("[\"a\nb\"]", "expected the end of a text at offset 3 of it"),
        ("{} x", "expected the end at offset 3 of it"),
    ] {
        let error = read(text.as_bytes()).expect_err(text);
        assert_eq!(error.problem, Problem::Json(problem.to_owned()), "{text}");
    }
    let error = read(b"[\"\xff\"]").expect_err("no UTF-8");
    assert_eq!(error.to_string(), "`message`: not JSON: expected UTF-8 at offset 2 of it");
}

/// Depth costs memory, a token a bracket, and no stack.
#[test]
fn a_message_may_be_as_deep_as_it_is_long() {
    let depth = 1_000_000;
    let text = "[".repeat(depth) + &"]".repeat(depth);
    let mut json = Json::default();
    let read = json.parse(false, text.as_bytes(), |value| Ok(value.as_array().expect("a list").len()));
    assert_eq!(read.expect("JSON"), 1);
    assert_eq!(json.tokens.len(), depth);
    assert!(json.parse(false, &text.as_bytes()[1..], |_| Ok(())).is_err());
}
