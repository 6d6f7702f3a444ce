//! Builds ITCH files for tests, field by field.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Frames, one after the other.
#[derive(Clone, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    /// Appends a message: its type, its header, and its fields as they stand in the specification.
    pub(crate) fn message(&mut self, kind: u8, locate: u16, nanos: u64, fields: &[&[u8]]) -> &mut Self {
        let body = message(kind, locate, nanos, fields);
        self.0.extend_from_slice(&u16::try_from(body.len()).expect("short").to_be_bytes());
        self.0.extend_from_slice(&body);
        self
    }

    pub(crate) fn directory(&mut self, locate: u16, nanos: u64, stock: &str) -> &mut Self {
        let lot = 100_u32.to_be_bytes();
        let flags: &[u8] = b"NCZ PNN1N";
        self.message(b'R', locate, nanos, &[&padded(stock), b"QN", &lot, flags, &0_u32.to_be_bytes(), b"N"])
    }

    /// A buyer's order of 5 at 0.0100.
    pub(crate) fn add(&mut self, locate: u16, nanos: u64, stock: &str, order: u64) -> &mut Self {
        let (size, price) = (5_u32.to_be_bytes(), 100_u32.to_be_bytes());
        self.message(b'A', locate, nanos, &[&order.to_be_bytes(), b"B", &size, &padded(stock), &price])
    }

    pub(crate) fn delete(&mut self, locate: u16, nanos: u64, order: u64) -> &mut Self {
        self.message(b'D', locate, nanos, &[&order.to_be_bytes()])
    }

    /// Saves the file, compressed as its name says.
    pub(crate) fn save(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let bytes = match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&self.0).expect("memory");
                encoder.finish().expect("memory")
            }
            Some("zst") => zstd::encode_all(&self.0[..], 3).expect("memory"),
            _ => self.0.clone(),
        };
        std::fs::write(&path, bytes).expect("a temporary folder");
        path
    }
}

/// One message without its length. The tracking number is 7.
pub(crate) fn message(kind: u8, locate: u16, nanos: u64, fields: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![kind];
    body.extend_from_slice(&locate.to_be_bytes());
    body.extend_from_slice(&7_u16.to_be_bytes());
    body.extend_from_slice(&nanos.to_be_bytes()[2..]);
    for field in fields {
        body.extend_from_slice(field);
    }
    body
}

pub(crate) fn padded(stock: &str) -> [u8; 8] {
    let mut bytes = [b' '; 8];
    bytes[..stock.len()].copy_from_slice(stock.as_bytes());
    bytes
}
