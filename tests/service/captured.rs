//! Captures of `tickwire tap`, as lines that a test may change.

use std::path::{Path, PathBuf};
use std::process::Output;

use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::Service;
use super::program::tickwire;
use super::run::run;

/// Where a service listens, as it prints it.
pub(crate) fn url(server: &Service) -> String {
    format!("http://{}", server.address)
}

/// A capture in a folder of its own.
pub(crate) struct Captured {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
}

impl Captured {
    /// A tap with these arguments, which ends with that code.
    #[track_caller]
    pub(crate) fn of(server: &Service, arguments: &[&str], code: i32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("capture");
        let output = run(tickwire().args(["tap", &url(server)]).args(arguments).arg("--out").arg(&path));
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        Self { folder, path }
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.path).expect("a file");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Another file, with those lines instead.
    pub(crate) fn with(&self, lines: &[Value]) -> PathBuf {
        let path = self.folder.path().join("changed");
        let text: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, text.concat()).expect("a file");
        path
    }
}

pub(crate) fn replay(path: &Path, arguments: &[&str]) -> Output {
    run(tickwire().arg("replay-capture").arg(path).args(arguments))
}

/// The objects of a text of the server.
pub(crate) fn objects(line: &Value) -> Option<Vec<Value>> {
    let frame = line.get("frame").filter(|frame| frame["from"] == "server" && frame["opcode"] == "text")?;
    let payload = BASE64.decode(frame["payload"].as_str()?.as_bytes()).expect("base64");
    serde_json::from_slice(&payload).expect("a message")
}

pub(crate) fn with_objects(line: &Value, objects: &[Value]) -> Value {
    let mut line = line.clone();
    line["frame"]["payload"] = BASE64.encode(json!(objects).to_string().as_bytes()).into();
    line
}
