//! Holds the direction of imports: every module has a layer, and names only what lies below it.
//!
//! The sources are read as text and cut into tokens, without comments and strings; that is enough to see each
//! `crate::…`, `tickwire::…` and `super::…` path, in one `use` or several. What a macro makes up is not seen.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, as in the crate's documentation. `feeds` lies below all of them and is a crate of its own.
const LAYERS: [(&str, u8); 26] = [
    ("topic", 0),
    ("state", 0),
    ("directory", 0),
    ("entitlement", 0),
    ("limits", 0),
    ("metrics", 0),
    ("secret", 0),
    ("printable", 0),
    ("market", 1),
    ("wire", 1),
    ("ws", 1),
    ("ingest", 2),
    ("gateway", 2),
    ("lifeline", 2),
    ("traces", 2),
    ("publisher", 2),
    ("bus", 2),
    ("fanout", 2),
    ("server", 3),
    ("client", 3),
    ("load", 3),
    ("lint", 3),
    ("main", 4),
    ("cli", 4),
    ("config", 4),
    ("service", 4),
];

/// Within a layer: the pure modules do not know each other, and the edge's two sides meet only on the wire, except
/// that the load harness drives the client, and the linter has its sockets. The vocabulary, the moving and the wiring layer may import sideways.
fn may_import(from: &str, to: &str) -> bool {
    match (layer(from), layer(to)) {
        (Some(1), Some(1)) => false,
        (Some(3), Some(3)) => matches!((from, to), ("load" | "lint", "client")),
        (Some(from), Some(to)) => to <= from,
        _ => false,
    }
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

#[test]
fn imports_point_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "feeds/src"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "only {} source files found under {}", files.len(), root.display());

    let mut faults = Vec::new();
    for file in &files {
        let path =
            file.strip_prefix(root).expect("found under the root").to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{path}: {error}"));
        check(&path, &text, &mut faults);
    }
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What is wrong, and where.
#[derive(Debug)]
struct Fault {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Appends the faults of one file; `path` is relative to the workspace and decides what rules hold.
fn check(path: &str, text: &str, faults: &mut Vec<Fault>) {
    let tokens = tokens(text);
    let mut fault = |line, what: String| faults.push(Fault { path: path.to_owned(), line, what });

    if path != "feeds/src/clock.rs" {
        for window in tokens.windows(3) {
            if matches!(window[0].text, "SystemTime" | "Instant")
                && window[1].text == "::"
                && window[2].text == "now"
            {
                fault(
                    window[0].line,
                    format!("{}::now: only feeds/src/clock.rs reads the time", window[0].text),
                );
            }
        }
    }
    if path.starts_with("feeds/") {
        for token in tokens.iter().filter(|token| token.text == "tickwire") {
            fault(token.line, "feeds names tickwire: it knows nothing of the service".to_owned());
        }
        return;
    }

    let Some(inside) = path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else {
        return fault(1, "a source file outside src and feeds/src".to_owned());
    };
    let mut modules: Vec<&str> = inside.split('/').collect();
    if modules.last() == Some(&"mod") {
        modules.pop();
    }
    if modules == ["lib"] {
        return; // the list of modules: it names them all, and is none of them
    }
    let own = modules[0];
    if layer(own).is_none() {
        return fault(1, format!("module `{own}` has no layer: give it a layer in tests/layers.rs"));
    }
    // The binary's root module is not below the library's: `super` does not lead from it anywhere.
    let depth = if own == "main" { 0 } else { modules.len() };

    if layer(own) == Some(1) {
        for token in tokens.iter().filter(|token| matches!(token.text, "async" | "await" | "tokio")) {
            fault(token.line, format!("`{}` in `{own}`: the pure layer knows no runtime", token.text));
        }
    }
    for (line, to) in named_modules(&tokens, depth) {
        if to == own {
            continue;
        }
        match (layer(own), layer(to)) {
            (_, None) => fault(
                line,
                format!("`{own}` names `{to}`, which has no layer: give it a layer in tests/layers.rs"),
            ),
            (Some(from), Some(layer)) if !may_import(own, to) => {
                fault(line, format!("`{own}` (layer {from}) imports `{to}` (layer {layer})"));
            }
            _ => {}
        }
    }
}

/// The top modules that paths name, with their lines. `depth` is how many `super` lead from the file's own level to
/// the crate's root; `mod` blocks in the file add to it.
fn named_modules<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<(usize, &'a str)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut named = Vec::new();
    let (mut braces, mut blocks) = (0_usize, Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        match text(at) {
            "mod" if text(at + 2) == "{" => blocks.push(braces),
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if blocks.last() == Some(&braces) {
                    blocks.pop();
                }
            }
            "crate" | "tickwire" if text(at + 1) == "::" => after_root(tokens, at + 2, &mut named),
            "super" => {
                let mut supers = 1;
                while text(at + 1) == "::" && text(at + 2) == "super" {
                    supers += 1;
                    at += 2;
                }
                if supers == depth + blocks.len() && text(at + 1) == "::" && text(at + 2) != "*" {
                    after_root(tokens, at + 2, &mut named);
                }
            }
            _ => {}
        }
        at += 1;
    }
    named
}

/// The first names of what follows `crate::`: one, or those of a group in braces.
fn after_root<'a>(tokens: &[Token<'a>], start: usize, named: &mut Vec<(usize, &'a str)>) {
    let Some(first) = tokens.get(start) else { return };
    if first.text != "{" {
        return named.push((first.line, first.text));
    }
    let mut nested = 0;
    let mut expected = true;
    for token in &tokens[start + 1..] {
        match token.text {
            "{" => nested += 1,
            "}" if nested == 0 => return,
            "}" => nested -= 1,
            "," if nested == 0 => expected = true,
            "self" => expected = false,
            name => {
                if expected {
                    named.push((token.line, name));
                }
                expected = false;
            }
        }
    }
}

/// A word, a `::`, or one character of punctuation.
#[derive(Debug)]
struct Token<'a> {
    line: usize,
    text: &'a str,
}

/// Cuts a Rust source into tokens, without white space, comments and the contents of strings.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (length, is_token) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (block_comment(rest), false)
        } else if let Some(length) = raw_string(rest) {
            (length, false)
        } else if first == '"' {
            (quoted(rest, '"'), false)
        } else if first == '\'' {
            (char_literal(rest), false)
        } else if rest.starts_with("::") {
            (2, true)
        } else if word > 0 {
            (word, true)
        } else {
            (first.len_utf8(), !first.is_whitespace())
        };
        let (token, after) = rest.split_at(length);
        if is_token {
            tokens.push(Token { line, text: token });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut open, mut at) = (0_usize, 0);
    while at < text.len() {
        let two = text.as_bytes().get(at..at + 2).unwrap_or_default();
        match two {
            b"/*" => (open, at) = (open + 1, at + 2),
            b"*/" => (open, at) = (open - 1, at + 2),
            _ => at += 1,
        }
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of `r"…"`, `br#"…"#` and the like, if `text` starts with one.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = text[prefix.len()..].find('"')?;
    let start = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// A character's literal, or the apostrophe of a lifetime alone.
fn char_literal(text: &str) -> usize {
    let mut after = text.chars().skip(1);
    match (after.next(), after.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
        _ => 1,
    }
}

mod the_check_itself {
    use super::*;

    fn faults(path: &str, text: &str) -> String {
        let mut faults = Vec::new();
        check(path, text, &mut faults);
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn sees_an_import_that_points_up() {
        assert_eq!(
            faults("src/market/book.rs", "use std::fmt;\nuse crate::fanout::Shard;\n"),
            "src/market/book.rs:2: `market` (layer 1) imports `fanout` (layer 2)"
        );
        assert_eq!(
            faults("src/bus.rs", "fn run() {\n    crate::server::serve()\n}"),
            "src/bus.rs:2: `bus` (layer 2) imports `server` (layer 3)"
        );
        assert_eq!(
            faults("src/wire.rs", "use tickwire::service::Service;"),
            "src/wire.rs:1: `wire` (layer 1) imports `service` (layer 4)"
        );
    }

    #[test]
    fn sees_every_member_of_a_group() {
        let text = "use crate::{\n    self, topic::{Channel, service},\n    client,\n    state,\n    config as settings,\n};";
        assert_eq!(
            faults("src/publisher.rs", text),
            "src/publisher.rs:3: `publisher` (layer 2) imports `client` (layer 3)\n\
             src/publisher.rs:5: `publisher` (layer 2) imports `config` (layer 4)"
        );
    }

    #[test]
    fn sees_a_way_up_through_super() {
        assert_eq!(
            faults("src/wire/json.rs", "use super::super::market::Market;\nuse super::code::ErrorCode;"),
            "src/wire/json.rs:1: `wire` (layer 1) imports `market` (layer 1)"
        );
        let text = "mod inner {\n use super::ws;\n use super::super::ws;\n mod deep { use super::super::super::bus; }\n}\nuse super::ws;";
        assert_eq!(
            faults("src/market.rs", text),
            "src/market.rs:3: `market` (layer 1) imports `ws` (layer 1)\n\
             src/market.rs:4: `market` (layer 1) imports `bus` (layer 2)\n\
             src/market.rs:6: `market` (layer 1) imports `ws` (layer 1)"
        );
    }

    #[test]
    fn keeps_the_pure_modules_and_the_edges_apart() {
        for (from, to) in
            [("market", "wire"), ("wire", "ws"), ("ws", "market"), ("server", "client"), ("client", "load")]
        {
            let found = faults(&format!("src/{from}.rs"), &format!("use crate::{to}::X;"));
            assert!(
                found.contains(&format!("`{from}`")) && found.contains(&format!("imports `{to}`")),
                "{from} → {to}: {found:?}"
            );
        }
    }

    #[test]
    fn allows_what_points_down_or_is_allowed_sideways() {
        for (from, to) in [
            ("market", "state"),
            ("topic", "limits"),
            ("publisher", "wire"),
            ("publisher", "bus"),
            ("fanout", "bus"),
            ("client", "market"),
            ("load", "client"),
            ("server", "fanout"),
            ("cli", "service"),
            ("main", "cli"),
        ] {
            assert_eq!(
                faults(&format!("src/{from}.rs"), &format!("use crate::{to}::X; use tickwire::{to};")),
                ""
            );
        }
        assert_eq!(faults("src/lib.rs", "pub mod anything; pub use crate::anything::X;"), "");
        assert_eq!(
            faults(
                "src/market.rs",
                "pub(crate) mod book; pub(in crate::market) struct A; use self::book::B;"
            ),
            ""
        );
        assert_eq!(faults("src/main.rs", "mod tests { use super::*; } use tickwire::cli;"), "");
    }

    #[test]
    fn wants_a_layer_for_every_module() {
        assert_eq!(
            faults("src/utils/strings.rs", ""),
            "src/utils/strings.rs:1: module `utils` has no layer: give it a layer in tests/layers.rs"
        );
        assert_eq!(
            faults("src/server.rs", "use crate::utils::pad;"),
            "src/server.rs:1: `server` names `utils`, which has no layer: give it a layer in tests/layers.rs"
        );
        assert!(faults("src/server.rs", "use crate::*;").contains("names `*`"));
    }

    #[test]
    fn keeps_the_pure_layer_free_of_a_runtime() {
        assert_eq!(
            faults("src/ws/frame.rs", "\nasync fn read() {\n    tokio::task::yield_now().await;\n}"),
            "src/ws/frame.rs:2: `async` in `ws`: the pure layer knows no runtime\n\
             src/ws/frame.rs:3: `tokio` in `ws`: the pure layer knows no runtime\n\
             src/ws/frame.rs:3: `await` in `ws`: the pure layer knows no runtime"
        );
        assert_eq!(faults("src/fanout.rs", "async fn run() { tokio::task::yield_now().await }"), "");
    }

    #[test]
    fn lets_the_clock_alone_read_the_time() {
        let text = "fn f() {\n    let a = std::time::SystemTime::now();\n    let b = Instant :: now();\n}";
        assert_eq!(
            faults("feeds/src/sim.rs", text),
            "feeds/src/sim.rs:2: SystemTime::now: only feeds/src/clock.rs reads the time\n\
             feeds/src/sim.rs:3: Instant::now: only feeds/src/clock.rs reads the time"
        );
        assert_eq!(faults("feeds/src/clock.rs", text), "");
        assert_eq!(faults("src/load.rs", text).lines().count(), 2);
    }

    #[test]
    fn keeps_feeds_ignorant_of_the_service() {
        assert_eq!(
            faults("feeds/src/replay.rs", "//! Read by tickwire.\nuse tickwire::topic::Topic;"),
            "feeds/src/replay.rs:2: feeds names tickwire: it knows nothing of the service"
        );
    }

    #[test]
    fn is_not_misled_by_comments_and_strings() {
        let text = r####"
//! use crate::server;
/* tokio /* nested: crate::server */ async */
const A: &str = "crate::server \" tokio
 on two lines";
const B: &str = r#"crate::server "async" "#;
const C: (char, char, char) = ('"', '\'', '\\');
fn d<'a>(text: &'a str, r: u8) -> &'a str { text }
use crate::server;
"####;
        assert_eq!(
            faults("src/market.rs", text),
            "src/market.rs:9: `market` (layer 1) imports `server` (layer 3)"
        );
    }
}
