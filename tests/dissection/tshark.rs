//! What Wireshark, in its form without a window, makes of a capture.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use super::capture::Capture;
use crate::service::needed::is_there;

/// A record as it is shown: its fields by name, and levels as side, price and size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) levels: Vec<[String; 3]>,
}

impl Record {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

/// What one packet holds of ours.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    /// The client's port.
    pub(crate) port: u16,
    pub(crate) records: Vec<Record>,
    /// What the dissector has to say of it.
    pub(crate) remarks: Vec<String>,
}

pub(crate) fn is_tshark_there() -> bool {
    is_there("tshark", Command::new("tshark").arg("--version"))
}

/// Dissects a capture, with more arguments of tshark's.
pub(crate) fn dissect(capture: &Capture, arguments: &[&str]) -> Vec<Packet> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("capture.pcap");
    std::fs::write(&file, capture.bytes()).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/wireshark/tickwire.lua");
    let output = Command::new("tshark")
        .arg("-X")
        .arg(format!("lua_script:{}", script.display()))
        .arg("-r")
        .arg(&file)
        .args(["-Y", "tickwire", "-T", "json", "--no-duplicate-keys"])
        .args(arguments)
        // Settings of whoever runs this are not the test's.
        .env("HOME", folder.path())
        .env("WIRESHARK_CONFIG_DIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("it is there");
    let (text, told) = (String::from_utf8(output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = text.expect("UTF-8");
    assert!(output.status.success(), "{told}");
    for said in [&text, &*told] {
        assert!(!said.contains("Lua Error") && !said.contains("fault of the dissector"), "{said}");
    }
    let packets: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    packets.iter().map(|packet| read(&packet["_source"]["layers"])).collect()
}

fn read(layers: &Value) -> Packet {
    let port = |name: &str| layers["tcp"][name].as_str().and_then(|port| port.parse().ok());
    let ports: [u16; 2] = ["tcp.srcport", "tcp.dstport"].map(|name| port(name).expect("a port"));
    let port = ports.into_iter().find(|&port| port != 8_080).expect("a client's");
    let mut packet = Packet { port, ..Packet::default() };
    for layer in all(&layers["tickwire"]) {
        packet.records.extend(all(&layer["tickwire.record_tree"]).map(record));
        gather_remarks(layer, &mut packet.remarks);
    }
    packet
}

/// What is there once stands for itself, what is there more often in an array.
fn all(value: &Value) -> impl Iterator<Item = &Value> {
    let (some, one) = match value {
        Value::Array(some) => (&some[..], None),
        Value::Null => (&[][..], None),
        one => (&[][..], Some(one)),
    };
    some.iter().chain(one)
}

fn record(tree: &Value) -> Record {
    let mut record = Record::default();
    let object = tree.as_object().expect("fields");
    for (name, value) in object {
        if let (Some(name), Value::String(text)) = (name.strip_prefix("tickwire."), value) {
            record.fields.insert(name.to_owned(), text.clone());
        }
    }
    record.fields.remove("level");
    record.levels = all(&tree["tickwire.level_tree"])
        .map(|level| {
            ["side", "price", "size"]
                .map(|name| level[format!("tickwire.level.{name}")].as_str().expect("a text").to_owned())
        })
        .collect();
    record
}

fn gather_remarks(value: &Value, remarks: &mut Vec<String>) {
    let object: &Map<String, Value> = match value {
        Value::Object(object) => object,
        Value::Array(some) => return some.iter().for_each(|value| gather_remarks(value, remarks)),
        _ => return,
    };
    for (name, value) in object {
        match value {
            Value::String(text) if name == "_ws.expert.message" => remarks.push(text.clone()),
            other => gather_remarks(other, remarks),
        }
    }
}
